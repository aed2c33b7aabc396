"""The routes of the HTTP interface, one for each operation."""

from chalice.app import Blueprint

from chalice_app.api import OPERATIONS
from chalice_app.http import bind

blueprint = Blueprint(__name__)
bind(blueprint, OPERATIONS)
