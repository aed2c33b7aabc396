"""Callbacks: the key by which a client tells ours from others'."""

from chalice_app import webhooks
from chalice_app.registry import Area, Call
from faces.contracts.keys import Scope
from faces.contracts.webhooks import WebhookKey

area = Area("callbacks", "Signed messages to a client when a job has ended")


@area.operation("GET", "/v1/webhook-key", scopes=[Scope.ADMIN])
def get_webhook_key(call: Call) -> WebhookKey:
    """Answer the key that signs this tenant's callbacks.

    Each callback carries `Faces-Signature: t=<Unix seconds>,k=<key id>,v1=<hex>`, the
    HMAC-SHA256 of `<t>.<body>` with this key. Refuse what is older than five minutes.
    """
    return webhooks.webhook_key(call.context.settings, call.tenant)
