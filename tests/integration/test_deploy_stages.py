"""`python -m infra deploy`: every stack and the app, on the emulator, two stages side by side."""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from infra.deployment import Deployment
from infra.parts import PARTS
from local_stack.cloudformation import DeployError
from local_stack.ec2 import ec2_service
from local_stack.emulator import emulator_service, endpoint
from local_stack.settings import free_ports

pytestmark = pytest.mark.timeout(600)
PARAMETERS = {
    "WorkerImageId": "ami-03cf127a",
    "CacheNodeType": "cache.t4g.micro",
    "AlarmMailTo": "somebody@example.org",
    "Protected": "no",
}


@dataclass
class Stage:
    """One stage, and what it said when it was deployed."""

    deployment: Deployment
    database_url: str
    said: list[str] = field(default_factory=list)
    api: str = ""

    def deploy(self, **parameters: str) -> None:
        self.said.clear()
        # The emulated database is none: the schema is made in a real one.
        environment = {"DATABASE_URL": self.database_url, "AWS_REGION": "us-east-1"}
        self.api = self.deployment.deploy({**PARAMETERS, **parameters}, environment)

    def client(self, service: str) -> Any:
        return self.deployment.client(service)

    def inventory(self) -> Mapping[str, object]:
        """Return everything that a second deployment must leave as it is."""
        stack = self.deployment.stack
        functions = self.client("lambda").list_functions()["Functions"]
        stacks = self.client("cloudformation")
        template = f"{stack}-worker"
        versions = self.client("ec2").describe_launch_template_versions(
            LaunchTemplateName=template
        )["LaunchTemplateVersions"]
        secret = self.client("ssm").get_parameter(
            Name=f"/{stack}/deployment/secrets", WithDecryption=True
        )["Parameter"]
        return {
            "api": self.api,
            "code": {
                each["FunctionName"]: each["CodeSha256"]
                for each in functions
                if each["FunctionName"].startswith(stack)
            },
            "resources": {
                part.name: sorted(
                    (each["LogicalResourceId"], each["PhysicalResourceId"])
                    for each in stacks.describe_stack_resources(StackName=part.stack_name(stack))[
                        "StackResources"
                    ]
                )
                for part in PARTS
            },
            "launch template": sorted(each["VersionNumber"] for each in versions),
            "secrets": (secret["Value"], secret["Version"]),
        }


@pytest.fixture(scope="module")
def endpoint_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("stages")
    port, ec2_port = free_ports(2)
    ec2 = ec2_service(ec2_port, folder / "ec2.log")
    emulator = emulator_service(port, endpoint(ec2_port), folder, folder / "emulator.log")
    try:
        ec2.start()
        emulator.start()
        yield endpoint(port)
    finally:
        emulator.stop()
        ec2.stop()


@pytest.fixture(scope="module")
def stages(
    endpoint_url: str, tmp_path_factory: pytest.TempPathFactory, shared_database_url: str
) -> dict[str, Stage]:
    """A stage with settings in `.chalice/config.json`, and one without."""
    made = {}
    for name in ("prod", "canary"):
        said: list[str] = []
        deployment = Deployment(
            stack=f"stages-{name}",
            stage=name,
            state_dir=tmp_path_factory.mktemp(name),
            endpoint_url=endpoint_url,
            say=said.append,
        )
        made[name] = Stage(deployment, shared_database_url, said)
        made[name].deploy()
    return made


def test_both_stages_answer_each_with_its_own_key(stages: dict[str, Stage]) -> None:
    keys = {}
    for name, stage in stages.items():
        (line,) = [each for each in stage.said if each.startswith("The API key")]
        keys[name] = line.rsplit(" ", 1)[1]
    for name, stage in stages.items():
        for other, key in keys.items():
            answer = httpx.post(
                f"{stage.api}/v1/jobs", json={}, headers={"X-Api-Key": key}, timeout=30
            )
            assert answer.status_code == (201 if name == other else 401), answer.text


def test_the_schema_is_brought_up_to_date_from_inside(stages: dict[str, Stage]) -> None:
    for stage in stages.values():
        assert "migrations applied: none was missing" in stage.said


