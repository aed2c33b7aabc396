"""The routes of the HTTP interface, one for each operation, and those of the page."""

from chalice.app import Blueprint

from chalice_app.api import OPERATIONS
from chalice_app.http import bind, bind_page

blueprint = Blueprint(__name__)
bind(blueprint, OPERATIONS)
bind_page(blueprint)
