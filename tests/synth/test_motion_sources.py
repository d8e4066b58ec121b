"""Retargeting and the files that users bring."""

import re

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.synth.bvh import read_bvh
from egorear.synth.clips import FPS
from egorear.synth.figure import BODY, LEG, joints
from egorear.synth.motion import MotionLibrary
from egorear.synth.retarget import Source, map_joints, retarget
from egorear.synth.rotations import about, to_matrix, to_quaternion, turn
from egorear.synth.sources import action_of, read_source

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


def limb(places, a, b):
    direction = places[..., b, :] - places[..., a, :]
    return direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def test_retargeted_limbs_point_where_the_source_points():
    rotations, root = random_motion()
    clip = retarget(person(rotations, root), "other")
    ours = joints(to_matrix(clip.quaternions), clip.root * LEG)
    theirs = np.zeros((*rotations.shape[:2], 3))
    for j, parent in enumerate(PARENTS):
        if parent >= 0:
            theirs[:, j] = theirs[:, parent] + rotations[:, parent] @ OFFSETS[j]
    theirs = theirs @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # (x, y, z) -> (x, -z, y)
    for a, b in [("UpLeg", "Leg"), ("Leg", "Foot"), ("Arm", "ForeArm"), ("ForeArm", "Hand")]:
        for side in ("Left", "Right"):
            expected = limb(theirs, NAMES.index(side + a), NAMES.index(side + b))
            got = limb(ours, BODY[side + a], BODY[side + b])
            assert np.degrees(np.arccos(np.clip((expected * got).sum(-1), -1, 1))).max() < 0.1


def test_standing_source_of_any_unit_and_axis_stands_on_our_floor():
    frames = 40
    still = np.broadcast_to(np.eye(3), (frames, len(PERSON), 3, 3)).copy()
    walk = np.stack([np.zeros(frames), np.full(frames, 300.0), np.linspace(0, 100, frames)], 1)
    reference = retarget(person(still, walk), "other")
    assert 0.95 < reference.root[:, 2].mean() < 1.05  # whatever the height in the file
    assert reference.root[-1, 1] < reference.root[0, 1] - 0.5  # forward is -y
    to_z_up = about(np.array([1.0, 0, 0]), np.pi / 2)
    turned = retarget(person(still, 0.01 * walk @ to_z_up.T, offsets=0.01 * OFFSETS @ to_z_up.T), "other")
    np.testing.assert_allclose(turned.root, reference.root, atol=1e-5)
    np.testing.assert_allclose(to_matrix(turned.quaternions), to_matrix(reference.quaternions), atol=1e-5)


@pytest.mark.parametrize(
    "rename",
    [
        lambda n: f"mixamorig:{n}",
        lambda n: {"LeftUpLeg": "lfemur", "LeftLeg": "ltibia", "LeftFoot": "lfoot", "LeftArm": "lhumerus"}.get(n, n),
        lambda n: n.replace("UpLeg", "UpperLeg").replace("ForeArm", "LowerArm"),
        lambda n: re.sub(r"^(L|R)(?:eft|ight)(.*)", r"\2.\1", n),
        lambda n: (
            n.replace("UpLeg", "Hip").replace("ForeArm", "Elbow").replace("Arm", "Shoulder")
            .replace("Leg", "Knee").replace("Foot", "Ankle").replace("Hand", "Wrist")
        ),
    ],
)  # fmt: skip
def test_joint_names_of_common_skeletons(rename):
    names = tuple(map(rename, NAMES))
    limbs, spine = map_joints(person(*random_motion(2), names=names))
    assert {part: NAMES[joint] for part, joint in limbs.items()} == {part: part for part in limbs}
    assert len(limbs) >= 12
    assert [NAMES[j] for j in spine] == ["Hips", "Spine", "Neck", "Head"]


def test_a_missing_joint_is_named():
    names = tuple("Thing" if name == "LeftForeArm" else name for name in NAMES)
    with pytest.raises(UserError, match=r"clip\.bvh .*LeftForeArm"):
        retarget(person(*random_motion(2), names=names), "other")


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


