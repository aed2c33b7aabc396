"""Objects that outlive the emulator's process."""

from typing import Any

from local_stack.emulation.asgi import Application, Receive, Scope, Send


class ShelvedObjects:
    """Objects of the run before, given back to their buckets once these exist again.

    ministack reads persisted objects into buckets of its own making, and CloudFormation
    then refuses to create buckets that exist. So what was read is taken away at the start
    and handed back when CloudFormation has made a bucket of the same name.

    Parameters
    ----------
    buckets : ministack's buckets by account and name; emptied.
    """

    def __init__(self, buckets: dict[Any, dict[str, Any]]) -> None:
        self._buckets = buckets
        self._waiting = dict(buckets)
        buckets.clear()

    def give_back(self) -> None:
        """Fill every bucket that exists by now; cheap when nothing waits."""
        for name in [name for name in self._waiting if name in self._buckets]:
            before = self._waiting.pop(name)["objects"]
            now = self._buckets[name]["objects"]
            now.update({key: record for key, record in before.items() if key not in now})


class GivingBack:
    """ASGI middleware that gives shelved objects back as soon as their bucket exists."""

    def __init__(self, application: Application, shelved: ShelvedObjects) -> None:
        self._application = application
        self._shelved = shelved

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._shelved.give_back()
        await self._application(scope, receive, send)
