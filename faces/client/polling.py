"""How often a job is asked for; pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PollPolicy:
    """Ask often at first, when the answer is near, and seldom after long.

    Attributes
    ----------
    first_seconds, factor, max_seconds : the wait after the first time asked, what each
        later one is longer by, and the longest.
    wait_seconds : how long the service itself waits for the end of a job before it answers
        (20 at most); 0 has it answer at once.
    """

    first_seconds: float = 0.1
    factor: float = 1.25
    max_seconds: float = 2.0
    wait_seconds: int = 20

    def delay(self, asked: int) -> float:
        """Return the seconds to wait after having asked `asked` times (1 or more)."""
        exponent = min(asked - 1, 100)  # the float stays finite
        return min(self.max_seconds, self.first_seconds * self.factor**exponent)