@pytest.mark.parametrize("order", ["Zrotation Xrotation Yrotation", "Xrotation Yrotation Zrotation"])
def test_bvh_rotations_apply_in_the_order_of_their_channels(tmp_path, order):
    angles = {"Hips": (10, 20, 30), "LeftArm": (40, 0, -15)}
    file = tmp_path / "walk_01.bvh"
    file.write_text(bvh_text(order, [((0, 95, 0), {}), ((1, 96, 2), angles), ((1, 96, 2), angles)]))
    source = read_bvh(file)
    assert source.fps == pytest.approx(60)
    assert len(source.root) == 2  # the T-pose at the front is gone
    np.testing.assert_allclose(source.root[0], [1, 96, 2])

    def compose(name):
        R = np.eye(3)
        for channel, angle in zip(order.split(), angles[name], strict=True):
            R = R @ about(np.eye(3)["XYZ".index(channel[0])], np.radians(angle))
        return R

    np.testing.assert_allclose(source.rotations[0, source.joints.index("Hips")], compose("Hips"))
    arm = source.rotations[0, source.joints.index("LeftArm")]
    np.testing.assert_allclose(arm, compose("Hips") @ compose("LeftArm"), atol=1e-12)
    (clip,) = read_source(file)
    assert clip.action == "walk"


def test_bvh_folder_joins_the_library(tmp_path):
    swing = [((0, 95, k), {"LeftArm": (k, 0, 0)}) for k in range(120)]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "mine.bvh").write_text(bvh_text(frames=swing))
    library = MotionLibrary([tmp_path])
    mine = next(clip for clip in library.clips if clip.name == "mine")
    assert mine.seconds == pytest.approx(118 / 60, abs=1 / FPS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no \.bvh"):
        MotionLibrary([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "MOTION"),
        ("HIERARCHY ROOT Hips { OFFSET 0 0 0 MOTION Frames: 1 Frame Time: 0.1", "not closed"),
        ("JOINT a MOTION", "HIERARCHY"),
        (bvh_text().replace("Zrotation", "Qrotation"), "qrotation"),
        (bvh_text().replace("Frames: 1", "Frames: 7"), "7 frames"),
        (bvh_text().replace("Frames: 1", "Frames: -1"), "out of range"),
        (bvh_text().replace("Frame Time: ", "Frame Time: x"), "could not convert"),
        (bvh_text(frames=[(("nan", 0, 0), {})]), "not finite"),
        (bvh_text().replace("OFFSET 10 -5 0", "OFFSET 10 inf 0"), "finite"),
        (bvh_text().replace("CHANNELS 3", "CHANNELS 300000", 1), "no channel"),
        ("HIERARCHY OFFSET 1 2 3 MOTION", "well-formed"),
        ("HIERARCHY } MOTION", "well-formed"),
        ("HIERARCHY ROOT a { } JOINT b { } MOTION Frames: 1 Frame Time: 0.1", "out of place"),
    ],
)
def test_malformed_bvh_is_told_in_a_sentence(tmp_path, text, complaint):
    file = tmp_path / "bad.bvh"
    file.write_text(text)
    with pytest.raises(UserError, match=complaint) as error:
        read_bvh(file)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def npz_arrays(frames=20):
    rotations, root = random_motion(frames)
    return {
        "names": np.array(NAMES), "parents": np.array(PARENTS), "rest_offset": OFFSETS, "clips": np.array(["reach_x"]),
        "fps": np.array(30), "reach_x/global_quat": to_quaternion(rotations), "reach_x/root": root,
    }  # fmt: skip


def test_npz_is_read_and_its_faulty_frames_are_kept_marked(tmp_path):
    ok = np.ones(20, bool)
    ok[7] = False
    np.savez(tmp_path / "a.npz", **npz_arrays(), **{"reach_x/ok": ok})
    (clip,) = read_source(tmp_path / "a.npz")
    assert clip.action == "reach"
    np.testing.assert_array_equal(clip.ok, ok)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reach_x/root", np.zeros((3, 3))),
        ("parents", np.arange(len(NAMES))),
        ("reach_x/global_quat", np.full((20, len(NAMES), 4), np.nan)),
        ("clips", np.array(["absent"])),
        ("fps", np.array("fast")),
        ("names", np.array([{}], dtype=object)),
    ],
)
def test_malformed_npz_is_told_in_a_sentence(tmp_path, key, value):
    np.savez(tmp_path / "bad.npz", **npz_arrays() | {key: value})
    with pytest.raises(UserError, match=r"bad\.npz"):
        read_source(tmp_path / "bad.npz")


def test_missing_and_foreign_files(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    for path in (tmp_path / "absent.bvh", tmp_path / "absent.npz", tmp_path / "text.npz"):
        with pytest.raises(UserError, match=path.name):
            read_source(path)


@pytest.mark.parametrize(
    ("name", "action"), [("02_03", "run"), ("01_09", "climb"), ("getup_faceup", "get_up"), ("x", "other")]
)
def test_labels(name, action):
    assert action_of(name) == action
