"""The entries of a rig file, read strictly and written plainly (docs/rig.md)."""

import json
import math
import reprlib
from dataclasses import MISSING, fields
from pathlib import PurePosixPath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.cameras import CAMERA_MODELS, Camera

RIGID_TOLERANCE = 1e-3  # of RRᵀ from the identity: calibration files keep as few as four digits
FARTHEST_CAMERA_M = 5.0
LARGEST_NUMBER = 1e30  # beyond that float32 overflows


def camera_to_dict(view: str, camera: Camera) -> dict[str, Any]:
    """One entry of a rig file's `cameras`, without the extrinsics."""
    entry = {
        "name": view,
        "model": camera.MODEL,
        "width": camera.width,
        "height": camera.height,
        "max_angle_deg": round(math.degrees(camera.max_angle), 9),
        "parameters": {name: getattr(camera, name) for name in _parameters(type(camera))},
        "scale": camera.scale,
        "shift": camera.shift,
        "calibrated_size": camera.calibrated_size,
        "mask": camera.mask,
    }
    return json.loads(json.dumps(entry))


def camera_from_dict(entry: dict[str, Any]) -> Camera:
    """The camera that an entry of a rig file describes; its `name` is ignored.

    Raises:
        UserError: a field is missing, unknown or of the wrong kind, or the camera refuses its parameters.
    """
    known = {"name", "model", "width", "height", "max_angle_deg", "parameters", "scale", "shift"}
    known |= {"calibrated_size", "mask"}
    if unknown := sorted(set(entry) - known):
        has = ", ".join(["T_camera_device", *sorted(known)])
        raise UserError(f"'{unknown[0]}' is not a field of a camera, which has {has}")
    model = CAMERA_MODELS.get(entry["model"]) if isinstance(entry.get("model"), str) else None
    if model is None:
        raise UserError(f"'model' is {entry.get('model')!r} but must be one of {', '.join(CAMERA_MODELS)}")
    for name in ("width", "height"):
        if type(entry.get(name)) is not int:
            raise UserError(f"'{name}' is {reprlib.repr(entry.get(name))} but must be a whole number of pixels")
    limit = entry.get("max_angle_deg")
    calibrated = numbers(entry.get("calibrated_size", [0, 0]), 2, "calibrated_size")
    mask = entry.get("mask")
    if mask is not None and not _is_inner_path(mask):
        raise UserError(f"'mask' is {mask!r} but must be a path inside the rig file's folder")
    return model(
        width=entry["width"],
        height=entry["height"],
        max_angle=math.inf if limit is None else math.radians(numbers(limit, 0, "max_angle_deg")),
        scale=numbers(entry.get("scale", [1.0, 1.0]), 2, "scale"),
        shift=numbers(entry.get("shift", [0.0, 0.0]), 2, "shift"),
        calibrated_size=(int(calibrated[0]), int(calibrated[1])),
        mask=mask,
        **_parameters_from_dict(model, entry.get("parameters")),
    )


def _parameters(model: type[Camera]) -> dict[str, Any]:
    """A model's own fields, and their lengths: 0 for a number, -1 for a list of any length."""
    common = {entry.name for entry in fields(Camera)}
    own = [entry for entry in fields(model) if entry.name not in common]
    lengths = {"center": 2, "affine": 3, "cam_to_world": -1, "world_to_cam": -1}
    return {entry.name: (lengths.get(entry.name, 0), entry.default is MISSING) for entry in own}


def _parameters_from_dict(model: type[Camera], values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise UserError("'parameters' must be an object of names and numbers")
    expected = _parameters(model)
    if unknown := sorted(set(values) - set(expected)):
        raise UserError(f"'{unknown[0]}' is not a parameter of {model.MODEL}, which has {', '.join(expected)}")
    for name, (_, required) in expected.items():
        if required and name not in values:
            raise UserError(f"parameter '{name}' is missing, {model.MODEL} has {', '.join(expected)}")
    return {name: numbers(value, expected[name][0], name) for name, value in values.items()}


def numbers(value: Any, length: int, name: str) -> Any:
    """A finite float (length 0) or a tuple of that many (length -1: of one or more).

    Raises:
        UserError: it is not, told with the field's name.
    """

    def is_number(x: Any) -> bool:
        return isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= LARGEST_NUMBER

    if length == 0:
        if not is_number(value):
            raise UserError(f"'{name}' is {reprlib.repr(value)} but must be a finite number")
        return float(value)
    count = f"{length}" if length > 0 else "one or more"
    fits = isinstance(value, list | tuple) and (len(value) == length if length > 0 else 1 <= len(value) <= 64)
    if not fits or not all(map(is_number, value)):
        raise UserError(f"'{name}' must be a list of {count} finite numbers")
    return tuple(map(float, value))


def rigid_from_list(value: Any, owner: str) -> Float[Tensor, "4 4"]:
    """A checked float64 transform from four rows of four numbers.

    Raises:
        UserError: it is not that, or `check_rigid` refuses it.
    """
    if not isinstance(value, list) or len(value) != 4:
        raise UserError(f"{owner}: 'T_camera_device' must be four rows of four numbers")
    try:
        rows = [numbers(row, 4, "T_camera_device") for row in value]
    except UserError as error:
        raise UserError(f"{owner}: 'T_camera_device' must be four rows of four finite numbers") from error
    T = torch.tensor(rows, dtype=torch.float64)
    check_rigid(T, owner)
    return T


def check_rigid(T: Float[Tensor, "*B 4 4"], owner: str) -> None:
    """Refuses what is not a rigid transform in metres.

    Raises:
        UserError: not finite, last row not 0 0 0 1, not a rotation, or a translation beyond `FARTHEST_CAMERA_M`.
    """
    T = T.detach().double().cpu()
    R, t = T[..., :3, :3], T[..., :3, 3]
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=T.dtype)
    if not T.isfinite().all() or not torch.allclose(T[..., 3, :], last.expand_as(T[..., 3, :]), atol=1e-6):
        raise UserError(f"{owner}: 'T_camera_device' must be finite with last row 0 0 0 1")
    error = (R @ R.transpose(-1, -2) - torch.eye(3, dtype=T.dtype)).abs().max()
    if error > RIGID_TOLERANCE or not (torch.linalg.det(R) > 0).all():
        raise UserError(f"{owner}: 'T_camera_device' must be rigid (an orthonormal rotation of determinant +1)")
    if (farthest := t.norm(dim=-1).max()) > FARTHEST_CAMERA_M:
        raise UserError(
            f"{owner}: 'T_camera_device' translates by {farthest:.4g} but must be in metres, "
            f"at most {FARTHEST_CAMERA_M:g} (centimetres or millimetres?)"
        )


def _is_inner_path(path: Any) -> bool:
    pure = PurePosixPath(path) if isinstance(path, str) and path else None
    return pure is not None and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path
