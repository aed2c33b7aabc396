"""Writes down who used which permission, so that a test finds those that nobody uses."""

import json
from pathlib import Path
from typing import Any

FILE_NAME = "permissions.jsonl"


class UsedPermissions:
    """One line for each role, statement and action that was used, at its first time.

    Parameters
    ----------
    path : where it is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: set[tuple[str, str, str]] = set()

    def note(self, principal: str, statement: str, action: str) -> None:
        """Write one down unless it is known."""
        key = (principal, statement, action)
        if key in self._known:
            return
        self._known.add(key)
        line = {"principal": principal, "statement": statement, "action": action}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def listen(self, evaluator: Any) -> None:
        """Note each evaluation of ministack's IAM that is allowed by a role's policies."""
        stock = evaluator.evaluate

        def evaluate(context: Any, *arguments: Any, **named: Any) -> Any:
            result = stock(context, *arguments, **named)
            if result.decision == "Allow":
                self.note(context.principal_arn, result.matched_sid, context.action)
            return result

        evaluator.evaluate = evaluate
