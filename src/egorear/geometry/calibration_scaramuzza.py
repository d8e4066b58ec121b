"""Calibrations that are published as Scaramuzza's polynomials: Ego4View's, EgoPW's and SceneEgo's, EgoCap's."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from egorear.errors import UserError
from egorear.files import read_json
from egorear.geometry.calibration_rig import IDENTITY, field, rig_of, text_of
from egorear.geometry.cameras import DISAGREEMENT_PX, polynomial, polynomial_and_slope
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.geometry.rig_file import numbers

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

Polynomial = tuple[float, ...]
"""Coefficients, lowest order first."""


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
        if view not in places and "T_camera_device" not in entry:
            raise UserError(f"'T_camera_device' is missing, and only {', '.join(places)} have a nominal place")
        T = entry.get("T_camera_device") or places[view]["T_camera_device"]
        return {**_lens(entry, field(entry, "image_center"), affine=False), "T_camera_device": T}

    return rig_of(path, order, camera)


def read_egopw(path: str | Path, affine: bool = False) -> Rig:
    """Reads the calibration of the one camera of EgoPW, SceneEgo and Mo2Cap2 (`fisheye.calibration*.json` of SceneEgo's
    release, `fisheye.json` of AG-EgoPose's) as view `front`; the device frame is the camera's.

    The centre stands in `intrinsic`, whose focal lengths mean nothing. The field of view ends where the polynomial
    reaches `imageCircleRadius`. affine: whether to apply the published `affine`, as OCamCalib means it; the published
    projections leave it out (it is the identity to 3e-4).

    Raises:
        UserError: a field is missing or wrong.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} must be an object")

    def camera(_: str) -> dict[str, Any]:
        matrix = field(content, "intrinsic")
        if not isinstance(matrix, list) or len(matrix) not in (3, 4):
            raise UserError("'intrinsic' must be 3x3 or 4x4 numbers")
        rows = [numbers(row, len(matrix), "intrinsic") for row in matrix]
        return {**_lens(content, [rows[0][2], rows[1][2]], affine), "T_camera_device": IDENTITY}

    return rig_of(path, ["front"], camera)


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
                **_with_affine(ocam["cam_to_world"], ocam["world_to_cam"], ocam["affine"]),
            },
            "T_camera_device": IDENTITY if view == "front_left" else T.tolist(),
        }

    return rig_of(folder, list(OCAM_TEXTS), camera, "egocap")


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
    lines = text_of(path).splitlines()
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
        name: numbers(field(content, key), counts[name], key) for name, key in {**fields, "affine": "affine"}.items()
    }


def _lens(entry: dict[str, Any], center: Any, affine: bool) -> dict[str, Any]:
    """The fields of a rig file's camera but its place, from `size`, `imageCircleRadius` and the two polynomials."""
    size = numbers(field(entry, "size"), 2, "size")
    cam_to_world, world_to_cam = (numbers(field(entry, name), -1, name) for name in ("polynomialC2W", "polynomialW2C"))
    circle = numbers(field(entry, "imageCircleRadius"), 0, "imageCircleRadius")
    _check_order(cam_to_world, world_to_cam, circle)
    parameters = {"cam_to_world": list(cam_to_world), "world_to_cam": list(world_to_cam)}
    if affine:
        parameters = _with_affine(cam_to_world, world_to_cam, numbers(field(entry, "affine"), 3, "affine"))
    return {
        "model": "scaramuzza",
        "width": round(size[0]),
        "height": round(size[1]),
        "max_angle_deg": _angle_deg_at_radius(world_to_cam, circle),
        "parameters": {"center": center, **parameters},
    }


def _with_affine(
    cam_to_world: Polynomial, world_to_cam: Polynomial, affine: tuple[float, float, float]
) -> dict[str, list[float]]:
    """Parameters of our model that do what OCamCalib's do. Its affine has rows first: row = c·x + d·y,
    column = e·x + y; ours has 1 where that has c."""
    c, d, e = affine
    if not abs(c - 1) < 0.5:
        raise UserError("'affine' must be c d e with c near 1")
    return {
        "cam_to_world": [a * c ** (1 - power) for power, a in enumerate(cam_to_world)],
        "world_to_cam": [a * c for a in world_to_cam],
        "affine": [1 / c, e / c, d / c],
    }


def _check_order(cam_to_world: Polynomial, world_to_cam: Polynomial, circle: float) -> None:
    """Refuses polynomials that are each other's inverse only if they are read in another order, and tells which."""
    back, forth = cam_to_world[::-1], world_to_cam[::-1]
    readings = {
        "": (cam_to_world, world_to_cam),
        "'polynomialC2W' and 'polynomialW2C' are swapped": (world_to_cam, cam_to_world),
        "'polynomialC2W' is reversed": (back, world_to_cam),
        "'polynomialW2C' is reversed": (cam_to_world, forth),
        "'polynomialC2W' and 'polynomialW2C' are reversed": (back, forth),
        "'polynomialC2W' and 'polynomialW2C' are swapped and reversed": (forth, back),
    }
    radii = np.linspace(0.0, circle, 256)
    for fault, (inverse, forward) in readings.items():
        with np.errstate(all="ignore"):
            angles = np.arctan2(radii, -polynomial(inverse, radii)) - math.pi / 2
            apart = np.abs(polynomial(forward, angles) - radii).max()
        if apart <= DISAGREEMENT_PX:
            if fault:
                raise UserError(f"{fault}: they must be cam to world and world to cam, lowest order first")
            return


def _angle_deg_at_radius(world_to_cam: Polynomial, radius: float) -> float:
    """Degrees from the axis at which Σ c_i (angle - 90°)^i first reaches a radius; 180 if it never does."""
    angles = np.linspace(0.0, math.pi, 2**16)
    radii, _ = polynomial_and_slope(world_to_cam, angles - math.pi / 2)
    reached = np.flatnonzero(radii >= radius)
    end = min(int(reached[0]) if reached.size else len(angles) - 1, len(angles) - 1)
    start = max(end - 1, 0)
    angle = np.interp(radius, radii[start : end + 1], angles[start : end + 1])
    return round(math.degrees(float(angle)), 6)
