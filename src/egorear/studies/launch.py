"""From a command's options to a study's report: data, cells, page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from egorear.errors import UserError
from egorear.files import check_writable, read_json, write_json
from egorear.models.refiner import RefinerConfig
from egorear.studies.cells import Cell, refiner_of
from egorear.studies.config import ControlledScale, Scale, StudyConfig, load_study
from egorear.studies.data import StudyData, render
from egorear.studies.report import Facts, Report, make_report
from egorear.studies.study import Setting, load_results, run_all, selected

MEAN_POSE = "mean_pose.json"
SMALLEST = 64  # px


@dataclass(frozen=True)
class Options:
    """config: the study's YAML file. out: its folder. size: of `sizes` (image mode) or `controlled`. data: a dataset's
    folder, or None to render. test_data, test_split: what judges (default: `data`'s test frames). seeds: repetitions
    (None: as the size says). cells: a shell pattern (None: all). workers: that render. command: for the report."""

    config: Path
    out: Path
    size: str
    mode: Literal["images", "controlled"] = "images"
    data: Path | None = None
    test_data: Path | None = None
    test_split: str = "test"
    seeds: int | None = None
    cells: str | None = None
    workers: int = 1
    command: str = "egorear study"


def launch(options: Options, report_only: bool = False) -> Report:
    """Trains what is missing of a study, unless only the report is asked for, and writes the report.

    Raises:
        UserError: the configuration, the data or the folder cannot be used, or no cell is done.
    """
    study = load_study(options.config)
    scale = _scale(study, options)
    root = options.data or options.out / "data"
    data = StudyData(root, options.test_data or root, options.test_split)
    every = study.cells(scale.seeds if options.seeds is None else options.seeds)
    cells = selected(every, options.cells)
    check_writable(options.out)
    origin = study.rendered if options.data is None else [str(data.train), str(data.test), data.test_split]
    setting = Setting(options.mode, options.size, scale, origin)
    setting.claim(options.out)
    if not report_only:
        if options.data is None:
            side = _image_size(scale)
            render(study.rendered, side, scale.train_frames, scale.test_frames, options.out / "data", options.workers)
        data.check(study.views())
        if not (options.out / MEAN_POSE).exists():
            write_json(options.out / MEAN_POSE, data.mean_pose(scale.test_frames))
        _train(options, cells, scale, data)
    done = load_results(every, options.out)
    if not done:
        raise UserError(f"{options.out} has no cell that is done: run the study without --report-only first")
    seconds = sum(float(read_json(path)["seconds"]) for path in options.out.glob("stages/*/*/time.json"))
    facts = Facts(
        options.command,
        read_json(options.out / "study.json"),
        data.describe(),
        data.rendered,
        (len(done), len(every)),
        seconds or sum(result.seconds for result in done.values()),
        read_json(options.out / MEAN_POSE),
    )
    report = make_report(done, study, facts)
    report.write(options.out)
    return report


def _scale(study: StudyConfig, options: Options) -> Scale | ControlledScale:
    """The chosen size of the chosen mode."""
    sizes = study.sizes if options.mode == "images" else study.controlled
    if options.size not in sizes:
        raise UserError(
            f"{options.config}: there is no size '{options.size}' of {options.mode} mode, only "
            f"{', '.join(sizes) or 'none at all'}"
        )
    return sizes[options.size]


def _image_size(scale: Scale | ControlledScale) -> int:
    """Side of the pictures to render (px); controlled mode looks at none of them."""
    return scale.base().image_size if isinstance(scale, Scale) else SMALLEST


def _train(options: Options, cells: list[Cell], scale: Scale | ControlledScale, data: StudyData) -> None:
    if isinstance(scale, ControlledScale):
        _train_controlled(options, cells, scale, data)
        return
    from egorear.studies import images

    def work(cell: Cell) -> float:
        return sum(each.work for each in images.trainings(cell, scale, options.out) if not each.is_done)

    run_all(cells, options.out, lambda cell: images.run_cell(cell, scale, data, options.out), work)


def _train_controlled(options: Options, cells: list[Cell], scale: ControlledScale, data: StudyData) -> None:
    from egorear.studies.controlled import run_cell
    from egorear.studies.truth_data import Truth

    cache = options.out / "cache"
    train = Truth.load(data.train, "train", cache).every(scale.train_frames)
    test = Truth.load(data.test, data.test_split, cache).every(scale.test_frames)

    def work(cell: Cell) -> float:
        parts = 1 + (refiner_of(cell.method, RefinerConfig()) is not None) + cell.uses_egotap
        return float(len(cell.views) * parts)

    run_all(cells, options.out, lambda cell: run_cell(cell, train, test, scale.study), work)
