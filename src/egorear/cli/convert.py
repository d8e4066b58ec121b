"""`egorear convert poses.npz OUT.bvh|OUT.csv`: poses for other programs, in the device frame or in the world."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egorear.cli.fps import check_fps
from egorear.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from egorear.poses import Poses

WORLDS = ("y-up", "z-up", "y-down", "z-down")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear convert`."""
    parser.add_argument("poses", type=Path, metavar="POSES", help="poses.npz of egorear predict")
    parser.add_argument("out", type=Path, metavar="OUT", help="the file to write, .bvh or .csv")
    parser.add_argument(
        "--recording", metavar="R", help='only frames of this recording: what comes before the last "/" of their names'
    )
    parser.add_argument("--fps", type=float, metavar="F", help="frames a second (default: as the timestamps say)")
    parser.add_argument(
        "--smooth", type=float, metavar="S", help="mean over time, weighted by a Gaussian of S seconds (try 0.04)"
    )
    parser.add_argument(
        "--device-poses",
        type=Path,
        metavar="F.csv",
        help="poses of the device in the world (timestamp or frame, px, py, pz, qx, qy, qz, qw), to put the body there",
    )
    parser.add_argument(
        "--world", choices=WORLDS, help="bvh: the vertical axis of that right-handed world (default y-up)"
    )
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Reads, converts, writes one file."""
    kind = args.out.suffix.lower()
    if kind not in (".bvh", ".csv"):
        raise UserError(f"{args.out} must end with .bvh or .csv")
    for given in (args.poses, args.device_poses):
        if given is not None and given.resolve() == args.out.resolve():
            raise UserError(f"{args.out} is to be read, so that it cannot be written too")
    if args.world and not (args.device_poses and kind == ".bvh"):
        raise UserError("--world belongs to --device-poses and a .bvh file")
    check_fps(args.fps)
    if args.smooth is not None and not 0 < args.smooth < 60:
        raise UserError(f"--smooth is {args.smooth} but must be a positive number of seconds")

    from egorear.poses import Poses

    poses = Poses.load(args.poses)
    if args.recording is not None:
        poses = _of_recording(poses, args.recording, args.poses)
    if args.fps is not None:
        poses = poses.at_rate(args.fps)
    if args.smooth is not None:
        poses = _smoothed(poses, args.smooth, args.poses)
    T_world_device = None
    if args.device_poses is not None:
        from egorear.outputs.device_poses import read_device_poses

        T_world_device = read_device_poses(args.device_poses).at(poses)
    result: dict[str, Any] = {"out": str(args.out), "frames": len(poses)}
    if kind == ".csv":
        from egorear.outputs.csv_file import write_csv

        write_csv(args.out, poses if T_world_device is None else _in_world(poses, T_world_device))
        said = f"{len(poses) * len(poses.joint_names)} rows"
    else:
        result |= _write_bvh(args, poses, T_world_device)
        said = (
            f"{result['frames']} frames at {result['fps']:g} a second; {result['bones']} bones of constant length, "
            f"which moves joints by {result['moved_mm']} mm on average"
        )
    print(json.dumps(result) if args.json else f"{len(poses)} poses in {args.out} ({said})")
    return 0


def _write_bvh(args: argparse.Namespace, poses: "Poses", T_world_device: "np.ndarray | None") -> dict[str, Any]:
    import numpy as np

    from egorear.geometry.skeleton import skeleton_named
    from egorear.outputs import axes
    from egorear.outputs.bvh import write_bvh
    from egorear.outputs.humanoid import Humanoid
    from egorear.outputs.timing import evenly
    from egorear.poses import recordings_of

    if len(recordings := recordings_of(poses.frame_names)) > 1:
        first, second, *_ = recordings
        raise UserError(
            f"{args.poses} has {len(recordings)} recordings ('{first}', '{second}' ...): choose --recording"
        )
    try:
        step, indices = evenly(poses.timestamps)
        humanoid = Humanoid(skeleton_named(poses.joint_names))
    except UserError as error:
        raise UserError(f"{args.poses}: {error}") from error
    pose = humanoid.solve(poses.joints)
    seen = np.isin(pose.names, poses.joint_names)
    moved_m = np.linalg.norm(pose.forward()[0] - humanoid.places(poses.joints), axis=-1)[:, seen].mean()
    file_from_root = axes.BVH
    if T_world_device is not None:
        pose, file_from_root = pose.moved(T_world_device), axes.WORLDS[args.world or "y-up"]
    if uneven := not np.array_equal(indices, np.arange(len(poses))):
        print(f"note: timestamps are uneven: interpolated at {1 / step:.2f} frames/s", file=sys.stderr)
        pose = pose.between(indices)
    write_bvh(args.out, pose, step, file_from_root)
    return {
        "frames": len(indices),
        "fps": round(1 / step, 3),
        "interpolated": uneven,
        "bones": len(pose.names),
        "moved_mm": round(1000 * float(moved_m), 1),
    }


def _of_recording(poses: "Poses", recording: str, path: Path) -> "Poses":
    from egorear.poses import recordings_of

    kept = recordings_of(poses.frame_names).get(recording.rstrip("/"))
    if kept is None:
        other = f" but, for one, '{poses.frame_names[0]}'" if len(poses) else ""
        raise UserError(f"{path} has no frame of a recording '{recording}'{other}")
    return poses.select(kept)


def _smoothed(poses: "Poses", sigma_s: float, path: Path) -> "Poses":
    """Each recording by itself."""
    from egorear.outputs.smoothing import smooth
    from egorear.poses import recordings_of

    joints = poses.joints.copy()
    for rows in recordings_of(poses.frame_names).values():
        try:
            joints[rows] = smooth(poses.timestamps[rows], poses.joints[rows], sigma_s)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    return dataclasses.replace(poses, joints=joints)


def _in_world(poses: "Poses", T_world_device: "np.ndarray") -> "Poses":
    import numpy as np

    joints = poses.joints @ T_world_device[:, :3, :3].swapaxes(-1, -2) + T_world_device[:, None, :3, 3]
    return dataclasses.replace(poses, joints=joints.astype(np.float32))
