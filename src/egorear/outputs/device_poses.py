"""Where the device was in the world, from a CSV file: what takes poses out of the device frame (docs/outputs.md)."""

import csv
import io
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from egorear.errors import UserError
from egorear.files import read_bytes
from egorear.geometry.rotations import slerp, to_matrix
from egorear.poses import Poses

LIMIT_BYTES = 512 * 2**20
NUMBERS = ("px", "py", "pz", "qx", "qy", "qz", "qw")
UNIT = 0.01  # a quaternion's length may differ from 1 by so much: files round it


@dataclass(frozen=True)
class DevicePoses:
    """M poses of the device in a right-handed world of the user's, in the file's order.

    path: of the file. moments: frame names, or increasing timestamps in seconds. positions: metres. quaternions: unit,
    w, x, y, z; both take points of the device frame to the world.
    """

    path: str
    moments: list[str] | list[float]
    positions: Float64[np.ndarray, "M 3"]
    quaternions: Float64[np.ndarray, "M 4"]

    def at(self, poses: Poses) -> Float64[np.ndarray, "N 4 4"]:
        """T_world_device of each pose: that of its frame, or between the two timestamps around its own (positions on
        the straight line, rotations on the shortest way).

        Raises:
            UserError: a frame is missing, or a pose is earlier or later than all of the timestamps.
        """
        if isinstance(self.moments[0], str):
            rows = {name: row for row, name in enumerate(self.moments)}
            if missing := [name for name in poses.frame_names if name not in rows]:
                raise UserError(f"{self.path}: frame '{missing[0]}', which the poses have, is missing")
            before = after = np.array([rows[name] for name in poses.frame_names], int)
            share = np.zeros(len(before))
        else:
            before, after, share = self._between(poses.timestamps)
        T = np.tile(np.eye(4), (len(poses), 1, 1))
        T[:, :3, :3] = to_matrix(slerp(self.quaternions[before], self.quaternions[after], share))
        T[:, :3, 3] = (1 - share)[:, None] * self.positions[before] + share[:, None] * self.positions[after]
        return T

    def _between(self, timestamps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = np.array(self.moments)
        outside = (timestamps < known[0]) | (timestamps > known[-1])
        if outside.any():
            raise UserError(
                f"{self.path}: its timestamps go from {known[0]:g} to {known[-1]:g} s, but a pose is at "
                f"{timestamps[outside][0]:g} s; both must count from the same moment"
            )
        after = np.searchsorted(known, timestamps)
        before = np.maximum(after - 1, 0)
        step = np.where(after > before, known[after] - known[before], 1.0)
        return before, after, np.where(after > before, (timestamps - known[before]) / step, 0.0)


def read_device_poses(path: str | Path) -> DevicePoses:
    """Reads a CSV file with a header: `timestamp` or `frame`, px, py, pz, qx, qy, qz, qw; other columns are ignored.

    Raises:
        UserError: the file cannot be read, a column is missing, a value is no finite number, a quaternion is not of
            unit length, timestamps do not increase, or a frame occurs twice.
    """
    try:
        text = read_bytes(path, LIMIT_BYTES).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        rows, columns = list(reader), reader.fieldnames or []
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file: {error}") from error
    if not rows:
        raise UserError(f"{path} must have a header and at least one row")
    if missing := [name for name in NUMBERS if name not in columns]:
        raise UserError(
            f"{path}: column '{missing[0]}' is missing from its header, which is '{text.splitlines()[0]:.80}' but must "
            f"have {', '.join(NUMBERS)} with commas between them"
        )
    if twice := [name for name in (*NUMBERS, "timestamp", "frame") if columns.count(name) > 1]:
        raise UserError(f"{path}: column '{twice[0]}' is in its header twice")
    key = next((name for name in ("timestamp", "frame") if name in columns), None)
    if key is None:
        raise UserError(f"{path}: its header must have a column 'timestamp' or 'frame'")
    values = np.array([[_number(path, line, row, name) for name in NUMBERS] for line, row in enumerate(rows, 2)])
    positions, quaternions = values[:, :3], np.roll(values[:, 3:], 1, -1)
    lengths = np.linalg.norm(quaternions, axis=-1)
    if (wrong := np.abs(lengths - 1) > UNIT).any():
        row = int(wrong.argmax())
        raise UserError(f"{path}: row {row + 2}: the quaternion has length {lengths[row]:.3g} but must have 1")
    moments = _frames(path, rows) if key == "frame" else _timestamps(path, rows)
    return DevicePoses(str(path), moments, positions, quaternions / lengths[:, None])


def _frames(path: str | Path, rows: list[dict[str, str]]) -> list[str]:
    names = {}
    for line, row in enumerate(rows, 2):
        name = row["frame"]
        if name is None:
            raise UserError(f"{path}: row {line}: 'frame' is missing")
        if name in names:
            raise UserError(f"{path}: row {line}: frame '{name}' was in row {names[name]} already")
        names[name] = line
    return list(names)


def _timestamps(path: str | Path, rows: list[dict[str, str]]) -> list[float]:
    timestamps = [_number(path, line, row, "timestamp") for line, row in enumerate(rows, 2)]
    for line, (before, after) in enumerate(itertools.pairwise(timestamps), 3):
        if after <= before:
            raise UserError(f"{path}: row {line}: 'timestamp' {after:g} does not come after {before:g}")
    return timestamps


def _number(path: str | Path, line: int, row: dict[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}: row {line}: '{name}' is {row[name]!r} but must be a finite number")
    return value
