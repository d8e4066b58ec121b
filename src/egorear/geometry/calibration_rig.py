"""What the readers of other tools' calibrations share: each rewrites its file as the content of a rig file and hands
that to `Rig.from_dict`, so that every calibration passes the same checks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from egorear.errors import UserError
from egorear.files import read_bytes
from egorear.geometry.rig import SCHEMA, VERSION, Rig

TEXT_LIMIT_BYTES = 2**20
IDENTITY = np.eye(4).tolist()


def rig_of(path: Path, views: list[str], camera: Callable[[str], dict[str, Any]], name: str | None = None) -> Rig:
    """The rig of these views, each told as a rig file would by `camera`. name: default the file's.

    Raises:
        UserError: `camera` raises it or a camera is refused; the sentence names file and camera.
    """
    cameras = []
    for view in views:
        try:
            cameras.append({"name": view, **camera(view)})
        except UserError as error:
            raise UserError(f"{path}: camera '{view}': {error}") from error
    try:
        return Rig.from_dict({"schema": SCHEMA, "version": VERSION, "name": name or path.stem, "cameras": cameras})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def field(entry: dict[str, Any], name: str) -> Any:
    """The value of a field.

    Raises:
        UserError: it is not there.
    """
    if name not in entry:
        raise UserError(f"'{name}' is missing")
    return entry[name]


def text_of(path: Path) -> str:
    """The content of a small text file.

    Raises:
        UserError: it cannot be read, is too large or is no text.
    """
    try:
        return read_bytes(path, TEXT_LIMIT_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file") from error