def test_lambdas_that_open_the_database_live_in_the_private_subnets(
    stages: dict[str, Stage],
) -> None:
    stage = stages["canary"]
    network = stage.client("cloudformation").describe_stacks(StackName="stages-canary-network")
    outputs = {each["OutputKey"]: each["OutputValue"] for each in network["Stacks"][0]["Outputs"]}
    functions = stage.client("lambda")
    for name, inside in {"": True, "-intake": True, "-migrate": True, "-webhook": False}.items():
        settings = functions.get_function_configuration(FunctionName=f"stages-canary-canary{name}")
        subnets = set(settings.get("VpcConfig", {}).get("SubnetIds", []))
        assert subnets == (set(outputs["SubnetIds"].split(",")) if inside else set())


def test_everything_bears_the_stacks_tags(stages: dict[str, Stage]) -> None:
    stage = stages["prod"]
    wanted = {"faces:stack": "stages-prod", "faces:stage": "prod"}
    for part in PARTS:
        described = stage.client("cloudformation").describe_stacks(
            StackName=part.stack_name("stages-prod")
        )["Stacks"][0]
        assert {each["Key"]: each["Value"] for each in described["Tags"]} == wanted
    roles = stage.client("iam")
    made = [
        each["RoleName"]
        for each in roles.list_roles()["Roles"]
        if each["RoleName"].startswith("stages-prod-prod")
    ]
    assert len(made) == 9
    for role in made:
        tags = roles.list_role_tags(RoleName=role)["Tags"]
        assert wanted.items() <= {each["Key"]: each["Value"] for each in tags}.items()
    functions = stage.client("lambda")
    for each in functions.list_functions()["Functions"]:
        if each["FunctionName"].startswith("stages-prod"):
            found = functions.list_tags(Resource=each["FunctionArn"])["Tags"]
            assert found["faces:stack"] == "stages-prod"
    events = stage.client("events")
    rules = [each for each in events.list_rules()["Rules"] if "stages-prod" in each["Name"]]
    assert rules
    for each in rules:
        listed = events.list_tags_for_resource(ResourceARN=each["Arn"])["Tags"]
        assert wanted.items() <= {tag["Key"]: tag["Value"] for tag in listed}.items()
    listed = stage.client("ssm").list_tags_for_resource(
        ResourceType="Parameter", ResourceId="/stages-prod/deployment/secrets"
    )["TagList"]
    assert wanted.items() <= {tag["Key"]: tag["Value"] for tag in listed}.items()
    gateway = stage.client("apigateway")
    api = stage.api.split("/")[-2]
    found = gateway.get_tags(resourceArn=f"arn:aws:apigateway:us-east-1::/restapis/{api}")["tags"]
    assert wanted.items() <= found.items()


def test_no_log_is_kept_for_ever(stages: dict[str, Stage]) -> None:
    found = stages["prod"].client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/")
    ours = [each for each in found["logGroups"] if "stages-prod" in each["logGroupName"]]
    assert len(ours) == 9
    assert all(each["retentionInDays"] == 30 for each in ours)


def test_dashboards_and_alarms_are_there(stages: dict[str, Stage]) -> None:
    watching = stages["prod"].client("cloudwatch")
    names = {each["DashboardName"] for each in watching.list_dashboards()["DashboardEntries"]}
    assert {"stages-prod-service", "stages-prod-fleet", "stages-canary-fleet"} <= names
    body = watching.get_dashboard(DashboardName="stages-prod-fleet")["DashboardBody"]
    assert "${" not in body
    assert "stages-prod" in body
    alarms = watching.describe_alarms(AlarmNamePrefix="stages-prod-")["MetricAlarms"]
    assert {each["AlarmName"] for each in alarms} >= {
        "stages-prod-DeadLetters",
        "stages-prod-Budget",
    }
    topic = {action for each in alarms for action in each["AlarmActions"]}
    assert len(topic) == 1


