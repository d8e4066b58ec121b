"""What a study trains and how long: its YAML file as dataclasses (configs/study/rear_views.yaml)."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from egorear.errors import UserError
from egorear.files import read_bytes
from egorear.models import MODELS
from egorear.models.egorear import EgoRearConfig
from egorear.models.egotap import EgoTAPConfig
from egorear.studies.cells import METHODS, Cell
from egorear.studies.controlled import ControlledConfig
from egorear.studies.typed import build, merged, plain
from egorear.training.losses import LossConfig
from egorear.training.schedule import Schedule

LIMIT_BYTES = 2**20  # of the YAML file


@dataclass(frozen=True)
class Row:
    """A row of the paper's Table 3. name: as the paper has it. views: cameras in the order of the network."""

    name: str
    views: tuple[str, ...]
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Ablations:
    """The rows of the paper's Table 5: `methods` with the cameras of the row named `row`."""

    row: str
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Rendered:
    """The data where none are given: see `synth.job.Recipe`. motion: files and folders beside the shipped clips."""

    seed: int = 1
    fps: float = 6.0
    take_frames: int = 10
    motion: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageLength:
    """One training stage. steps: of the optimizer. batch_size: frames a step."""

    steps: int
    batch_size: int
    lr: float = 1e-3
    weight_decay: float = 5e-3


@dataclass(frozen=True)
class Scale:
    """How much is trained on how much.

    train_frames, test_frames: to render; of given data, at most so many test frames are judged (spread evenly).
    seeds: repetitions, unless the command says otherwise. network: of `models.MODELS`, changed by `overrides`.
    egotap: EgoTAP's network, of `models.MODELS` too, changed by `egotap_overrides`; views and size are the study's.
    stages: heatmap (of EgoTAP's two heatmap networks too), refiner, pose. loss, schedule, ema_decay, precision,
    compile, channels_last: as in `egorear fit`.
    in_memory: decode frames once (small images, few frames); workers: processes that decode otherwise.
    """

    train_frames: int
    test_frames: int
    network: str
    stages: dict[str, StageLength]
    overrides: dict[str, Any] = field(default_factory=dict)
    egotap: str = "egotap-nano"
    egotap_overrides: dict[str, Any] = field(default_factory=dict)
    seeds: int = 1
    loss: LossConfig = field(default_factory=LossConfig)
    schedule: Schedule = field(default_factory=Schedule)
    ema_decay: float | None = None
    precision: str = "32-true"
    compile: bool = False
    channels_last: bool = False
    in_memory: bool = True
    workers: int = 0

    def __post_init__(self) -> None:
        if set(self.stages) != set(STAGES):
            raise UserError(f"'stages' has {', '.join(self.stages) or 'nothing'} but must have {', '.join(STAGES)}")
        for name, stage in self.stages.items():
            for what in ("steps", "batch_size"):
                if getattr(stage, what) < 1:
                    raise UserError(f"'stages.{name}.{what}' is {getattr(stage, what)} but must be at least 1")
        _check_counts(self)
        self.base()
        self.base_egotap()

    def base(self) -> EgoRearConfig:
        """The full network, with all of the paper's cameras.

        Raises:
            UserError: there is no such network, or `overrides` do not fit it.
        """
        known = [name for name, (config, _) in MODELS.items() if isinstance(config, EgoRearConfig) and config.refiner]
        base = self._changed(EgoRearConfig, "network", known, "overrides")
        if base.refiner is None or base.lifter is None:
            raise UserError("'overrides' must leave refiner and lifter: the methods say who has a refiner")
        return base

    def base_egotap(self) -> EgoTAPConfig:
        """EgoTAP with joint heatmaps of its own, and with all of the paper's cameras.

        Raises:
            UserError: there is no such network, or `egotap_overrides` do not fit it.
        """
        base, known = self.base(), [name for name, (config, _) in MODELS.items() if isinstance(config, EgoTAPConfig)]
        tap = self._changed(EgoTAPConfig, "egotap", known, "egotap_overrides")
        if tap.joint_maps is None or tap.limb_maps is None or tap.lifter is None or tap.origin != "device":
            raise UserError("'egotap_overrides' must leave the two heatmap networks, the lifter and the device's frame")
        return replace(tap, views=base.views, image_size=base.image_size)

    def _changed(self, kind: Any, field: str, known: list[str], overrides: str) -> Any:
        """The network that `field` names, with its overrides."""
        name = getattr(self, field)
        if name not in known:
            raise UserError(f"'{field}' is '{name}' but must be one of {', '.join(known)}")
        try:
            return build(kind, merged(plain(MODELS[name][0]), getattr(self, overrides)))
        except UserError as error:
            raise UserError(f"'{overrides}' do not fit '{name}': {error}") from error


@dataclass(frozen=True)
class ControlledScale:
    """The same of controlled mode. train_frames, test_frames: to render; of given data, at most so many are used,
    spread evenly. study: networks, noise and steps."""

    train_frames: int
    test_frames: int
    seeds: int = 1
    study: ControlledConfig = field(default_factory=ControlledConfig)

    def __post_init__(self) -> None:
        _check_counts(self)


@dataclass(frozen=True)
class StudyConfig:
    """rows, ablations: what is compared. published: whose figures of the paper stand beside ours. sizes: from minutes
    to the paper's scale, of image mode; controlled: the same for controlled mode."""

    rows: tuple[Row, ...]
    ablations: Ablations
    sizes: dict[str, Scale]
    controlled: dict[str, ControlledScale]
    published: Literal["syn", "rw"] = "syn"
    rendered: Rendered = Rendered()

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            _check_methods(row.methods, f"rows[{i}].methods")
            if not row.views or len(set(row.views)) < len(row.views):
                raise UserError(f"'rows[{i}].views' must name each of one or more cameras once")
        _check_methods(self.ablations.methods, "ablations.methods")
        if len({row.name for row in self.rows}) < len(self.rows):
            raise UserError("'rows' has a name twice")
        if self.ablations.row not in [row.name for row in self.rows]:
            raise UserError(f"'ablations.row' is '{self.ablations.row}' but no row has this name")

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    def cells(self, seeds: int) -> list[Cell]:
        """Every cell once, whatever tables it stands in; the first seed of all cells comes first."""
        pairs = [(row.views, method) for row in self.rows for method in row.methods]
        pairs += [(self.row(self.ablations.row).views, method) for method in self.ablations.methods]
        return [Cell(views, method, seed) for seed in range(1, seeds + 1) for views, method in dict.fromkeys(pairs)]

    def views(self) -> tuple[str, ...]:
        """Every camera of the study, each once."""
        return tuple(dict.fromkeys(view for row in self.rows for view in row.views))


STAGES = ("heatmap", "refiner", "pose")


def load_study(path: str | Path) -> StudyConfig:
    """Reads a study's YAML file.

    Raises:
        UserError: it is missing or no YAML, or a field is missing, unknown or wrong; the sentence names file and field.
    """
    try:
        content = yaml.safe_load(read_bytes(path, LIMIT_BYTES))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    try:
        return build(StudyConfig, content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _check_counts(scale: "Scale | ControlledScale") -> None:
    for what in ("train_frames", "test_frames", "seeds"):
        if getattr(scale, what) < 1:
            raise UserError(f"'{what}' is {getattr(scale, what)} but must be at least 1")


def _check_methods(methods: tuple[str, ...], where: str) -> None:
    if unknown := [method for method in methods if method not in METHODS]:
        raise UserError(f"'{where}' has '{unknown[0]}' but a study knows only {', '.join(METHODS)}")
