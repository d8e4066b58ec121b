"""Calibration files of other tools, read as rigs.

Each reader rewrites its file as the content of a rig file and hands that to `Rig.from_dict`, so that every
calibration passes the same checks. Which field goes where: docs/rig.md.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from egorear.errors import UserError
from egorear.files import read_bytes, read_json
from egorear.geometry.cameras import polynomial_and_slope
from egorear.geometry.rig import SCHEMA, SHIPPED, VERSION, Rig, ego4view_syn, shipped
from egorear.geometry.rig_file import numbers, rigid_from_list

TEXT_LIMIT_BYTES = 2**20
IDENTITY = np.eye(4).tolist()
OCAM_TEXTS = {"front_left": "stereo_c00_f_calibration.txt", "front_right": "stereo_c01_f_calibration.txt"}
PREPROCESSED = {"front_left": "fisheye.calibration_left.json", "front_right": "fisheye.calibration_right.json"}
EGOCAP_SIDE = 1024  # pixels of the square that is kept of 1280x1024
EGOCAP_CIRCLE_PX = 512.0
# Camera 0's points to camera 1's (mm), depth backwards, as the release states it.
EGOCAP_T_1_0 = (
    (-0.6811572770603570, -0.1978935067001849, -0.7048850430485982, -23.69619435605097),
    (-0.1823782681785945, -0.8865639851773102, 0.4251381745770462, 473.5684810307217),
    (-0.7090577770562122, 0.4181416747855088, 0.5677980350473865, 16.99215408061096),
    (0.0, 0.0, 0.0, 1.0),
)


def read_rig(path: str | Path) -> Rig:
    """Reads a rig file, an Ego4View, EgoCap, OpenCV or Kalibr calibration, whichever it is, or a shipped rig by name.

    Raises:
        UserError: the file is unreadable, of no known kind, or its calibration is refused.
    """
    path = Path(path)
    if str(path) in SHIPPED:
        return shipped(str(path))
    if path.is_dir():
        return read_egocap(path) if (path / OCAM_TEXTS["front_left"]).exists() else read_ego4view(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_opencv_yaml(path) if _text(path).startswith("%YAML") else read_kalibr(path)
    content = read_json(path)
    return Rig.load(path) if isinstance(content, dict) and "schema" in content else read_ego4view(path)


def read_ego4view(path: str | Path) -> Rig:
    """Reads the Scaramuzza calibrations published with Ego4View: one JSON file with an object per camera, one file
    of a single camera, or a folder of such files.

    The field of view ends where the polynomial reaches `imageCircleRadius`. The published `affine` is left out, as in
    the published networks. A camera without `T_camera_device` (4x4, metres) takes the nominal place of its view.

    Raises:
        UserError: a field is missing or wrong, or a view without extrinsics is not one of the four of Ego4View.
    """
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    found: dict[str, Any] = {}
    for file in files:
        content = read_json(file)
        if isinstance(content, dict) and "polynomialW2C" in content:
            content = {str(content.get("name") or file.stem): content}
        if not isinstance(content, dict):
            raise UserError(f"{file} must hold an object per camera")
        found |= {name: entry for name, entry in content.items() if isinstance(entry, dict)}
    views = {name.removeprefix("camera_").removesuffix("_scaramuzza"): entry for name, entry in found.items()}
    nominal = ego4view_syn()
    order = [*(view for view in nominal.views if view in views), *(v for v in views if v not in nominal.views)]
    places = dict(zip(nominal.views, nominal.to_dict()["cameras"], strict=True))

    def camera(view: str) -> dict[str, Any]:
        entry = views[view]
        size = numbers(_field(entry, "size"), 2, "size")
        world_to_cam = numbers(_field(entry, "polynomialW2C"), -1, "polynomialW2C")
        circle = numbers(_field(entry, "imageCircleRadius"), 0, "imageCircleRadius")
        if view not in places and "T_camera_device" not in entry:
            raise UserError(f"'T_camera_device' is missing, and only {', '.join(places)} have a nominal place")
        return {
            "model": "scaramuzza",
            "width": round(size[0]),
            "height": round(size[1]),
            "max_angle_deg": _angle_deg_at_radius(world_to_cam, circle),
            "parameters": {
                "center": _field(entry, "image_center"),
                "cam_to_world": _field(entry, "polynomialC2W"),
                "world_to_cam": list(world_to_cam),
            },
            "T_camera_device": entry.get("T_camera_device") or places[view]["T_camera_device"],
        }

    return _rig(path, order, camera)


def read_egocap(folder: str | Path) -> Rig:
    """Reads the stereo rig of EgoCap (Rhodin et al., SIGGRAPH Asia 2016): cameras 0 and 1 as `front_left` and
    `front_right`, cropped to the square that `egocap_column` tells. The device frame is camera 0's.

    From OCamCalib's text files as published, or from the JSON files that EgoTAP's preprocessing writes, which are
    cropped already. The field of view ends at a radius of 512 px. Of the extrinsics only the constant in EgoTAP's
    release is known: it has the depth axis backwards, hence is conjugated by diag(1, 1, -1).

    Raises:
        UserError: a file or field is missing or wrong.
    """
    folder = Path(folder)
    published = (folder / OCAM_TEXTS["front_left"]).exists()

    def camera(view: str) -> dict[str, Any]:
        if published:
            ocam = _ocam_text(folder / OCAM_TEXTS[view])
            row, column = ocam["center"]
            column -= _square_column(ocam)
        else:
            ocam = _ocam_json(folder / PREPROCESSED[view])
            row, column = ocam["center"]
        # OCamCalib's affine has rows first: row = c·x + d·y, column = e·x + y. Ours has 1 where that has c.
        c, d, e = ocam["affine"]
        flip = np.diag((1.0, 1.0, -1.0, 1.0))
        T = flip @ np.array(EGOCAP_T_1_0) @ flip
        T[:3, 3] /= 1000
        return {
            "model": "scaramuzza",
            "width": EGOCAP_SIDE,
            "height": EGOCAP_SIDE,
            "max_angle_deg": _angle_deg_at_radius(ocam["world_to_cam"], EGOCAP_CIRCLE_PX),
            "parameters": {
                "center": [column, row],
                "cam_to_world": [a * c ** (1 - power) for power, a in enumerate(ocam["cam_to_world"])],
                "world_to_cam": [a * c for a in ocam["world_to_cam"]],
                "affine": [1 / c, e / c, d / c],
            },
            "T_camera_device": IDENTITY if view == "front_left" else T.tolist(),
        }

    return _rig(folder, list(OCAM_TEXTS), camera, "egocap")


def egocap_column(path: str | Path) -> int:
    """The first of the 1024 columns, of 1280, that are kept around the centre of an EgoCap camera, from its OCamCalib
    text file; even, as the published pictures have half the resolution.

    Raises:
        UserError: the file is missing or wrong, or the square leaves the image.
    """
    try:
        return _square_column(_ocam_text(Path(path)))
    except UserError as error:
        raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def _square_column(ocam: dict[str, Any]) -> int:
    column = 2 * math.trunc(ocam["center"][1] / 2) - EGOCAP_SIDE // 2
    if ocam["size"][0] != EGOCAP_SIDE or not 0 <= column <= ocam["size"][1] - EGOCAP_SIDE:
        raise UserError(
            f"'size' is {ocam['size'][1]:g}x{ocam['size'][0]:g} and 'center' {ocam['center'][1]:g}, but a square of "
            f"{EGOCAP_SIDE} px around the centre must fit into the image"
        )
    return column


def _ocam_text(path: Path) -> dict[str, Any]:
    """The numbers of a calib_results.txt of OCamCalib: rows before columns, polynomials lowest order first."""
    lines = _text(path).splitlines()
    found: dict[str, Any] = {}
    # Of five paragraphs the third line has the numbers; polynomials begin with how many they are.
    for place, (name, count) in zip(
        (2, 6, 10, 14, 18),
        {"cam_to_world": -1, "world_to_cam": -1, "center": 2, "affine": 3, "size": 2}.items(),
        strict=True,
    ):
        try:
            values = [float(word) for word in lines[place].split()]
            if count < 0:
                values = values[1:] if values[:1] == [len(values) - 1] else []
            found[name] = numbers(values, count, name)
        except (IndexError, ValueError, UserError) as error:
            what = "a count and as many" if count < 0 else str(count)
            raise UserError(f"{path}: line {place + 1} must be '{name}', {what} finite numbers") from error
    if not abs(found["affine"][0] - 1) < 0.5:
        raise UserError(f"{path}: line 15 must be 'affine' c d e with c near 1")
    return found


def _ocam_json(path: Path) -> dict[str, Any]:
    content = read_json(path)
    fields = {"cam_to_world": "polynomialC2W", "world_to_cam": "polynomialW2C", "center": "image_center"}
    counts = {"cam_to_world": -1, "world_to_cam": -1, "center": 2, "affine": 3}
    if not isinstance(content, dict):
        raise UserError(f"{path} must be an object")
    return {
        name: numbers(_field(content, field), counts[name], field)
        for name, field in {**fields, "affine": "affine"}.items()
    }


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
        storage = cv2.FileStorage(_text(path), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
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
        return _rig(path, [str(name)], camera)
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
        content = yaml.safe_load(_text(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{path} is not valid YAML") from error
    views = [f"cam{i}" for i in range(len(content))] if isinstance(content, dict) else []
    if not views or not all(isinstance(content.get(view), dict) for view in views):
        raise UserError(f"{path} must be a Kalibr camchain with cam0, cam1, …")
    T = torch.eye(4, dtype=torch.float64)

    def camera(view: str) -> dict[str, Any]:
        nonlocal T
        entry = content[view]
        if view != "cam0":
            T = rigid_from_list(_field(entry, "T_cn_cnm1"), "'T_cn_cnm1'") @ T
        kind = (_field(entry, "camera_model"), entry.get("distortion_model") or "none")
        supported = {
            ("pinhole", "none"): ("pinhole", "fx fy cx cy", ""),
            ("pinhole", "radtan"): ("pinhole", "fx fy cx cy", "k1 k2 p1 p2"),
            ("pinhole", "equidistant"): ("kannala_brandt", "fx fy cx cy", "k1 k2 k3 k4"),
            ("ds", "none"): ("double_sphere", "xi alpha fx fy cx cy", ""),
        }
        if kind not in supported:
            raise UserError(f"'camera_model' {kind[0]} with {kind[1]} is none of pinhole-radtan/equidistant/none, ds")
        model, intrinsics, distortion = supported[kind]
        resolution = numbers(_field(entry, "resolution"), 2, "resolution")
        values = numbers(_field(entry, "intrinsics"), len(intrinsics.split()), "intrinsics")
        parameters = _named(intrinsics, list(values))
        if distortion:
            coefficients = numbers(_field(entry, "distortion_coeffs"), 4, "distortion_coeffs")
            parameters |= _named(distortion, list(coefficients))
        return {
            "model": model,
            "width": round(resolution[0]),
            "height": round(resolution[1]),
            "parameters": parameters,
            "T_camera_device": T.tolist(),
        }

    return _rig(path, views, camera)


def _rig(path: Path, views: list[str], camera: Callable[[str], dict[str, Any]], name: str | None = None) -> Rig:
    """The rig of these views, each told as a rig file would by `camera`; every error names file and camera."""
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


def _field(entry: dict[str, Any], name: str) -> Any:
    if name not in entry:
        raise UserError(f"'{name}' is missing")
    return entry[name]


def _named(names: str, values: list[float]) -> dict[str, float]:
    return dict(zip(names.split(), values, strict=False))


def _angle_deg_at_radius(world_to_cam: tuple[float, ...], radius: float) -> float:
    """Degrees from the axis at which Σ c_i (angle - 90°)^i first reaches a radius; 180 if it never does."""
    angles = np.linspace(0.0, math.pi, 2**16)
    radii, _ = polynomial_and_slope(world_to_cam, angles - math.pi / 2)
    reached = np.flatnonzero(radii >= radius)
    end = min(int(reached[0]) if reached.size else len(angles) - 1, len(angles) - 1)
    start = max(end - 1, 0)
    angle = np.interp(radius, radii[start : end + 1], angles[start : end + 1])
    return round(math.degrees(float(angle)), 6)


def _text(path: Path) -> str:
    try:
        return read_bytes(path, TEXT_LIMIT_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file") from error
