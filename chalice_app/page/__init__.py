"""The web page: hand-written HTML, CSS and ES modules, and what is sent with them.

`static/` is served as it stands, but for the modules: `bundle` joins them to one script,
so that a first visit wakes three Lambdas and not sixteen.
"""
