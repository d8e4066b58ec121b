"""EgoCap as published and as preprocessed: the same truth from both, the geometry of two cameras, what is refused."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from tests.datasets import egocap_files as files

from egorear.datasets.consistency import check_truth
from egorear.datasets.egocap import EgoCap
from egorear.datasets.opening import list_splits, open_dataset
from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.calibration import read_rig
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGOCAP


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return files.write_raw(tmp_path_factory.mktemp("raw") / "EgoCap")


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory) -> Path:
    return files.write_preprocessed(tmp_path_factory.mktemp("npy") / "EgoCap")


@pytest.fixture
def own(tmp_path) -> Path:
    """A copy that a test may damage: the test recording only."""
    (tmp_path / "validation_v003_3D").mkdir()
    files.write_calibrations(tmp_path)
    files.write_test(tmp_path)
    return tmp_path


def fails(root: Path, split: str = "test") -> str:
    with pytest.raises(UserError) as error:
        open_dataset(root, split)[0]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_raw_layout_holds_out_a_subject(raw):
    assert list_splits(raw) == ["train", "validation", "test"]
    train = open_dataset(raw, "train")
    assert isinstance(train, EgoCap)
    assert train.skeleton is EGOCAP
    assert train.names == [f"training_v000/S{s}/frame_{n}" for s in range(1, 6) for n in (2, 11)]
    assert open_dataset(raw, "validation").names == ["training_v000/S6/frame_2", "training_v000/S6/frame_11"]
    assert open_dataset(raw, "test").names == [f"validation_v003_3D/franzi_01/frame_{n}" for n in files.TEST]
    for split, others in (("train", 1), ("test", 2)):  # besides the pictures
        of_frame = open_dataset(raw, split).files(1)
        assert len(of_frame) == others + 2
        assert all(path.is_file() for path in of_frame)


@pytest.mark.parametrize(("split", "seeds"), [("train", (102, 111)), ("test", files.TEST)])
def test_poses_are_in_the_frame_of_camera_0_in_metres(raw, split, seeds):
    dataset = open_dataset(raw, split, 1024)
    for index, seed in enumerate(seeds):
        sample = dataset[index]
        np.testing.assert_allclose(sample.joints, files.joints_mm(seed) / 1000, atol=1e-6)
        expected = files.pixels(files.joints_mm(seed)) - np.array(files.COLUMNS)[:, None, None] * (1, 0)
        np.testing.assert_allclose(sample.joints_2d[:, 1:], expected[:, 1:], atol=1e-3)
        assert sample.visible.shape == (2, 18)
        assert sample.pelvis is None


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_projections_agree_with_the_pixels_of_both_cameras(raw, preprocessed, split):
    for root in (raw, preprocessed):
        report = check_truth(open_dataset(root, split))
        assert all(np.isfinite(view.max_px) for view in report.views.values())
        assert report.agrees(0.01, 0.001)


def test_pictures_are_squares_with_camera_1_of_training_turned_back(raw):
    for split, number in (("train", 2), ("test", 3922)):
        image = open_dataset(raw, split, 512)[0].images
        for side in (0, 1):
            first = files.COLUMNS[side] // 2
            expected = files.picture(side, number)[:, first : first + 512, ::-1].astype(int)
            assert np.abs(image[side].numpy().transpose(1, 2, 0) - expected).max() <= 6


def test_preprocessed_frames_are_the_raw_ones(raw, preprocessed):
    assert list_splits(preprocessed) == ["train", "validation", "test"]
    for split in ("train", "test"):
        mine, theirs = open_dataset(preprocessed, split), open_dataset(raw, split)
        for index, name in enumerate(mine.names):
            a, b = mine[index], theirs[theirs.names.index(name)]
            assert torch.allclose(a.joints, b.joints, atol=1e-6)
            assert torch.allclose(a.joints_2d, b.joints_2d, atol=1e-3)
            assert torch.equal(a.visible, b.visible)
            assert (a.images.int() - b.images.int()).abs().max() <= 6
        assert mine.rig.hash() == theirs.rig.hash()
    assert open_dataset(preprocessed, "validation").names == open_dataset(preprocessed, "test").names


def test_lists_choose_the_folders(raw, own):
    (own / "validation.txt").write_text("./EgoCapData/validation_v003_3D/\n")
    assert open_dataset(own, "validation").names == open_dataset(raw, "test").names
    (own / "validation.txt").write_text("S9\n")
    assert "'S9' must end in one of S1" in fails(own, "validation")
    (own / "validation.txt").write_text("")
    assert "is empty" in fails(own, "validation")
    assert list_splits(own) == ["test"]


def test_views_batches_and_a_rig_beside_the_data(own):
    dataset = open_dataset(own, "test", 64, views=["front_right"])
    both = open_dataset(own, "test", 64)
    assert torch.equal(dataset[1].images[0], both[1].images[1])
    batch = Sample.stack([both[0], both[1]])
    assert batch.joints.shape == (2, 18, 3)
    assert batch.select(["front_right"]).joints_2d.shape == (2, 1, 18, 2)
    replace = read_rig(own / files.CALIBRATIONS).to_dict()
    replace["cameras"][1]["T_camera_device"][0][3] += 0.01
    (own / "rig.json").write_text(json.dumps(replace))
    assert check_truth(open_dataset(own, "test")).views["front_right"].median_px > 1


def test_the_calibration_is_a_rig_like_any_other(raw, tmp_path):
    rig = read_rig(raw / files.CALIBRATIONS)
    assert rig.views == ("front_left", "front_right")
    points = torch.from_numpy(files.joints_mm(7)[1:] / 1000)
    expected = files.pixels(files.joints_mm(7))[:, 1:] - np.array(files.COLUMNS)[:, None, None] * (1, 0)
    np.testing.assert_allclose(rig.project(points)[0], expected, atol=1e-3)
    for camera, seen in zip(rig.cameras.values(), rig.to_camera(points).double(), strict=True):
        assert camera.disagreement_px() < 0.02  # both polynomials took the affine's c
        pixels, valid = camera.project(seen)
        rays, inside = camera.unproject(pixels)
        assert (valid & inside).all()
        assert torch.allclose(rays, seen / seen.norm(dim=-1, keepdim=True), atol=1e-6)
    rig.save(tmp_path / "rig.json")
    assert Rig.load(tmp_path / "rig.json").hash() == rig.hash()


@pytest.mark.parametrize(
    ("line", "text", "told"),
    [
        (3, "7 1 2 3", "line 3 must be 'cam_to_world', a count and as many finite numbers"),
        (7, "nonsense", "line 7 must be 'world_to_cam'"),
        (11, "500", "line 11 must be 'center', 2 finite numbers"),
        (11, "500 400", "a square of 1024 px around the centre must fit into the image"),
        (15, "0 0 0", "'affine' c d e with c near 1"),
    ],
)
def test_a_damaged_calibration_is_refused(own, line, text, told):
    path = own / files.CALIBRATIONS / "stereo_c01_f_calibration.txt"
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    assert told in fails(own)


def test_missing_files_are_named(own):
    (own / "validation_v003_3D/images/franzi_01-cam1/frame-3837.jpg").unlink()
    assert fails(own).endswith("franzi_01-cam1/frame-3837.jpg: No such file or directory")
    assert "training poses are not public" in fails(own, "train")
    (own / "validation_v003_2D/dataset.txt").unlink()
    assert "validation_v003_2D/dataset.txt" in fails(own)
    (own / files.CALIBRATIONS / "stereo_c01_f_calibration.txt").unlink()
    assert "stereo_c01_f_calibration.txt" in fails(own)


@pytest.mark.parametrize("damage", ["3922 1 2 3", "x" + " 0" * 54, "3923.5" + " 0" * 54, "3999" + " 1" * 54])
def test_a_broken_line_of_poses_is_refused(own, damage):
    path = own / "validation_v003_3D/dataset3D.mddd"
    path.write_text(path.read_text().replace("Skeletool names\n", f"{damage}\n"))
    assert "dataset3D.mddd: line " in fails(own)


def test_a_wrong_number_of_points_is_refused(own):
    path = own / "validation_v003_2D/dataset.txt"
    text = path.read_text()
    block = text[: text.index("# 1")]
    for damaged in (
        block.rstrip().rpartition("\n")[0] + "\n",  # one point is missing
        block.replace("\n18\n", "\n17\n"),
        block.replace("\n17 ", "\n16 "),
        block.replace("\n512\n", "\n"),
        block.replace("\n3 ", "\n3 nan "),
    ):
        path.write_text(text.replace(block, damaged))
        assert "dataset.txt: the block of line 1 must have" in fails(own)
    path.write_text(text.replace("S7_v003_cam1_frame-3837", "S7_v003_cam1_frame-1"))
    assert "has no frame 3837 of camera 1 of S7" in fails(own)


@pytest.mark.parametrize("damage", ["shape", "rows", "link", "text", "subject"])
def test_damaged_training_poses_are_refused(tmp_path, raw, damage):
    files.write_calibrations(tmp_path)
    (tmp_path / "other.hdf5").write_bytes((raw / files.HDF5).read_bytes())
    path = tmp_path / files.HDF5
    path.write_bytes((raw / files.HDF5).read_bytes())
    if damage == "text":
        path.write_bytes(b"no HDF5 file at all")
    else:
        with h5py.File(path, "r+") as file:
            name = "subject_index" if damage == "subject" else "pose_3d"
            values = file[name][()]
            del file[name]
            if damage == "link":
                file[name] = h5py.ExternalLink("other.hdf5", "/pose_3d")
            elif damage == "shape":
                file[name] = values[:, :17]
            else:
                file[name] = values[:-1] if damage == "rows" else values + 6
    told = {
        "shape": "'pose_3d' must be n x 18 x 3 numbers", "rows": "as many rows", "link": "'pose_3d' must be",
        "text": "cannot be read as an HDF5 file", "subject": "'subject_index' has no 1",
    }  # fmt: skip
    assert told[damage] in fails(tmp_path, "train")


def test_without_h5py_the_sentence_names_the_extra(raw, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    assert "pip install 'egorear[egocap]'" in fails(raw, "train")


def test_a_picture_that_is_not_normalised_is_refused(tmp_path):
    root = files.write_preprocessed(tmp_path)
    content = files.frame_object(3922)
    content["input_rgb_left"] = content["input_rgb_left"] * 100
    path = root / "validation_v003_3D" / files.NPY / "frame_3922.npy"
    np.save(path, np.array(content), allow_pickle=True)
    assert "'input_rgb_left' must be an image normalised" in fails(root)
