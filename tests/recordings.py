"""Small recordings of a made-up person, as files of every kind that the package reads."""

import numpy as np

from egorear.geometry.rotations import about, to_quaternion, turn
from egorear.synth.retarget import Source

# A T-pose person in any unit: name, parent, offset (y up, facing +z, left +x).
PERSON = [
    ("Hips", -1, (0, 0, 0)),
    ("LeftUpLeg", 0, (10, -5, 0)),
    ("LeftLeg", 1, (0, -42, 0)),
    ("LeftFoot", 2, (0, -40, 0)),
    ("LeftToeBase", 3, (0, -6, 14)),
    ("RightUpLeg", 0, (-10, -5, 0)),
    ("RightLeg", 5, (0, -42, 0)),
    ("RightFoot", 6, (0, -40, 0)),
    ("RightToeBase", 7, (0, -6, 14)),
    ("Spine", 0, (0, 20, 0)),
    ("Neck", 9, (0, 30, 0)),
    ("Head", 10, (0, 10, 0)),
    ("LeftArm", 9, (17, 25, 0)),
    ("LeftForeArm", 12, (28, 0, 0)),
    ("LeftHand", 13, (25, 0, 0)),
    ("RightArm", 9, (-17, 25, 0)),
    ("RightForeArm", 15, (-28, 0, 0)),
    ("RightHand", 16, (-25, 0, 0)),
]
NAMES = tuple(name for name, _, _ in PERSON)
PARENTS = tuple(parent for _, parent, _ in PERSON)
OFFSETS = np.array([offset for _, _, offset in PERSON], float)


def person(rotations, root, names=NAMES, offsets=OFFSETS, fps=30.0):
    return Source("clip", "clip.bvh", names, PARENTS, offsets, rotations, root, fps, np.ones(len(root), bool))


def random_motion(frames=12, seed=0):
    rng = np.random.default_rng(seed)
    rotations = turn(rng.normal(0, 0.4, (frames, len(PERSON), 3)))
    return rotations, np.tile([0.0, 95, 0], (frames, 1)) + rng.normal(0, 1, (frames, 3))


def bvh_text(order="Zrotation Xrotation Yrotation", frames=(((0, 95, 0), {}),), frame_time=1 / 60):
    """BVH of `PERSON`; each frame: root position and {joint: angles in the file's order}."""
    children = {j: [k for k, p in enumerate(PARENTS) if p == j] for j in range(len(PERSON))}
    ordered = []

    def block(j):
        ordered.append(NAMES[j])
        channels = f"6 Xposition Yposition Zposition {order}" if j == 0 else f"3 {order}"
        inner = " ".join(block(k) for k in children[j]) or "End Site { OFFSET 0 1 0 }"
        return "{} {} {{ OFFSET {} {} {} CHANNELS {} {} }}".format(
            "JOINT" if j else "ROOT", NAMES[j], *PERSON[j][2], channels, inner
        )

    text = f"HIERARCHY\n{block(0)}\nMOTION\nFrames: {len(frames)}\nFrame Time: {frame_time}\n"
    for root, angles in frames:
        values = [*root, *(a for name in ordered for a in angles.get(name, (0, 0, 0)))]
        text += " ".join(map(str, values)) + "\n"
    return text


WALK = [((0, 95 + (k % 2), k), {"LeftUpLeg": (0, 20 * np.sin(k / 9), 0), "LeftArm": (k, 0, 0)}) for k in range(1, 60)]


def npz_arrays(frames=20):
    rotations, root = random_motion(frames)
    return {
        "names": np.array(NAMES), "parents": np.array(PARENTS), "rest_offset": OFFSETS, "clips": np.array(["reach_x"]),
        "fps": np.array(30), "reach_x/global_quat": to_quaternion(rotations), "reach_x/root": root,
    }  # fmt: skip


def acclaim(folder, frames, degrees=True):
    """ASF and AMC of `PERSON` whose bones have oblique axes; each frame: root values and {bone: rx ry rz}."""
    unit = 1.0 if degrees else np.pi / 180
    bones, tree, previous = [], [], {}
    for j in range(1, len(NAMES)):
        end = next((k for k, p in enumerate(PARENTS) if p == j), None)
        vector = OFFSETS[end] if end is not None else np.array([0.0, 1, 0])
        if PARENTS[j] == 0:  # a bone without freedom from the root to where the first real one starts
            bones.append(_asf_bone(f"to{NAMES[j]}", OFFSETS[j], unit, ""))
            tree.append(f"root to{NAMES[j]}")
        bones.append(_asf_bone(NAMES[j], vector, unit, "dof rx ry rz"))
        tree.append(f"{NAMES[PARENTS[j]] if PARENTS[j] else 'to' + NAMES[j]} {NAMES[j]}")
        previous[NAMES[j]] = vector
    angle = "deg" if degrees else "rad"
    (folder / "07.asf").write_text(
        f"# a comment\n:version 1.10\n:units\n mass 1.0\n length 0.45\n angle {angle}\n:root\n"
        " order TX TY TZ RX RY RZ\n axis XYZ\n position 0 0 0\n orientation 0 0 0\n:bonedata\n" + "".join(bones)
        + ":hierarchy\n begin\n" + "".join(f"  {row}\n" for row in tree) + " end\n"
    )  # fmt: skip
    text = "#!OML:ASF\n:FULLY-SPECIFIED\n" + (":DEGREES\n" if degrees else ":RADIANS\n")
    for number, (root, angles) in enumerate(frames, 1):
        text += f"{number}\nroot {' '.join(str(x if i < 3 else x * unit) for i, x in enumerate(root))}\n"
        for name in NAMES[1:]:
            text += f"{name} {' '.join(str(x * unit) for x in angles.get(name, (0, 0, 0)))}\n"
    (folder / "07_01.amc").write_text(text)
    return folder / "07_01.amc"


def _asf_bone(name, vector, unit, dof):
    length = float(np.linalg.norm(vector))
    x, y, z = vector / length
    axis = " ".join(str(a * unit) for a in (10, 20, -30))
    return f" begin\n id 1\n name {name}\n direction {x} {y} {z}\n length {length}\n axis {axis} XYZ\n {dof}\n end\n"


def amass(frames=40, z_up=True, **changes):
    """Somebody who stands facing +x (z up, as AMASS) with one arm raised and one knee lifted, walking forward."""
    poses = np.zeros((frames, 156))
    upright = about(np.array([1.0, 0, 0]), np.pi / 2) if z_up else np.eye(3)
    facing = about(np.eye(3)[2 if z_up else 1], np.pi / 2)
    q = to_quaternion(facing @ upright)
    poses[:, :3] = 2 * np.arccos(q[0]) * q[1:] / np.linalg.norm(q[1:])
    poses[:, 3 * 16 : 3 * 16 + 3] = [0, 0, 0.9]  # left shoulder: up
    poses[:, 3 * 4 : 3 * 4 + 3] = [0.8, 0, 0]  # left knee: bent
    walk = np.linspace(0, 1, frames)[:, None] * [1, 0, 0]
    fields = {"poses": poses, "trans": walk, "mocap_framerate": np.array(30.0), "betas": np.zeros(16), "gender": "male"}
    return {k: v for k, v in (fields | changes).items() if v is not None}


def limb(places, a, b):
    direction = places[..., b, :] - places[..., a, :]
    return direction / np.linalg.norm(direction, axis=-1, keepdims=True)
