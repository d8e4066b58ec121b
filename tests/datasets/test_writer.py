"""What is written is read back, by a naive reader and by ours; what is half written is not there."""

import json

import cv2
import numpy as np
import pytest
import torch
from tests.datasets.ego4view_files import NAMES, VIEWS, picture

from egorear.datasets.consistency import check_truth
from egorear.datasets.ego4view import Ego4ViewSyn
from egorear.datasets.writer import FrameTruth, SynWriter
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.transforms import axis_angle_to_matrix

IMAGES = {view: np.ascontiguousarray(picture(64, v)[..., ::-1]) for v, view in enumerate(VIEWS)}


def frame_truth(seed: int = 0, action: str | None = "walk") -> FrameTruth:
    rng = np.random.default_rng(seed)
    T_device_world = np.eye(4)
    T_device_world[:3, :3] = axis_angle_to_matrix(torch.tensor([1.9, 0.3, -0.2], dtype=torch.float64)).numpy()
    T_device_world[:3, 3] = 0.1, 1.6, 0.2
    joints_device = rng.uniform((-0.4, 0.1, -0.2), (0.4, 1.4, 0.6), (16, 3))
    joints_world = (joints_device - T_device_world[:3, 3]) @ T_device_world[:3, :3]
    return FrameTruth(joints_world, T_device_world, rng.random((4, 16)) < 0.5, action)


@pytest.fixture
def written(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    for index in range(3):
        writer.write("anna", "1001", f"{index:04}", IMAGES, frame_truth(index))
    writer.write_splits({"train": ["anna"], "test": ["anna"]})
    return tmp_path


def test_a_naive_reader_finds_the_published_fields(written):
    frame = json.loads((written / "anna/1001/json_smplx_gendered/0001.json").read_text())
    truth = frame_truth(1)
    assert frame["action"] == "walk"
    assert list(frame["joints"]) == NAMES
    R, t = truth.T_device_world[:3, :3], truth.T_device_world[:3, 3]
    for j, name in enumerate(NAMES):
        stored = frame["joints"][name]
        device_cm = 100 * (R @ truth.joints_world[j] + t)
        np.testing.assert_allclose(stored["trans_blender"], truth.joints_world[j], atol=1e-6)
        np.testing.assert_allclose(stored["device_pts3d"], device_cm, atol=1e-4)
        # The published rig (cm): see the readme's device frame.
        x, y, z = device_cm
        np.testing.assert_allclose(stored["camera_front_left_pts3d"], (x + 6, y, z), atol=1e-3)
        np.testing.assert_allclose(stored["camera_back_right_pts3d"], (-x + 6, -y + 37, z), atol=1e-3)
        assert [stored[f"camera_{view}_visible"] for view in VIEWS] == truth.visible[:, j].tolist()
    image = cv2.imread(str(written / "anna/1001/fisheye_rgb/camera_back_left/0001.jpg"))
    assert np.abs(image.astype(int) - picture(64, 2)).mean() < 3


def test_places_and_turns_of_the_cameras_put_joints_back_into_the_world(written):
    frame = json.loads((written / "anna/1001/json_smplx_gendered/0000.json").read_text())
    for owner in ("device", *(f"camera_{view}" for view in VIEWS)):
        R = np.eye(3)
        for axis, angle in enumerate(frame["global_rot_blender"][owner]):  # x first, then y, then z
            turn = torch.zeros(3, dtype=torch.float64)
            turn[axis] = angle
            R = axis_angle_to_matrix(turn).numpy() @ R
        for joint in frame["joints"].values():
            world = R @ np.array(joint[f"{owner}_pts3d"]) / 100 + frame["global_trans_blender"][owner]
            np.testing.assert_allclose(world, joint["trans_blender"], atol=1e-5)


def test_our_reader_reads_what_was_written(written):
    dataset = Ego4ViewSyn(written, "train", image_size=64)
    truth, sample = frame_truth(2), dataset[2]
    R, t = truth.T_device_world[:3, :3], truth.T_device_world[:3, 3]
    np.testing.assert_allclose(sample.joints, truth.joints_world @ R.T + t, atol=1e-6)
    assert np.array_equal(sample.visible.numpy(), truth.visible)
    projected, in_view = sample.rig.project(sample.joints)
    torch.testing.assert_close(sample.joints_2d[in_view], projected[in_view], atol=1e-3, rtol=0)
    assert dataset.joints(2)[1] == "walk"
    assert dataset.rig.hash() == ego4view_syn().hash()


def test_what_was_written_agrees_with_itself(written):
    report = check_truth(Ego4ViewSyn(written, "test"))
    assert report.frames == 3
    assert list(report.views) == list(VIEWS)
    assert report.agrees(pixels=0.01, millimetres=0.01)


def test_a_wrong_rig_is_found_out(written):
    rig = ego4view_syn()
    shifted = rig.T_camera_device.clone()
    shifted[2, 0, 3] += 0.02
    report = check_truth(Ego4ViewSyn(written, "test", rig=rig.with_extrinsics(shifted)), limit=2)
    assert report.frames == 2
    assert not report.agrees()
    assert report.views["back_left"].max_mm == pytest.approx(20, abs=0.1)
    assert report.views["back_left"].median_px > 3
    assert report.views["back_right"].max_px < 0.01


def test_a_frame_is_complete_only_when_its_json_is_there(written):
    writer = SynWriter(written, ego4view_syn())
    assert writer.is_complete("anna", "1001", "0000")
    assert not writer.is_complete("anna", "1001", "0003")
    without_last = {view: IMAGES[view] for view in VIEWS[:3]}
    with pytest.raises(UserError, match="no image of view 'back_right'"):
        writer.write("anna", "1001", "0003", without_last, frame_truth())
    assert not writer.is_complete("anna", "1001", "0003")
    assert len(Ego4ViewSyn(written)) == 3


def test_no_temporary_file_is_left(written):
    assert not [path for path in written.rglob("*") if path.name.startswith(".")]


def test_a_folder_of_another_rig_is_refused(written):
    with pytest.raises(UserError, match=r"rig\.json is another rig"):
        SynWriter(written, ego4view_syn().select(VIEWS[:2]))


@pytest.mark.parametrize("part", ["", "..", ".hidden", "a/b", "a\\b"])
def test_names_stay_inside_the_root(tmp_path, part):
    with pytest.raises(UserError, match="must be a plain file name"):
        SynWriter(tmp_path, ego4view_syn()).write("anna", part, "0", IMAGES, frame_truth())


def test_values_that_are_not_finite_and_images_of_another_shape_are_refused(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    broken = frame_truth()
    broken.joints_world[3] = np.nan
    with pytest.raises(UserError, match="must be finite"):
        writer.write("anna", "1", "0", IMAGES, broken)
    with pytest.raises(UserError, match="'front_left': the image is 64x32"):
        writer.write("anna", "1", "0", {**IMAGES, "front_left": IMAGES["front_left"][:32]}, frame_truth())


def test_no_action_is_written_where_none_is_known(tmp_path):
    writer = SynWriter(tmp_path, ego4view_syn())
    writer.write("anna", "1", "0", IMAGES, frame_truth(action=None))
    writer.write_splits({"train": ["anna"]})
    assert "action" not in json.loads((tmp_path / "anna/1/json_smplx_gendered/0.json").read_text())
    assert Ego4ViewSyn(tmp_path).joints(0)[1] is None
