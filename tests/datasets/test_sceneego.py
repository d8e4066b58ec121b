"""SceneEgo as published: which picture a label is of, and what is left out or refused."""

import json

import numpy as np
import pytest
from tests.datasets import egopw_files as files

from egorear.datasets.consistency import check_truth
from egorear.datasets.opening import list_splits, open_dataset
from egorear.datasets.sceneego import SceneEgo
from egorear.errors import UserError
from egorear.geometry.skeleton import EGOPW

FIRST = files.SCENE_TRAIN[0]


@pytest.fixture
def root(tmp_path):
    return files.write_sceneego(tmp_path)


def numbers(names: list[str]) -> list[int]:
    return [int(name.rpartition("_")[2]) for name in names]


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_belong_to_the_pictures_that_syn_json_says(root, split):
    dataset = open_dataset(root, split, 128)
    assert isinstance(dataset, SceneEgo)
    assert dataset.skeleton is EGOPW
    assert set(numbers(dataset.names)) == set(files.NUMBERS)
    assert check_truth(dataset).agrees(1e-6, 1e-6)
    for index, number in enumerate(numbers(dataset.names)):
        sample = dataset[index]
        np.testing.assert_allclose(sample.joints, files.pose(number), atol=1e-6)
        pixels = (files.project(files.pose(number)) - (files.OFF, 0) + 0.5) / 8 - 0.5
        np.testing.assert_allclose(sample.joints_2d[0], pixels, atol=1e-3)
        assert abs(float(sample.images[0, 2].float().mean()) - 20 * (number % 12)) < 3  # blue tells the number


def test_the_test_sequences_are_not_the_training_sequences_of_the_same_name(root):
    assert list_splits(root) == ["train", "test"]
    assert {name.split("/")[0] for name in open_dataset(root, "train").names} == {"train"}
    assert {name.split("/")[0] for name in open_dataset(root, "test").names} == {"SceneEgo_test"}
    (root / "SceneEgo_test").rename(root / "elsewhere")
    (root / "train/diogo1").rename(root / "diogo1")
    with pytest.raises(UserError, match="has no picture with a pose, the first it names is SceneEgo_test/diogo1"):
        open_dataset(root, "test")


def test_pictures_without_a_pose_are_left_out(root):
    sequence = root / FIRST
    poses = {0: None, 1: np.full((15, 3), np.nan), 2: "lost", 3: files.pose(3).tolist(), 4: files.pose(4)}
    entries = [{"ext_id": n - files.EGO + files.EXT, "ego_pose_gt": pose} for n, pose in poses.items()]
    files.write_labels(sequence / "local_pose_gt.pkl", entries)
    dataset = open_dataset(root, "train")
    assert numbers(dataset.names)[:2] == [3, 4]
    assert dataset.names[2].startswith(files.SCENE_TRAIN[1])
    np.testing.assert_allclose(dataset[0].joints, files.pose(3), atol=1e-6)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"ext_id": 1000}, r"local_pose_gt\.pkl: 'ego_pose_gt' of entry 0 is missing"),
        ({"ego_pose_gt": files.pose(0)}, "'ext_id' of entry 0 is missing"),
        ({"ext_id": "7", "ego_pose_gt": None}, "'ext_id' of entry 0 must be a whole number"),
        ({"ext_id": 1000, "ego_pose_gt": np.zeros(45)}, "'ego_pose_gt' of 'ext_id' 1000 must be 15 x 3 numbers or"),
    ],
)
def test_labels_that_are_wrong_are_refused(root, entry, words):
    files.write_labels(root / FIRST / "local_pose_gt.pkl", [entry])
    with pytest.raises(UserError, match=words):
        open_dataset(root, "train")


def test_a_moment_labelled_twice_is_refused(root):
    files.write_labels(root / FIRST / "local_pose_gt.pkl", 2 * [{"ext_id": np.int32(9), "ego_pose_gt": files.pose(0)}])
    with pytest.raises(UserError, match="two entries have the 'ext_id' 9"):
        open_dataset(root, "train")


@pytest.mark.parametrize("content", [{"ego": 1}, {"ego": 1, "ext": 2.5}, {"ego": True, "ext": 2}, [1, 2]])
def test_syn_json_must_have_two_whole_numbers(root, content):
    (root / FIRST / "syn.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"syn\.json: '(ego|ext)' must be a whole number"):
        open_dataset(root, "train")
    (root / FIRST / "syn.json").unlink()
    with pytest.raises(UserError, match=r"cannot read .*syn\.json"):
        open_dataset(root, "train")
