"""Reader of BVH (Biovision hierarchy) files: any skeleton, any order of channels, any unit."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from egorear.errors import UserError
from egorear.files import read_bytes
from egorear.geometry.rotations import about
from egorear.synth.retarget import Source

LIMIT_BYTES = 512 * 2**20
_CHANNELS = {f"{axis}{kind}": (kind, i) for kind in ("position", "rotation") for i, axis in enumerate("xyz")}
_SECTION = re.compile(r"\bMOTION\b")  # a joint may be called LOCOMOTION
_HEADER = re.compile(r"\s*Frames:\s*(\S+)\s+Frame\s+Time:\s*(\S+)", re.IGNORECASE)


@dataclass
class _Joint:
    name: str
    parent: int
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    channels: list[tuple[str, int]] = field(default_factory=list)
    column: int = 0  # of its first channel

    @property
    def moves(self) -> bool:
        return any(kind == "position" for kind, _ in self.channels)


def read_bvh(path: str | Path) -> Source:
    """The skeleton and motion of a BVH file. A first frame that repeats the zero pose (as in CMU's) is dropped, and so
    are joints above the one that moves (a "reference" that carries the hips).

    Raises:
        UserError: the file cannot be read, is too large or is not well-formed BVH.
    """
    path = Path(path)
    text = read_bytes(path, LIMIT_BYTES).decode("utf-8-sig", errors="replace")
    section = _SECTION.search(text)
    if section is None:
        raise UserError(f"{path} is not a BVH file: it has no MOTION section")
    head, motion = text[: section.start()], text[section.end() :]
    try:
        joints = _hierarchy(head)
        fps, values = _motion(motion, sum(len(joint.channels) for joint in joints), head.count("\n") + 1)
    except (ValueError, IndexError) as error:
        raise UserError(f"{path} is not a well-formed BVH file: {error or 'it ends too early'}") from error
    if len(values) > 1 and _is_zero_pose(joints, values[0]):
        values = values[1:]
    rotations = _forward(joints, values)
    first, root = _moving_root(joints, values, rotations)
    kept = _below(joints, first)
    return Source(
        path.stem,
        str(path),
        tuple(joints[j].name for j in kept),
        tuple(kept.index(joints[j].parent) if j != first else -1 for j in kept),
        np.stack([joints[j].offset for j in kept]),
        rotations[:, kept],
        root,
        fps,
        np.ones(len(root), bool),
    )


def _hierarchy(head: str) -> list[_Joint]:
    """All joints; an end site is a joint without channels."""
    words = [(word, line) for line, row in enumerate(head.splitlines(), 1) for word in row.split()]
    if not words or words[0][0] != "HIERARCHY":
        raise ValueError("it does not begin with HIERARCHY")
    joints: list[_Joint] = []
    opened: list[int] = []
    i, column = 1, 0
    try:
        while i < len(words):
            word = words[i][0]
            if word in ("ROOT", "JOINT", "End"):
                name = words[i + 1][0]
                if words[i + 2][0] != "{" or (word == "ROOT") != (not joints) or (joints and not opened):
                    raise ValueError(f"'{word} {name}' is out of place")
                parent = opened[-1] if opened else -1
                opened.append(len(joints))
                joints.append(_Joint(name if word != "End" else f"{joints[parent].name}_end", parent))
                i += 3
            elif word == "OFFSET":
                offset = np.array([float(x) for x, _ in words[i + 1 : i + 4]])
                if offset.shape != (3,) or not np.isfinite(offset).all():
                    raise ValueError("an OFFSET is not three finite numbers")
                joints[opened[-1]].offset = offset
                i += 4
            elif word == "CHANNELS":
                count = int(words[i + 1][0])
                names = [name.lower() for name, _ in words[i + 2 : i + 2 + count]]
                unknown = [name for name in names if name not in _CHANNELS]
                if unknown or count < 0:
                    raise ValueError(f"'{(unknown or [count])[0]}' is no channel")
                joint = joints[opened[-1]]
                joint.channels, joint.column = [_CHANNELS[name] for name in names], column
                column += count
                i += 2 + count
            elif word == "}":
                opened.pop()
                i += 1
            else:
                raise ValueError(f"{word[:40]!r} is unexpected in the hierarchy")
    except (ValueError, IndexError) as error:
        line = words[min(i, len(words) - 1)][1]
        complaint = error if isinstance(error, ValueError) else "something is missing"
        raise ValueError(f"line {line}: {complaint}") from error
    if not joints or opened:
        raise ValueError("the hierarchy is not closed")
    return joints


def _motion(text: str, width: int, line: int) -> tuple[float, np.ndarray]:
    """Frames per second and the table of channel values; `line`: where the text begins in the file."""
    header = _HEADER.match(text)
    if header is None:
        raise ValueError(f"line {line}: MOTION must give 'Frames:' and 'Frame Time:'")
    try:
        frames, interval = int(header[1]), float(header[2])
    except ValueError as error:
        raise ValueError(f"line {line + 1}: 'Frames:' or 'Frame Time:' is no number: {error}") from error
    if frames < 1:
        raise ValueError(f"line {line + 1}: the number of frames is {frames}; 1 or more are needed")
    if not 1e-4 < interval < 10:
        raise ValueError(f"line {line + 2}: the frame time is {interval} seconds, which is out of range")
    rows = text[header.end() :]
    try:
        values = np.array(rows.split(), dtype=float)
    except ValueError as error:
        raise ValueError(f"line {line + _bad_row(text)}: {error}") from error
    if values.size < frames * width or values.size % max(width, 1):  # some writers count one frame too few
        raise ValueError(f"{frames} frames of {width} channels were promised, {values.size} numbers are there")
    values = values[: frames * width]
    if not np.isfinite(values).all():
        frame = int(np.flatnonzero(~np.isfinite(values))[0] // width)
        raise ValueError(f"a motion value of frame {frame + 1} is not finite")
    return 1 / interval, values.reshape(frames, width)


def _bad_row(text: str) -> int:
    """The row of the first word after the header that is no number."""
    for number, row in enumerate(text.splitlines()):
        for word in row.split() if number > 2 else ():
            try:
                float(word)
            except ValueError:
                return number
    return 0


def _forward(joints: list[_Joint], values: np.ndarray) -> np.ndarray:
    """Global rotations of all joints."""
    rotations = np.empty((len(values), len(joints), 3, 3))
    for j, joint in enumerate(joints):
        R = rotations[:, joint.parent] if joint.parent >= 0 else np.eye(3)
        for i, (kind, axis) in enumerate(joint.channels):
            if kind == "rotation":
                R = R @ about(np.eye(3)[axis], np.radians(values[:, joint.column + i]))
        rotations[:, j] = R
        if joint.moves and joint.parent >= 0 and not joint.offset.any():
            joint.offset = _place(joint, values)[0]  # of files that give bones by positions alone
    return rotations


def _place(joint: _Joint, values: np.ndarray) -> np.ndarray:
    """Where the joint is from its parent: its position channels, or else its offset."""
    place = np.tile(joint.offset, (len(values), 1))
    for i, (kind, axis) in enumerate(joint.channels):
        if kind == "position":
            place[:, axis] = values[:, joint.column + i]
    return place


def _moving_root(joints: list[_Joint], values: np.ndarray, rotations: np.ndarray) -> tuple[int, np.ndarray]:
    """The last joint with position channels of the chain of only children from the root, and its path."""
    found, chain = (0, _place(joints[0], values)), [0]
    root = found[1]
    while len(children := [j for j, joint in enumerate(joints) if joint.parent == chain[-1]]) == 1:
        root = root + (rotations[:, chain[-1]] @ _place(joints[children[0]], values)[..., None])[..., 0]
        chain += children
        if joints[children[0]].moves:
            found = children[0], root
    return found


def _below(joints: list[_Joint], first: int) -> list[int]:
    kept = [first]
    for j in range(first + 1, len(joints)):
        if joints[j].parent in kept:
            kept.append(j)
    return kept


def _is_zero_pose(joints: list[_Joint], frame: np.ndarray) -> bool:
    return all(
        abs(frame[joint.column + i]) < 1e-6
        for joint in joints
        for i, (kind, _) in enumerate(joint.channels)
        if kind == "rotation"
    )
