"""A recording as one HTML page that needs nothing else: no network, no server, no installed viewer.

The page's own files are in `page/`; this module puts them and the recording's data into one. Numbers go in as base64 of
little-endian float32, so that they are exactly those of the poses; everything else as JSON.
"""

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
import torch

from egorear.files import write_text
from egorear.geometry.cameras import Camera
from egorear.geometry.transforms import invert_rigid
from egorear.viewer.overlay import SIDES, TRUTH, draw_view, side_of, side_of_bone
from egorear.viewer.scene import Images, Picture, Pictures, Scene, within_budget

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("recording.js", "orbit.js", "space.js", "timeline.js", "main.js")
TILE_PX = 240
JPEG_QUALITY = 70
SCHEMA = "egorear-view"
VERSION = 1
UNITS = "metres, seconds, device frame: x right, y backward, z down"


def write_page(
    path: str | Path,
    scene: Scene,
    title: str,
    picture_bytes: int = 0,
    progress: Callable[[Pictures], Iterable[Picture]] = iter,
) -> list[int]:
    """Writes the page atomically and returns the frames that have pictures.

    picture_bytes: of the file, to be spent on pictures at most. progress: wraps the pictures while
    they are read.

    Raises:
        UserError: the file cannot be written, or a picture cannot be read.
    """
    pictures = {}
    if scene.pictures is not None and scene.rig is not None and picture_bytes:
        cameras = {
            view: camera.resized(round(TILE_PX * camera.width / camera.height), TILE_PX)
            for view, camera in scene.rig.cameras.items()
        }
        shown = progress(scene.pictures)
        pictures = within_budget(shown, lambda frame, images: _tiles(scene, cameras, frame, images), picture_bytes)
    content = _content(scene, title) | {"pictures": pictures}
    write_text(path, _document(title, content))
    return list(pictures)


def _document(title: str, content: dict[str, Any]) -> str:
    style = (PAGE / "page.css").read_text(encoding="utf-8")
    scripts = "\n".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{scripts}}})();\n'
    # Frame names and the like are a stranger's: no "<" of theirs reaches the HTML parser, and nothing that is not one
    # of these two texts is run or fetched.
    data = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    policy = f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    return Template((PAGE / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(title), policy=policy, style=style, script=script, data=data
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _content(scene: Scene, title: str) -> dict[str, Any]:
    """Everything but the pictures, as page/recording.js reads it."""
    poses, skeleton = scene.poses, scene.skeleton
    places = {id(rig): place for place, rig in enumerate(scene.distinct_rigs)}
    T_device_camera = [invert_rigid(rig.T_camera_device.double().cpu()).numpy() for rig in scene.distinct_rigs]
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "units": UNITS,
        "title": title,
        "model_id": poses.model_id,
        "rig_hash": poses.rig_hash,
        "frame_names": poses.frame_names,
        "timestamps": poses.timestamps.tolist(),
        "joint_names": poses.joint_names,
        "sides": [side_of(skeleton, joint) for joint in range(len(skeleton))],
        "bones": [[*bone, side_of_bone(skeleton, bone)] for bone in skeleton.bones],
        "colors": {name: "#{:02x}{:02x}{:02x}".format(*color) for name, color in {**SIDES, "truth": TRUTH}.items()},
        "joints": _floats(poses.joints),
        "confidence": _floats(poses.confidence),
        "truth": None if scene.truth is None else _floats(scene.truth),
        "errors_mm": None if scene.errors_mm is None else _floats(scene.errors_mm),
        "floor_m": scene.floor_m,
        "lenses": [{"view": view, "outline": rays.round(4).tolist()} for view, rays in scene.outlines.items()],
        "T_device_camera": _floats(T_device_camera),
        "rig_of_frame": [-1 if rig is None else places[id(rig)] for rig in scene.rigs],
    }


def _floats(values: np.ndarray | Sequence[np.ndarray]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def _tiles(scene: Scene, cameras: dict[str, Camera], frame: int, images: Images) -> dict[str, str]:
    """The frame's views with the pose drawn in, as data URIs of JPEGs."""
    rig = scene.rigs[frame]
    if rig is None:
        return {}
    predicted = torch.from_numpy(scene.poses.joints[frame])
    truth = None if scene.truth is None else torch.from_numpy(scene.truth[frame])
    tiles = {}
    for (view, camera), T in zip(cameras.items(), rig.T_camera_device, strict=True):
        picture = draw_view(images[view], camera, T, predicted, truth, scene.skeleton)
        data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1]
        tiles[view] = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
    return tiles
