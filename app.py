"""The Chalice app: the blueprints of the front end and of the scaler, put together."""

from chalice.app import Chalice

from chalice_app import events, http, routes
from scaler import blueprint as scaler

app = Chalice(app_name="elastic-faces")
http.install(app)
app.register_blueprint(routes.blueprint)
app.register_blueprint(events.blueprint)
app.register_blueprint(scaler.blueprint)
http.refuse_everything_else(app)
