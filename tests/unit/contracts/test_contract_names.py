"""Names that a stack gives to what it owns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces.contracts.names import (
    StackNames,
    attempt_key,
    attempts_prefix,
    check_stack_name,
    result_key,
    upload_key,
)

stacks = st.from_regex(r"[a-z][a-z0-9-]{1,30}[a-z0-9]", fullmatch=True)


@given(stacks)
def test_every_name_starts_with_the_stack_and_differs(stack: str) -> None:
    names = StackNames(stack)
    made = [
        value
        for key in dir(StackNames)
        if isinstance(getattr(StackNames, key), property)
        and isinstance(value := getattr(names, key), str)
    ]
    assert len(made) >= 9
    assert len(set(made)) == len(made)
    assert all(name.startswith(stack + "-") for name in made)


@given(stacks)
def test_bucket_names_keep_s3s_rules(stack: str) -> None:
    for bucket in (StackNames(stack).in_bucket, StackNames(stack).out_bucket):
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket)


@pytest.mark.parametrize("name", ["", "ab", "Faces", "1faces", "faces-", "fa_ces", "a" * 33])
def test_unusable_stack_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        check_stack_name(name)


def test_keys_of_a_job() -> None:
    assert upload_key("j") == "uploads/j"
    assert result_key("j") == "results/j.json"
    assert attempt_key("j", "m-2") == attempts_prefix("j") + "m-2" == "attempts/j/m-2"
