"""What the service says of itself; no key is needed."""

import functools
from collections.abc import Sequence

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


def publish(areas: Sequence[Area]) -> None:
    """Declare the operation that describes all operations, itself included."""

    @functools.lru_cache(maxsize=4)
    def document(base_url: str) -> bytes:
        # Made when first asked for, and only then: a cold start need not wait for it.
        from chalice_app.openapi import document_json

        return document_json(areas, base_url)

    @area.operation("GET", "/v1/openapi.json", scopes=None)
    def get_openapi(call: Call) -> bytes:
        """Answer this interface as an OpenAPI 3.1 document."""
        return document(call.base_url)
