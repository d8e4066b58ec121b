"""CMU's ASF/AMC files, and pose parameters of the SMPL family."""

import re

import numpy as np
import pytest
from tests.recordings import NAMES, OFFSETS, WALK, acclaim, amass, bvh_text, limb, npz_arrays

from egorear.errors import UserError
from egorear.geometry.rotations import about, from_vector
from egorear.synth.asf import read_amc
from egorear.synth.clips import FPS
from egorear.synth.figure import BODY, joints
from egorear.synth.retarget import transfer
from egorear.synth.smplx import JOINTS, read_smplx
from egorear.synth.sources import read_recordings, read_source


@pytest.fixture
def branching_person():
    """`PERSON` cut down to what ASF can say: a bone's children all start at its end."""
    spine = [j for j, name in enumerate(NAMES) if name in ("LeftArm", "RightArm", "Neck")]
    saved = OFFSETS.copy()
    OFFSETS[spine] = OFFSETS[NAMES.index("Neck")]
    yield
    OFFSETS[:] = saved


@pytest.mark.parametrize("degrees", [True, False])
def test_amc_turns_bones_about_their_own_axes(tmp_path, degrees, branching_person):
    frames = [((0, 95, k, 0, 30, 0), {"LeftLeg": (40, 0, 0), "LeftForeArm": (0, 25, 60)}) for k in range(80)]
    source = read_amc(acclaim(tmp_path, frames, degrees))
    assert source.fps == 120
    np.testing.assert_allclose(source.root[7], [0, 95, 7])
    x, y, z = np.eye(3)
    turned = about(y, np.radians(30))
    C = about(z, np.radians(-30)) @ about(y, np.radians(20)) @ about(x, np.radians(10))
    knee = turned @ C @ about(x, np.radians(40)) @ C.T
    np.testing.assert_allclose(source.rotations[0, source.joints.index("LeftLeg")], knee, atol=1e-9)
    elbow = turned @ C @ about(z, np.radians(60)) @ about(y, np.radians(25)) @ C.T
    np.testing.assert_allclose(source.rotations[0, source.joints.index("LeftForeArm")], elbow, atol=1e-9)
    j = source.joints.index("LeftFoot")
    np.testing.assert_allclose(source.offsets[j], OFFSETS[NAMES.index("LeftFoot")], atol=1e-9)
    (clip,) = read_source(tmp_path)
    assert (clip.name, clip.action) == ("07_01", "walk")
    assert clip.seconds == pytest.approx(79 / 120, abs=1 / FPS)


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("07.asf", ("length 14", "length x"), r"07\.asf is not .*line \d+.*x"),
        ("07.asf", (" LeftForeArm LeftHand\n", " LeftForeArm Claw\n"), r"line \d+: 'LeftForeArm Claw'"),
        ("07.asf", (" LeftForeArm LeftHand\n", ""), "'LeftHand' has no place"),
        ("07_01.amc", ("\n2\nroot 0 95", "\n2\nroot 95"), r"07_01\.amc is not .*'root' needs 6"),
        ("07_01.amc", ("LeftForeArm 0", "Tail 0"), r"'Tail' is no bone of 07\.asf"),
        ("07_01.amc", ("LeftForeArm 0.0 0.0 0.0\n", ""), "nothing of 'LeftForeArm'"),
        ("07_01.amc", ("1\n", ""), "is no bone|no frames"),
    ],
)
def test_malformed_acclaim_is_told_in_a_sentence(tmp_path, branching_person, file, change, complaint):
    amc = acclaim(tmp_path, [((0, 95, 0, 0, 0, 0), {})] * 3)
    text = (tmp_path / file).read_text()
    head, tail = text.split(":DEGREES\n") if file.endswith("amc") else ("", text)
    broken = tail.replace(*change, 1)
    if "length 14" in change[0]:
        broken = re.sub(r"length [\d.]+\n axis", "length x\n axis", tail, count=1)
    (tmp_path / file).write_text((head + ":DEGREES\n" if head else "") + broken)
    with pytest.raises(UserError, match=complaint) as error:
        read_amc(amc)
    assert "\n" not in str(error.value)


def test_amc_without_its_skeleton(tmp_path, branching_person):
    amc = acclaim(tmp_path, [((0, 95, 0, 0, 0, 0), {})])
    (tmp_path / "07.asf").unlink()
    with pytest.raises(UserError, match=r"07_01\.amc .*no \.asf"):
        read_amc(amc)
    for name in ("08.asf", "09.asf"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"2 \.asf files"):
        read_amc(amc)


