"""Has EC2 Image Builder make a worker's image: `make image STAGE=prod KIND=gpu`.

Packs the source, uploads it with the weights to the out-bucket, deploys `infra/image.yaml`,
starts the pipeline, and keeps the id of the image in an SSM parameter, from which the next
`make deploy` takes it.
"""

import gzip
import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faces.contracts.names import StackNames
from faces.contracts.version import CODE_VERSION
from gpu_worker.weights import FILE_NAME, ensure_weights, weights_path
from infra.parts import IMAGE
from local_stack.build import ROOT
from local_stack.cloudformation import DeployError, deploy_template

if TYPE_CHECKING:
    from infra.deployment import Deployment

# What `ami/provision.sh` needs of the repository.
SOURCE = ("faces", "gpu_worker", "requirements", "ami")
PREFIX = "image/"
_POLL_SECONDS = 30.0
_FAILED = {"FAILED", "CANCELLED", "DEPRECATED", "DELETED"}


def pack(root: Path = ROOT) -> bytes:
    """Return the source as a tar.gz that is the same whenever the files are."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name in SOURCE:
            for path in sorted((root / name).rglob("*")):
                if path.is_dir() or "__pycache__" in path.parts:
                    continue
                entry = tarfile.TarInfo(str(path.relative_to(root)))
                entry.size = path.stat().st_size
                entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
                with path.open("rb") as file:
                    archive.addfile(entry, file)
    return packed.getvalue()


def recipe_version(source: bytes, weights_sha256: str) -> str:
    """Return a version that changes whenever source or weights do; Image Builder wants three
    numbers below 2^30 ("Semantic versioning", its user guide)."""
    digest = hashlib.sha256(source + weights_sha256.encode()).hexdigest()
    major, minor, *_ = (int(part) for part in CODE_VERSION.split("."))
    return f"{major}.{minor}.{int(digest[:7], 16)}"


def build_image(
    deployment: "Deployment",
    kind: str,
    weights: Path | None,
    parameters: Mapping[str, str],
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Make the image and return its id; nothing is built when source and weights are the same.

    Raises
    ------
    DeployError
        Saying at which step Image Builder failed.
    ModelUnusableError
        When the weights are neither there nor to be had.
    """
    path = weights or ensure_weights(weights_path(os.environ))
    content, source = path.read_bytes(), pack()
    sha256 = hashlib.sha256(content).hexdigest()
    version = recipe_version(source, sha256)
    bucket = StackNames(deployment.stack).out_bucket
    objects = deployment.client("s3")
    source_key, weights_key = f"{PREFIX}{version}.tar.gz", f"{PREFIX}{sha256[:16]}-{FILE_NAME}"
    deployment.say(f"uploading source {version} and weights to {bucket}")
    objects.put_object(Bucket=bucket, Key=source_key, Body=source)
    objects.put_object(Bucket=bucket, Key=weights_key, Body=content)
    outputs = deploy_template(
        IMAGE.template,
        f"{deployment.stack}-{IMAGE.name}-{kind}",
        endpoint_url=deployment.endpoint_url,
        parameters={
            "StackName": deployment.stack,
            "Version": version,
            "CodeVersion": f"{CODE_VERSION}-{version}",
            "Kind": kind,
            "SourceKey": source_key,
            "WeightsKey": weights_key,
            "WeightsSha256": sha256,
            **parameters,
        },
        tags=deployment.tags,
        say=deployment.say,
    )
    image = _run_pipeline(deployment, outputs["PipelineArn"], sleep)
    keep_image(deployment.client("ssm"), deployment.image_parameter, image)
    deployment.say(f"{image} is the image of the next `make deploy`")
    return image


def keep_image(ssm: Any, name: str, image: str) -> None:
    """Name an image for the next deployment."""
    ssm.put_parameter(
        Name=name, Value=image, Type="String", DataType="aws:ec2:image", Overwrite=True
    )


def _run_pipeline(deployment: "Deployment", arn: str, sleep: Callable[[float], None]) -> str:
    builder = deployment.client("imagebuilder")
    made = builder.start_image_pipeline_execution(imagePipelineArn=arn)["imageBuildVersionArn"]
    said = ""
    while True:
        image = builder.get_image(imageBuildVersionArn=made)["image"]
        state = image["state"]
        if state["status"] != said:
            said = state["status"]
            deployment.say(f"image: {said.lower()}")
        if said == "AVAILABLE":
            return str(image["outputResources"]["amis"][0]["image"])
        if said in _FAILED:
            raise DeployError(f"Image Builder: {said.lower()}: {state.get('reason', 'no reason')}")
        sleep(_POLL_SECONDS)
