"""A recording for the Rerun viewer: written to a file, and shown.

Rerun knows no fisheye, so that the poses in the pictures are projected here, by our own cameras (rerun issue 2315).
"""

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import rerun as rr  # pyright: ignore[reportMissingImports]
import rerun.blueprint as rrb  # pyright: ignore[reportMissingImports]
import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.files import atomic_write
from egorear.geometry.cameras import Camera
from egorear.geometry.rig import Rig
from egorear.geometry.transforms import invert_rigid
from egorear.viewer.overlay import SIDES, TRUTH, bone_curves, side_of, side_of_bone
from egorear.viewer.scene import Images, Picture, Pictures, Scene, within_budget

APPLICATION = "egorear"
TILE_PX = 480
JPEG_QUALITY = 85
LENS_M, BONE_M, JOINT_M = 0.09, 0.011, 0.018
LENS_COLOR = (185, 167, 255)
AXIS_COLORS = ((255, 107, 107), (105, 219, 124), (116, 169, 255))


def write_rerun(
    path: str | Path,
    scene: Scene,
    title: str,
    picture_bytes: int = 0,
    progress: Callable[[Pictures], Iterable[Picture]] = iter,
) -> list[int]:
    """Writes a recording (.rrd) atomically and returns the frames that have pictures.

    picture_bytes: to be spent on pictures at most. progress: wraps the pictures while they are read.

    Raises:
        UserError: the file cannot be written, or a picture cannot be read.
    """
    pictures: dict[int, Mapping[str, bytes]] = {}
    cameras = {} if scene.rig is None else {view: _sized(camera) for view, camera in scene.rig.cameras.items()}
    if scene.pictures is not None and cameras and picture_bytes:
        _, first = next(iter(scene.pictures))
        cameras = {view: _sized(cameras[view], len(image)) for view, image in first().items() if view in cameras}
        pictures = within_budget(progress(scene.pictures), lambda _, images: _jpegs(cameras, images), picture_bytes)
    stream = rr.RecordingStream(APPLICATION)
    with atomic_write(path) as temporary:
        stream.save(temporary)
        _log(stream, scene, title, cameras, pictures)
        stream.disconnect()
    return list(pictures)


def show_rerun(path: str | Path) -> None:
    """Opens a recording in Rerun's viewer and waits until its window is closed.

    Raises:
        UserError: the window does not open, as where there is no screen.
    """
    # The viewer listens for more recordings: on this machine only, not on every network as it would by itself. A new
    # one, since handing the file to one that is open would not wait.
    done = subprocess.run([sys.executable, "-m", "rerun_cli", "--new", "--bind", "127.0.0.1", str(path)])
    if done.returncode:
        raise UserError("Rerun's viewer does not open here (see above); give --out FILE.html or FILE.rrd")


def _log(
    stream: rr.RecordingStream,
    scene: Scene,
    title: str,
    cameras: dict[str, Camera],
    pictures: dict[int, Mapping[str, bytes]],
) -> None:
    stream.send_recording_name(title)
    stream.send_blueprint(_blueprint(list(cameras), scene.truth is not None))
    stream.log("device", rr.ViewCoordinates.RBD, static=True)  # x right, y back, z down
    axes = rr.Arrows3D(vectors=0.2 * np.eye(3), colors=AXIS_COLORS, labels=["x right", "y back", "z down"])
    stream.log("device/axes", axes, static=True)
    shown = None
    for frame, timestamp in enumerate(scene.poses.timestamps):
        stream.set_time("frame", sequence=frame)
        stream.set_time("time", duration=float(timestamp))
        stream.log("name", rr.TextDocument(scene.poses.frame_names[frame]))
        _log_poses(stream, scene, frame)
        if (rig := scene.rigs[frame]) is None:
            for each in ("device/cameras", "views"):
                stream.log(each, rr.Clear(recursive=True))
        elif rig is not shown:
            _log_cameras(stream, scene, rig)
        if rig is not None and (frame in pictures or not pictures):  # no pose over the picture of another frame
            _log_views(stream, scene, frame, rig, cameras, pictures.get(frame, {}))
        shown = rig


def _log_poses(stream: rr.RecordingStream, scene: Scene, frame: int) -> None:
    """Both poses in space; confidence and error as curves over time."""
    skeleton, poses = scene.skeleton, scene.poses
    colors = [SIDES[side_of(skeleton, joint)] for joint in range(len(skeleton))]
    bones = [SIDES[side_of_bone(skeleton, bone)] for bone in skeleton.bones]
    joints = poses.joints[frame]
    spots = rr.Points3D(joints, colors=colors, radii=JOINT_M, labels=poses.joint_names, show_labels=False)
    stream.log("device/pose/joints", spots)
    ends = np.array(skeleton.bones)
    stream.log("device/pose/bones", rr.LineStrips3D(joints[ends], colors=bones, radii=BONE_M))
    stream.log("curves/mean_confidence", rr.Scalars(float(poses.confidence[frame].mean())))
    if scene.truth is None or scene.errors_mm is None:
        return
    truth, errors = scene.truth[frame], scene.errors_mm[frame]
    strips = truth[ends]
    known = strips[np.isfinite(strips).all((1, 2))]
    stream.log("device/truth", rr.LineStrips3D(known, colors=[TRUTH], radii=BONE_M / 3))
    if np.isfinite(errors).any():
        stream.log("curves/mean_error_mm", rr.Scalars(float(np.nanmean(errors))))


