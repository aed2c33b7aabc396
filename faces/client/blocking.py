"""Blocking methods out of coroutines, so that nothing is written twice.

`blocking(AsyncClient.identify)` is a method of the same parameters that returns what the
coroutine returns. Its docstring is the coroutine's, with the examples as they are written
without `await`.
"""

import functools
import inspect
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from faces.client.runtime import run

P = ParamSpec("P")
T = TypeVar("T")
Inner = TypeVar("Inner", covariant=True)
Core = TypeVar("Core")


class Blocked(Protocol[Inner]):
    """Stands before something asynchronous whose runtime blocks."""

    @property
    def asynchronous(self) -> Inner: ...


def blocking(
    method: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Blocked[Core], P], T]:
    """Return a method that does what the coroutine does, and blocks."""

    def call(self: Blocked[Core], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(self.asynchronous, *args, **kwargs))

    _told_like(call, method)
    return call


def blocking_iterator(
    method: Callable[Concatenate[Core, P], AsyncIterator[T]],
) -> Callable[Concatenate[Blocked[Core], P], Iterator[T]]:
    """Return a method that yields what the asynchronous iterator yields, and blocks."""

    def call(self: Blocked[Core], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        items = method(self.asynchronous, *args, **kwargs)
        try:
            while True:
                try:
                    yield run(_next(items))
                except StopAsyncIteration:
                    return
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                run(close())

    _told_like(call, method)
    return call


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


def _told_like(call: Any, method: Any) -> None:
    functools.update_wrapper(call, method)
    call.__doc__ = without_await(method.__doc__ or "")
    # What inspect unwraps would be asynchronous again.
    call.__signature__ = _signature(method)
    del call.__wrapped__


def _signature(method: Any) -> Any:
    signature = inspect.signature(method)
    return signature.replace(return_annotation=_plain(signature.return_annotation))


def _plain(annotation: Any) -> Any:
    """Return `Iterator[T]` for `AsyncIterator[T]`; all else as it is."""
    if getattr(annotation, "__origin__", None) is AsyncIterator:
        return Iterator[annotation.__args__]
    return annotation


def without_await(text: str) -> str:
    """Return a docstring's examples as they are for the blocking client."""
    text = re.sub(r"\bawait (?=\w)", "", text)
    text = re.sub(r"\basync (?=for|with)", "", text)
    return text.replace("AsyncClient", "Client")
