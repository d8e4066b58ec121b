"""EgoPW as published: what is read, where, and what is left out or refused."""

import os
import pickle

import cv2
import numpy as np
import pytest
import torch
from tests.datasets import egopw_files as files

from egorear.datasets.consistency import check_truth
from egorear.datasets.egopw import EgoPW
from egorear.datasets.images import decode_resized, read_image
from egorear.datasets.opening import list_splits, open_dataset
from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.rig import Rig, egopw
from egorear.geometry.skeleton import EGOPW

FIRST = files.TRAIN[0]


@pytest.fixture
def root(tmp_path):
    return files.write_egopw(tmp_path)


def numbers(names: list[str]) -> list[int]:
    return [int(name.rpartition("_")[2]) for name in names]


def test_frames_are_those_of_the_release_lists_in_order(root):
    dataset = open_dataset(root, "train")
    assert isinstance(dataset, EgoPW)
    assert dataset.skeleton is EGOPW
    assert dataset.names[:2] == [f"{FIRST}/img_000000", f"{FIRST}/img_000001"]
    assert numbers(dataset.names) == 2 * list(files.NUMBERS)
    assert {name.rpartition("/")[0] for name in dataset.names} == set(files.TRAIN)
    assert [dataset.name(i) for i in range(len(dataset))] == dataset.names
    assert open_dataset(root, "test").names[0] == "ayush/out/img_000000"
    assert list_splits(root) == ["train", "test"]
    assert dataset.truth_file(0) == root / FIRST / "pseudo_gt.pkl"
    assert dataset.truth_file(8).name == "pseudo.pkl"
    assert [path.name for path in dataset.files(9)] == ["pseudo.pkl", "img_000001.jpg"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_truth_is_the_published_pose_and_pixels_are_where_the_release_projects(root, split):
    dataset = open_dataset(root, split, 256)
    assert check_truth(dataset).agrees(1e-6, 1e-6)
    for index, number in enumerate(numbers(dataset.names)):
        sample, pose = dataset[index], files.pose(number)
        np.testing.assert_allclose(sample.joints, pose, atol=1e-6)
        np.testing.assert_allclose(dataset.joints(index)[0], pose, atol=1e-12)
        pixels = (files.project(pose) - (files.OFF, 0) + 0.5) / 4 - 0.5
        np.testing.assert_allclose(sample.joints_2d[0], pixels, atol=1e-3)
        np.testing.assert_allclose(sample.rig.project(sample.joints)[0][0], pixels, atol=1e-3)
        inside = ((pixels >= -0.5) & (pixels < 255.5)).all(-1)
        np.testing.assert_array_equal(sample.visible[0], inside)
    assert Sample.stack([dataset[0], dataset[1]]).images.shape == (2, 1, 3, 256, 256)


def test_told_pixels_are_used_where_there_are_any(root):
    for key in ("joints_2d", "joints_2D"):
        entries = [
            {**files.entry(n, None), key: files.project(files.pose(n)) + np.array((3, -2))} for n in files.NUMBERS
        ]
        files.write_labels(root / FIRST / "pseudo_gt.pkl", entries)
        dataset = open_dataset(root, "train", 1024)
        expected = files.project(files.pose(0)) + np.array((3 - files.OFF, -2))
        np.testing.assert_allclose(dataset[0].joints_2d[0], expected, atol=1e-3)
        assert check_truth(dataset).views["front"].max_px == pytest.approx(np.hypot(3, 2))


def test_the_middle_columns_are_delivered_exactly(root):
    dataset = open_dataset(root, "train", 1024)
    assert dataset.rig.cameras["front"] == egopw().cameras["front"].cropped(128, 0, 1024, 1024)
    stored = read_image(root / FIRST / "imgs/img_000003.jpg")[:, 128:-128]
    assert np.array_equal(dataset[3].images[0].permute(1, 2, 0), stored)
    assert np.array_equal(dataset.image(3, "front"), stored)
    assert dataset.image_file(3, "front")[1] == (root / FIRST / "imgs/img_000003.jpg").read_bytes()


@pytest.mark.parametrize("size", [512, 100])
def test_a_cut_picture_decoded_at_a_fraction_is_the_one_decoded_whole(size):
    noise = np.random.default_rng(0).normal(0, 3, (1024, 1280, 3))
    image = np.clip(files.picture(3) + noise, 0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 95))[1].tobytes()
    for cut in ((128, 0, 1024, 1024), (121, 3, 1024, 1021)):  # the second has no half
        both = [decode_resized("x", data, (1280, 1024), (size, size), exact, cut) for exact in (False, True)]
        assert np.abs(both[0].astype(int) - both[1]).mean() < 1.0
        x, y, width, height = cut
        part = decode_resized("x", data, (1280, 1024), (1280, 1024), True)[y : y + height, x : x + width]
        assert np.array_equal(both[1], cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA))


