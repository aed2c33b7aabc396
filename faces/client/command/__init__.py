"""The `faces` command (Typer, rich): `application` puts its parts together.

It needs the extra: `pip install 'elastic-faces[cli]'`. `python -m faces.client.command` is
the same command.
"""

import sys


def main() -> None:
    """Run the command; say what to install where a library is missing."""
    try:
        from faces.client.command.application import main as run
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is missing. Run `pip install 'elastic-faces[cli]'`.")
    run()
