"""Runs a study cell by cell in a folder that remembers what is done."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from egorear.errors import UserError
from egorear.files import read_json, write_json
from egorear.studies.cells import Cell, CellResult
from egorear.studies.typed import plain

FILE, SCHEMA, VERSION = "study.json", "egorear-study", 1


@dataclass(frozen=True)
class Setting:
    """What every cell of a folder has in common. size: the scale's name; scale: what it stands for."""

    mode: str
    size: str
    scale: Any
    data: Any

    def claim(self, folder: Path) -> None:
        """Writes the setting into the folder, or checks that it goes on with what is there.

        Raises:
            UserError: the folder holds the cells of another setting, or cannot be written.
        """
        ours = {"schema": SCHEMA, "version": VERSION, **plain(self)}
        path = folder / FILE
        if not path.exists():
            write_json(path, ours)
            return
        theirs = read_json(path)
        for key, value in ours.items():
            if not isinstance(theirs, dict) or theirs.get(key) != value:
                raise UserError(
                    f"{path} says that this folder's cells were made with another '{_difference(theirs, ours)}'; "
                    "choose an empty folder"
                )


def selected(cells: Sequence[Cell], pattern: str | None) -> list[Cell]:
    """The cells whose name, or name and seed ("front_left+front_right.egorear/seed_1"), fits a shell pattern.

    Raises:
        UserError: none does.
    """
    chosen = [
        cell
        for cell in cells
        if pattern is None or fnmatch(cell.name, pattern) or fnmatch(f"{cell.name}/seed_{cell.seed}", pattern)
    ]
    if not chosen:
        names = ", ".join(dict.fromkeys(cell.name for cell in cells))
        raise UserError(f"--cells {pattern} fits none of {names}")
    return chosen


def run_all(
    cells: Sequence[Cell], folder: Path, train: Callable[[Cell], CellResult], work: Callable[[Cell], float]
) -> None:
    """Trains and stores each cell that is not there yet, with a line of progress for each.

    work: how much a cell has still to do, in any unit; what it shares with others is told once it is done.
    """
    missing = [cell for cell in cells if not CellResult.exists(folder / cell.folder)]
    if len(missing) < len(cells):
        _say(f"{len(cells) - len(missing)} of {len(cells)} cells are done already")
    done_work, started = 0.0, time.monotonic()
    for i, cell in enumerate(missing):
        left = ""
        if done_work:
            seconds = (time.monotonic() - started) / done_work * sum(work(each) for each in missing[i:])
            left = f", at most {seconds / 60:.0f} min left"
        _say(f"[{i + 1}/{len(missing)}] {cell.name}, seed {cell.seed}{left}")
        before = work(cell)
        result = train(cell)
        result.save(folder / cell.folder)
        done_work += before
        _say(f"  MPJPE {result.errors_mm.mean():.1f} mm on {len(result.names)} frames")


def load_results(cells: Sequence[Cell], folder: Path) -> dict[Cell, CellResult]:
    """The cells that are done, with their results.

    Raises:
        UserError: a result is damaged, or two were judged on other frames.
    """
    results = {cell: CellResult.load(folder / cell.folder) for cell in cells if CellResult.exists(folder / cell.folder)}
    names = next(iter(results.values())).names if results else []
    for cell, result in results.items():
        if result.names != names:
            raise UserError(f"{folder / cell.folder} was judged on other frames than the cells before it")
    return results


def _difference(theirs: Any, ours: Any, where: str = "") -> str:
    """The path of the first value that differs."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in (*ours, *theirs):
            if theirs.get(key) != ours.get(key):
                return _difference(theirs.get(key), ours.get(key), f"{where}.{key}" if where else key)
    return where or "content"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