def test_a_rig_of_the_whole_frame_has_it_squashed_as_the_published_networks_take_it(root):
    square = open_dataset(root, "train", 256)
    egopw().save(root / "rig.json")
    dataset = open_dataset(root, "train", 256)
    stored = read_image(root / FIRST / "imgs/img_000002.jpg")
    squashed = cv2.resize(stored, (256, 256), interpolation=cv2.INTER_AREA)
    sample = dataset[2]
    assert np.abs(sample.images[0].permute(1, 2, 0).numpy().astype(int) - squashed).mean() < 1
    pixels = (files.project(files.pose(2)) + 0.5) * (256 / 1280, 256 / 1024) - 0.5
    np.testing.assert_allclose(sample.joints_2d[0], pixels, atol=1e-3)
    assert torch.equal(sample.joints, square[2].joints)
    given = open_dataset(root, "train", 256, rig=square.rig)
    assert torch.equal(given[2].images, square[2].images)


def test_pictures_of_another_resolution_are_cut_alike(root):
    sequence = root / FIRST
    before = open_dataset(root, "train", 256)
    samples = [before[i] for i in range(3)]
    files.write_picture(sequence, 0, files.picture(0, 640, 512))
    files.write_picture(sequence, 1, files.picture(1)[:, 128:-128])  # cut already
    files.write_picture(sequence, 2, cv2.resize(files.picture(2), (1000, 800), interpolation=cv2.INTER_AREA))
    after = open_dataset(root, "train", 256)
    for index in range(3):
        assert torch.equal(after[index].joints_2d, samples[index].joints_2d)
        difference = after[index].images[0].int() - samples[index].images[0].int()
        assert difference.abs().float().mean() < 1.5


def test_a_device_frame_of_ones_own_moves_the_joints(root):
    T = torch.eye(4)
    T[:3, 3] = torch.tensor([0.1, -0.2, 0.3])
    rig = egopw()
    own = Rig("own", rig.cameras, T[None])
    own.save(root / "rig.json")
    dataset = open_dataset(root, "train")
    np.testing.assert_allclose(dataset[0].joints, files.pose(0) - (0.1, -0.2, 0.3), atol=1e-6)
    assert check_truth(dataset).agrees(1e-3, 1e-3)


def test_frames_without_a_pose_are_left_out_and_told(root, caplog):
    pose = files.pose(2)
    pose[4, 1] = np.nan
    entries = [files.entry(number) for number in files.NUMBERS if number != 6]
    entries[2]["optimized_local_pose"] = pose
    entries[3]["optimized_local_pose"] = pose * np.inf
    files.write_labels(root / FIRST / "pseudo_gt.pkl", [*entries, files.entry(77)])  # of 77 there is no picture
    dataset = open_dataset(root, "train")
    assert numbers(dataset.names)[: len(files.NUMBERS) - 3] == [0, 1, 4, 7, 10]
    assert "3 of the 16 pictures of 'train' have no pose and are left out" in caplog.text
    assert f"the first is {FIRST}/imgs/img_000002.jpg" in caplog.text


def test_numbers_in_names_are_sorted_as_numbers(root):
    sequence = root / FIRST
    for name in ("img_000000", "img_000001"):
        (sequence / f"imgs/{name}.jpg").rename(sequence / f"imgs/img_{2 if name[-1] == '0' else 10}.jpg")
    entries = [files.entry(n) for n in files.NUMBERS]
    entries[0]["image_name"], entries[1]["image_name"] = "img_2.jpg", "imgs/img_10.jpg"
    files.write_labels(sequence / "pseudo_gt.pkl", entries)
    (sequence / "imgs/notes.txt").write_text("")
    (sequence / "imgs/._img_000003.jpg").write_text("")
    stems = [name.rpartition("/")[2] for name in open_dataset(root, "train").names[:8]]
    assert sorted(stems[:3], key=str) == ["img_000002", "img_000003", "img_2"]
    assert stems[-1] in ("img_000010", "img_10")


