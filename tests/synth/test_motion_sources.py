"""Retargeting and the files that users bring."""

import re
import zipfile

import numpy as np
import pytest
from tests.recordings import NAMES, OFFSETS, PARENTS, PERSON, WALK, bvh_text, limb, npz_arrays, person, random_motion

from egorear.errors import UserError
from egorear.geometry.rotations import about, to_matrix
from egorear.synth.actions import ACTIONS, action_of
from egorear.synth.bvh import read_bvh
from egorear.synth.clips import FPS
from egorear.synth.figure import BODY, joints
from egorear.synth.motion import MotionLibrary
from egorear.synth.retarget import map_joints, retarget, transfer
from egorear.synth.sources import read_source


def test_retargeted_limbs_point_where_the_source_points():
    rotations, root = random_motion()
    ours = joints(*transfer(person(rotations, root)))
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
        (bvh_text().replace("Zrotation", "Qrotation"), "line 2: 'qrotation'"),
        (bvh_text().replace("Frames: 1", "Frames: 7"), "7 frames"),
        (bvh_text().replace("Frames: 1", "Frames: -1"), "line 4: the number of frames is -1"),
        (bvh_text(frames=[]), "line 4: the number of frames is 0"),
        (bvh_text(frame_time=0), "line 5: the frame time"),
        (bvh_text().replace("Frame Time: ", "Frame Time: x"), "could not convert"),
        (bvh_text(frames=[((0, 95, 0), {}), ((0, "up", 0), {})]), "line 7: could not convert.*up"),
        (bvh_text(frames=[((0, 0, 0), {}), (("nan", 0, 0), {})]), "frame 2 is not finite"),
        (bvh_text().replace("OFFSET 10 -5 0", "OFFSET 10 inf 0"), "finite"),
        (bvh_text().replace("CHANNELS 3", "CHANNELS 300000", 1), "no channel"),
        (bvh_text().replace("Frames: 1", "Frames: many"), "line 4: 'Frames:'"),
        ("HIERARCHY " + "x" * 99 + " MOTION", "'x{40}'"),
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


def test_npz_is_read_and_its_faulty_frames_are_kept_marked(tmp_path):
    ok = np.ones(20, bool)
    ok[7] = False
    np.savez(tmp_path / "a.npz", **npz_arrays(), **{"reach_x/ok": ok})
    (clip,) = read_source(tmp_path / "a.npz")
    assert clip.action == "reach"
    assert not clip.ok[7]
    assert clip.ok.mean() > 0.7


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reach_x/root", np.zeros((3, 3))),
        ("parents", np.arange(len(NAMES))),
        ("reach_x/global_quat", np.full((20, len(NAMES), 4), np.nan)),
        ("clips", np.array(["absent"])),
        ("fps", np.array("fast")),
        ("names", np.array([{}], dtype=object)),
        ("names", np.array(NAMES[:-1])),
        ("clips", np.array([], str)),
        ("clips", np.array("reach_x")),
        ("reach_x/root", np.linspace(0, 1e300, 20)[:, None] * np.ones(3)),
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


def test_a_single_pose_is_no_motion(tmp_path):
    (tmp_path / "pose.bvh").write_text(bvh_text())
    (clip,) = read_source(tmp_path / "pose.bvh")
    assert len(clip.root) == 1
    with pytest.raises(UserError, match=r"pose\.bvh holds no 0\.5 s"):
        MotionLibrary([tmp_path / "pose.bvh"])


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0, 1000 / 170])
def test_the_unit_of_a_bvh_does_not_matter(tmp_path, scale):
    """A person 1.7 m, 170 cm, 1700 mm or 1000 somethings tall."""
    clips = []
    for name, factor in (("a.bvh", 1.0), ("b.bvh", scale)):
        frames = [(tuple(factor * x for x in root), angles) for root, angles in WALK]
        text = re.sub(
            r"OFFSET (\S+) (\S+) (\S+)",
            lambda m: "OFFSET {} {} {}".format(*(factor * float(x) for x in m.groups())),  # noqa: B023
            bvh_text(frames=frames),
        )
        (tmp_path / name).write_text(text)
        clips += read_source(tmp_path / name)
    np.testing.assert_allclose(clips[1].root, clips[0].root, atol=1e-5)
    np.testing.assert_allclose(to_matrix(clips[1].quaternions), to_matrix(clips[0].quaternions), atol=1e-4)


