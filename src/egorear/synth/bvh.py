"""Reader of BVH (Biovision hierarchy) files: any skeleton, any order of channels, any unit."""

from pathlib import Path

import numpy as np

from egorear.errors import UserError
from egorear.synth.retarget import Source
from egorear.synth.rotations import about

LIMIT_BYTES = 512 * 2**20
_CHANNELS = {f"{axis}{kind}": (kind, i) for kind in ("position", "rotation") for i, axis in enumerate("xyz")}


def read_bvh(path: str | Path) -> Source:
    """The skeleton and motion of a BVH file. A first frame that repeats the zero pose (as in CMU's) is dropped.

    Raises:
        UserError: the file cannot be read, is too large or is not well-formed BVH.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise UserError(f"{path} is larger than the {LIMIT_BYTES} bytes expected of a BVH file")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    head, found, motion = text.partition("MOTION")
    if not found:
        raise UserError(f"{path} is not a BVH file: it has no MOTION section")
    try:
        joints, parents, offsets, channels = _hierarchy(head.split())
        fps, values = _motion(motion, sum(map(len, channels)))
    except (ValueError, IndexError) as error:
        raise UserError(f"{path} is not a well-formed BVH file: {error or 'it ends too early'}") from error
    rotations, root = _forward(parents, offsets, channels, values)
    if len(root) > 1 and _is_zero_pose(channels, values[0]):
        rotations, root = rotations[1:], root[1:]
    return Source(
        path.stem, str(path), tuple(joints), tuple(parents), offsets, rotations, root, fps, np.ones(len(root), bool)
    )


def _hierarchy(tokens: list[str]) -> tuple[list[str], list[int], np.ndarray, list[list[tuple[str, int]]]]:
    """Names, parents, offsets and channels of all joints; an end site is a joint without channels."""
    if tokens[:1] != ["HIERARCHY"]:
        raise ValueError("it does not begin with HIERARCHY")
    joints, parents, offsets, channels, open_joints = [], [], [], [], []
    i = 1
    while i < len(tokens):
        word = tokens[i]
        if word in ("ROOT", "JOINT", "End"):
            if tokens[i + 2] != "{" or (word == "ROOT") != (not joints) or (joints and not open_joints):
                raise ValueError(f"'{word} {tokens[i + 1]}' is out of place")
            parents.append(open_joints[-1] if open_joints else -1)
            open_joints.append(len(joints))
            joints.append(tokens[i + 1] if word != "End" else f"{joints[parents[-1]]}_end")
            offsets.append([0.0, 0.0, 0.0])
            channels.append([])
            i += 3
        elif word == "OFFSET":
            offsets[open_joints[-1]] = [float(x) for x in tokens[i + 1 : i + 4]]
            i += 4
        elif word == "CHANNELS":
            count = int(tokens[i + 1])
            names = [name.lower() for name in tokens[i + 2 : i + 2 + count]]
            unknown = [name for name in names if name not in _CHANNELS]
            if unknown or count < 0:
                raise ValueError(f"'{(unknown or [count])[0]}' is no channel")
            channels[open_joints[-1]] = [_CHANNELS[name] for name in names]
            i += 2 + count
        elif word == "}":
            open_joints.pop()
            i += 1
        else:
            raise ValueError(f"'{word}' is unexpected in the hierarchy")
    if not joints or open_joints:
        raise ValueError("the hierarchy is not closed")
    array = np.array(offsets, dtype=float)
    if array.shape != (len(joints), 3) or not np.isfinite(array).all():
        raise ValueError("an OFFSET is not three finite numbers")
    return joints, parents, array, channels


def _motion(text: str, width: int) -> tuple[float, np.ndarray]:
    """Frames per second and the table of channel values."""
    tokens = text.split()
    if tokens[:1] != ["Frames:"] or tokens[2:4] != ["Frame", "Time:"]:
        raise ValueError("MOTION must give 'Frames:' and 'Frame Time:'")
    frames, interval = int(tokens[1]), float(tokens[4])
    if frames < 1 or not 1e-4 < interval < 10:
        raise ValueError("number of frames or frame time is out of range")
    values = np.array(tokens[5:], dtype=float)
    if values.size != frames * width:
        raise ValueError(f"{frames} frames of {width} channels were promised, {values.size} numbers are there")
    if not np.isfinite(values).all():
        raise ValueError("a motion value is not finite")
    return 1 / interval, values.reshape(frames, width)


def _forward(
    parents: list[int], offsets: np.ndarray, channels: list[list[tuple[str, int]]], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Global rotations of all joints and the path of the root."""
    rotations = np.empty((len(values), len(parents), 3, 3))
    root = np.tile(offsets[0], (len(values), 1))
    column = 0
    for j, parent in enumerate(parents):
        R = rotations[:, parent] if parent >= 0 else np.eye(3)
        for kind, axis in channels[j]:
            if kind == "rotation":
                R = R @ about(np.eye(3)[axis], np.radians(values[:, column]))
            elif j == 0:
                root[:, axis] = values[:, column]
            column += 1
        rotations[:, j] = R
    return rotations, root


def _is_zero_pose(channels: list[list[tuple[str, int]]], frame: np.ndarray) -> bool:
    kinds = [kind for joint in channels for kind, _ in joint]
    return all(abs(value) < 1e-6 for kind, value in zip(kinds, frame, strict=True) if kind == "rotation")
