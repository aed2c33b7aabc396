"""API keys of the caller's tenant."""

from chalice_app.registry import Area, Call
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.keys import KeyCreated, KeyInfo, KeyList, NewKey, Scope

area = Area("keys", "API keys of a tenant")


@area.operation("POST", "/v1/keys", scopes=[Scope.ADMIN], status=201)
def create_key(call: Call, body: NewKey) -> KeyCreated:
    """Make an API key; this answer is the only one that shows it.

    The stack's own key may name another tenant, which is made where it is missing; so a
    tenant gets its first key.
    """
    tenant = body.tenant or call.tenant
    if tenant != call.tenant and not call.caller.is_root:
        raise FacesError(
            ErrorCode.FORBIDDEN, "Only the stack's own key makes keys of another tenant."
        )
    return call.context.keys.create(tenant, body, actor=call.caller.key_id)


@area.operation("GET", "/v1/keys", scopes=[Scope.ADMIN])
def list_keys(call: Call) -> KeyList:
    """List the tenant's keys, the newest first, revoked ones included."""
    return KeyList(keys=call.context.keys.list_keys(call.tenant))


@area.operation("DELETE", "/v1/keys/{key_id}", scopes=[Scope.ADMIN], errors=[ErrorCode.UNKNOWN_KEY])
def revoke_key(call: Call, key_id: str) -> KeyInfo:
    """Revoke a key: it is refused from this answer on."""
    return call.context.keys.revoke(call.tenant, key_id, actor=call.caller.key_id)
