"""The end of a run of several processes: one sentence and one exit code, whichever of them failed."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer

from egorear.errors import UserError

BAD_INPUT, INTERRUPTED = 2, 130  # exit codes of a process that Lightning has started
PATIENCE_S = 3.0


@contextmanager
def ends_together(trainer: Trainer) -> Iterator[None]:
    """For what `trainer` does with the processes that it starts: no failure leaves any of them behind, and what the
    failing one has told is not told again by those that it leaves waiting.

    Raises:
        SystemExit: another process has told the user what is wrong with the input (2), or the first one tells (130).
    """
    try:
        yield
    except BaseException as error:
        if not trainer.is_global_zero:
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise SystemExit(INTERRUPTED) from error
            raise
        others: list[subprocess.Popen] = getattr(trainer.strategy.launcher, "procs", [])
        silent = not isinstance(error, (UserError, SystemExit)) and _one_has_told(others)
        for process in others:
            process.send_signal(signal.SIGKILL)
        if silent:
            raise SystemExit(BAD_INPUT) from error
        raise


def _one_has_told(others: list[subprocess.Popen]) -> bool:
    """Whether one ends with a sentence about bad input; it may still be ending when its silence is noticed."""
    until = time.monotonic() + PATIENCE_S
    while any(process.poll() is None for process in others) and time.monotonic() < until:
        if any(process.returncode == BAD_INPUT for process in others):
            break
        time.sleep(0.05)
    return any(process.returncode == BAD_INPUT for process in others)
