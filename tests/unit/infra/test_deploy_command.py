"""The command line that deploys to AWS."""

import io
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from cfnlint.decode import cfn_yaml

from infra.__main__ import lambda_environment, main
from infra.deployment import Deployment, lambda_network, lambda_variables
from infra.image import _run_pipeline, pack, recipe_version
from infra.parts import DATA, PARTS, unknown_parameters
from local_stack.cloudformation import DeployError

ENVIRON = {
    "FACES_STACK": "faces-x",
    "FACES_API_KEY_SHA256": "a" * 64,
    "FACES_ID_SECRET": "s" * 32,
    "DATABASE_URL": "postgresql://x",
    "SCALER_MAX_INSTANCES": "3",
    "WORKER_ID": "i-1",
    "HOME": "/home/someone",
    "FACES_PUBLIC_URL": "",
}


def test_lambdas_get_the_settings_that_are_set_and_nothing_else() -> None:
    assert lambda_environment(ENVIRON) == {
        name: value
        for name, value in ENVIRON.items()
        if name not in ("WORKER_ID", "HOME", "FACES_PUBLIC_URL")
    }


def test_the_stacks_say_where_the_database_is_unless_it_is_named() -> None:
    assert "DATABASE_URL" not in lambda_environment({**ENVIRON, "DATABASE_URL": ""})
    given = lambda_variables({"DatabaseUrl": "postgresql+iam://a@b/c", "SubnetIds": "s-1,s-2"})
    assert given == {
        "SCALER_READY_TAG": "true",
        "DATABASE_URL": "postgresql+iam://a@b/c",
        "SCALER_SUBNETS": "s-1,s-2",
        "PGSSLROOTCERT": "/var/task/rds.pem",
    }


def test_lambdas_live_in_the_network_that_the_stacks_made() -> None:
    assert lambda_network({}) is None
    network = lambda_network(
        {
            "SubnetIds": "s-1,s-2",
            "ClientsGroupIds": "sg-1",
            "DatabaseResourceId": "db-1",
            "CacheUrl": "rediss+iam://x-app@host:6379/x-cache",
        }
    )
    assert network is not None
    assert (network.subnet_ids, network.security_group_ids) == (["s-1", "s-2"], ["sg-1"])
    assert (network.database_id, network.cache_id) == ("db-1", "x-cache")


def test_what_one_part_gives_out_the_next_takes() -> None:
    outputs = {"SubnetIds": "a,b", "DatabaseGroupId": "sg", "VpcId": "unused"}
    given = {"DatabaseClass": "db.t4g.small", "VpcBlock": "of the network"}
    assert DATA.parameters("faces-x", given, outputs) == {
        "StackName": "faces-x",
        "SubnetIds": "a,b",
        "DatabaseGroupId": "sg",
        "DatabaseClass": "db.t4g.small",
    }
    assert unknown_parameters({**given, "DatabaseKlass": "x"}) == ["DatabaseKlass"]


def test_every_parameter_without_a_default_is_given_or_asked_for() -> None:
    outputs: set[str] = {"StackName"}
    for part in PARTS:
        template = cfn_yaml.load(str(part.template))
        needed = {n for n, each in template["Parameters"].items() if "Default" not in each}
        assert needed <= outputs | {"WorkerImageId"}, part
        outputs |= set(template.get("Outputs", {}))


def test_the_packed_source_is_the_same_as_long_as_the_files_are() -> None:
    assert pack() == pack()
    version = recipe_version(b"source", "a" * 64)
    assert version == recipe_version(b"source", "a" * 64)
    assert version != recipe_version(b"source!", "a" * 64)
    assert all(int(part) < 2**30 for part in version.split("."))


class FakeBuilder:
    """Image Builder whose image goes through the given states."""

    def __init__(self, *states: str) -> None:
        self._states = list(states)

    def start_image_pipeline_execution(self, **_: str) -> Any:
        return {"imageBuildVersionArn": "arn:made"}

    def get_image(self, **_: str) -> Any:
        status = self._states.pop(0)
        amis = [{"region": "us-east-1", "image": "ami-new"}]
        return {
            "image": {
                "state": {"status": status, "reason": "the test failed"},
                "outputResources": {"amis": amis},
            }
        }


class FakeDeployment:
    """What `_run_pipeline` needs."""

    def __init__(self, builder: FakeBuilder) -> None:
        self._builder = builder
        self.said: list[str] = []

    def client(self, _service: str) -> FakeBuilder:
        return self._builder

    def say(self, text: str) -> None:
        self.said.append(text)


def test_an_image_is_waited_for_through_its_test() -> None:
    made = FakeDeployment(FakeBuilder("BUILDING", "BUILDING", "TESTING", "AVAILABLE"))
    slept: list[float] = []
    assert _run_pipeline(cast(Any, made), "arn:pipeline", slept.append) == "ami-new"
    assert made.said == ["image: building", "image: testing", "image: available"]
    assert len(slept) == 3


def test_an_image_that_fails_its_test_is_none() -> None:
    made = FakeDeployment(FakeBuilder("TESTING", "FAILED"))
    with pytest.raises(DeployError, match="the test failed"):
        _run_pipeline(cast(Any, made), "arn:pipeline", lambda _: None)


def test_a_wrong_setting_ends_the_command_with_its_name() -> None:
    with pytest.raises(SystemExit, match="SCALER_MAX_INSTANCES"):
        main(["deploy"], {**ENVIRON, "SCALER_MAX_INSTANCES": "many"})


def test_a_parameter_needs_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["deploy", "--parameter", "WorkerImageId"], ENVIRON)
    assert "NAME=VALUE" in capsys.readouterr().err


class SleepingFunction:
    """Lambda, where the function lost its way into the network."""

    def __init__(self, code: str) -> None:
        self._code = code
        self.done: list[str] = []

    def invoke(self, FunctionName: str) -> Any:  # noqa: N803 - boto3's name
        self.done.append(FunctionName)
        if len(self.done) == 1:
            raise ClientError({"Error": {"Code": self._code}}, "Invoke")
        return {"Payload": io.BytesIO(b'{"applied": []}')}

    def get_waiter(self, name: str) -> Any:
        self.done.append(name)
        return self

    def wait(self, **_: str) -> None: ...


class ToLambda(Deployment):
    """A deployment that meets no AWS."""

    functions: SleepingFunction

    def client(self, *_: Any) -> SleepingFunction:
        return self.functions


def test_the_schema_is_brought_up_to_date_though_the_function_has_to_be_woken(
    tmp_path: Path,
) -> None:
    deployment = ToLambda(stack="faces-x", stage="prod", state_dir=tmp_path)
    for code, calls in (("ResourceNotReadyException", 3), ("AccessDeniedException", 1)):
        functions = SleepingFunction(code)
        object.__setattr__(deployment, "functions", functions)
        try:
            deployment._migrate()
        except ClientError:
            assert code == "AccessDeniedException"
        assert len(functions.done) == calls
        assert functions.done[1:2] in (["function_active_v2"], [])
