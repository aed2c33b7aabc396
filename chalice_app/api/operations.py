"""What operators look at: recent jobs, queues, the fleet."""

from chalice_app.recent import Recent
from chalice_app.registry import Area, Call
from faces.contracts.errors import ErrorCode, FacesError
from faces.contracts.keys import Scope
from faces.contracts.operations import OperationsQuery, OperationsView, RecentJobs, RecentQuery

area = Area("operations", "Recent jobs, queues and the fleet")


@area.operation("GET", "/v1/jobs", scopes=[Scope.READ])
def list_jobs(call: Call, query: RecentQuery) -> RecentJobs:
    """List the tenant's newest jobs whose photos were sent, in a few words each."""
    context = call.context
    recent = Recent(context.settings, context.objects, context.results)
    return recent.page(call.tenant, query.limit, context.clock())


@area.operation("GET", "/v1/operations", scopes=[Scope.ADMIN])
def get_operations(call: Call, query: OperationsQuery) -> OperationsView:
    """Answer how the whole stack stands: queues, fleet, and its last minutes where asked for.

    What AWS does not tell at the moment is left out. Only the stack's own key sees it, since
    it is about all tenants.
    """
    if not call.caller.is_root:
        raise FacesError(ErrorCode.FORBIDDEN, "Only the stack's own key sees the whole stack.")
    return call.context.operations.view(query.minutes)
