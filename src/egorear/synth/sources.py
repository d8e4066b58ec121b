"""Files of motion that a user brings: BVH, folders of BVH, and npz files of global rotations.

The npz layout: `names` [J], `parents` [J], `clips`, `fps`, `rest_offset` [J, 3] (or one per subject,
`rest_offset/SUBJECT` with `subject`), and per clip `CLIP/global_quat` [T, J, 4] (w x y z), `CLIP/root` [T, 3] and,
where some frames are faulty, `CLIP/ok` [T].
"""

import zipfile
from pathlib import Path

import numpy as np

from egorear.errors import UserError
from egorear.synth.bvh import read_bvh
from egorear.synth.clips import Clip
from egorear.synth.retarget import Source, retarget
from egorear.synth.rotations import to_matrix

ACTIONS = {
    "climb": ("01", "climb", "hang"), "walk": ("walk", "02_01", "02_02", "03", "stride", "turn"),
    "run": ("run", "jog", "sprint", "02_03"), "jump": ("jump", "hop", "02_04", "flip", "cartwheel", "roll"),
    "punch": ("punch", "fight", "box", "02_05"), "kick": ("kick",), "bend": ("bend", "02_06"),
    "fence": ("sword", "fence", "02_07", "02_08", "02_09"), "wash": ("wash", "02_10"), "crawl": ("crawl",),
    "dance": ("dance", "spin"), "get_up": ("getup", "ground"), "sit": ("sit",), "reach": ("reach",),
}  # fmt: skip
"""Label of a recording: the first whose beginning (a number of the CMU database) or word is in the clip's name."""

UNGROUNDED = ("01_", "03_")  # CMU subjects on a climbing frame and on ramps that were not recorded


def action_of(name: str) -> str:
    """The label of a recorded clip by its name; "other" where nothing is known."""
    name = name.lower()
    for action, words in ACTIONS.items():
        if any(name.startswith(w) if w[0].isdigit() else w in name for w in words):
            return action
    return "other"


def read_source(path: Path) -> list[Clip]:
    """The clips of a BVH file, of all BVH files in a folder, or of an npz file, on the reference figure.

    Raises:
        UserError: nothing is there, or a file is malformed or not a person.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".bvh")
        if not files:
            raise UserError(f"{path} holds no .bvh files")
        sources = [read_bvh(file) for file in files]
    elif path.suffix.lower() == ".npz":
        sources = _read_npz(path)
    else:
        sources = [read_bvh(path)]
    return [retarget(s, action_of(s.name), not s.name.startswith(UNGROUNDED)) for s in sources]


def _read_npz(path: Path) -> list[Source]:
    try:
        with np.load(path) as file:
            return [_npz_clip(file, name, path) for name in file["clips"].tolist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path} is not a file of motion clips: {error}") from error


def _npz_clip(file, name: str, path: Path) -> Source:
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
    if not (np.isfinite(rotations).all() and np.isfinite(root).all()):
        raise ValueError(f"clip {name} holds values that are not finite")
    names = tuple(str(n) for n in file["names"].tolist())
    return Source(name, str(path), names, tuple(parents), offsets, rotations, root, float(file["fps"]), ok)
