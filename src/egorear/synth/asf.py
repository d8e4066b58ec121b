"""Reader of Acclaim files as of the CMU database: a skeleton (.asf) for each subject, a motion (.amc) for each take.

A bone of the skeleton has a direction in the world's axes and own axes C in which its angles are told: its rotation
against its parent is C R C^T, the angles applied in the order of its `dof`. Bones are lines that hang on the ends of
their parents; here each becomes the joint at its start.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from egorear.errors import UserError
from egorear.files import read_bytes
from egorear.geometry.rotations import about
from egorear.synth.retarget import Source

FPS = 120.0
"""Frame rate of CMU's takes; the files do not tell it."""
LIMIT_BYTES = 256 * 2**20
_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass
class _Bone:
    name: str
    line: int
    vector: np.ndarray
    axes: np.ndarray
    dof: tuple[str, ...] = ()
    parent: int = -1


def read_amc(path: str | Path) -> Source:
    """A take on its subject's skeleton; the skeleton is looked for beside it (07.asf for 07_01.amc, or the only .asf).

    Raises:
        UserError: no skeleton is found, or a file cannot be read or is malformed.
    """
    path = Path(path)
    asf = _skeleton_of(path)
    bones, radians = _read_asf(asf)
    frames, radians = _read_frames(path, bones, asf, radians)
    rotations = np.empty((len(frames), len(bones), 3, 3))
    root, column = np.zeros((len(frames), 3)), 0
    for j, bone in enumerate(bones):
        R = np.eye(3)
        for dof in bone.dof:
            value = frames[:, column]
            column += 1
            if dof[0] == "r":
                R = about(np.eye(3)[_AXES[dof[1]]], value if radians else np.radians(value)) @ R
            elif dof[0] == "t" and j == 0:
                root[:, _AXES[dof[1]]] = value
        local = bone.axes @ R @ bone.axes.T
        rotations[:, j] = rotations[:, bone.parent] @ local if j else local
    vectors = [bones[bone.parent].vector if bone.parent >= 0 else np.zeros(3) for bone in bones]
    tips = [j for j in range(1, len(bones)) if j not in {bone.parent for bone in bones}]
    return Source(
        path.stem,
        str(path),
        (*(bone.name for bone in bones), *(f"{bones[j].name}_end" for j in tips)),
        (*(bone.parent for bone in bones), *tips),
        np.stack([*vectors, *(bones[j].vector for j in tips)]),
        np.concatenate([rotations, rotations[:, tips]], 1),
        root,
        FPS,
        np.ones(len(root), bool),
    )


