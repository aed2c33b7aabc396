"""What the commands of this package have in common: what their users can mend is one line."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks.accuracy.dataset import DatasetError
from gpu_worker.backends.base import ModelUnusableError


def run(main: Callable[[list[str]], int]) -> int:
    """Run a command with the arguments of this process; return the exit code."""
    console = Console()
    try:
        return main(sys.argv[1:])
    except KeyboardInterrupt:
        console.print("Interrupted; the same command goes on where it was.")
        return 130
    except (DatasetError, ModelUnusableError) as error:
        console.print(str(error), style="red", markup=False)
        return 2


def new_file(text: str) -> Path:
    """Return the path of a file to write, as argparse asks: known before the work begins.

    Raises
    ------
    argparse.ArgumentTypeError
        When its folder is not there.
    """
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path
