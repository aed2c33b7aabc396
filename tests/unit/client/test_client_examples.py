"""The examples in the docstrings do what they say, with both clients."""

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalice_app.api import OPERATIONS
from faces.client import AsyncClient, Client
from faces.client.manage import AsyncManager, Manager
from faces.client.operations import Operations
from tests.unit.client.fake_office import KEY, FakeOffice
from tests.unit.client.fake_service import API

JPEG = b"\xff\xd8\xff\xe0 photo"
# Not of one operation, or without an answer to show.
WITHOUT = {"close"}


def public(kind: type) -> dict[str, Callable[..., Any]]:
    return {
        name: each
        for name, each in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and name not in WITHOUT
    }


def examples(owner: type) -> list[Any]:
    return [pytest.param(each, id=name) for name, each in public(owner).items()]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeOffice:
    for name in ("team.jpg", "ann.jpg", "door.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    monkeypatch.chdir(tmp_path)
    return FakeOffice()


def names(office: FakeOffice, client: Any) -> dict[str, Any]:
    job = office._create_job({"kind": "identify"})
    office.jobs[job.job_id].photo = JPEG
    return {
        "client": client,
        "job_id": job.job_id,
        "given_up": office.letters[0].job_id,
        "ann": office.id_of("Ann"),
        "bob": office.id_of("Bob"),
    }


@pytest.mark.parametrize("method", [*examples(Client), *examples(Manager)])
def test_an_example_holds_for_the_blocking_client(
    office: FakeOffice, method: Callable[..., Any]
) -> None:
    with Client(API, KEY, transport=office.transport, sleep=lambda _: None) as client:
        test = doctest.DocTestParser().get_doctest(
            method.__doc__ or "", names(office, client), method.__qualname__, None, 0
        )
        assert test.examples, f"{method.__qualname__} shows no example"
        said: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("method", [*examples(Operations), *examples(AsyncManager)])
def test_an_example_holds_for_the_asynchronous_client(
    office: FakeOffice, method: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    async def play() -> None:
        async with AsyncClient(API, KEY, transport=office.transport, sleep=instantly) as client:
            known = names(office, client)
            for example in doctest.DocTestParser().get_examples(method.__doc__ or ""):
                await execute(example.source, known)
                assert capsys.readouterr().out == example.want, example.source

    asyncio.run(play())


async def instantly(_seconds: float) -> None:
    return


async def execute(source: str, known: dict[str, Any]) -> None:
    """Run a statement as the prompt does (`python -m asyncio`): await, and show the value."""
    tree = ast.parse(source)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        show = "_shown = 0\n"
        tree.body[-1] = ast.parse(show).body[0]
        assert isinstance(tree.body[-1], ast.Assign)
        tree.body[-1].value = last.value
    code = compile(ast.fix_missing_locations(tree), "example", "exec", TOP_LEVEL_AWAIT)
    known.pop("_shown", None)
    made = eval(code, known)
    if inspect.iscoroutine(made):
        await made
    if known.get("_shown") is not None:
        print(repr(known["_shown"]))  # noqa: T201


TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@pytest.mark.parametrize(
    ("blocking", "asynchronous"),
    [(Client, AsyncClient), (Manager, AsyncManager)],
    ids=["client", "manager"],
)
def test_both_clients_do_the_same(blocking: type, asynchronous: type) -> None:
    assert set(public(blocking)) == set(public(asynchronous))
    for name, method in public(blocking).items():
        theirs = inspect.signature(public(asynchronous)[name])
        assert inspect.signature(method).parameters == theirs.parameters
        assert "await" not in (method.__doc__ or "")
        assert not inspect.iscoroutinefunction(method)


@pytest.mark.usefixtures("office")
def test_the_client_knows_every_operation_of_the_service() -> None:
    """What the examples above ask for, taken together, is the whole of /v1."""
    asked: set[tuple[str, str]] = set()
    for method in [*public(Client).values(), *public(Manager).values()]:
        office = FakeOffice()
        with Client(API, KEY, transport=office.transport, sleep=lambda _: None) as client:
            known = names(office, client)
            for example in doctest.DocTestParser().get_examples(method.__doc__ or ""):
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(example.source, "example", "single"), known)
        asked |= {(request.method, request.url.path) for request in office.requests}
    missing = [
        f"{operation.method} {operation.path}"
        for operation in OPERATIONS
        if operation.path.startswith("/v1/") and operation.name != "get_openapi"
        if not any(
            method == operation.method
            and re.fullmatch(re.sub(r"{\w+}", "[^/]+", operation.path), path)
            for method, path in asked
        )
    ]
    assert missing == []