def test_positions_in_another_unit_than_the_bones_are_refused(tmp_path):
    frames = [(tuple(100 * x for x in root), angles) for root, angles in WALK]
    (tmp_path / "mixed.bvh").write_text(bvh_text(frames=frames))
    with pytest.raises(UserError, match=r"mixed\.bvh: .*m/s.*one unit"):
        read_source(tmp_path / "mixed.bvh")


def test_a_joint_of_a_bvh_may_be_called_as_its_section(tmp_path):
    plain = bvh_text(frames=WALK)
    (tmp_path / "plain.bvh").write_text(plain)
    (tmp_path / "named.bvh").write_text(plain.replace("ROOT Hips", "ROOT LOCOMOTION_Hips"))
    a, b = read_bvh(tmp_path / "plain.bvh"), read_bvh(tmp_path / "named.bvh")
    assert b.joints == ("LOCOMOTION_Hips", *a.joints[1:])
    assert np.array_equal(b.rotations, a.rotations)


def test_bvh_whose_hips_hang_on_a_reference_moves(tmp_path):
    """MotionBuilder's files: a root that stands still carries hips with position channels; channels in odd order."""
    plain = bvh_text(frames=WALK)
    (tmp_path / "plain.bvh").write_text(plain)
    head, values = plain.split("MOTION")
    head = head.replace("ROOT Hips", "JOINT Hips").replace(
        "HIERARCHY", "HIERARCHY ROOT Reference { OFFSET 5 0 0 CHANNELS 3 Yrotation Xrotation Zrotation"
    )
    head = head.replace(
        "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation",
        "6 Zrotation Yposition Xrotation Zposition Yrotation Xposition",
        1,
    )
    rows = values.strip().split("\n")
    for i in range(2, len(rows)):
        x, y, z, rz, rx, ry, *others = rows[i].split()
        rows[i] = " ".join(["0", "0", "0", rz, y, rx, z, ry, x, *others])
    (tmp_path / "carried.bvh").write_text(head + "}\nMOTION\n" + "\n".join(rows))
    a, b = read_bvh(tmp_path / "plain.bvh"), read_bvh(tmp_path / "carried.bvh")
    assert b.joints == a.joints
    np.testing.assert_allclose(b.root - [5, 0, 0], a.root)
    np.testing.assert_allclose(b.rotations, a.rotations, atol=1e-12)


def test_a_limb_without_length_is_named():
    offsets = OFFSETS.copy()
    offsets[NAMES.index("LeftLeg")] = 0
    with pytest.raises(UserError, match=r"clip\.bvh.*LeftUpLeg.*LeftLeg.*no length"):
        retarget(person(*random_motion(2), offsets=offsets), "other")


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("02_03", "run"), ("01_09", "climb"), ("getup_faceup", "get_up"), ("x", "other"), ("01_walk", "walk"),
        ("07_01_poses", "walk"), ("spinkick", "kick"), ("stealthy_walk", "crouch"), ("Sword_03", "fence"),
    ],
)  # fmt: skip
def test_labels(name, action):
    assert action_of(name) == action
    assert action in ACTIONS


def test_an_npz_that_claims_more_than_there_is_memory_is_told_in_a_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive, archive.open("poses.npy", "w") as entry:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**14, 156)}
        np.lib.format.write_array_header_1_0(entry, header)
    with pytest.raises(UserError, match=r"bomb\.npz"):
        read_source(tmp_path / "bomb.npz")


def test_a_bvh_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "bom.bvh").write_text(bvh_text(), encoding="utf-8-sig")
    assert read_bvh(tmp_path / "bom.bvh").joints
