"""The cache in Valkey or Redis.

Keys start with `faces:<stack>:`. A result is written once (`SET NX`), as in S3: a deletion
replaces it, and a worker that comes late cannot bring it back.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from faces.cache.cache import Answer, Cache, NoCache, Question, Sleeper, Wakeup
from faces.iam_login import by_iam, cache_login

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

log = logging.getLogger(__name__)

T = TypeVar("T")

_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 1.0
# A cache that is away is left alone for so long: else every request would wait for it.
_REST_SECONDS = 5.0


def make_cache(url: str, stack: str, seconds: int) -> Cache:
    """Return the cache at `url`, or `NoCache` for an empty one.

    Parameters
    ----------
    seconds : how long a result is kept.
    """
    return ValkeyCache(url, stack, seconds) if url else NoCache()


class ValkeyCache:
    """A `Cache` in Valkey or Redis; connects when it is first used.

    Parameters
    ----------
    url : `redis://...` or `rediss://...`, password included, or
        `rediss+iam://<user>@<host>:<port>/<cluster>`.
    stack : whose keys these are; stacks may share a server.
    seconds : how long a result is kept.
    clock : monotonic seconds.
    sleep : waits so many seconds.
    """

    def __init__(
        self,
        url: str,
        stack: str,
        seconds: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url
        self._prefix = f"faces:{stack}:"
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._made: Redis | None = None
        self._resting_until = float("-inf")

    def result(self, job_id: str) -> bytes | None:
        """Return a job's result, or None where it is not kept."""
        return self._try(lambda server: _bytes(server.get(self._key("result", job_id))), None)

    def keep_result(self, job_id: str, body: bytes) -> None:
        """Keep a result unless one is kept, and wake who waits for it."""
        self._write_result(job_id, body, only_new=True)

    def replace_result(self, job_id: str, body: bytes) -> None:
        """Keep a result in place of one that may be kept, and wake who waits for it."""
        self._write_result(job_id, body, only_new=False)

    def forget_result(self, job_id: str) -> None:
        """Forget a result that is about to be another one."""
        self._try(lambda server: server.delete(self._key("result", job_id)), None)

    def _write_result(self, job_id: str, body: bytes, *, only_new: bool) -> None:
        def write(server: "Redis") -> None:
            with server.pipeline(transaction=False) as pipe:
                pipe.set(self._key("result", job_id), body, ex=self._seconds, nx=only_new)
                pipe.publish(self._key("done", job_id), b"1")
                pipe.execute()

        self._try(write, None)

    @contextmanager
    def wakeup(self, job_id: str) -> Iterator[Wakeup]:
        """Listen for the end of a job; one that comes after this call is not missed."""
        listener = self._try(lambda server: _listen(server, self._key("done", job_id)), None)
        if listener is None:
            yield Sleeper(self._sleep)
            return
        try:
            yield _Listening(listener, self._sleep)
        finally:
            listener.close()

    def ask(self, job_id: str, question: Question) -> None:
        """Note which question a job asks, so that its answer can be kept."""
        key, value = self._key("question", job_id), f"{question.key}\n{question.version}"
        self._try(lambda server: server.set(key, value, ex=self._seconds), None)

    def question(self, job_id: str) -> Question | None:
        """Return the question that a job asks, where it was noted."""
        found = self._try(lambda server: _bytes(server.get(self._key("question", job_id))), None)
        if found is None:
            return None
        key, _, version = found.decode().partition("\n")
        return Question(key, version)

    def answer(self, key: str) -> Answer | None:
        """Return what today's workers answered to the question of this key."""
        keys = [self._key("workers"), self._key("answer", key)]
        found = self._try(lambda server: _all(server.mget(keys)), None)
        if found is None:
            return None
        fingerprint, kept = found
        given_by, version, body = kept.split(b"\n", 2)
        return Answer(version.decode(), body) if given_by == fingerprint else None

    def keep_answer(self, question: Question, fingerprint: str, body: bytes) -> None:
        """Keep the answer that workers of this fingerprint gave."""
        value = f"{fingerprint}\n{question.version}\n".encode() + body
        key = self._key("answer", question.key)
        self._try(lambda server: server.set(key, value, ex=self._seconds), None)

    def forget_answer(self, key: str) -> None:
        """Forget the answer to the question of this key."""
        self._try(lambda server: server.delete(self._key("answer", key)), None)

    def work_as(self, fingerprint: str) -> None:
        """Say that workers of this fingerprint answer now; other answers count no more."""
        self._try(lambda server: server.set(self._key("workers"), fingerprint), None)

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)

    def _try(self, call: "Callable[[Redis], T]", otherwise: T) -> T:
        """Return what `call` gives, or `otherwise` while the cache is away."""
        from redis.exceptions import RedisError

        if self._clock() < self._resting_until:
            return otherwise
        try:
            return call(self._server())
        except (RedisError, OSError) as error:
            self._resting_until = self._clock() + _REST_SECONDS
            log.warning("the cache is away: %s", type(error).__name__)
            return otherwise

    def _server(self) -> "Redis":
        # Imported when first used: it costs a cold start a tenth of a second.
        if self._made is None:
            from redis import Redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            url, login = self._url, dict[str, Any]()
            if by_iam(url):
                url, login = _role_login(url)
            self._made = Redis.from_url(
                url,
                **login,
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_ANSWER_SECONDS,
                socket_keepalive=True,
                # A Lambda that was frozen finds its connections dead; one new try is enough.
                retry=Retry(NoBackoff(), 1),
                health_check_interval=10,
            )
        return self._made


def _role_login(url: str) -> tuple[str, dict[str, Any]]:
    """Return the URL and what logs each connection in by the process's IAM role."""
    from redis.credentials import CredentialProvider

    plain, user, token = cache_login(url)

    class Role(CredentialProvider):
        def get_credentials(self) -> tuple[str, str]:
            return user, token()

    return plain, {"credential_provider": Role()}


class _Listening:
    """A `Wakeup` on a channel; once the connection breaks it only sleeps."""

    def __init__(self, channel: "PubSub", sleep: Callable[[float], None]) -> None:
        self._channel = channel
        self._sleep = sleep
        self.sure = True

    def wait(self, seconds: float) -> None:
        """Return when a message came, or after `seconds`."""
        from redis.exceptions import RedisError

        if not self.sure:
            self._sleep(seconds)
            return
        try:
            self._channel.get_message(timeout=seconds)
        except (RedisError, OSError):
            self.sure = False


def _listen(server: "Redis", channel: str) -> "PubSub":
    """Return a channel whose subscription the server has confirmed."""
    listener: PubSub = server.pubsub()  # type: ignore[no-untyped-call]
    try:
        listener.subscribe(channel)
        confirmed = listener.get_message(timeout=_ANSWER_SECONDS)
        if confirmed is None or confirmed["type"] != "subscribe":
            raise TimeoutError("the cache does not confirm")
    except BaseException:
        listener.close()
        raise
    return listener


def _bytes(found: Any) -> bytes | None:
    return found if isinstance(found, bytes) else None


def _all(found: Any) -> list[bytes] | None:
    values = [value for value in found if isinstance(value, bytes)]
    return values if len(values) == len(found) else None
