"""Files of motion that a user brings: BVH, CMU's ASF/AMC, AMASS or SMPL-X npz, npz of global rotations, and folders of
any of them.

The npz of global rotations: `names` [J], `parents` [J], `clips`, `fps`, `rest_offset` [J, 3] (or one per subject,
`rest_offset/SUBJECT` with `subject`), and per clip `CLIP/global_quat` [T, J, 4] (w x y z), `CLIP/root` [T, 3] and,
where some frames are faulty, `CLIP/ok` [T].
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from egorear.errors import UserError
from egorear.geometry.rotations import to_matrix
from egorear.synth.actions import action_of, ungrounded
from egorear.synth.asf import read_amc
from egorear.synth.bvh import read_bvh
from egorear.synth.clips import Clip
from egorear.synth.retarget import Cleaned, Source, retarget_and_judge
from egorear.synth.smplx import is_smplx, read_smplx

LIMIT_BYTES = 4 * 2**30  # of an npz, unpacked
KINDS = (".bvh", ".amc", ".npz")


def read_source(path: Path) -> list[Clip]:
    """The clips of a file or of all files in a folder, on the reference figure.

    Raises:
        UserError: nothing is there, or a file is malformed or not a person.
    """
    return [cleaned.clip for cleaned in read_and_judge(path)]


def read_and_judge(path: Path) -> Iterator[Cleaned]:
    """The clips as of `read_source`, one after the other, each with its figures before and after the clean-up.

    Raises:
        UserError: as `read_source`.
    """
    for source in read_recordings(path):
        yield retarget_and_judge(source, action_of(source.name), not ungrounded(source.name))


def read_recordings(path: Path) -> Iterator[Source]:
    """The recordings of a file or folder on their own skeletons. In a folder, npz files without motion (AMASS keeps
    body shapes beside) are passed over.

    Raises:
        UserError: as `read_source`.
    """
    if not path.is_dir():
        yield from _read_file(path)
        return
    found = False
    for file in sorted(p for p in path.rglob("*") if p.suffix.lower() in KINDS and p.is_file()):
        for source in _read_file(file, in_folder=True):
            found = True
            yield source
    if not found:
        raise UserError(f"{path} holds no motion: no .bvh, .amc or .npz files with any")


def _read_file(path: Path, in_folder: bool = False) -> Iterator[Source]:
    kind = path.suffix.lower()
    if kind == ".npz":
        yield from _read_npz(path, in_folder)
    elif kind == ".amc":
        yield read_amc(path)
    elif kind == ".asf":
        raise UserError(f"{path} is a skeleton; give the .amc files beside it, or their folder")
    else:
        yield read_bvh(path)


def _read_npz(path: Path, in_folder: bool) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LIMIT_BYTES:
            raise UserError(f"{path} unpacks to {size} bytes, more than the {LIMIT_BYTES} expected of motion")
        with np.load(path, allow_pickle=False) as file:
            if is_smplx(file):
                yield read_smplx(file, path)
            elif "clips" in file:
                if file["clips"].ndim != 1 or not len(file["clips"]):
                    raise UserError(f"{path}: 'clips' must be a list of one name or more")
                for name in file["clips"].tolist():
                    yield _npz_clip(file, name, path)
            elif not in_folder:
                raise UserError(f"{path} is not a file of motion: it has neither 'clips' nor 'poses' nor 'pose_body'")
    except MemoryError as error:
        raise UserError(f"{path} is damaged, or needs more memory than there is: {error}") from error
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path} is not a file of motion clips: {error}") from error


def _npz_clip(file: Any, name: str, path: Path) -> Source:
    subjects = dict(zip(file["clips"].tolist(), file["subject"].tolist(), strict=True)) if "subject" in file else {}
    offsets = file[f"rest_offset/{subjects[name]}" if subjects else "rest_offset"].astype(float)
    parents, rotations = file["parents"].tolist(), to_matrix(file[f"{name}/global_quat"].astype(float))
    root = file[f"{name}/root"].astype(float)
    ok = file[f"{name}/ok"] if f"{name}/ok" in file else np.ones(len(root), bool)
    joints = len(parents)
    if offsets.shape != (joints, 3) or rotations.shape != (len(root), joints, 3, 3) or root.shape != (len(ok), 3):
        raise ValueError(f"the arrays of clip {name} do not fit each other")
    if len(root) == 0 or any(p >= j for j, p in enumerate(parents)):
        raise ValueError(f"clip {name} is empty or a joint precedes its parent")
    if not (np.isfinite(rotations).all() and np.isfinite(root).all() and np.isfinite(offsets).all()):
        raise ValueError(f"clip {name} holds values that are not finite")
    fps = float(file["fps"])
    if not 1 <= fps <= 10_000:
        raise ValueError(f"'fps' is {fps}, which is out of range")
    names = tuple(str(n) for n in file["names"].tolist())
    if len(names) != joints:
        raise ValueError(f"'names' has {len(names)} joints but 'parents' has {joints}")
    return Source(name, str(path), names, tuple(parents), offsets, rotations, root, fps, ok.astype(bool))
