"""One experiment of a study: which cameras, which method, which seed, and what came out, frame by frame."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from egorear.errors import UserError
from egorear.files import atomic_write, read_json, write_json
from egorear.geometry.skeleton import EGO4VIEW
from egorear.models.refiner import RefinerConfig

METHODS: Mapping[str, Mapping[str, Any] | None] = {
    "egoposeformer": None,
    "egoposeformer_long": None,
    "egorear": {},
    "no_anchor": {"cross": "dense"},
    "no_uncertainty": {"cross": "unmasked"},
    "no_embedding": {"query": "plain"},
    "no_rgb_embedding": {"query": "heatmap"},
    "egotap": None,
    "egotap_egorear": {},
}
"""What each method changes of a full refiner; None is the baseline without one, "egoposeformer_long" the same baseline
trained for as many steps as "egorear" has in all its stages, so that more training cannot be what the refiner gains by.
The "no_…" are the ablations of the paper's Table 5: no 2D anchors, no uncertainty, no embeddings in the query, none of
the image in the query. "egotap" lifts by EgoTAP instead of EgoPoseFormer, from joint heatmaps of its own,
"egotap_egorear" from those that EgoRear has refined."""

TAP, TAP_FULL = "egotap", "egotap_egorear"
"""The methods whose lifter is EgoTAP's."""

ARRAYS, FIGURES = "errors.npz", "cell.json"
SCHEMA, VERSION = "egorear-study-cell", 1


def refiner_of(method: str, base: RefinerConfig) -> RefinerConfig | None:
    """The refiner that `method` (one of `METHODS`) has in a network whose full one is `base`; None: it has none."""
    changes = METHODS[method]
    return None if changes is None else replace(base, **changes)


@dataclass(frozen=True)
class Cell:
    """views: cameras in the network's order. method: one of `METHODS`. seed: of weights and of the frames' order."""

    views: tuple[str, ...]
    method: str
    seed: int

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"there is no method '{self.method}'; a study knows {', '.join(METHODS)}")

    @property
    def name(self) -> str:
        """What the seeds of a cell share, fit for a folder: "front_left+front_right.egorear"."""
        return f"{'+'.join(self.views)}.{self.method}"

    @property
    def uses_egotap(self) -> bool:
        """Whether EgoTAP lifts the heatmaps, which needs limb heatmaps too."""
        return self.method in (TAP, TAP_FULL)

    @property
    def folder(self) -> str:
        """Where its result is kept below the study's folder."""
        return f"cells/{self.name}/seed_{self.seed}"


@dataclass(frozen=True)
class CellResult:
    """What a trained cell made of the frames it was judged by, and what it cost.

    names: the frames; all of a name before its last "/" is a recording, whose frames are alike.
    errors_mm, aligned_mm: distance of each joint to its truth, as it is and after similarity alignment (mm).
    heatmap_mse, initial_heatmap_mse: mean squared error over the joints and pixels of each frame and view, of the
    final heatmaps (refined, or initial for the baseline) and of the initial ones; peaks are 1.
    steps, seconds: optimizer steps and wall-clock time of the cell's own training. parameters: of the whole network.
    """

    names: list[str]
    errors_mm: Float[np.ndarray, "N J"]
    aligned_mm: Float[np.ndarray, "N J"]
    heatmap_mse: Float[np.ndarray, "N V"]
    initial_heatmap_mse: Float[np.ndarray, "N V"]
    views: tuple[str, ...]
    steps: int
    seconds: float
    parameters: int

    def __post_init__(self) -> None:
        joints, views = (len(self.names), len(EGO4VIEW)), (len(self.names), len(self.views))
        shapes = {"errors_mm": joints, "aligned_mm": joints, "heatmap_mse": views, "initial_heatmap_mse": views}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise UserError(f"'{name}' is of shape {getattr(self, name).shape} but must be of {shape}")
        if len(set(self.names)) < len(self.names):
            raise UserError("a frame's name occurs twice in a cell's result")

    def save(self, folder: str | Path) -> None:
        """Writes arrays, then figures: a folder with `cell.json` holds a whole result."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in _ARRAYS}
        with atomic_write(Path(folder) / ARRAYS) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, names=np.array(self.names, dtype=np.str_), **arrays)
        figures = {name: getattr(self, name) for name in ("steps", "seconds", "parameters")}
        write_json(Path(folder) / FIGURES, {"schema": SCHEMA, "version": VERSION, "views": list(self.views), **figures})

    @classmethod
    def exists(cls, folder: str | Path) -> bool:
        """Whether a whole result is stored there."""
        return (Path(folder) / FIGURES).is_file()

    @classmethod
    def load(cls, folder: str | Path) -> "CellResult":
        """Reads what `save` wrote.

        Raises:
            UserError: it is missing, damaged, or of another version.
        """
        figures = read_json(Path(folder) / FIGURES)
        path = Path(folder) / ARRAYS
        try:
            if (figures["schema"], figures["version"]) != (SCHEMA, VERSION):
                raise UserError(f"{Path(folder) / FIGURES} is not version {VERSION} of '{SCHEMA}'")
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name].astype(np.float64) for name in _ARRAYS}
                names = stored["names"].tolist()
            return cls(
                names=names,
                views=tuple(figures["views"]),
                steps=int(figures["steps"]),
                seconds=float(figures["seconds"]),
                parameters=int(figures["parameters"]),
                **arrays,
            )
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is not a whole result of a study's cell: {error}") from error


_ARRAYS = ("errors_mm", "aligned_mm", "heatmap_mse", "initial_heatmap_mse")
