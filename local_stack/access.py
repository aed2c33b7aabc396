"""What Lambdas may do beside their policy files, where a deployment has a network of its own.

The files of `.chalice/` hold what the code does everywhere. What stands here depends on the
deployment: network interfaces, logging in to database and cache by role, traces.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Statement = dict[str, Any]

DATABASE_USER = "faces_app"
MIGRATE = "migrate"
# Who opens database or cache. The others reach what they need without a network: callbacks
# go to the internet, which the private subnets have no way to.
IN_NETWORK = frozenset({"api_handler", "intake", "sweep", "dead_requests", "dead_uploads", MIGRATE})
# These actions know no resources that could be named (Lambda developer guide, "Giving Lambda
# functions access to resources in a VPC"; X-Ray's page of the Service Authorization Reference).
LIVE_IN_VPC: Statement = {
    "Sid": "LiveInVpc",
    "Effect": "Allow",
    "Action": [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeSubnets",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ],
    "Resource": "*",
}
SEND_TRACES: Statement = {
    "Sid": "SendTraces",
    "Effect": "Allow",
    "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    "Resource": "*",
}


@dataclass(frozen=True)
class Network:
    """Where Lambdas live that open database or cache.

    Attributes
    ----------
    database_id : of RDS (`db-...`), to log in by role; empty where a password is used.
    cache_id : of the ElastiCache replication group, likewise.
    secret_arn, key_arn : the database master's password and its key, for `migrate` alone.
    """

    subnet_ids: Sequence[str]
    security_group_ids: Sequence[str]
    database_id: str = ""
    cache_id: str = ""
    secret_arn: str = ""
    key_arn: str = ""


def statements(function: str, network: Network, where: Mapping[str, str]) -> list[Statement]:
    """Return what a function's role gets beside its file.

    Parameters
    ----------
    where : `partition`, `region`, `account` and `stack` of the deployment.
    """
    if function not in IN_NETWORK:
        return [SEND_TRACES]
    given = [SEND_TRACES, LIVE_IN_VPC]
    place = "{region}:{account}".format(**where)
    partition = where["partition"]
    if network.database_id:
        user = f"dbuser:{network.database_id}/{DATABASE_USER}"
        given.append(
            _allow("LogInToDatabase", "rds-db:connect", f"arn:{partition}:rds-db:{place}:{user}")
        )
    if network.cache_id and function != MIGRATE:
        arn = f"arn:{partition}:elasticache:{place}"
        cache, user = f"replicationgroup:{network.cache_id}", f"user:{where['stack']}-app"
        given.append(
            _allow("LogInToCache", "elasticache:Connect", f"{arn}:{cache}", f"{arn}:{user}")
        )
    if function == MIGRATE and network.secret_arn:
        given.append(
            _allow("ReadMasterPassword", "secretsmanager:GetSecretValue", network.secret_arn)
        )
        given.append(_allow("DecryptMasterPassword", "kms:Decrypt", network.key_arn))
    return given


def _allow(sid: str, action: str, *resources: str) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": list(resources)}
