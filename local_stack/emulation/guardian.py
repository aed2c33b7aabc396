"""Nothing that the emulator started outlives it."""

import os
import signal


def guard_process_group() -> None:
    """Have everything in this process group killed when this process ends, however it ends.

    Emulated Lambdas are children of the emulator; one that is in the middle of a call
    would outlive a killed emulator. A forked guardian waits for the pipe that only this
    process holds open, then ends the group. Only done by the leader of a group.
    """
    if os.getpgrp() != os.getpid():
        return
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.read(reader, 1)
        os.killpg(0, signal.SIGKILL)
    os.close(reader)