@pytest.mark.parametrize("z_up", [True, False])
@pytest.mark.parametrize("width", [156, 165, 72, None])
def test_smpl_poses_stand_upright_whatever_is_up(tmp_path, z_up, width):
    fields = amass(z_up=z_up)
    poses = fields.pop("poses")
    if width is None:
        fields |= {"root_orient": poses[:, :3], "pose_body": poses[:, 3:66]}
    else:
        fields["poses"] = np.pad(poses, ((0, 0), (0, 9)))[:, :width]
    np.savez(tmp_path / "07_01_poses.npz", **fields)
    (source,) = read_recordings(tmp_path / "07_01_poses.npz")
    rotations, root = transfer(source)
    placed = joints(rotations, root)[20]
    assert placed[BODY["Head"], 2] - placed[BODY["LeftToeBase"], 2] > 1.2
    assert placed[BODY["LeftHand"], 2] > placed[BODY["LeftArm"], 2] + 0.2
    assert placed[BODY["RightHand"], 2] < placed[BODY["RightArm"], 2] + 0.1
    assert placed[BODY["LeftFoot"], 2] > placed[BODY["RightFoot"], 2] + 0.05
    moved = root[-1] - root[0]
    ahead = placed[BODY["RightToeBase"]] - placed[BODY["RightFoot"]]
    assert moved @ ahead / np.linalg.norm(moved) / np.linalg.norm(ahead) > 0.8
    assert read_source(tmp_path / "07_01_poses.npz")[0].action == "walk"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"poses": np.zeros((40, 60))}, r"\[frames, 66 or more\]"),
        ({"poses": np.array([{}], dtype=object)}, "'poses' is not an array of numbers"),
        ({"poses": np.full((40, 156), np.nan)}, "not finite"),
        ({"poses": np.full((40, 156), 90.0)}, "radians, not degrees"),
        ({"poses": np.full((40, 156), 1j)}, "'poses' is not an array of numbers"),
        ({"trans": np.full((40, 3), 1e300)}, "beyond anything"),
        ({"poses": np.array(3.0)}, "'poses' is a single number"),
        ({"trans": np.zeros((3, 3))}, r"'trans' must be \[40, 3\]"),
        ({"mocap_framerate": None}, "no frame rate"),
        ({"mocap_framerate": np.array(0.0)}, "out of range"),
        ({"mocap_framerate": np.array("fast")}, "'mocap_framerate' is not a number"),
        ({"poses": None}, "neither 'clips' nor 'poses'"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "'poses' is empty"),
    ],
)
def test_malformed_smpl_files_are_told_in_a_sentence(tmp_path, changes, complaint):
    np.savez(tmp_path / "bad.npz", **amass(**changes))
    with pytest.raises(UserError, match=complaint) as error:
        read_source(tmp_path / "bad.npz")
    assert "bad.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_random_smpl_poses_keep_their_limb_directions():
    rng = np.random.default_rng(0)
    poses = rng.normal(0, 0.3, (5, 3 * JOINTS))
    source = read_smplx({"poses": poses, "fps": 30}, "x.npz")
    ours = joints(*transfer(source))
    theirs = source.rotations[:, 0] @ from_vector(poses[:, 3:6])  # left hip
    thigh = (theirs @ source.offsets[4][:, None])[..., 0] @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    cosine = (
        thigh / np.linalg.norm(thigh, axis=-1, keepdims=True) * limb(ours, BODY["LeftUpLeg"], BODY["LeftLeg"])
    ).sum(-1)
    assert cosine.min() > 0.9999


def test_folder_of_all_kinds(tmp_path, branching_person):
    acclaim(tmp_path, [((0, 95, k, 0, 0, 0), {}) for k in range(80)])
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "jog.bvh").write_text(bvh_text(frames=WALK))
    np.savez(tmp_path / "sub" / "stand_poses.npz", **amass())
    np.savez(tmp_path / "sub" / "shape.npz", betas=np.zeros(10))
    np.savez(tmp_path / "own.npz", **npz_arrays())
    assert {clip.name for clip in read_source(tmp_path)} == {"07_01", "jog", "stand_poses", "reach_x"}
    with pytest.raises(UserError, match=r"07\.asf is a skeleton"):
        read_source(tmp_path / "07.asf")
