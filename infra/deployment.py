"""Deploys everything that one stage is made of, and deletes it again.

The order: stacks (`infra.parts`), secrets, the app by Chalice with the stacks' outputs filled
in, tags on what Chalice made, and last the database's schema by the function `migrate`.
"""

import contextlib
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from faces.contracts.names import TAG_STACK
from infra import secrets
from infra.parts import CORE, DATA, PARTS, Part, unknown_parameters
from local_stack.access import MIGRATE, Network
from local_stack.cloudformation import DeployError, delete_stack, deploy_template, session_for
from local_stack.deploy import deploy_app, deployed_resources, destroy

# There a worker sets the tag; an instance counts as ready, and its boot as over, by it.
_ON_EC2 = {"SCALER_READY_TAG": "true"}
# The certificate authorities of RDS are not among those that every system trusts (RDS user
# guide, "Using SSL/TLS to encrypt a connection").
CERTIFICATES = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
_CERTIFICATES_IN_LAMBDA = "/var/task/rds.pem"
# Of a function in a network that nobody called for weeks Lambda takes the way into it back; the
# first call has it made again (Lambda developer guide, "Hyperplane ENI lifecycle").
_NOT_READY = {"ResourceNotReadyException", "ResourceConflictException"}
TAG_STAGE = "faces:stage"
KINDS = ("gpu", "cpu")
# Like the workers' (infra/template.yaml).
LOG_DAYS = 30


