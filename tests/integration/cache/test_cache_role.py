"""Logged in by role, with the rights that `infra/data.yaml` gives on ElastiCache."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cfnlint.decode import cfn_yaml
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from faces import iam_login
from faces.cache.cache import Question
from faces.cache.valkey import ValkeyCache
from infra.parts import DATA
from local_stack.settings import free_ports
from local_stack.valkey import ValkeyService

STACK = "faces-x"
USER = f"{STACK}-app"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyService]:
    folder = tmp_path_factory.mktemp("valkey")
    made = ValkeyService(free_ports(1)[0], folder / "state", folder / "log")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def url(service: ValkeyService, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL that asks for a login by role; here a token is a password of the user's."""
    made: list[str] = []

    def sign(_service: str, _host: str, _query: Mapping[str, str]) -> str:
        made.append(f"token-{len(made)}&=")
        return made[-1]

    monkeypatch.setattr(iam_login, "signed", sign)
    user = cfn_yaml.load(str(DATA.template))["Resources"]["CacheUser"]["Properties"]
    rights = user["AccessString"]["Fn::Sub"].replace("${StackName}", STACK)
    passwords = [f">token-{number}&=" for number in range(8)]
    admin = Redis.from_url(service.url)
    admin.execute_command(  # type: ignore[no-untyped-call]
        "ACL", "SETUSER", USER, "reset", *rights.split(), *passwords
    )
    host = service.url.split("@")[-1].removeprefix("redis://").split("/")[0]
    return f"redis+iam://{USER}@{host}/{STACK}-cache"


def test_everything_that_the_cache_does_is_allowed(url: str, tmp_path: Path) -> None:
    cache = ValkeyCache(url, STACK, 60)
    cache.keep_result("job", b"result")
    assert cache.result("job") == b"result"
    cache.replace_result("job", b"deleted")
    assert cache.result("job") == b"deleted"
    cache.forget_result("job")
    assert cache.result("job") is None
    with cache.wakeup("job") as wakeup:
        ValkeyCache(url, STACK, 60).keep_result("job", b"x")
        wakeup.wait(5)
        assert wakeup.sure
    question = Question("key", "1")
    cache.work_as("workers")
    cache.ask("job", question)
    assert cache.question("job") == question
    cache.keep_answer(question, "workers", b"answer")
    answer = cache.answer("key")
    assert answer is not None
    assert answer.body == b"answer"
    cache.forget_answer("key")
    assert cache.answer("key") is None


def test_nothing_else_is(url: str, service: ValkeyService) -> None:
    port = int(service.url.rsplit(":", 1)[1].split("/")[0])
    client = Redis("127.0.0.1", port, username=USER, password="token-0&=")
    with pytest.raises(NoPermissionError):
        client.get("faces:another-stack:result:job")
    with pytest.raises(NoPermissionError):
        client.flushall()
    with pytest.raises(NoPermissionError):
        client.execute_command("ACL", "LIST")  # type: ignore[no-untyped-call]
    stranger = Redis("127.0.0.1", port, username=USER, password="guessed")
    with pytest.raises(AuthenticationError):
        stranger.ping()
