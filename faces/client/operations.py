"""Everything that a client does, as coroutines."""

from faces.client import calls
from faces.client.batches import BatchOperations
from faces.client.manage import AsyncManager
from faces.client.people import PeopleOperations


class Operations(BatchOperations, PeopleOperations):
    """Everything that a client does; `AsyncClient` and `Client` are this, on a runtime."""

    @property
    def manage(self) -> AsyncManager:
        """Everything around recognition: people, collections, keys, the audit log."""
        return AsyncManager(self._connection)

    @property
    def url(self) -> str:
        """Address of the service."""
        return self._connection.url

    async def health(self) -> dict[str, object]:
        """Return what the service says of itself; raises when it does not answer.

        Examples
        --------
        >>> answer = await client.health()
        >>> answer["status"]
        'ok'
        """
        return await self._connection.perform(calls.health())

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.runtime.close()