def _skeleton_of(path: Path) -> Path:
    skeletons = sorted(p for p in path.parent.glob("*") if p.suffix.lower() == ".asf")
    own = [p for p in skeletons if p.stem.lower() == path.stem.lower().split("_")[0]]
    if not own and len(skeletons) != 1:
        found = f"{len(skeletons)} .asf files are beside it" if skeletons else "no .asf file is beside it"
        raise UserError(f"{path} needs the skeleton of its subject, but {found}")
    return (own or skeletons)[0]


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and words of each line that says something."""
    text = read_bytes(path, LIMIT_BYTES).decode("utf-8", errors="replace")
    rows = ((number, row.partition("#")[0].split()) for number, row in enumerate(text.splitlines(), 1))
    return [(number, words) for number, words in rows if words]


def _read_asf(path: Path) -> tuple[list[_Bone], bool]:
    """The bones, parents first, the root at the front; and whether angles are in radians."""
    root = _Bone("root", 0, np.zeros(3), np.eye(3), ("tx", "ty", "tz", "rx", "ry", "rz"))
    bones, parents = {"root": root}, {}
    current: dict[str, Any] = {}
    section, radians, number = "", False, 0
    try:
        for number, words in _lines(path):
            key = words[0].lower()
            if key.startswith(":"):
                section = key
            elif section == ":units" and key == "angle":
                radians = words[1].lower().startswith("rad")
            elif section == ":root":
                current[key] = words[1:]
            elif section == ":bonedata":
                if key == "begin":
                    current = {"line": number}
                elif key == "end":
                    bone = _bone(current, radians)
                    bones[bone.name] = bone
                else:
                    current[key] = words[1:]
            elif section == ":hierarchy" and key not in ("begin", "end"):
                for child in words[1:]:
                    if words[0] not in bones or child not in bones or child in parents:
                        raise ValueError(f"'{' '.join(words)}' does not fit the bones")
                    parents[child] = words[0]
            if section == ":root" and key == "axis":
                angles = [float(x) for x in current.get("orientation", "000")]
                root.axes = _euler(words[1], angles, radians)
            if section == ":root" and key == "orientation":
                root.axes = _euler("".join(current.get("axis", ["XYZ"])), [float(x) for x in words[1:4]], radians)
            if section == ":root" and key == "order":
                root.dof = tuple(word.lower() for word in words[1:])
    except (ValueError, IndexError, KeyError) as error:
        raise UserError(f"{path} is not a well-formed ASF file: line {number}: {error}") from error
    if len(bones) < 2 or set(parents) | {"root"} != set(bones):
        lost = sorted(set(bones) - set(parents) - {"root"})
        complaint = f"bone '{lost[0]}' has no place in its hierarchy" if lost else "it has no bones"
        raise UserError(f"{path} is not a well-formed ASF file: {complaint}")
    ordered = ["root"]
    for name in ordered:
        ordered += [child for child, parent in parents.items() if parent == name]
    if len(ordered) < len(bones):
        raise UserError(f"{path} is not a well-formed ASF file: its hierarchy is a circle")
    for name, parent in parents.items():
        bones[name].parent = ordered.index(parent)
    return [bones[name] for name in ordered], radians


def _bone(fields: dict[str, Any], radians: bool) -> _Bone:
    axis = fields["axis"]
    vector = np.array([float(x) for x in fields["direction"]]) * float(fields["length"][0])
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise ValueError("a direction is not three finite numbers")
    axes = _euler(axis[3] if len(axis) > 3 else "XYZ", [float(x) for x in axis[:3]], radians)
    dof = tuple(word.lower() for word in fields.get("dof", ()))
    if any(d not in ("rx", "ry", "rz", "tx", "ty", "tz", "l") for d in dof):
        raise ValueError(f"'{' '.join(dof)}' are no degrees of freedom")
    return _Bone(fields["name"][0], fields["line"], vector, axes, dof)


def _euler(order: str, angles: list[float], radians: bool) -> np.ndarray:
    """Rotation by the angles about x, y and z, applied in the given order about fixed axes."""
    R = np.eye(3)
    for letter in order.lower():
        angle = angles[_AXES[letter]]
        R = about(np.eye(3)[_AXES[letter]], angle if radians else np.radians(angle)) @ R
    return R


def _read_frames(path: Path, bones: list[_Bone], asf: Path, radians: bool) -> tuple[np.ndarray, bool]:
    """A row of values for each frame, in the order of the bones and their degrees of freedom."""
    starts = np.cumsum([0, *(len(bone.dof) for bone in bones)])
    places = {bone.name: (int(start), len(bone.dof)) for bone, start in zip(bones, starts[:-1], strict=True)}
    wanted = {bone.name for bone in bones if bone.dof}
    frames: list[np.ndarray] = []
    seen: set[str] = set()
    number = 0  # of the line, for the message
    try:
        for number, words in _lines(path):  # noqa: B007
            if words[0].startswith(":"):
                radians = {":radians": True, ":degrees": False}.get(words[0].lower(), radians)
            elif len(words) == 1 and words[0].isdigit():
                if frames and seen != wanted:
                    raise ValueError(f"the frame before has nothing of '{min(wanted - seen)}'")
                frames.append(np.zeros(starts[-1]))
                seen = set()
            else:
                if words[0] not in places or not frames:
                    raise ValueError(f"'{words[0]}' is no bone of {asf.name}")
                start, count = places[words[0]]
                values = np.array([float(x) for x in words[1:]])
                if len(values) != count or not np.isfinite(values).all():
                    raise ValueError(f"'{words[0]}' needs {count} finite numbers")
                frames[-1][start : start + count] = values
                seen.add(words[0])
    except ValueError as error:
        raise UserError(f"{path} is not a well-formed AMC file: line {number}: {error}") from error
    if frames and seen != wanted:
        frames.pop()  # a file cut off within its last frame
    if not frames:
        raise UserError(f"{path} is not a well-formed AMC file: it has no frames")
    return np.stack(frames), radians
