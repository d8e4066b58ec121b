"""The study's tables, as the paper numbers them, and how they are written: text, Markdown, CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from egorear.geometry.skeleton import EGO4VIEW
from egorear.studies.config import StudyConfig
from egorear.studies.findings import TITLES, UNITS, Finding
from egorear.studies.published import BASELINE, FULL
from egorear.studies.results import Figure, Results, Setup

Entry = str | int | Figure | None


@dataclass(frozen=True)
class Table:
    """A caption, column titles, and rows of texts, counts and figures."""

    name: str
    caption: str
    head: tuple[str, ...]
    rows: list[tuple[Entry, ...]]

    def texts(self) -> list[list[str]]:
        """Every entry as text."""
        return [[_text(entry) for entry in row] for row in self.rows]

    def markdown(self) -> str:
        """The table as GitHub renders it, caption above."""
        left = sum(isinstance(entry, str) for entry in self.rows[0]) if self.rows else 0
        rules = [":--" if i < max(1, left) else "--:" for i in range(len(self.head))]
        lines = [self.head, rules, *self.texts()]
        return f"**{self.caption}**\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"

    def csv(self) -> str:
        """One column for each part of a figure, so that programs need not take texts apart."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        wide = [i for i in range(len(self.head)) if any(isinstance(row[i], Figure) for row in self.rows)]
        head = []
        for i, title in enumerate(self.head):
            parts = ("", " low", " high", " sd over seeds", " paper") if i in wide else ("",)
            head += [f"{title}{part}" for part in parts]
        writer.writerow(head)
        for row in self.rows:
            line = []
            for i, entry in enumerate(row):
                if isinstance(entry, Figure):
                    line += [entry.value, entry.low, entry.high, entry.spread, entry.published]
                else:
                    line += [entry, None, None, None, None] if i in wide else [entry]
            writer.writerow(line)
        return text.getvalue()


def all_tables(results: Results, config: StudyConfig, found: Sequence[Finding]) -> list[Table]:
    """Tables 3 to 5 and the findings, as far as cells are done."""
    return [
        _findings(found),
        _table_3(results, config),
        _table_4(results, config),
        _table_5(results, config),
    ]


def _findings(found: Sequence[Finding]) -> Table:
    head = ("finding", "verdict", "gain", "unit", "gain, %", "seeds")
    rows = [(f.claim, f.verdict, f.gain, UNITS[f.metric], f.percent, f.gain.seeds) for f in found]
    return Table("findings", "Findings: how much lower the error is, with its 95 % interval", head, rows)


def _table_3(results: Results, config: StudyConfig) -> Table:
    rows = []
    for row in config.rows:
        for method in row.methods:
            setup = (row.views, method)
            if setup in results:
                figures = (results.figure(metric, setup) for metric in ("mpjpe_mm", "pa_mpjpe_mm"))
                rows.append((row.name, TITLES[method], *figures, *_costs(results, setup)))
    head = ("cameras", "method", "MPJPE, mm", "PA-MPJPE, mm", *COSTS)
    return Table("table3", "Table 3: cameras and methods", head, rows)


def _table_4(results: Results, config: StudyConfig) -> Table:
    row = config.row(config.ablations.row)
    setups = [(row.views, method) for method in (BASELINE, FULL) if (row.views, method) in results]
    rows = []
    for group in EGO4VIEW.groups:
        gain = results.difference(group, (row.views, BASELINE), (row.views, FULL))
        rows.append((group.replace("_", " "), *(results.figure(group, setup) for setup in setups), gain and gain[0]))
    head = ("joints", *(f"{TITLES[method]}, mm" for _, method in setups), "gain, mm")
    return Table("table4", f"Table 4: MPJPE by joints, {row.name}", head, rows if setups else [])


def _table_5(results: Results, config: StudyConfig) -> Table:
    row = config.row(config.ablations.row)
    metrics = ("front_mse", "back_mse", "mpjpe_mm", "pa_mpjpe_mm")
    rows = []
    for method in config.ablations.methods:
        setup = (row.views, method)
        if setup in results:
            figures = (results.figure(metric, setup) for metric in metrics)
            rows.append((TITLES[method], *figures, *_costs(results, setup)))
    head = ("method", "front MSE, 1e-4", "rear MSE, 1e-4", "MPJPE, mm", "PA-MPJPE, mm", *COSTS)
    return Table("table5", f"Table 5: parts of the method, {row.name}", head, rows)


COSTS = ("parameters, M", "steps", "seeds")


def _costs(results: Results, setup: Setup) -> tuple[str, int, int]:
    cells = results.cells(setup)
    one = next(iter(cells.values()))
    return f"{one.parameters / 1e6:.2f}", one.steps, len(cells)


def _text(entry: Entry) -> str:
    if entry is None:
        return "–"
    if not isinstance(entry, Figure):
        return str(entry)
    digits = 1 if abs(entry.value) >= 100 else 2
    text = f"{entry.value:.{digits}f}"
    if entry.low is not None and entry.high is not None:
        text += f" [{entry.low:.{digits}f}, {entry.high:.{digits}f}]"
    if entry.spread is not None:
        text += f" ±{entry.spread:.{digits}f}"
    return text if entry.published is None else f"{text} (paper {entry.published:.2f})"
