"""The commands of the local stack: `python -m local_stack up|down|status|demo`."""

import argparse
import os
import signal
import sys
from collections.abc import MutableMapping

from rich.console import Console
from rich.markup import escape

from faces.contracts.settings import SettingsError
from local_stack.service import LocalStackError


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_stack")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the local stack and leave it running")
    commands.add_parser("down", help="stop it")
    commands.add_parser("status", help="list its parts")
    commands.add_parser("demo", help="play the main job from upload to answer")
    supervise = commands.add_parser("supervise", help="what up starts in the background")
    supervise.add_argument("progress_descriptor", type=int)
    supervise.add_argument("lock_descriptor", type=int)
    given = parser.parse_args(arguments)
    # Ended like by Ctrl-C, so that what was started is stopped. The supervisor has its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shield(os.environ)
    try:
        return run(given)
    except (LocalStackError, SettingsError) as error:
        Console(stderr=True).print(
            f"[red]✗[/] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        return 1
    except KeyboardInterrupt:
        return 130


def shield(environ: MutableMapping[str, str]) -> None:
    """Keep the shell's AWS account and proxies away from what talks to 127.0.0.1."""
    for name in [name for name in environ if name.startswith("AWS_")]:
        del environ[name]
    for name in ("NO_PROXY", "no_proxy"):
        environ[name] = ",".join(filter(None, [environ.get(name), "127.0.0.1", "localhost"]))


def run(given: argparse.Namespace) -> int:
    """Carry out a parsed command."""
    if given.command == "demo":
        from local_stack.demo import run as play_demo

        return play_demo()
    from local_stack import daemon
    from local_stack.settings import LocalSettings

    settings = LocalSettings.load(os.environ)
    match given.command:
        case "up":
            return daemon.up(settings, os.environ)
        case "down":
            return daemon.down(settings)
        case "status":
            return daemon.status(settings)
        case _:
            return daemon.supervise(settings, given.progress_descriptor, given.lock_descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
