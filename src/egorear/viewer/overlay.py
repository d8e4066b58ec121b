"""Draws a pose into the pictures of every camera: a bone is straight in space, hence a curve under a fisheye."""

import math
from collections.abc import Mapping

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from egorear.geometry.cameras import Camera
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW, Skeleton

SIDES = {"left": (255, 138, 61), "right": (64, 178, 255), "middle": (255, 221, 87)}  # RGB
TRUTH = (120, 255, 150)
INK = (18, 20, 24)
PAPER = (245, 246, 248)
POINTS_PER_BONE = 24
SHIFT = 4  # bits of sub-pixel position in OpenCV's drawing calls
FONT = cv2.FONT_HERSHEY_DUPLEX

Picture = UInt8[np.ndarray, "H W 3"]


def side_of(skeleton: Skeleton, joint: int) -> str:
    """ "left", "right" (the wearer's) or "middle"."""
    return next((side for side in ("left", "right") if skeleton.names[joint].lower().startswith(side)), "middle")


def side_of_bone(skeleton: Skeleton, bone: tuple[int, int]) -> str:
    """The side both ends share, else that of the end that has one; "middle" where they differ."""
    sides = {side_of(skeleton, joint) for joint in bone} - {"middle"}
    return sides.pop() if len(sides) == 1 else "middle"


def draw_views(
    images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    rig: Rig,
    predicted: Float[Tensor, "J 3"],
    truth: Float[Tensor, "J 3"] | None = None,
    skeleton: Skeleton = EGO4VIEW,
    tile: int = 480,
    title: str = "",
) -> Picture:
    """One picture of all views, names written in: the predicted pose in the colours of its sides, the true one as a
    thin green line.

    images: RGB by view, of the rig's views and aspect ratios. predicted, truth: metres, device frame.
    tile: height of each view in pixels. title: written at the top, beside the colours' meaning.
    """
    tiles = []
    for index, view in enumerate(rig.views):
        camera = rig.cameras[view]
        camera = camera.resized(round(tile * camera.width / camera.height), tile)
        picture = draw_view(images[view], camera, rig.T_camera_device[index], predicted, truth, skeleton)
        _label(picture, view.replace("_", " "))
        tiles.append(picture)
    sheet = grid(tiles, columns=math.ceil(math.sqrt(len(tiles))))
    return np.concatenate((_legend(sheet.shape[1], title, truth is not None), sheet))


def draw_view(
    image: UInt8[np.ndarray, "_ _ 3"],
    camera: Camera,
    T_camera_device: Float[Tensor, "4 4"],
    predicted: Float[Tensor, "J 3"],
    truth: Float[Tensor, "J 3"] | None = None,
    skeleton: Skeleton = EGO4VIEW,
) -> Picture:
    """One view as in `draw_views`, without its name: a new picture of the camera's size."""
    picture = _resized(image, camera.width, camera.height)
    T = T_camera_device.float().cpu()
    if truth is not None:
        _draw_pose(picture, camera, T, truth.cpu(), skeleton, is_truth=True)
    _draw_pose(picture, camera, T, predicted.cpu(), skeleton)
    return picture


def bone_curves(
    camera: Camera, T_camera_device: Float[Tensor, "4 4"], joints: Float[Tensor, "J 3"], skeleton: Skeleton
) -> tuple[Float[Tensor, "bones points 2"], Bool[Tensor, "bones points"]]:
    """Where a camera sees `POINTS_PER_BONE` points along each of the skeleton's bones (pixels), and whether it can."""
    seen = joints @ T_camera_device[:3, :3].T + T_camera_device[:3, 3]
    ends = torch.tensor(skeleton.bones)
    start, end = seen[ends[:, 0], None], seen[ends[:, 1], None]
    return camera.project(start + torch.linspace(0, 1, POINTS_PER_BONE)[:, None] * (end - start))


