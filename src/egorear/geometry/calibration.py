"""Calibration files of other tools, read as rigs. Which field goes where: docs/rig.md."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from egorear.errors import UserError
from egorear.files import read_json
from egorear.geometry.calibration_rig import IDENTITY, field, rig_of, text_of
from egorear.geometry.calibration_scaramuzza import OCAM_TEXTS, read_ego4view, read_egocap, read_egopw
from egorear.geometry.rig import SHIPPED, Rig, shipped
from egorear.geometry.rig_file import numbers, rigid_from_list

SCARAMUZZA_FIELDS = {"polynomialC2W", "polynomialW2C", "image_center"}  # one of them tells a calibration of Ego4View


def read_rig(path: str | Path) -> Rig:
    """Reads a rig file, a calibration of Ego4View, EgoPW (or SceneEgo), EgoCap, OpenCV or Kalibr, whichever it is, or a
    shipped rig by name.

    Raises:
        UserError: the file is unreadable, of no known kind, or its calibration is refused.
    """
    path = Path(path)
    if str(path) in SHIPPED:
        return shipped(str(path))
    if path.is_dir():
        if not any(path.glob("*.json")) and not (path / OCAM_TEXTS["front_left"]).exists():
            raise UserError(
                f"{path} is a folder that holds no calibration (.json files of Ego4View or texts of EgoCap)"
            )
        return read_egocap(path) if (path / OCAM_TEXTS["front_left"]).exists() else read_ego4view(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_opencv_yaml(path) if text_of(path).startswith("%YAML") else read_kalibr(path)
    content = read_json(path)
    if isinstance(content, dict) and ("schema" in content or "cameras" in content):
        return Rig.load(path)
    entries = [content, *content.values()] if isinstance(content, dict) else []
    if not any(isinstance(entry, dict) and SCARAMUZZA_FIELDS & set(entry) for entry in entries):
        raise UserError(
            f"{path} is no calibration that egorear reads: rig files have 'schema' and 'cameras', those of Ego4View "
            "and EgoPW 'polynomialC2W' and 'polynomialW2C', and those of OpenCV and Kalibr are YAML (docs/rig.md)"
        )
    is_egopw = isinstance(content, dict) and "intrinsic" in content and "polynomialW2C" in content
    return read_egopw(path) if is_egopw else read_ego4view(path)


def read_opencv_yaml(path: str | Path) -> Rig:
    """Reads the one camera of an OpenCV FileStorage file: `camera_matrix` or `K`, `distortion_coefficients` or `D`,
    `image_width`, `image_height`; optionally `camera_name` (else the file's name) and `T_camera_device` (else the
    identity).

    `fisheye: 1` or `model: fisheye` says that the four coefficients are those of cv2.fisheye (Kannala-Brandt);
    without it they are k1 k2 p1 p2 [k3] of a pinhole camera.

    Raises:
        UserError: a field is missing or wrong, or the distortion has terms beyond k3.
    """
    path = Path(path)
    try:
        storage = cv2.FileStorage(text_of(path), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    except (cv2.error, SystemError) as error:
        raise UserError(f"{path} is not an OpenCV FileStorage file") from error

    def value(*names: str) -> Any:
        """The first of these fields that is there, as number, text or nested list; None if there is none."""
        nodes = [node for node in map(storage.getNode, names) if not node.empty()]
        if not nodes:
            return None
        node = nodes[0]
        if node.isString():
            return node.string()
        if not node.isMap():
            return node.real()
        # OpenCV allocates what the header claims before it looks at the data.
        if not 0 < node.getNode("rows").real() * node.getNode("cols").real() <= 64:
            raise UserError(f"'{names[0]}' must be a small matrix")
        return node.mat().astype(float).tolist()

    def required(*names: str) -> Any:
        if (found := value(*names)) is None:
            raise UserError(f"'{names[0]}' is missing")
        return found

    def camera(_: str) -> dict[str, Any]:
        K = np.asarray(required("camera_matrix", "K"), dtype=float)
        if K.shape != (3, 3):
            raise UserError("'camera_matrix' must be 3x3")
        coefficients = np.asarray(required("distortion_coefficients", "D"), dtype=float).reshape(-1).tolist()
        fisheye = value("fisheye") == 1 or value("model", "camera_model") == "fisheye"
        if fisheye and len(coefficients) != 4:
            raise UserError("'distortion_coefficients' of a fisheye must be four: k1 k2 k3 k4")
        if any(coefficients[5:]):
            raise UserError("'distortion_coefficients' must be k1 k2 p1 p2 [k3], further terms are not supported")
        return {
            "model": "kannala_brandt" if fisheye else "pinhole",
            "width": round(numbers(required("image_width"), 0, "image_width")),
            "height": round(numbers(required("image_height"), 0, "image_height")),
            "parameters": {
                **_named("fx fy cx cy", [K[0, 0].item(), K[1, 1].item(), K[0, 2].item(), K[1, 2].item()]),
                **_named("k1 k2 k3 k4" if fisheye else "k1 k2 p1 p2 k3", coefficients[:5]),
            },
            "T_camera_device": value("T_camera_device") or IDENTITY,
        }

    try:
        name = value("camera_name") or path.stem
        return rig_of(path, [str(name)], camera)
    except (cv2.error, SystemError, ValueError) as error:
        raise UserError(f"{path} has a matrix that OpenCV cannot read") from error
    finally:
        storage.release()


def read_kalibr(path: str | Path) -> Rig:
    """Reads a Kalibr camchain: cam0, cam1, … are the views, and cam0's frame is the device frame.

    Models: pinhole with radtan or equidistant (= Kannala-Brandt) or no distortion, and ds (double sphere).

    Raises:
        UserError: a field is missing or wrong, or the model is another.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(text_of(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{path} is not valid YAML") from error
    views = [f"cam{i}" for i in range(len(content))] if isinstance(content, dict) else []
    if not views or not all(isinstance(content.get(view), dict) for view in views):
        raise UserError(
            f"{path} must be a Kalibr camchain with cam0, cam1, … or a FileStorage file of OpenCV, which begins with "
            "%YAML:1.0; write others as a rig file (docs/rig.md)"
        )
    T = torch.eye(4, dtype=torch.float64)

    def camera(view: str) -> dict[str, Any]:
        nonlocal T
        entry = content[view]
        if view != "cam0":
            T = rigid_from_list(field(entry, "T_cn_cnm1"), "'T_cn_cnm1'") @ T
        kind = (field(entry, "camera_model"), entry.get("distortion_model") or "none")
        supported = {
            ("pinhole", "none"): ("pinhole", "fx fy cx cy", ""),
            ("pinhole", "radtan"): ("pinhole", "fx fy cx cy", "k1 k2 p1 p2"),
            ("pinhole", "equidistant"): ("kannala_brandt", "fx fy cx cy", "k1 k2 k3 k4"),
            ("ds", "none"): ("double_sphere", "xi alpha fx fy cx cy", ""),
        }
        if kind not in supported:
            raise UserError(f"'camera_model' {kind[0]} with {kind[1]} is none of pinhole-radtan/equidistant/none, ds")
        model, intrinsics, distortion = supported[kind]
        resolution = numbers(field(entry, "resolution"), 2, "resolution")
        values = numbers(field(entry, "intrinsics"), len(intrinsics.split()), "intrinsics")
        parameters = _named(intrinsics, list(values))
        if distortion:
            coefficients = numbers(field(entry, "distortion_coeffs"), 4, "distortion_coeffs")
            parameters |= _named(distortion, list(coefficients))
        return {
            "model": model,
            "width": round(resolution[0]),
            "height": round(resolution[1]),
            "parameters": parameters,
            "T_camera_device": T.tolist(),
        }

    return rig_of(path, views, camera)


def _named(names: str, values: list[float]) -> dict[str, float]:
    return dict(zip(names.split(), values, strict=False))
