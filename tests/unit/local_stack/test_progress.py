"""Progress: through the pipe, and on a terminal or none."""

import io
import os

import pytest
from rich.console import Console

from local_stack.progress import ConsoleProgress, Event, PipeProgress, read_events, step


def test_a_step_tells_its_start_details_and_end() -> None:
    events: list[Event] = []
    with step(events.append, "deploy") as say:
        say("uploading")
    assert [event.state for event in events] == ["started", "says", "done"]
    assert events[1].detail == "uploading"
    assert events[2].seconds >= 0


def test_a_step_that_fails_tells_why_and_raises() -> None:
    events: list[Event] = []
    with pytest.raises(ValueError, match="no room"), step(events.append, "deploy"):
        raise ValueError("no room")
    assert (events[-1].state, events[-1].detail) == ("failed", "no room")


def test_events_come_out_of_the_pipe_as_they_went_in() -> None:
    sent = [Event("a", "started"), Event("a", "says", detail="ü\n"), Event("a", "done", 1.5)]
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        tell = PipeProgress(stream)
        for event in sent:
            tell(event)
    with os.fdopen(reading) as stream:
        assert list(read_events(stream)) == sent


def test_a_reader_that_went_away_does_not_matter() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    PipeProgress(stream)(Event("a", "started"))
    with pytest.raises(BrokenPipeError):
        stream.close()
    PipeProgress(stream)(Event("a", "done"))


def shown(*events: Event) -> str:
    output = io.StringIO()
    with ConsoleProgress(Console(file=output, force_terminal=False, width=100)) as progress:
        for event in events:
            progress(event)
    return output.getvalue()


def test_a_step_of_more_than_a_second_gets_a_line() -> None:
    text = shown(Event("database", "started"), Event("database", "done", 2.34))
    assert "✓ database 2.3 s" in text


def test_a_quick_step_gets_none() -> None:
    assert shown(Event("database", "started"), Event("database", "done", 0.2)).strip() == ""


def test_what_was_only_stopped_gets_none() -> None:
    text = shown(Event("database", "started"), Event("database", "stopped", 2.0, "exit code -15"))
    assert text.strip() == ""


def test_a_failure_is_always_shown_and_its_brackets_are_kept() -> None:
    text = shown(Event("database", "started"), Event("database", "failed", 0.1, "no [pg] here"))
    assert "✗ database: no [pg] here" in text
