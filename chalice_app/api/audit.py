"""The audit log of the caller's tenant."""

from chalice_app.registry import Area, Call
from faces.contracts.audit import AuditPage, AuditQuery
from faces.contracts.keys import Scope

area = Area("audit", "Who enrolled, changed and deleted what")


@area.operation("GET", "/v1/audit", scopes=[Scope.ADMIN])
def list_audit(call: Call, query: AuditQuery) -> AuditPage:
    """List the tenant's changes, the newest first, page by page."""
    return call.context.audit.page(call.tenant, query)
