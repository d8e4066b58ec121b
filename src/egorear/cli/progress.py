"""What long commands tell on the way, on stderr."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

LINE_S = 30.0
Item = TypeVar("Item")


def with_progress(
    items: Iterable[Item], total: int, what: str, unit: str, size: Callable[[Item], int] = lambda _: 1
) -> Iterator[Item]:
    """The items, with a bar on a terminal; elsewhere with a line every `LINE_S` seconds and one at the end.

    total: how many `unit` they are together. size: how many each is. Counted once the next item is asked for.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (what, BarColumn(), MofNCompleteColumn(), unit, TimeRemainingColumn())
    done, told = 0, time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=total)
        for item in items:
            yield item
            done += size(item)
            progress.update(bar, completed=done)
            if not console.is_terminal and (done == total or time.monotonic() - told >= LINE_S):
                told = time.monotonic()
                print(f"{what}: {done}/{total} {unit}", file=sys.stderr, flush=True)
