"""What the pages show is what there is: commands, options, modules, names, links."""

import ast
import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import typer.main
from botocore import xform_name

from docs import command_reference
from docs.blocks import ROOT, Block, blocks, commands, pages
from docs.site_hooks import decisions
from faces.client.command.application import app
from faces.client.command.exits import MEANINGS

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
# What any computer has.
TOOLS = {"cp", "cut", "echo", "export", "ls", "mkdir", "rm", "source", "tail", "if", "pip", "then"}
ALL_PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]


def of(language: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
        for page in pages()
        for number, block in enumerate(blocks(page))
        if block.language == language
    ]


def pieces(line: str) -> Iterator[list[str]]:
    """Yield the simple commands of a line of bash, as words."""
    for part in re.split(r"\|\||&&|[|;]|\$\(|\)(?=\s|$)", line):
        words = part.split(">")[0].strip()
        words = re.sub(r"^(?:if|then|else|fi|\w+=\S*)\s*", "", words)
        while re.match(r"(?:if|then|else|fi)\b|\w+=", words):
            words = re.sub(r"^(?:if|then|else|fi|\w+=\S*)\s*", "", words)
        if words:
            try:
                yield shlex.split(words)
            except ValueError:
                yield words.split()


@pytest.mark.parametrize("block", of("bash"))
def test_a_block_of_commands_names_what_there_is(block: Block) -> None:
    for line in commands(block):
        if " -c '" in line:  # a program in quotes; it is run
            assert block.not_run is None
            continue
        for words in pieces(line):
            check(words)


@pytest.mark.parametrize("block", of(""))
def test_a_plain_block_names_what_there_is(block: Block) -> None:
    for line in commands(block):
        line = line.removeprefix("$ ")
        if re.match(r"(?:[A-Z_]+=\S+ )*(?:make|faces|python -m) ", line):
            for words in pieces(line):
                if words[0] in ("make", "faces", "python"):
                    check(words)


def check(words: list[str]) -> None:
    """Check one command."""
    program = words[0]
    if program == "make":
        assert words[1] in TARGETS
    elif program == "faces":
        check_faces(words[1:])
    elif program == "python" or program.endswith("/python"):
        assert words[1] == "-m", words
        assert importlib.util.find_spec(words[2]) is not None, words[2]
    else:
        assert program in TOOLS, words


def check_faces(words: list[str]) -> None:
    """Check that a `faces` command has these parts and options."""
    command: Any = typer.main.get_command(app)
    known = options(command)
    for word in words:
        child = getattr(command, "commands", {}).get(word)
        if child is not None:
            command = child
            known |= options(command)
        elif word.startswith("-") and word != "-":
            assert word.split("=")[0] in known, f"{word}: faces {' '.join(words)}"
    assert not getattr(command, "commands", None) or words[0].startswith("-"), words


def options(command: Any) -> set[str]:
    return {name for each in command.params for name in each.opts} | {"--help"}


@pytest.mark.parametrize("block", of("python"))
def test_a_block_of_python_imports_what_there_is(block: Block) -> None:
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                assert hasattr(module, name.name) or importlib.util.find_spec(whole), whole
    compile(tree, "block", "exec", dont_inherit=True)


@pytest.mark.parametrize("page", ALL_PAGES)
def test_a_command_within_a_sentence_is_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for found in re.findall(r"`(make [a-z-]+|faces [a-z][^`]*|python -m [\w.]+)[^`]*`", text):
        words = found.split()
        if words[0] == "make":
            assert words[1] in TARGETS, found
        elif words[0] == "faces":
            check_faces([word for word in words[1:] if not word.isupper()])
        else:
            assert importlib.util.find_spec(words[2]) is not None, found


# Options of the AWS CLI itself, and its commands that are no operation of an API.
AWS_OPTIONS = {"query", "output", "region", "profile", "cli-binary-format"}
AWS_COMMANDS = {("s3", "ls"): {"recursive"}}


def aws_commands(page: Path) -> list[str]:
    """Return the `aws` commands of a page, in blocks and in sentences, each as one line."""
    text = re.sub(r"\\\n\s*", " ", page.read_text("utf-8"))
    spans = re.findall(r"(?<!`)`(aws [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    lines = [line for line in text.splitlines() if line.startswith("aws ")]
    return [" ".join(each.split()) for each in (*lines, *spans)]


@pytest.mark.parametrize("page", ALL_PAGES)
def test_a_command_of_aws_is_one(page: Path) -> None:
    session = botocore.session.Session()
    for command in aws_commands(page):
        words = shlex.split(re.sub(r"<[^<>]*>", "x", command))
        service, operation = words[1:3]
        if (service, operation) in AWS_COMMANDS:
            known = AWS_COMMANDS[service, operation]
            needed: set[str] = set()
        else:
            model = session.get_service_model(service)
            named = {xform_name(each, "-"): each for each in model.operation_names}
            assert operation in named, command
            takes = model.operation_model(named[operation]).input_shape
            assert takes is not None
            known = {xform_name(each, "-") for each in takes.members}
            needed = {xform_name(each, "-") for each in takes.required_members}
        given = {word[2:].split("=")[0] for word in words if word.startswith("--")}
        flags = {each.removeprefix("no-") for each in given}
        assert flags <= known | AWS_OPTIONS, f"{flags - known - AWS_OPTIONS}: {command}"
        # A command that is only named in a sentence is not given whole.
        assert needed <= given or not given, f"{needed - given}: {command}"
        # Version 2 takes a blob as base64 unless it is told otherwise.
        assert "payload" not in given or "cli-binary-format" in given, command


def test_the_commands_of_aws_are_seen() -> None:
    assert sum(len(aws_commands(page)) for page in pages()) >= 8


def test_the_site_lists_a_page_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").split("\nnav:\n")[1]
    listed = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted(set(listed))


@pytest.mark.parametrize("page", ALL_PAGES)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if not re.match(r"https?:|mailto:", target):
            assert (page.parent / target).exists(), target


def test_the_commands_page_is_what_the_code_says() -> None:
    assert command_reference.FILE.read_text("utf-8") == command_reference.render(), (
        "run `make docs`"
    )


def test_exit_codes_are_told_as_they_are() -> None:
    text = (ROOT / "docs/how-to/folders.md").read_text("utf-8")
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in text


def test_every_decision_is_listed() -> None:
    listed = decisions()
    assert len(listed) == len(list((ROOT / "docs/decisions").glob("[0-9]*.md")))
    assert all(re.fullmatch(r"- \[\d+\. .+\]\(\d{4}-[\w-]+\.md\)", line) for line in listed)
