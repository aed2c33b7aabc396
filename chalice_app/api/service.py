"""What the service says of itself; no key is needed."""

from chalice_app import health
from chalice_app.health import Health, HealthQuery
from chalice_app.registry import Area, Call

area = Area("service", "What the service says of itself; no key is needed")


@area.operation("GET", "/health", scopes=None)
def get_health(call: Call, query: HealthQuery) -> Health:
    """Say whether the service works; with `deep=1` whether database and queue answer."""
    context = call.context
    stack = context.settings.stack
    if query.deep == "0":
        return health.shallow(stack)
    queue = context.settings.names.req_queue
    checks = {
        "database": context.check_database,
        "queue": lambda: context.queues.check(queue),
    }
    return health.deep(stack, checks)


@area.operation("GET", "/v1/openapi.json", scopes=None)
def get_openapi(call: Call) -> bytes:
    """Answer this interface as an OpenAPI 3.1 document."""
    # Made when first asked for, and only then: a cold start need not wait for it.
    from chalice_app.openapi import document_json

    return document_json(call.base_url)
