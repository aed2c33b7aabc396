"""What the README shows is what the code does."""

import json
import re
from pathlib import Path

import pytest

import faces.client
from faces.contracts.jobs import JobKind, JobView
from faces.contracts.results import DetectedFace, JobResult, Landmarks

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_first_screen_says_shows_and_tells_how() -> None:
    first = README.splitlines()[:20]
    assert any(line.startswith("![") for line in first)
    assert {"make demo", "make test"} <= {" ".join(line.split()[:2]) for line in first}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)", README))))
def test_links_to_files_lead_somewhere(target: str) -> None:
    if not target.startswith("http"):
        assert (ROOT / target).exists()


def test_the_example_has_only_fields_that_there_are() -> None:
    found = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert found is not None
    example = json.loads(found.group(1))
    assert set(example) <= set(JobView.model_fields)
    assert set(example["result"]) <= set(JobResult.model_fields)
    (face,) = example["result"]["faces"]
    assert set(face) <= set(DetectedFace.model_fields)
    del face["landmarks"]["..."]
    assert set(face["landmarks"]) <= set(Landmarks.model_fields)


def test_the_python_example_compiles_and_uses_what_there_is() -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    compile(found.group(1), "README.md", "exec")
    for method in re.findall(r"client\.(\w+)\(", found.group(1)):
        assert callable(getattr(faces.client.Client, method))


def test_every_kind_of_job_is_explained() -> None:
    for kind in JobKind:
        assert f"`{kind.value}` (" in README


def test_every_make_target_that_is_named_is_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = re.findall(r"\bmake ([a-z-]+)", README.split("## How it works")[0])
    assert named
    assert set(named) <= set(targets)
