"""Mo2Cap2's test set, in the layout of the download and in that of AG-EgoPose's release."""

import logging

import numpy as np
import pytest
from tests.datasets import chunk_files
from tests.datasets import mo2cap2_files as files

from egorear.cli.main import main
from egorear.datasets.consistency import check_truth
from egorear.datasets.mo2cap2 import Mo2Cap2
from egorear.datasets.mo2cap2_chunks import Mo2Cap2Chunks
from egorear.datasets.opening import list_splits, open_dataset
from egorear.errors import UserError
from egorear.geometry.skeleton import EGOPW

MAT = f"{files.STUDIO}/weipeng_studio_gt.mat"


@pytest.fixture
def root(tmp_path):
    return files.write_test(tmp_path)


def refused(root) -> str:
    with pytest.raises(UserError) as error:
        open_dataset(root, "test")
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(root), "ROOT")


def test_poses_belong_to_the_pictures_in_their_order_in_both_layouts(root, caplog):
    dataset = open_dataset(root, "test", 64)
    assert isinstance(dataset, Mo2Cap2)
    assert dataset.skeleton is EGOPW
    assert list_splits(root) == ["test"]
    studio = [f"{files.STUDIO}/fc2_save_2017-{number}" for number in range(files.FIRST, files.FIRST + 4)]
    outdoor = [f"{files.OUTDOOR}/frame_{number}" for number in (8, 9, 10)]
    assert dataset.names == [*studio, *outdoor]
    assert dataset.truth_file(0) == root / MAT
    assert dataset.truth_file(6) == root / f"{files.OUTDOOR}_gt.mat"
    poses = np.concatenate((files.poses_mm(6)[:4], files.poses_mm(3, 1))) / 1000
    for index, number in enumerate((387, 388, 389, 390, 8, 9, 10)):
        sample = dataset[index]
        np.testing.assert_allclose(sample.joints, poses[index], atol=1e-6)
        assert abs(sample.images.float().mean() - 10 * (number % 20)) < 2
    assert (
        f"1 of the 8 pictures of 'test' have no pose and are left out, the first is {files.OUTDOOR}/frame_11.png"
        in (caplog.text)
    )


def test_that_the_poses_are_in_another_frame_is_told_and_no_joint_is_visible(root, caplog):
    with caplog.at_level(logging.WARNING, "egorear"):
        dataset = open_dataset(root, "test", 64)
    assert f"{root}: the poses are not in the frame of the camera: of their errors only PA-MPJPE means" in caplog.text
    for index in range(len(dataset)):
        assert not dataset[index].visible.any()
        assert dataset[index].joints_2d.isfinite().all()
    assert check_truth(dataset).agrees(1e-6, 1e-6)


def test_shards_of_it_have_no_visible_joint_either(root, tmp_path):
    out = tmp_path / "shards"
    assert main(["prepare", str(root), "--out", str(out), "--size", "64", "--split", "test"]) == 0
    shards, raw = open_dataset(out, "test", 64), open_dataset(root, "test", 64)
    assert shards.names == raw.names
    np.testing.assert_allclose(shards[5].joints, raw[5].joints, atol=1e-6)
    assert not shards[5].visible.any()


def test_frames_without_a_pose_are_left_out(root, caplog):
    poses = files.poses_mm(6)
    poses[1, 3, 2] = np.nan
    files.write_poses(root / MAT, poses)
    dataset = open_dataset(root, "test", 64)
    assert [name[-3:] for name in dataset.names[:3]] == ["387", "389", "390"]
    np.testing.assert_allclose(dataset[1].joints, poses[2] / 1000, atol=1e-6)
    assert f"the first is {files.STUDIO}/imgs/fc2_save_2017-388.jpg" in caplog.text


def test_its_own_folder_is_searched_before_the_one_around_it(root):
    files.write_poses(root / f"{files.STUDIO}_gt.mat", files.poses_mm(6, 9))
    np.testing.assert_allclose(open_dataset(root, "test", 64)[0].joints, files.poses_mm(6)[0] / 1000, atol=1e-6)
    (root / MAT).unlink()
    np.testing.assert_allclose(open_dataset(root, "test", 64)[0].joints, files.poses_mm(6, 9)[0] / 1000, atol=1e-6)


def test_other_poses_are_refused(root):
    files.write_poses(root / MAT, files.poses_mm(6)[:, :14])
    assert refused(root) == f"ROOT/{MAT}: 'pose_gt' must be n x 15 x 3 real numbers"
    (root / MAT).unlink()
    assert refused(root) == f"ROOT/{files.STUDIO} has no weipeng_studio_gt.mat or ../weipeng_studio_gt.mat"


def test_a_sequence_without_pictures_is_refused(root):
    for path in (root / files.OUTDOOR).iterdir():
        path.unlink()
    assert refused(root) == f"ROOT/{files.OUTDOOR} has no picture"


def test_training_and_test_set_lie_side_by_side(root):
    chunk_files.write_train(root)
    assert list_splits(root) == ["train", "test"]
    assert isinstance(open_dataset(root, "train"), Mo2Cap2Chunks)
    assert isinstance(open_dataset(root, "test"), Mo2Cap2)
    (root / "test_mo2cap2.txt").unlink()
    assert list_splits(root) == ["train"]
    assert len(open_dataset(root, "train")) == 5
