"""docs/api.md is what the code says."""

from docs.api_reference import FILE, render


def test_the_reference_is_up_to_date() -> None:
    assert FILE.read_text("utf-8") == render(), "run `make docs`"
