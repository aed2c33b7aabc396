"""Where the worker looks for similar faces: in its own copy, or in the database."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from faces.gallery.approximate import NearPerson
from gpu_worker.backends.base import FloatArray
from gpu_worker.index import GalleryIndex, Hit

log = logging.getLogger(__name__)

_BACK = 0.8
"""Of the limit: below it the copy is used again, so that it does not come and go."""

_COUNT_SECONDS = 60.0


class RemoteSearch(Protocol):
    """A search without a copy (`faces.gallery.approximate.DatabaseSearch`)."""

    def count(self) -> int: ...

    def count_others(self) -> int: ...

    def size(self, tenant: str, collection: str) -> int: ...

    def search(
        self, tenant: str, collection: str, probes: FloatArray, count: int
    ) -> Sequence[Sequence[NearPerson]]: ...


class LimitedSearch:
    """Exact in the worker's memory up to a number of faces; beyond, the database is asked.

    Parameters
    ----------
    make_index : makes an empty copy.
    limit : faces, of all tenants and collections, that the copy may hold.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        make_index: Callable[[], GalleryIndex],
        remote: RemoteSearch,
        limit: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_index = make_index
        self._remote = remote
        self._limit = limit
        self._clock = clock
        self._index: GalleryIndex | None = None
        self._counted_at: float | None = None
        self._followed_at = float("-inf")
        self._remote_names: dict[str, str] = {}

    @property
    def names(self) -> Mapping[str, str]:
        """The name of each person that the last search found, by id."""
        return self._remote_names if self._index is None else self._index.names

    @property
    def exact(self) -> bool:
        """Whether the copy is used."""
        return self._index is not None

    def follow(self) -> None:
        """Bring the copy up to date, where there is one; the database always is.

        Raises
        ------
        TransientError
            When the database is away.
        """
        now = self._clock()
        if self._index is None:
            self._come_back()
        elif now - self._followed_at >= _COUNT_SECONDS:
            # All that came meanwhile is fetched at once; it may be more than there is room for.
            faces = self._remote.count()
            if faces > self._limit:
                self._leave(faces)
        if self._index is not None:
            self._index.follow()
            self._followed_at = now
            if len(self._index) > self._limit:
                self._leave(len(self._index))

    def search(
        self, tenant: str, collection: str, probes: FloatArray, count: int
    ) -> list[list[Hit]]:
        """Return the `count` nearest people of the collection for each probe.

        Parameters
        ----------
        probes : (m, 512) float32 rows of unit length.
        """
        if self._index is not None:
            return self._index.search(tenant, collection, probes, count)
        found = self._remote.search(tenant, collection, probes, count)
        self._remote_names = {face.person_id: face.name for faces in found for face in faces}
        return [
            [Hit(face.person_id, face.face_id, face.similarity, face.faces) for face in faces]
            for faces in found
        ]

    def size(self, tenant: str, collection: str) -> int:
        """Return with how many people a face of the collection is compared."""
        if self._index is not None:
            return self._index.size(tenant, collection)
        return self._remote.size(tenant, collection)

    def _come_back(self) -> None:
        """Make a copy when the gallery is small enough; ask that now and then only."""
        now = self._clock()
        if self._counted_at is not None and now - self._counted_at < _COUNT_SECONDS:
            return
        first = self._counted_at is None
        faces = self._remote.count()
        if first and (others := self._remote.count_others()):
            log.warning(
                "faces of another profile or version are not compared: enrol these people again",
                extra={"faces": others},
            )
        self._counted_at = now
        if faces <= (self._limit if first else _BACK * self._limit):
            self._index = self._make_index()
            log.info("searching in memory", extra={"faces": faces})
        elif first:
            self._say_remote(faces)

    def _leave(self, faces: int) -> None:
        self._index = None
        self._counted_at = self._clock()
        self._say_remote(faces)

    def _say_remote(self, faces: int) -> None:
        log.warning(
            "the gallery is too large for the worker: the database searches "
            "(`python -m faces.gallery index` makes it fast)",
            extra={"faces": faces, "limit": self._limit},
        )
