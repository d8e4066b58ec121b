"""Mo2Cap2's training set from copies in the published layout."""

import h5py
import numpy as np
import pytest
import torch
from tests.datasets import chunk_files as files

from egorear.datasets.mo2cap2_chunks import Mo2Cap2Chunks, is_mo2cap2_chunks
from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.rig import Rig, egopw
from egorear.geometry.skeleton import EGOPW
from egorear.geometry.transforms import transform_points


@pytest.fixture
def own(tmp_path):
    return files.write_train(tmp_path)


def read_all(root, split):
    dataset = Mo2Cap2Chunks(root, split, 32)
    return [dataset[index] for index in range(len(dataset))]


def fails(root, split="train"):
    with pytest.raises(UserError) as refusal:
        read_all(root, split)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    return sentence.replace(str(root), "ROOT")


def test_every_frame_of_every_chunk(own):
    dataset = Mo2Cap2Chunks(own, "train", 256)
    assert dataset.names == [
        *(f"training_data/mo2cap2_chunk_0001/00000{place}" for place in range(3)),
        *(f"training_data/mo2cap2_chunk_0002/00000{place}" for place in range(2)),
    ]
    assert [dataset.name(index) for index in range(len(dataset))] == dataset.names
    for first, chunk in ((0, files.chunk()), (3, files.chunk(2, 5))):
        for place in range(len(chunk["Images"])):
            sample = dataset[first + place]
            np.testing.assert_array_equal(sample.images[0], chunk["Images"][place])
            np.testing.assert_allclose(sample.joints, chunk["Annot3D"][place] / 1000, atol=1e-6)
            np.testing.assert_allclose(sample.joints_2d[0], chunk["Annot2D"][place] + (-35, 5), atol=1e-3)
            assert sample.visible.any()
    assert dataset.skeleton is EGOPW
    assert Sample.stack([dataset[0], dataset[4]]).joints_2d.shape == (2, 1, 15, 2)
    with pytest.raises(IndexError):
        dataset.frame(5)


def test_a_rig_beside_the_data_and_its_device_frame(own):
    rig = egopw()
    T = rig.T_camera_device.clone()
    T[0, 0, 3] = 0.1
    Rig("own", {"front": rig.cameras["front"].cropped(150, 0, 1024, 1024)}, T).save(own / "rig.json")
    dataset = Mo2Cap2Chunks(own, "train", 32)
    truth = dataset.truth(0)
    np.testing.assert_allclose(truth.joints_camera[0], files.chunk()["Annot3D"][0] / 1000, atol=1e-9)
    seen = transform_points(T[0].double(), torch.from_numpy(truth.joints))
    np.testing.assert_allclose(seen, truth.joints_camera[0], atol=1e-9)
    rig.save(own / "rig.json")  # the whole image, of which a square picture can be no part
    assert "must have the aspect ratio" in fails(own)


def test_lists_that_name_something_else_are_refused(own):
    assert is_mo2cap2_chunks(own, "train")
    assert not is_mo2cap2_chunks(own, "test")
    assert "no list of 'test'" in fails(own, "test")
    (own / "train.txt").write_text("test_data/olek_outdoor\n")
    assert not is_mo2cap2_chunks(own, "train")
    assert fails(own) == "ROOT: split 'train' names test_data/olek_outdoor, which must be a file of .hdf5 or .h5"
    (own / "train.txt").write_text("\n")
    assert fails(own) == "ROOT: split 'train' has no file"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"Images": files.chunk()["Images"][:2]}, "must have as many rows"),
        ({"Images": files.chunk()["Images"].astype(np.float32)}, "'Images' must be n x 3 x 256 x 256 whole numbers"),
        ({"Images": files.chunk()["Images"].astype(np.uint16)}, "'Images' must be of 8 bits"),
        ({"Annot3D": files.chunk()["Annot3D"][:, :14]}, "'Annot3D' must be n x 15 x 3 numbers"),
        ({"Annot2D": files.chunk()["Annot3D"]}, "'Annot2D' must be n x 15 x 2 numbers"),
        ({"Annot2D": files.chunk()["Annot2D"][:0]}, "'Annot2D' has 0 rows"),
        ({"Annot3D": files.chunk()["Annot3D"] * np.nan}, "finite"),
    ],
)
def test_a_chunk_of_other_arrays_is_refused(damage, message, own):
    files.write_chunk(own / "training_data/mo2cap2_chunk_0002.hdf5", **files.chunk() | damage)
    sentence = fails(own)
    assert sentence.startswith("ROOT/training_data/mo2cap2_chunk_0002.hdf5")
    assert message in sentence


def test_a_chunk_reads_no_other_file(own):
    path = own / "training_data/mo2cap2_chunk_0002.hdf5"
    with h5py.File(path, "r+") as file:
        del file["Annot3D"]
        file["Annot3D"] = h5py.ExternalLink("mo2cap2_chunk_0001.hdf5", "/Annot3D")
    assert "'Annot3D' must be" in fails(own)
    path.write_bytes(b"no HDF5 file at all")
    assert "cannot be read as an HDF5 file" in fails(own)
    path.unlink()
    assert "mo2cap2_chunk_0002.hdf5" in fails(own)
