"""Where a study keeps what is predicted, clip by clip, so that an interrupted run goes on where it stopped."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from egorear.errors import UserError
from egorear.files import atomic_write, read_json, remove_leftovers, write_json

SCHEMA = "egorear-robustness"
VERSION = 1

Result = tuple[Float[np.ndarray, "F N J 3"], Float[np.ndarray, "F N J"]]


class ClipStore:
    """Joints (m) and confidence of every fault F and frame N of a clip, in a folder, or in memory if there is none.

    identity: whatever the results depend on, as JSON; the folder's `run.json` holds it.

    Raises:
        UserError: the folder holds results of something else, or cannot be written.
    """

    def __init__(self, folder: Path | None, identity: dict[str, Any]) -> None:
        self._folder = None if folder is None else folder / "clips"
        self._memory: dict[int, Result] = {}
        if folder is None:
            return
        path = folder / "run.json"
        content = {"schema": SCHEMA, "version": VERSION, **identity}
        if path.exists():
            found = read_json(path)
            differing = [key for key in content if not isinstance(found, dict) or found.get(key) != content[key]]
            if differing:
                raise UserError(f"{folder} holds another run ('{differing[0]}' differs): give another --out")
            remove_leftovers(folder, below=True)
        else:
            write_json(path, content)

    def __contains__(self, number: int) -> bool:
        return number in self._memory if self._folder is None else self._path(number).exists()

    def save(self, number: int, joints: Float[np.ndarray, "F N J 3"], confidence: Float[np.ndarray, "F N J"]) -> None:
        """Keeps a clip's results."""
        if self._folder is None:
            self._memory[number] = joints, confidence
            return
        with atomic_write(self._path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, joints=joints, confidence=confidence)

    def load(self, number: int) -> Result:
        """A clip's results.

        Raises:
            UserError: the file is damaged.
        """
        if self._folder is None:
            return self._memory[number]
        try:
            with np.load(self._path(number), allow_pickle=False) as file:
                return file["joints"], file["confidence"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{self._path(number)} is damaged; remove it and run again") from error

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:06d}.npz"