def _log_cameras(stream: rr.RecordingStream, scene: Scene, rig: Rig) -> None:
    """What each lens sees: rays around it, 9 cm long, and its axis."""
    T_device_camera = invert_rigid(rig.T_camera_device.double().cpu()).numpy()
    for (view, rays), T in zip(scene.outlines.items(), T_device_camera, strict=True):
        rim = LENS_M * rays
        strips = [np.concatenate((rim, rim[:1])), np.array([[0, 0, 0], [0, 0, 1.6 * LENS_M]])]
        strips += [np.stack((np.zeros(3), ray)) for ray in rim[::6]]
        placed = [strip @ T[:3, :3].T + T[:3, 3] for strip in strips]
        stream.log(["device", "cameras", view], rr.LineStrips3D(placed, colors=[LENS_COLOR], radii=0.0015))


def _log_views(
    stream: rr.RecordingStream,
    scene: Scene,
    frame: int,
    rig: Rig,
    cameras: dict[str, Camera],
    jpegs: Mapping[str, bytes],
) -> None:
    """The pictures that there are, and in every view the poses as its lens bends them."""
    for view, camera in cameras.items():
        if view in jpegs:
            stream.log(["views", view, "picture"], rr.EncodedImage(contents=jpegs[view], media_type="image/jpeg"))
        T = rig.T_camera_device[rig.views.index(view)].float().cpu()
        for name, joints in (("pose", scene.poses.joints), ("truth", scene.truth)):
            if joints is None:
                continue
            strips, bones = _strips(camera, T, joints[frame], scene)
            colors = [TRUTH if name == "truth" else SIDES[side_of_bone(scene.skeleton, bone)] for bone in bones]
            radius, order = (2.0, 30.0) if name == "pose" else (1.0, 20.0)  # the pose over the truth over the picture
            stream.log(["views", view, name], rr.LineStrips2D(strips, colors=colors, radii=radius, draw_order=order))


def _strips(
    camera: Camera, T_camera_device: Float[Tensor, "4 4"], joints: Float[np.ndarray, "J 3"], scene: Scene
) -> tuple[list[Float[np.ndarray, "_ 2"]], list[tuple[int, int]]]:
    """Curves that a camera sees of the bones, and the bone of each; one that leaves the view is cut there."""
    pixels, valid = bone_curves(camera, T_camera_device, torch.from_numpy(joints), scene.skeleton)
    valid = valid & camera.contains(pixels)
    strips, bones = [], []
    for bone, curve, seen in zip(scene.skeleton.bones, pixels.numpy(), valid.numpy(), strict=True):
        cuts = np.flatnonzero(np.diff(seen.astype(np.int8))) + 1
        parts = [part for part in np.split(np.arange(len(seen)), cuts) if seen[part[0]] and len(part) > 1]
        strips += [curve[part] + 0.5 for part in parts]  # Rerun counts from the corner of the first pixel
        bones += [bone] * len(parts)
    return strips, bones


def _blueprint(views: list[str], with_truth: bool) -> rrb.Blueprint:
    space = rrb.Spatial3DView(origin="device", name="device frame, m")
    flat = [rrb.Spatial2DView(origin=f"views/{rr.escape_entity_path_part(view)}", name=view) for view in views]
    top = rrb.Horizontal(space, rrb.Grid(*flat), column_shares=[3, 2]) if views else space
    curve = "mean_error_mm" if with_truth else "mean_confidence"
    curves = rrb.TimeSeriesView(origin=f"curves/{curve}", name=curve.replace("_", " "))
    return rrb.Blueprint(rrb.Vertical(top, curves, row_shares=[4, 1]), collapse_panels=True)


def _sized(camera: Camera, height: int = TILE_PX) -> Camera:
    """The camera of its pictures as they are shown: at most `TILE_PX` high."""
    height = min(TILE_PX, height)
    return camera.resized(round(height * camera.width / camera.height), height)


def _jpegs(cameras: dict[str, Camera], images: Images) -> dict[str, bytes]:
    jpegs = {}
    for view, camera in cameras.items():
        picture = cv2.resize(images[view], (camera.width, camera.height), interpolation=cv2.INTER_AREA)[..., ::-1]
        jpegs[view] = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()
    return jpegs
