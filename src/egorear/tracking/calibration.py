"""From what a network says of its joints to a confidence that means something: of the joints given confidence c, a
share c lies within 100 mm of the truth. `calibration.json` beside the weights, written by `egorear calibrate`."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from egorear.errors import UserError
from egorear.files import read_json, write_json
from egorear.geometry.skeleton import EGO4VIEW
from egorear.models.confidence import CONFIDENT_M
from egorear.models.pretrained import WEIGHTS

FILE = "calibration.json"
SCHEMA, VERSION = "egorear-calibration", 1
WITHIN_MM = 1000 * CONFIDENT_M

Raw = Literal["head", "peaks"]
"""What is calibrated: the probability of the network's confidence head, or the highest heatmap peak."""

SMALLEST = 1e-4  # raw confidences nearer to 0 or 1 are taken for this far from it: their logits must stay finite
# Deviations of the Gaussian priors of `Platt.fit`, of logarithm of the scale, bias, and what a lost view takes away:
# first of what all joints share, then of how far a joint's own are from that. A dozen frames move a joint a little,
# hundreds as far as they must.
SHARED, OWN = (1.0, 5.0, 2.0), (0.5, 1.5, 0.5)
FOLDS = 5


@dataclass(frozen=True)
class Platt:
    """One rising curve a joint: sigmoid(scale · logit(raw) + bias + lost, summed over the views that are not there)
    (Platt, 1999; the last term is ours). J joints, V views of the network, scale above 0."""

    scale: Float[Tensor, "J"]
    bias: Float[Tensor, "J"]
    lost: Float[Tensor, "V J"]

    def apply(self, raw: Float[Tensor, "B J"], present: Bool[Tensor, "B V"]) -> Float[Tensor, "B J"]:
        """Raw confidences, 0 to 1, to probabilities that the joints lie within 100 mm of the truth. present: the views
        that the frame had."""
        lost = (~present).to(raw) @ self.lost.to(raw)
        return torch.sigmoid(self.scale.to(raw) * _logit(raw) + self.bias.to(raw) + lost)

    @staticmethod
    def fit(raw: Float[Tensor, "N J"], present: Bool[Tensor, "N V"], correct: Bool[Tensor, "N J"]) -> "Platt":
        """The most probable curves under the priors above: joints with little data follow the others, and data of one
        kind only (all right, all wrong) give finite curves too.

        Raises:
            UserError: there is no frame.
        """
        if not len(raw):
            raise UserError("there is no frame to calibrate on")
        x, absent, target = _logit(raw.double()), (~present).double(), correct.double()
        deviations = torch.tensor((SHARED, OWN), dtype=torch.float64)
        # Rows: logarithm of the scale, bias, one for each view; deviations the same.
        shared_deviation, own_deviation = torch.cat(
            (deviations[:, :2], deviations[:, 2:].expand(-1, present.shape[1])), dim=1
        )[..., None]
        shared = torch.zeros(len(shared_deviation), 1, dtype=torch.float64, requires_grad=True)
        own = torch.zeros(len(shared_deviation), raw.shape[1], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS((shared, own), max_iter=500, tolerance_grad=1e-8, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            log_scale, bias, *lost = shared + own
            logits = log_scale.exp() * x + bias + absent @ torch.stack(lost)
            misfit = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
            prior = (shared / shared_deviation).square().sum() + (own / own_deviation).square().sum()
            total = (misfit + prior / 2) / len(x)  # steps of the same size however many frames there are
            total.backward()
            return total

        optimizer.step(loss)  # type: ignore[arg-type]
        log_scale, bias, *lost = (shared + own).detach().float()
        return Platt(log_scale.exp(), bias, torch.stack(lost))


def out_of_fold(
    raw: Float[Tensor, "N J"], present: Bool[Tensor, "N V"], correct: Bool[Tensor, "N J"], sequences: Sequence[str]
) -> Float[Tensor, "N J"] | None:
    """Each frame's calibrated confidence by curves that saw no frame of its sequence (cross-validation, at most 5
    folds): what calibration does on new recordings. None if there is one sequence only."""
    order = {name: i for i, name in enumerate(dict.fromkeys(sequences))}
    if len(order) < 2:
        return None
    fold = torch.tensor([order[name] % FOLDS for name in sequences])
    calibrated = torch.empty_like(raw)
    for k in range(min(FOLDS, len(order))):
        out, kept = fold == k, fold != k
        calibrated[out] = Platt.fit(raw[kept], present[kept], correct[kept]).apply(raw[out], present[out])
    return calibrated


@dataclass(frozen=True)
class Calibration:
    """What `calibration.json` says: the curves of `EGO4VIEW`'s joints, and where they come from.

    views: those of the network. raw: what they calibrate. weights: SHA-256 of the `model.safetensors` they belong to.
    data: dataset and split; frames: how many of it. ece_before, ece_after: expected calibration error over all joints
    with every camera there, the latter by cross-validation over sequences, None if there was one sequence only.
    """

    platt: Platt
    views: tuple[str, ...]
    raw: Raw
    weights: str
    data: str
    frames: int
    ece_before: float
    ece_after: float | None

    def save(self, folder: str | Path) -> Path:
        """Writes `calibration.json` (schema "egorear-calibration", version 1) atomically and returns its path."""
        path = Path(folder) / FILE
        content = {"schema": SCHEMA, "version": VERSION, "within_mm": WITHIN_MM, "raw": self.raw}
        content |= {"joint_names": list(EGO4VIEW.names)}
        content |= {name: _rounded(getattr(self.platt, name)) for name in ("scale", "bias")}
        content |= {"lost": dict(zip(self.views, map(_rounded, self.platt.lost), strict=True))}
        content |= {"weights": self.weights, "data": self.data, "frames": self.frames}
        write_json(path, content | {"ece_before": self.ece_before, "ece_after": self.ece_after})
        return path

    @staticmethod
    def load(folder: str | Path) -> "Calibration":
        """Reads the folder's `calibration.json`.

        Raises:
            UserError: it is missing or damaged, or a field is not as documented.
        """
        path = Path(folder) / FILE
        content = read_json(path)
        content = content if isinstance(content, dict) else {}
        for name, expected in _FIELDS.items():
            if not expected.holds(content.get(name)):
                raise UserError(f"{path}: '{name}' must be {expected.words}")
        lost = content["lost"]
        curves = (torch.tensor(values) for values in (content["scale"], content["bias"], list(lost.values())))
        kept = ("raw", "weights", "data", "frames", "ece_before", "ece_after")
        return Calibration(Platt(*(c.float() for c in curves)), tuple(lost), **{name: content[name] for name in kept})


def hash_weights(folder: str | Path) -> str:
    """SHA-256 of a network's weights file.

    Raises:
        UserError: the file cannot be read.
    """
    return sha256_of(Path(folder) / WEIGHTS)


def sha256_of(path: Path) -> str:
    """A file's SHA-256.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def find_calibration(folder: str | Path, raw: Raw, views: tuple[str, ...]) -> Platt | None:
    """The curves that lie beside the weights of a network of these views, whose raw confidences are `raw`; None if
    there are none.

    Raises:
        UserError: they are damaged, or belong to other weights: confidences would mean nothing, and nobody would know.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return None
    calibration = Calibration.load(folder)
    if (calibration.raw, calibration.views, calibration.weights) != (raw, views, hash_weights(folder)):
        raise UserError(
            f"{path} belongs to other weights than those beside it: run egorear calibrate again, or remove it"
        )
    return calibration.platt


def _logit(raw: Float[Tensor, "B J"]) -> Float[Tensor, "B J"]:
    return raw.clamp(SMALLEST, 1 - SMALLEST).logit()


def _rounded(values: Float[Tensor, "J"]) -> list[float]:
    return [round(value, 6) for value in values.tolist()]


@dataclass(frozen=True)
class _Field:
    """What a field of the file may hold, as a test and in words."""

    words: str
    holds: Any


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _numbers(value: Any, above: float) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(EGO4VIEW)
        and all(_is_number(v) and above < v < 1e6 for v in value)
    )


_FIELDS = {
    "schema": _Field(f'"{SCHEMA}"', lambda v: v == SCHEMA),
    "version": _Field(f"{VERSION}, all that this release reads", lambda v: type(v) is int and v == VERSION),
    "within_mm": _Field(f"{WITHIN_MM:g}", lambda v: _is_number(v) and v == WITHIN_MM),
    "raw": _Field('"head" or "peaks"', lambda v: v in ("head", "peaks")),
    "joint_names": _Field("the 16 joints of Ego4View in their order", lambda v: v == list(EGO4VIEW.names)),
    "scale": _Field("16 numbers above 0", lambda v: _numbers(v, above=0.0)),
    "bias": _Field("16 numbers", lambda v: _numbers(v, above=-1e6)),
    "lost": _Field(
        "16 numbers for each view",
        lambda v: isinstance(v, dict) and len(v) > 0 and all(_numbers(row, above=-1e6) for row in v.values()),
    ),
    "weights": _Field("the SHA-256 of the weights file", lambda v: isinstance(v, str) and len(v) == 64),
    "data": _Field("text", lambda v: isinstance(v, str)),
    "frames": _Field("a number of frames above 0", lambda v: type(v) is int and v > 0),
    "ece_before": _Field("between 0 and 1", lambda v: _is_number(v) and 0 <= v <= 1),
    "ece_after": _Field("between 0 and 1, or null", lambda v: v is None or (_is_number(v) and 0 <= v <= 1)),
}
