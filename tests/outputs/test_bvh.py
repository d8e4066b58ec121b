"""BVH: the file as our own reader (of other people's files) sees it."""

import numpy as np
import pytest

from egorear.geometry.rotations import about, from_vector, to_quaternion
from egorear.geometry.skeleton import EGO4VIEW, EGOPW
from egorear.outputs import axes
from egorear.outputs.bvh import write_bvh
from egorear.outputs.humanoid import Humanoid, HumanoidPose
from egorear.synth.bvh import read_bvh
from egorear.synth.retarget import Source, map_joints

BVH_OF_DEVICE = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])


def places_cm(source: Source) -> dict[str, np.ndarray]:
    """Paths of all joints, by forward kinematics of what was read."""
    places = {0: source.root}
    for joint, parent in enumerate(source.parents[1:], 1):
        places[joint] = places[parent] + source.rotations[:, parent] @ source.offsets[joint]
    return {source.joints[joint]: path for joint, path in places.items()}


def moving(frames: int = 8) -> HumanoidPose:
    return Humanoid(EGO4VIEW).solve(np.random.default_rng(0).normal(size=(frames, 16, 3)))


def hips_only(turns: np.ndarray) -> HumanoidPose:
    """At rest, the hips turned by the rotations "N 3 3"."""
    pose = moving(len(turns))
    local = np.tile([0.0, 0.0, 0.0, 1.0], (*pose.local.shape[:2], 1))
    local[:, 0] = np.roll(to_quaternion(turns), -1, -1)
    return HumanoidPose(pose.root, local, pose.names, pose.parents, pose.offsets)


@pytest.mark.parametrize("skeleton", [EGO4VIEW, EGOPW])
def test_the_file_holds_the_joints_in_centimetres_with_y_up(tmp_path, skeleton):
    pose = Humanoid(skeleton).solve(np.random.default_rng(1).normal(size=(6, len(skeleton), 3)))
    write_bvh(tmp_path / "a.bvh", pose, 1 / 30)
    source = read_bvh(tmp_path / "a.bvh")
    assert source.fps == pytest.approx(30, abs=1e-4)
    paths = places_cm(source)
    places = pose.forward()[0]
    for bone, name in enumerate(pose.names):
        np.testing.assert_allclose(paths[name], 100 * places[:, bone] @ BVH_OF_DEVICE.T, atol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bvh"]


def test_the_rest_pose_is_a_t_pose_that_looks_along_z(tmp_path):
    write_bvh(tmp_path / "a.bvh", hips_only(np.eye(3)[None]), 1 / 30)
    rest = {name: path[0] for name, path in places_cm(read_bvh(tmp_path / "a.bvh")).items()}
    assert rest["LeftHand"][0] > rest["LeftArm"][0] > rest["RightArm"][0] > rest["RightHand"][0]  # left is +X
    assert rest["Head"][1] > rest["Neck"][1] > rest["Hips"][1] > rest["LeftFoot"][1]
    assert rest["LeftToeBase"][2] > rest["LeftFoot"][2]  # ahead is +Z
    assert rest["LeftHand"][1] == pytest.approx(rest["LeftArm"][1], abs=1e-4)


def test_other_programs_know_the_names(tmp_path):
    """At least the data engine, which finds the limbs of any mocap skeleton by their names."""
    write_bvh(tmp_path / "a.bvh", moving(), 1 / 30)
    limbs, spine = map_joints(read_bvh(tmp_path / "a.bvh"))
    assert len(limbs) >= 12
    assert spine


def test_angles_go_on_without_a_leap(tmp_path):
    """Two turns about the vertical, and falls forward past and through the angle where two of the three become one."""
    spin = about(np.array([0.0, 0.0, 1.0]), np.linspace(0, 4 * np.pi, 60))
    fall = about(np.array([1.0, 0.0, 0.0]), np.linspace(0, np.pi, 60))
    for turns in (spin, fall, fall @ from_vector(np.array([0.0, 0.3, 0.2]))):
        write_bvh(tmp_path / "a.bvh", hips_only(turns), 1 / 30)
        motion = (tmp_path / "a.bvh").read_text().partition("Frame Time: ")[2].splitlines()[1:]
        angles = np.array([[float(word) for word in row.split()[3:6]] for row in motion])
        assert np.abs(np.diff(angles, axis=0)).max() < 30
        read = read_bvh(tmp_path / "a.bvh").rotations[:, 0]
        np.testing.assert_allclose(read[-59:], (BVH_OF_DEVICE @ turns @ BVH_OF_DEVICE.T)[-59:], atol=1e-5)


def test_where_two_angles_become_one_the_rotation_still_holds(tmp_path):
    straight_down = about(np.array([1.0, 0.0, 0.0]), np.radians(np.array([90.0, -90.0, 90.0])))
    turns = straight_down @ about(np.array([0.0, 0.0, 1.0]), np.radians(np.array([0.0, 50.0, 120.0])))
    write_bvh(tmp_path / "a.bvh", hips_only(turns), 1 / 30)
    read = read_bvh(tmp_path / "a.bvh").rotations[:, 0]
    np.testing.assert_allclose(read, BVH_OF_DEVICE @ turns @ BVH_OF_DEVICE.T, atol=1e-5)


def test_a_root_in_the_world_is_written_with_that_worlds_axes(tmp_path):
    pose = moving()
    T = np.tile(np.eye(4), (8, 1, 1))
    T[:, :3, :3], T[:, :3, 3] = about(np.array([0.6, 0.0, 0.8]), 1.0), [10.0, 20.0, 1.7]
    write_bvh(tmp_path / "a.bvh", pose.moved(T), 1 / 30, axes.WORLDS["z-up"])
    hand = (pose.forward()[0] @ T[0, :3, :3].T + T[0, :3, 3])[:, pose.names.index("LeftHand")]
    expected_m = np.stack([hand[:, 0], hand[:, 2], -hand[:, 1]], -1)
    np.testing.assert_allclose(places_cm(read_bvh(tmp_path / "a.bvh"))["LeftHand"], 100 * expected_m, atol=1e-3)
