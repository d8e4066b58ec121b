"""The page that says what a study found: `report.md`, its tables as CSV and JSON, its pictures."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import egorear
from egorear.files import write_json, write_text
from egorear.studies.cells import TAP, TAP_FULL, Cell, CellResult
from egorear.studies.config import StudyConfig
from egorear.studies.findings import Finding, Verdict, findings
from egorear.studies.plots import plot_ablations, plot_cameras
from egorear.studies.results import Results
from egorear.studies.tables import Table, all_tables

ORDER: tuple[Verdict, ...] = ("reproduced", "seen", "not seen", "contradicted", "not judged")
MEANING: dict[Verdict, str] = {
    "reproduced": "the paper's claim, and the 95 % interval of our gain leaves out zero",
    "seen": "the same of a claim of ours",
    "not seen": "the interval includes zero",
    "contradicted": "the interval lies on the other side of zero",
    "not judged": "a network is hardly better than a constant pose, or all test frames are of one recording",
}


@dataclass(frozen=True)
class Facts:
    """What a reader must know of a run. command: the exact one. setting: of `study.json`. data: in words.
    cells: done, of all. seconds: of training, in all. mean_pose: errors of a constant pose (`StudyData.mean_pose`)."""

    command: str
    setting: Mapping[str, Any]
    data: str
    rendered: bool
    cells: tuple[int, int]
    seconds: float
    mean_pose: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """tables: findings first, then as the paper numbers them."""

    facts: Facts
    results: Results
    config: StudyConfig
    findings: list[Finding]
    tables: list[Table]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "schema": "egorear-study-report",
            "version": 1,
            **asdict(self.facts),
            "test_frames": self.results.frames,
            "test_recordings": self.results.recordings,
            "findings": [{**asdict(found), "verdict": found.verdict} for found in self.findings],
            "tables": {
                table.name: [dict(zip(table.head, map(_plain, row), strict=True)) for row in table.rows]
                for table in self.tables
                if table.name != "findings"
            },
        }

    def write(self, folder: Path) -> None:
        """Writes `report.md` and, beside it, what it shows and links."""
        for table in self.tables:
            write_text(folder / f"{table.name}.csv", table.csv())
        plot_cameras(self.results, self.config, folder / "cameras.png")
        plot_ablations(self.results, self.config, folder / "ablations.png")
        write_json(folder / "report.json", self.as_json())
        write_text(folder / "report.md", _page(self))


def make_report(cells: Mapping[Cell, CellResult], config: StudyConfig, facts: Facts) -> Report:
    """The report of the cells that are done, one at least."""
    results = Results(cells, config.published, facts.mean_pose["mpjpe_mm"])
    found = findings(results, config)
    return Report(facts, results, config, found, all_tables(results, config, found))


def verdicts(found: Sequence[Finding]) -> list[str]:
    """Who is who, in sentences: "reproduced (2): …"."""
    sentences = []
    for verdict in ORDER:
        claims = [each.claim for each in found if each.verdict == verdict]
        if claims:
            sentences.append(f"{verdict} ({len(claims)}): " + "; ".join(claims))
    return sentences


def caveats(facts: Facts, results: Results, found: Sequence[Finding]) -> list[str]:
    """What must be known before any figure is believed."""
    told = []
    if facts.setting["mode"] == "controlled":
        told.append(
            "Controlled mode: heatmaps are made from the truth by a stated noise model, the same for every method, so "
            "that lifter and refiner are judged and no estimator; real detectors err otherwise."
        )
        if any(method in (TAP, TAP_FULL) for _, method in results.setups):
            told.append(
                "EgoTAP's limb heatmaps are made from the truth too and hold the limbs' angles, which no other method "
                "is given: its lead or lag behind EgoPoseFormer depends on the error assumed of these angles."
            )
    if facts.rendered:
        told.append(
            "All frames were rendered by this project's engine: the figures are of rendered people, not of Ego4View, "
            "and can be compared with the paper's in their direction only."
        )
    if facts.cells[0] < facts.cells[1]:
        told.append(f"{facts.cells[0]} of {facts.cells[1]} cells are done: what the others would say is left out.")
    if weak := sum(not results.has_learnt(setup) for setup in results.setups):
        told.append(
            f"{weak} of {len(results.setups)} combinations of cameras and method are hardly better than a constant "
            f"pose ({results.guess_mm:.1f} mm): they have learnt too little to be judged."
        )
    if any(each.gain.seeds == 1 for each in found):
        told.append(
            "One seed: the intervals hold what other test recordings would change, not what chance in training would; "
            "small gains may be such chance."
        )
    if len(found) > 1:
        told.append(
            f"{len(found)} findings are judged at 95 % each: about {max(1, round(0.05 * len(found)))} of them would "
            "leave out zero by chance alone."
        )
    return told


def hardware() -> str:
    """The machine that writes the report."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.machine()}, {torch.get_num_threads()} torch threads, {device}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, egorear {egorear.__version__}"
    )


def _page(report: Report) -> str:
    facts, results = report.facts, report.results
    tables = {table.name: table.markdown() for table in report.tables}
    mode, size = facts.setting["mode"], facts.setting["size"]
    paper = {"syn": "Ego4View-Syn", "rw": "Ego4View-RW"}[report.config.published]
    parts = [
        "# Rear cameras and refinement: what this study found",
        f"{facts.cells[0]} cells in {mode} mode, size '{size}'; {results.frames} test frames of {results.recordings} "
        f"recordings; {facts.seconds / 3600:.2f} hours of training in all. Data: {facts.data}.",
        f"A constant pose, the mean of training frames, has an MPJPE of {facts.mean_pose['mpjpe_mm']:.1f} mm on them.",
        f"```\n{facts.command}\n```",
        "\n".join(f"- {sentence}" for sentence in caveats(facts, results, report.findings)),
        "## In short",
        "\n".join(f"- {sentence}" for sentence in verdicts(report.findings))
        or "The cells done so far allow no comparison.",
        "\n".join(f"*{verdict}*: {meaning}.  " for verdict, meaning in MEANING.items()),
        tables["findings"],
        "## Tables",
        "Brackets hold 95 % intervals (bootstrap over whole recordings and, where there are several, over seeds); ± is "
        f"the standard deviation over seeds; '(paper …)' is what was published for {paper}.",
        tables["table3"],
        "![MPJPE by cameras](cameras.png)",
        tables["table4"],
        tables["table5"],
        "![What each part is worth](ablations.png)",
        "'steps' adds up all stages, so that what the refiner's own stage adds is seen.",
        "## How it was run",
        f"{hardware()}.",
        f"```json\n{json.dumps(facts.setting, indent=1)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(entry: Any) -> Any:
    return asdict(entry) if hasattr(entry, "__dataclass_fields__") else entry
