"""Truth for every pixel of a view: depth, segmentation and normals, and the PNG files that hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from egorear.datasets.images import decode_image
from egorear.errors import UserError

KINDS = ("depth", "part", "limb", "normals")
NOTHING = 255  # of part and limb: background, or not the wearer
FARTHEST_M = 65.535  # what 16 bits of millimetres hold


@dataclass(frozen=True)
class ViewMaps:
    """Maps of one view at its image's size; those that were not asked for are none.

    depth_m: distance from the camera's centre along the pixel's ray, metres, inf where there is nothing within 65 m.
    part: `egorear.synth.garments.Part` (skin 0, shirt 1, ...), 255 for floor, walls and sky.
    limb: Ego4View joint (0..15) whose bone carries the wearer's surface, 255 for all else.
    normals: unit, camera frame, outward, smooth as shaded; zero where there is none. They turn from the camera where it
    looks into a sleeve or under a hem (1 to 2 pixels of 100).
    """

    depth_m: Float32[np.ndarray, "H W"] | None = None
    part: UInt8[np.ndarray, "H W"] | None = None
    limb: UInt8[np.ndarray, "H W"] | None = None
    normals: Float32[np.ndarray, "H W 3"] | None = None


def encode_maps(maps: ViewMaps) -> dict[str, bytes]:
    """PNG files by kind: depth in whole millimetres (16 bits, 0: nothing), part and limb as they are (8 bits),
    normals as 128 + 127 n (RGB, black: none)."""
    files = {}
    if maps.depth_m is not None:
        near = np.isfinite(maps.depth_m) & (maps.depth_m <= FARTHEST_M)
        files["depth"] = _png(np.where(near, np.clip(np.rint(1000 * np.where(near, maps.depth_m, 0)), 1, 65535), 0))
    for kind, values in (("part", maps.part), ("limb", maps.limb)):
        if values is not None:
            files[kind] = _png(values)
    if maps.normals is not None:
        levels = np.rint(128 + 127 * np.clip(maps.normals, -1, 1)).astype(np.uint8)
        levels[(maps.normals == 0).all(-1)] = 0
        files["normals"] = _png(levels[..., ::-1])
    return files


def decode_maps(files: Mapping[str, tuple[str, bytes]]) -> ViewMaps:
    """What `encode_maps` made; each file comes with the name by which a user knows it.

    Raises:
        UserError: a file is no PNG of that kind, or two are not of one size.
    """
    arrays = {kind: _DECODERS[kind](*files[kind]) for kind in KINDS if kind in files}
    sizes = {array.shape[:2] for array in arrays.values()}
    if len(sizes) > 1:
        raise UserError(f"{', '.join(name for name, _ in files.values())} must be of one size")
    return ViewMaps(*(arrays.get(kind) for kind in KINDS))


def _png(values: np.ndarray) -> bytes:
    pixels = np.ascontiguousarray(values, dtype=np.uint8 if values.dtype == np.uint8 else np.uint16)
    return cv2.imencode(".png", pixels)[1].tobytes()


def _pixels(name: str, data: bytes, dtype: Any, channels: int) -> np.ndarray:
    pixels = decode_image(name, data, cv2.IMREAD_UNCHANGED)
    if pixels.dtype != dtype or (1 if pixels.ndim == 2 else pixels.shape[2]) != channels:
        bits = 8 * np.dtype(dtype).itemsize
        raise UserError(f"{name} must be a PNG image of {channels} x {bits} bits a pixel")
    return pixels


def _depth(name: str, data: bytes) -> Float32[np.ndarray, "H W"]:
    millimetres = _pixels(name, data, np.uint16, 1)
    return np.where(millimetres > 0, millimetres / np.float32(1000), np.float32(np.inf)).astype(np.float32)


def _part(name: str, data: bytes) -> UInt8[np.ndarray, "H W"]:
    return _pixels(name, data, np.uint8, 1)


def _limb(name: str, data: bytes) -> UInt8[np.ndarray, "H W"]:
    limb = _pixels(name, data, np.uint8, 1)
    if ((limb > 15) & (limb != NOTHING)).any():
        raise UserError(f"{name} must hold joints 0 to 15, or 255 for what is not the wearer")
    return limb


def _normals(name: str, data: bytes) -> Float32[np.ndarray, "H W 3"]:
    levels = _pixels(name, data, np.uint8, 3)[..., ::-1].astype(np.float32)
    length = np.linalg.norm(normals := (levels - 128) / 127, axis=-1, keepdims=True)
    return np.where((levels == 0).all(-1, keepdims=True), 0, normals / np.maximum(length, 1e-6)).astype(np.float32)


_DECODERS = {"depth": _depth, "part": _part, "limb": _limb, "normals": _normals}
