"""What may be said of a new person; and what a Lambda imports."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from faces.gallery.records import NewPerson


@pytest.mark.parametrize("name", ["Ada Lovelace", "  Ada  ", "李小龍", "O'Brien; --", "🦊"])
def test_names_of_all_kinds(name: str) -> None:
    assert NewPerson(name=name).name == name.strip()


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "a\nb", "x" * 201, "\ud800", "\u202e"])
def test_names_that_cannot_be_shown(name: str) -> None:
    with pytest.raises(ValidationError):
        NewPerson(name=name)


@pytest.mark.parametrize("email", ["", "ada", "a b@c", "@b", "a@", "a@\x00", "a@" + "b" * 253])
def test_emails_that_are_none(email: str) -> None:
    with pytest.raises(ValidationError):
        NewPerson(name="Ada", email=email)


def test_lambdas_can_import_the_gallery_without_numpy() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "import faces.gallery.gallery, faces.gallery.database, faces.gallery.records\n"
        "assert not {'torch', 'chalice', 'pgvector'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