def test_lists_of_ones_own_come_first_and_missing_sequences_are_told(root, caplog):
    (root / "train.txt").write_text(f"{files.TEST[0]}\nnobody/office1\n")
    (root / "validation.txt").write_text(f"{FIRST}/\n")
    assert open_dataset(root, "train").names[0].startswith(files.TEST[0])
    assert "1 of the 2 sequences of 'train' are missing and left out, the first is nobody/office1" in caplog.text
    assert open_dataset(root, "validation").names[0].startswith(FIRST)
    assert list_splits(root) == ["train", "validation", "test"]


@pytest.mark.parametrize("line", ["{0}", "./{0}/", "EgoPW/{0}", "D:\\data\\EgoPW\\{0}", "{root}/{0}", "/CT/a/b/c/{0}"])
def test_lines_of_the_release_lists_may_begin_anywhere(root, line):
    name = FIRST.replace("/", "\\") if "\\" in line else FIRST
    (root / "train_egopw.txt").write_text(line.format(name, root=root) + "\n")
    assert set(numbers(open_dataset(root, "train").names)) == set(files.NUMBERS)
    assert open_dataset(root, "train").names[0].startswith(FIRST)


def refused(root, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        open_dataset(root, "train")
    assert str(root) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e[1].pop("image_name"), r"pseudo_gt\.pkl: 'image_name' of entry 1 is missing"),
        (lambda e: e[1].pop("optimized_local_pose"), r"'optimized_local_pose' of entry 1 is missing"),
        (lambda e: e[1].update(image_name=3), "'image_name' of entry 1 must be the name of a picture"),
        (lambda e: e[1].update(image_name="img_000000.jpg"), "two entries have the 'image_name' img_000000.jpg"),
        (lambda e: e[1].update(optimized_local_pose=None), "of img_000001.jpg must be 15 x 3 numbers"),
        (lambda e: e[1].update(optimized_local_pose=np.zeros((16, 3))), "must be 15 x 3 numbers"),
        (lambda e: e[1].update(joints_2d=np.zeros((15, 3))), "'joints_2d' of img_000001.jpg must be 15 x 2 numbers"),
        (lambda e: e.append([]), r"pseudo_gt\.pkl must hold a list of dicts"),
    ],
)
def test_labels_that_are_wrong_are_refused_by_file_and_entry(root, change, words):
    entries = [files.entry(number) for number in files.NUMBERS]
    change(entries)
    files.write_labels(root / FIRST / "pseudo_gt.pkl", entries)
    refused(root, words)


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_a_malicious_pickle_is_refused_and_not_run(root):
    mark = root / "run"
    entries = [{**files.entry(0), "heatmap": Hostile(mark)}]
    (root / FIRST / "pseudo_gt.pkl").write_bytes(pickle.dumps(entries))
    refused(root, r"pseudo_gt\.pkl asks for '.*system', which is not run")
    assert not mark.exists()


def test_what_is_missing_is_told(root):
    sequence = root / FIRST
    (sequence / "imgs").rename(sequence / "images")
    refused(root, f"cannot list .*{FIRST}/imgs")
    (sequence / "pseudo_gt.pkl").rename(sequence / "labels.pkl")
    refused(root, "has no pseudo_gt.pkl or pseudo.pkl")
    (root / "train.txt").write_text("binchen\nchao_new/office2\n")
    refused(root, "'binchen' must be a folder in a folder: person/sequence")
    (root / "train.txt").write_text("nobody/out\n")
    refused(root, "split 'train' has no picture with a pose, the first it names is nobody/out")
    with pytest.raises(UserError, match=r"has no list of 'validation': .*validation\.txt or validation_egopw\.txt"):
        EgoPW(root, "validation")
    for line in ("binchen", "../binchen/out"):
        (root / "test_egopw.txt").write_text(line)
        with pytest.raises(UserError, match="must be the path of a sequence, its last two folders at least"):
            EgoPW(root, "test")
    with pytest.raises(UserError, match="has no view 'front_left', only front"):
        EgoPW(root, "test", views=["front_left"])


def test_pictures_that_are_damaged_or_of_another_shape_are_refused(root):
    path = root / FIRST / "imgs/img_000000.jpg"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    dataset = open_dataset(root, "train")
    with pytest.raises(UserError, match=r"img_000000\.jpg is truncated"):
        dataset[0]
    files.write_picture(root / FIRST, 1, files.picture(1, 1280, 720))
    for read in (lambda: dataset[1], lambda: dataset.image(1, "front")):
        with pytest.raises(UserError, match=r"img_000001\.jpg is 1280x720 but must have the aspect ratio .* 1024x1024"):
            read()
    (root / FIRST / "imgs/img_000002.jpg").unlink()
    with pytest.raises(UserError, match=r"cannot read .*img_000002\.jpg"):
        dataset[2]