def test_deploying_again_changes_nothing(stages: dict[str, Stage]) -> None:
    stage, other = stages["prod"], stages["canary"]
    before, elsewhere = stage.inventory(), other.inventory()
    stage.deploy()
    assert stage.inventory() == before
    assert other.inventory() == elsewhere
    assert not any("API key" in each for each in stage.said)


def test_a_new_image_is_taken_and_nothing_else_changes(stages: dict[str, Stage]) -> None:
    stage = stages["prod"]
    before = stage.inventory()
    stage.deployment.make_stacks({**PARAMETERS, "WorkerImageId": "ami-12c6146b"})
    after = stage.inventory()
    assert after["launch template"] == [1, 2]
    assert {**after, "launch template": [1]} == before


def test_a_parameter_that_nobody_knows_is_refused_before_anything_is_done(
    stages: dict[str, Stage],
) -> None:
    stage = stages["prod"]
    with pytest.raises(Exception, match="DatabaseKlass"):
        stage.deploy(DatabaseKlass="x")
    assert stage.said == []


def test_nothing_is_deleted_while_the_database_is_protected(stages: dict[str, Stage]) -> None:
    stage = stages["prod"]
    stage.deployment.make_stacks({**PARAMETERS, "Protected": "yes"})
    before = stage.inventory()
    with pytest.raises(DeployError, match="protected"):
        stage.deployment.destroy()
    assert stage.inventory() == before
    stage.deployment.make_stacks(PARAMETERS)


def launch(stage: Stage) -> str:
    """Launch what bears the tag of a stage's workers."""
    tags = [{"Key": "faces:stack", "Value": stage.deployment.stack}]
    made = stage.client("ec2").run_instances(
        ImageId=PARAMETERS["WorkerImageId"],
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(made["Instances"][0]["InstanceId"])


def state_of(stage: Stage, instance: str) -> str:
    found = stage.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    return str(found[0]["Instances"][0]["State"]["Name"])


def test_destroying_one_stage_leaves_the_other(stages: dict[str, Stage]) -> None:
    gone, stays = stages["prod"], stages["canary"]
    before = stays.inventory()
    ended, works = launch(gone), launch(stays)
    for _ in range(2):  # the second finds nothing to do
        gone.deployment.destroy()
    assert stays.inventory() == before
    assert (state_of(gone, ended), state_of(stays, works)) == ("terminated", "running")
    assert httpx.get(f"{stays.api}/health", timeout=30).status_code == 200
    left = {
        "functions": [
            e["FunctionName"] for e in gone.client("lambda").list_functions()["Functions"]
        ],
        "roles": [e["RoleName"] for e in gone.client("iam").list_roles()["Roles"]],
        "buckets": [e["Name"] for e in gone.client("s3").list_buckets()["Buckets"]],
        "dashboards": [
            e["DashboardName"]
            for e in gone.client("cloudwatch").list_dashboards()["DashboardEntries"]
        ],
    }
    assert not [name for names in left.values() for name in names if "stages-prod" in name]
    for part in PARTS:
        with contextlib.suppress(ClientError):
            found = gone.client("cloudformation").describe_stacks(
                StackName=part.stack_name("stages-prod")
            )
            assert found["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE"


def test_the_package_is_small_and_holds_the_code_and_nothing_that_lambda_has(
    stages: dict[str, Stage],
) -> None:
    (package,) = (
        stages["canary"].deployment.state_dir / "build" / ".chalice" / "deployments"
    ).glob("*.zip")
    assert package.stat().st_size < 25_000_000, "Lambda takes 50 MB, cold starts like less"
    with zipfile.ZipFile(package) as archive:
        files = archive.namelist()
    tops = {name.split("/")[0] for name in files}
    assert {"app.py", "faces", "chalice_app", "scaler", "psycopg", "pydantic"} <= tops
    # torch and what it needs stay with the workers; boto3 is Lambda's own.
    assert not tops & {"torch", "numpy", "boto3", "botocore", "gpu_worker", "moto", "tests"}
    assert not [name for name in files if name.endswith((".pyc", ".pt", ".jpg", ".env"))]
    assert not [name for name in files if name.startswith(("faces/client", "scaler/simulator"))]
    assert any(name.startswith("faces/gallery/migrations/0001") for name in files)
