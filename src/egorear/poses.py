"""The one prediction file: `poses.npz`, which `predict` writes and everything else reads."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from egorear.errors import UserError
from egorear.files import atomic_write

SCHEMA = "egorear-poses"
VERSION = 1
LIMIT_BYTES = 8 * 2**30  # of the arrays together, unpacked
FIELDS = ("joints", "confidence", "frame_names", "timestamps", "rig_hash", "model_id", "joint_names")


@dataclass(frozen=True)
class Poses:
    """Predicted poses of N frames.

    joints: metres, device frame. confidence: 0 to 1 a joint. timestamps: seconds. rig_hash: `Rig.hash()` of the
    cameras they were seen with. model_id: name and version of the weights.

    Raises:
        UserError: lengths disagree, or a value is not finite.
    """

    joints: Float32[np.ndarray, "N J 3"]
    confidence: Float32[np.ndarray, "N J"]
    frame_names: list[str]
    timestamps: Float64[np.ndarray, "N"]
    rig_hash: str
    model_id: str
    joint_names: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_shapes(vars(self))
        for name in ("joints", "confidence", "timestamps"):
            if not np.isfinite(getattr(self, name)).all():
                raise UserError(f"'{name}' must be finite")

    def __len__(self) -> int:
        return len(self.frame_names)

    def select(self, rows: Sequence[int] | slice) -> "Poses":
        """The poses of some of the frames, in that order."""
        index = np.arange(len(self))[rows]
        return replace(
            self,
            joints=self.joints[index],
            confidence=self.confidence[index],
            frame_names=[self.frame_names[row] for row in index],
            timestamps=self.timestamps[index],
        )

    def at_rate(self, fps: float) -> "Poses":
        """The same poses as of frames at an even rate, the first at 0 s."""
        return replace(self, timestamps=np.arange(len(self)) / fps)

    def save(self, path: str | Path) -> None:
        """Writes `poses.npz` (schema "egorear-poses", version 1) atomically."""
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in FIELDS}
        for name in ("frame_names", "joint_names"):
            arrays[name] = arrays[name].astype(np.str_)  # an empty list is no text by itself
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, schema=np.array(SCHEMA), version=np.array(VERSION), **arrays)

    @staticmethod
    def load(path: str | Path) -> "Poses":
        """Reads `poses.npz`.

        Raises:
            UserError: the file is missing, damaged, of another schema, or a field is not as documented.
        """
        arrays = _read_arrays(path)
        if _text(arrays.get("schema")) != SCHEMA:
            raise UserError(f"{path}: 'schema' must be \"{SCHEMA}\"")
        version = arrays.get("version")
        if version is None or version.shape or version != VERSION:
            raise UserError(f"{path}: 'version' is {version} but this release reads version {VERSION}")
        for name, kind, ndim in zip(FIELDS, "ffUfUUU", (3, 2, 1, 1, 0, 0, 1), strict=True):
            array = arrays.get(name)
            if array is None or array.dtype.kind != kind or array.ndim != ndim:
                what = "text" if kind == "U" else "floating numbers"
                raise UserError(f"{path}: '{name}' must be {what} with {ndim} dimensions")
        try:
            _check_shapes(arrays)
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, hence refused
                joints, confidence = (arrays[name].astype(np.float32) for name in ("joints", "confidence"))
            return Poses(
                joints=joints,
                confidence=confidence,
                frame_names=arrays["frame_names"].tolist(),
                timestamps=arrays["timestamps"].astype(np.float64),
                rig_hash=arrays["rig_hash"].item(),
                model_id=arrays["model_id"].item(),
                joint_names=tuple(arrays["joint_names"].tolist()),
            )
        except UserError as error:
            raise UserError(f"{path}: {error}") from error


def recordings_of(frame_names: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of each recording's frames, in their order, by what comes before the last "/" of their names."""
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(frame_names):
        numbers.setdefault(name.rpartition("/")[0], []).append(number)
    return numbers


def _check_shapes(values: Mapping[str, Any]) -> None:
    shape = (len(values["frame_names"]), len(values["joint_names"]))
    for name, expected in (("joints", (*shape, 3)), ("confidence", shape), ("timestamps", shape[:1])):
        if (found := values[name].shape) != expected:
            raise UserError(f"'{name}' has shape {found} but must be {expected} as 'frame_names' and 'joint_names' say")


def _read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LIMIT_BYTES:
            raise UserError(f"{path} unpacks to more than the {LIMIT_BYTES} bytes expected of poses")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("schema", "version", *FIELDS) if name in file.files}
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # numpy, zipfile and zlib raise whatever a damaged archive leads them to
        raise UserError(f"{path} is not a whole .npz file of plain arrays: {error}".splitlines()[0]) from error


def _text(array: np.ndarray | None) -> str | None:
    return array.item() if array is not None and array.shape == () and array.dtype.kind == "U" else None
