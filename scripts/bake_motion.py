"""Makes src/egorear/synth/assets/motion.npz, the mocap that ships with the package. For developers only.

    apt-get download assimp-testmodels && dpkg -x assimp-testmodels_*.deb ASSIMP
    pip download --no-deps pybullet==3.2.7 && unzip pybullet-*.whl 'pybullet_data/data/motions/*' -d PYBULLET
    python scripts/bake_motion.py ASSIMP/usr/share/assimp/models/BVH PYBULLET/pybullet_data/data/motions

Sources and licences: see ASSETS.md.
"""

import sys
from pathlib import Path

import numpy as np

from egorear.files import atomic_write, read_json
from egorear.geometry.rotations import about, to_matrix, to_quaternion
from egorear.synth.actions import action_of, ungrounded
from egorear.synth.bvh import read_bvh
from egorear.synth.clips import FPS, resample, write_clips
from egorear.synth.motion import ASSET
from egorear.synth.retarget import Source, retarget_and_judge

CMU_CLIPS = ("01_01", "01_03")  # Boxing_Toes.bvh beside them is of unstated origin

# The humanoid of the pybullet clips: joint, parent, offset (x forward, y up, z right; metres), angles in a frame.
HUMANOID = [
    ("hips", -1, (0, 0, 0), 4),
    ("chest", 0, (0, 0.236151, 0), 4),
    ("neck", 1, (0, 0.223894, 0), 4),
    ("right_hip", 0, (0, 0, 0.084887), 4),
    ("right_knee", 3, (0, -0.421546, 0), 1),
    ("right_ankle", 4, (0, -0.409870, 0), 4),
    ("right_shoulder", 1, (-0.02405, 0.2435, 0.18311), 4),
    ("right_elbow", 6, (0, -0.274788, 0), 1),
    ("left_hip", 0, (0, 0, -0.084887), 4),
    ("left_knee", 8, (0, -0.421546, 0), 1),
    ("left_ankle", 9, (0, -0.409870, 0), 4),
    ("left_shoulder", 1, (-0.02405, 0.2435, -0.18311), 4),
    ("left_elbow", 11, (0, -0.274788, 0), 1),
]
WRISTS = [("right_wrist", 7, (0, -0.258947, 0)), ("left_wrist", 12, (0, -0.258947, 0))]


def read_humanoid(path: Path) -> Source:
    """A pybullet clip (JSON: duration of a frame, root position, then a quaternion or hinge angle a joint)."""
    frames = np.array(read_json(path)["Frames"])
    rotations, column = [], 4
    for _, parent, _, width in HUMANOID:
        angles = frames[:, column : column + width]
        local = to_matrix(angles) if width == 4 else about(np.array([0.0, 0, 1]), angles[:, 0])
        rotations.append(local if parent < 0 else rotations[parent] @ local)
        column += width
    rotations += [rotations[parent] for _, parent, _ in WRISTS]
    starts = np.concatenate([[0], np.cumsum(frames[:-1, 0])])
    moments = np.interp(np.arange(0, starts[-1], 1 / FPS), starts, np.arange(len(starts)))
    quaternions, root = resample(to_quaternion(np.stack(rotations, 1)), frames[:, 1:4], moments)
    joints = [*HUMANOID, *WRISTS]
    return Source(
        path.stem.removeprefix("humanoid3d_"),
        str(path),
        tuple(joint[0] for joint in joints),
        tuple(joint[1] for joint in joints),
        np.array([joint[2] for joint in joints], float),
        to_matrix(quaternions),
        root.astype(float),
        FPS,
        np.ones(len(root), bool),
    )


def main() -> None:
    bvh, pybullet = map(Path, sys.argv[1:3])
    sources = [read_bvh(bvh / f"{name}.bvh") for name in CMU_CLIPS]
    sources += [read_humanoid(path) for path in sorted(pybullet.glob("humanoid3d_*.txt"))]
    cleaned = [retarget_and_judge(s, action_of(s.name), not ungrounded(s.name)) for s in sources]
    with atomic_write(ASSET) as temporary:
        write_clips(temporary, [clip for clip, _, _ in cleaned])
    for clip, before, after in cleaned:
        print(
            f"{clip.name:16s} {clip.action:10s} {clip.seconds:6.1f} s, foot skate {before.skate_mm:5.2f} -> "
            f"{after.skate_mm:5.2f} mm/frame"
        )
    print(f"{ASSET}: {ASSET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
