"""The operations of the HTTP interface, a module an area; `chalice_app.registry` says how."""

from chalice_app.api import audit, jobs, keys, people, service
from chalice_app.registry import Area, Operation

AREAS: tuple[Area, ...] = (
    jobs.area,
    people.area,
    keys.area,
    audit.area,
    service.area,
)
OPERATIONS: tuple[Operation, ...] = tuple(
    operation for area in AREAS for operation in area.operations
)
