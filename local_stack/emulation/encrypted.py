"""Marks calls to AWS services as encrypted, as they are on AWS."""

from local_stack.emulation.asgi import Application, Receive, Scope, Send


class Encrypted:
    """ASGI middleware before ministack: its `aws:SecureTransport` becomes true.

    The stack's policies refuse unencrypted calls. On the loopback interface there is no
    TLS, and turning the policies off would leave them untried. Calls of the API are the
    clients' own and stay as they are.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/_aws/execute-api/"):
            headers = [*scope["headers"], (b"x-forwarded-proto", b"https")]
            scope = {**scope, "headers": headers}
        await self._application(scope, receive, send)
