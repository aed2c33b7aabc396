"""The emulator writes down who used which permission, each once."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from local_stack.emulation.permissions import UsedPermissions


@dataclass
class Context:
    principal_arn: str
    action: str


def test_each_permission_is_noted_once_and_refusals_are_not(tmp_path: Path) -> None:
    answers = iter(["Allow", "Allow", "ImplicitDeny", "Allow"])

    def evaluate(_context: Context, *_policies: object) -> SimpleNamespace:
        return SimpleNamespace(decision=next(answers), matched_sid="ReadPhotos")

    evaluator = SimpleNamespace(evaluate=evaluate)
    file = tmp_path / "permissions.jsonl"
    UsedPermissions(file).listen(evaluator)
    for action in ("s3:GetObject", "s3:GetObject", "s3:PutObject", "s3:ListBucket"):
        evaluator.evaluate(Context("arn:role/worker/x", action), [])
    noted = [json.loads(line) for line in file.read_text().splitlines()]
    assert noted == [
        {"principal": "arn:role/worker/x", "statement": "ReadPhotos", "action": action}
        for action in ("s3:GetObject", "s3:ListBucket")
    ]