@dataclass(frozen=True)
class Deployment:
    """One stage of the service.

    Parameters
    ----------
    stack : starts the name of everything.
    stage : of Chalice; one without settings in `.chalice/config.json` is like `prod`.
    endpoint_url : of an emulator; None for AWS.
    parts : the stacks to make, in order.
    """

    stack: str
    stage: str
    state_dir: Path
    endpoint_url: str | None = None
    say: Callable[[str], None] = lambda _: None
    parts: tuple[Part, ...] = PARTS
    fetch: Callable[[str], bytes] = field(default=lambda url: _fetch(url))

    def deploy(self, parameters: Mapping[str, str], environment: Mapping[str, str]) -> str:
        """Make or update everything; return the API's address.

        Parameters
        ----------
        parameters : of the templates; they come before what the stacks give out, too.
        environment : variables of the Lambdas; what stands there comes before what the
            stacks give out.

        Raises
        ------
        DeployError
            Saying which part failed, and why.
        """
        if unknown := unknown_parameters(parameters, self.parts):
            raise DeployError(f"no template has the parameter {', '.join(unknown)}")
        outputs = {**self.make_stacks(self._with_image(parameters)), **parameters}
        kept, key = secrets.load_or_make(self.client("ssm"), self.stack, environment)
        network = lambda_network(outputs)
        files = {}
        if network is not None and self.endpoint_url is None:
            files["rds.pem"] = self.fetch(CERTIFICATES)
        api = deploy_app(
            endpoint_url=self.endpoint_url,
            stack=self.stack,
            stage=self.stage,
            state_dir=self.state_dir,
            environment={**lambda_variables(outputs), **kept, **environment},
            say=self.say,
            network=network,
            files=files,
        )
        self._tag_app()
        self._limit_logs()
        self._migrate()
        if key is not None:
            self.say(f"The API key, shown only now: {key}")
        return api

    def destroy(self) -> None:
        """Delete everything, photos and results included; harmless when repeated.

        The database leaves a last snapshot.

        Raises
        ------
        DeployError
            While the database is protected, before anything is deleted.
        """
        # A stack that failed to be deleted can no longer be changed: the protection could not
        # be taken away any more.
        if self._is_protected():
            raise DeployError(
                "The database is protected, nothing was deleted. Take that back with "
                f"`make deploy STAGE={self.stage} PARAMETERS=Protected=no`."
            )
        destroy(
            endpoint_url=self.endpoint_url,
            stack=self.stack,
            stage=self.stage,
            state_dir=self.state_dir,
            say=self.say,
        )
        names = [part.stack_name(self.stack) for part in reversed(self.parts) if part != CORE]
        images = [] if self.endpoint_url else [f"{self.stack}-image-{kind}" for kind in KINDS]
        for name in [*images, *names]:
            delete_stack(name, endpoint_url=self.endpoint_url, say=self.say)
        secrets.forget(self.client("ssm"), self.stack)

    def make_stacks(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Make or update the stacks alone; return what they give out."""
        outputs: dict[str, str] = {}
        emulated = {} if self.endpoint_url is None else {"Emulated": "yes"}
        for part in self.parts:
            outputs |= deploy_template(
                part.template,
                part.stack_name(self.stack),
                endpoint_url=self.endpoint_url,
                parameters=part.parameters(self.stack, {**emulated, **parameters}, outputs),
                tags=self.tags,
                say=self.say,
            )
        return outputs

    def _with_image(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        """Add the newest image that `python -m infra image` made, where none is named."""
        if "WorkerImageId" in parameters:
            return parameters
        try:
            found = self.client("ssm").get_parameter(Name=self.image_parameter)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise
            return parameters
        return {**parameters, "WorkerImageId": found["Parameter"]["Value"]}

    def _is_protected(self) -> bool:
        try:
            (found,) = self.client("cloudformation").describe_stacks(
                StackName=DATA.stack_name(self.stack)
            )["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return False
            raise
        values = {
            each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])
        }
        deleted = found["StackStatus"] == "DELETE_COMPLETE"
        return not deleted and values.get("Protected") == "yes"

    def _tag_app(self) -> None:
        """Tag what Chalice makes and does not tag (everything but the functions), and what is
        kept in SSM."""
        made = deployed_resources(self.stage, self.state_dir)
        roles = self.client("iam")
        listed = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        for each in made:
            match each["resource_type"]:
                case "iam_role":
                    roles.tag_role(RoleName=each["role_name"], Tags=listed)
                case "rest_api":
                    gateway = self.client("apigateway")
                    where = gateway.meta
                    arn = f"arn:{where.partition}:apigateway:{where.region_name}::/restapis/"
                    gateway.tag_resource(
                        resourceArn=arn + each["rest_api_id"], tags=dict(self.tags)
                    )
                case "cloudwatch_event":
                    events = self.client("events")
                    rule = events.describe_rule(Name=each["rule_name"])["Arn"]
                    events.tag_resource(ResourceARN=rule, Tags=listed)
        self.client("ssm").add_tags_to_resource(
            ResourceType="Parameter",
            ResourceId=secrets.parameter_name(self.stack),
            Tags=listed,
        )

    def _limit_logs(self) -> None:
        """Have the Lambdas' log lines deleted in the end; Lambda itself keeps them for ever."""
        logs = self.client("logs")
        for each in deployed_resources(self.stage, self.state_dir):
            if each["resource_type"] == "lambda_function":
                group = f"/aws/lambda/{each['lambda_arn'].rsplit(':', 1)[-1]}"
                with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_group(logGroupName=group, tags=self.tags)
                logs.put_retention_policy(logGroupName=group, retentionInDays=LOG_DAYS)

    def _migrate(self) -> None:
        """Have the schema brought up to date, from inside the network."""
        functions = self.client("lambda", Config(read_timeout=310, retries={"max_attempts": 0}))
        name = f"{self.stack}-{self.stage}-{MIGRATE}"
        try:
            answer = functions.invoke(FunctionName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_READY:
                raise
            functions.get_waiter("function_active_v2").wait(FunctionName=name)
            answer = functions.invoke(FunctionName=name)
        said = json.loads(answer["Payload"].read() or b"null")
        if "FunctionError" in answer:
            raise DeployError(f"The database's schema cannot be brought up to date: {said}")
        self.say(f"migrations applied: {', '.join(said['applied']) or 'none was missing'}")

    @property
    def image_parameter(self) -> str:
        """The SSM parameter that holds the id of the newest worker image."""
        return f"/{self.stack}/deployment/worker-image"

    @property
    def tags(self) -> dict[str, str]:
        """What everything of this stage is tagged with."""
        return {TAG_STACK: self.stack, TAG_STAGE: self.stage}

    def client(self, service: Any, config: Config | None = None) -> Any:
        """Return a client of AWS, or of the emulator."""
        session = session_for(self.endpoint_url)
        return session.client(service, endpoint_url=self.endpoint_url, config=config)


def lambda_variables(outputs: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the Lambdas that the stacks decide."""
    found = {
        "DATABASE_URL": outputs.get("DatabaseUrl", ""),
        "DATABASE_SECRET_ARN": outputs.get("DatabaseSecretArn", ""),
        "CACHE_URL": outputs.get("CacheUrl", ""),
        "SCALER_SUBNETS": outputs.get("SubnetIds", ""),
        "PGSSLROOTCERT": _CERTIFICATES_IN_LAMBDA if outputs.get("DatabaseUrl") else "",
    }
    return {**_ON_EC2, **{name: value for name, value in found.items() if value}}


def lambda_network(outputs: Mapping[str, str]) -> Network | None:
    """Return where the Lambdas live that open database or cache; None without a network."""
    if "SubnetIds" not in outputs:
        return None
    return Network(
        subnet_ids=outputs["SubnetIds"].split(","),
        security_group_ids=outputs["ClientsGroupIds"].split(","),
        database_id=outputs.get("DatabaseResourceId", ""),
        cache_id=outputs["CacheUrl"].rsplit("/", 1)[-1] if outputs.get("CacheUrl") else "",
        secret_arn=outputs.get("DatabaseSecretArn", ""),
        key_arn=outputs.get("DatabaseKeyArn", ""),
    )


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - always https
        body: bytes = answer.read()
        return body
