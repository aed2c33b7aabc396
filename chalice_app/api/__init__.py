"""The operations of the HTTP interface, a module an area; `chalice_app.registry` says how."""

from chalice_app.api import (
    audit,
    batches,
    collections,
    dead_letters,
    faces,
    jobs,
    keys,
    operations,
    people,
    seeds,
    service,
    webhooks,
)
from chalice_app.registry import Area, Operation

AREAS: tuple[Area, ...] = (
    jobs.area,
    batches.area,
    people.area,
    faces.area,
    collections.area,
    keys.area,
    audit.area,
    operations.area,
    dead_letters.area,
    webhooks.area,
    seeds.area,
    service.area,
)
service.publish(AREAS)
OPERATIONS: tuple[Operation, ...] = tuple(
    operation for area in AREAS for operation in area.operations
)