def grid(pictures: list[UInt8[np.ndarray, "_ _ 3"]], columns: int, gap: int = 4) -> Picture:
    """Pictures side by side and row below row, in cells of the largest one's size."""
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), INK, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def _draw_pose(
    picture: Picture,
    camera: Camera,
    T_camera_device: Float[Tensor, "4 4"],
    joints: Float[Tensor, "J 3"],
    skeleton: Skeleton,
    is_truth: bool = False,
) -> None:
    """Bones, then (for a prediction) joints, in place. What the lens cannot see is left out."""
    unit = camera.height / 480
    thick, thin = max(1, round(3.2 * unit)), max(1, round(1.6 * unit))
    curves = []
    for bone, pixels, valid in zip(
        skeleton.bones, *bone_curves(camera, T_camera_device, joints, skeleton), strict=True
    ):
        curves.append((pixels.numpy(), valid.numpy(), TRUTH if is_truth else SIDES[side_of_bone(skeleton, bone)]))
    # All dark rims first, so that no bone's rim cuts another bone.
    for pixels, valid, _ in curves:
        _polyline(picture, pixels, valid, INK, (thin if is_truth else thick) + max(2, round(2 * unit)))
    for pixels, valid, color in curves:
        _polyline(picture, pixels, valid, color, thin if is_truth else thick)
    if is_truth:
        return
    pixels, valid = camera.project(joints @ T_camera_device[:3, :3].T + T_camera_device[:3, 3])
    centers = _fixed(pixels.numpy())
    for joint in torch.nonzero(valid).flatten().tolist():
        for radius, color in ((6.0, INK), (5.0, PAPER), (3.4, SIDES[side_of(skeleton, joint)])):
            cv2.circle(picture, centers[joint], round(radius * unit * 2**SHIFT), color, -1, cv2.LINE_AA, SHIFT)


def _polyline(
    picture: Picture, pixels: Float[np.ndarray, "N 2"], valid: Bool[np.ndarray, "N"], color, thickness: int
) -> None:
    """The curve through the valid points, broken where they are not."""
    points = _fixed(pixels)
    for start, end, drawn in zip(points[:-1], points[1:], valid[:-1] & valid[1:], strict=True):
        if drawn:
            cv2.line(picture, start, end, color, thickness, cv2.LINE_AA, SHIFT)


def _fixed(pixels: Float[np.ndarray, "N 2"]) -> list[list[int]]:
    """In OpenCV's fixed point numbers of `SHIFT` bits."""
    return np.rint(np.clip(pixels, -1e5, 1e5) * 2**SHIFT).astype(int).tolist()


def _resized(image: UInt8[np.ndarray, "_ _ 3"], width: int, height: int) -> Picture:
    how = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=how).astype(np.uint8))


def _label(picture: Picture, text: str) -> None:
    scale = picture.shape[0] / 480
    (width, height), _ = cv2.getTextSize(text, FONT, 0.55 * scale, 1)
    pad = round(8 * scale)
    corner = picture[: height + 2 * pad, : width + 2 * pad]
    corner[:] = (0.35 * corner + 0.65 * np.array(INK)).astype(np.uint8)
    cv2.putText(picture, text, (pad, height + pad), FONT, 0.55 * scale, PAPER, 1, cv2.LINE_AA)


def _legend(width: int, title: str, with_truth: bool) -> Picture:
    """The strip above the views: title to the left, what the colours mean to the right."""
    scale = min(1.0, width / 900)
    height = max(20, round(36 * scale))
    strip = np.full((height, width, 3), INK, np.uint8)
    base = round(height * 0.66)
    entries = [(name, color) for name, color in SIDES.items() if name != "middle"]
    entries += [("truth", TRUTH)] if with_truth else []
    x = width - round(10 * scale)
    for name, color in reversed(entries):
        x -= cv2.getTextSize(name, FONT, 0.5 * scale, 1)[0][0]
        cv2.putText(strip, name, (x, base), FONT, 0.5 * scale, PAPER, 1, cv2.LINE_AA)
        x -= round(32 * scale)
        thickness = max(1, round((2 if name == "truth" else 4) * scale))
        cv2.line(strip, (x, height // 2), (x + round(22 * scale), height // 2), color, thickness, cv2.LINE_AA)
        x -= round(18 * scale)
    room = x - round(10 * scale)
    while title and cv2.getTextSize(title, FONT, 0.5 * scale, 1)[0][0] > room:
        title = title[1:]  # the end of a frame's name tells more than its start
    cv2.putText(strip, title, (round(10 * scale), base), FONT, 0.5 * scale, PAPER, 1, cv2.LINE_AA)
    return strip
