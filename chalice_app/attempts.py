"""How often workers began a job and did not come to an end; see `gpu_worker.attempts`."""

from dataclasses import dataclass

from chalice_app.aws import Objects
from faces.contracts.names import StackNames, attempts_prefix


@dataclass(frozen=True)
class Attempts:
    """What workers recorded of the jobs of one stack."""

    objects: Objects
    names: StackNames

    def count(self, job_id: str) -> int:
        """Return how often the job was begun without coming to an end."""
        return len(self._keys(job_id))

    def clear(self, job_id: str) -> None:
        """Forget them."""
        if keys := self._keys(job_id):
            self.objects.delete_many(self.names.out_bucket, keys)

    def _keys(self, job_id: str) -> list[str]:
        listed = self.objects.listing(self.names.out_bucket, attempts_prefix(job_id))
        return [each.key for each in listed]
