"""EgoPW and SceneEgo made into shards: sequences stay sequences, whatever is bad is put aside with a reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.datasets import egopw_files as files

from egorear.cli.main import main
from egorear.datasets.consistency import check_truth
from egorear.datasets.index import Index
from egorear.datasets.opening import open_dataset
from egorear.datasets.quarantine import load_quarantine
from egorear.datasets.windows import WindowDataset, runs
from egorear.geometry.rig import egopw
from egorear.geometry.skeleton import EGOPW

FIRST = files.TRAIN[0]


def prepare(source: Path, out: Path, *options: str) -> int:
    small = ("--size", "64", "--frames-per-shard", "3", "--most-bad", "50", "--split", "train")
    return main(["prepare", str(source), "--out", str(out), *small, *options])


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "EgoPW"
    root.mkdir()
    return files.write_egopw(root)


def lengths(names: list[str]) -> list[int]:
    return [len(run) for run in runs(names)]


def test_sequences_stay_in_order_and_keep_their_numbers_and_gaps(source, tmp_path):
    assert prepare(source, tmp_path / "out") == 0
    raw, shards = open_dataset(source, "train", 64), open_dataset(tmp_path / "out", "train", 64)
    assert shards.names == raw.names
    assert shards.skeleton is EGOPW
    assert lengths(shards.names) == [5, 2, 1, 5, 2, 1]  # 0 to 4, 6 and 7, 10 of each sequence, over shards of 3 frames
    assert check_truth(shards).agrees(0.01, 0.01)
    for index in range(len(raw)):
        mine, theirs = shards[index], raw[index]
        for field in ("joints", "joints_2d", "visible"):
            assert torch.equal(getattr(mine, field), getattr(theirs, field))
        assert mine.rig.cameras == theirs.rig.cameras
        assert (mine.images.float() - theirs.images.float()).abs().mean() < 2
    index = Index.load(tmp_path / "out")
    assert index.skeleton is EGOPW
    assert index.image_size == (64, 64)


def test_windows_of_shards_are_those_of_the_pictures(source, tmp_path):
    assert prepare(source, tmp_path / "out") == 0
    raw, shards = (open_dataset(root, "train", 64) for root in (source, tmp_path / "out"))
    for data in (raw, shards):
        windows = WindowDataset(data, 4, 2)
        assert windows.windows == [range(0, 4), range(1, 5), range(8, 12), range(9, 13)]
        item = windows[3]
        assert item.images.shape == (4, 1, 3, 64, 64)
        expected = [files.pose(number) for number in (1, 2, 3, 4)]
        np.testing.assert_allclose(item.joints, np.stack(expected), atol=1e-5)


def test_sceneego_is_prepared_alike(tmp_path):
    (tmp_path / "raw").mkdir()
    source = files.write_sceneego(tmp_path / "raw")
    assert main(["prepare", str(source), "--out", str(tmp_path / "out"), "--size", "32"]) == 0
    for split in ("train", "test"):
        raw, shards = (open_dataset(root, split, 32) for root in (source, tmp_path / "out"))
        assert shards.names == raw.names
        assert torch.equal(shards[1].joints, raw[1].joints)


def test_what_is_bad_is_put_aside_and_ends_a_run(source, tmp_path):
    sequence = source / FIRST
    files.write_sequence(sequence, range(12))
    path = sequence / "imgs/img_000000.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    files.write_picture(sequence, 4, files.picture(4, 1280, 720))  # the size changes within the sequence
    files.write_picture(sequence, 5, files.picture(5, 640, 512))  # so it does here, but that can be the camera's
    (sequence / "imgs/img_000011.jpg").rename(sequence / "imgs/img.000011.jpg")
    entries = [files.entry(number) for number in range(12)]
    entries[6]["joints_2d"] = entries[6]["joints_2d"] + 40
    entries[7]["joints_2d"] = np.full((15, 2), np.nan)
    entries[10]["optimized_local_pose"] = 100 * files.pose(10)
    entries[11]["image_name"] = "img.000011.jpg"
    files.write_labels(sequence / "pseudo_gt.pkl", entries)
    assert prepare(source, tmp_path / "out") == 0
    bad = list(load_quarantine(tmp_path / "out")["train"].values())
    expected = {
        "img.000011": ("name", "no dot in the stem"),
        "img_000000": ("image", "is truncated"),
        "img_000004": ("image", "is 1280x720 but must have the aspect ratio"),
        "img_000006": ("projection", "is 56.6 px from the projection"),
        "img_000007": ("truth", "must be"),
        "img_000010": ("truth", "must lie within 1000 cm"),
    }
    assert [each.frame.rpartition("/")[2] for each in bad] == list(expected)
    for each, (kind, words) in zip(bad, expected.values(), strict=True):
        assert each.kind == kind
        assert words in each.reason
    assert bad[3].file == f"{FIRST}/pseudo_gt.pkl"
    assert str(tmp_path) not in (tmp_path / "out/quarantine.json").read_text()
    assert lengths(open_dataset(tmp_path / "out", "train").names) == [3, 1, 2, 5, 2, 1]


def test_the_whole_frame_can_be_asked_for(source, tmp_path, capsys):
    assert prepare(source, tmp_path / "out", "--rig", "egopw") == 0
    shards = open_dataset(tmp_path / "out", "train", 64)
    assert shards.rig.hash() == egopw().hash()
    assert shards.image(0, "front").shape == (64, 80, 3)
    pixels = (files.project(files.pose(0)) + 0.5) * (64 / 1280, 64 / 1024) - 0.5
    np.testing.assert_allclose(shards[0].joints_2d[0], pixels, atol=1e-3)
    whole = open_dataset(source, "train", 64, rig=egopw())[0]
    assert (shards[0].images.float() - whole.images.float()).abs().mean() < 2
    assert prepare(source, tmp_path / "out") == 2
    assert "made with another 'rig'" in capsys.readouterr().err
    assert prepare(source, tmp_path / "new", "--rig", str(tmp_path / "none.json")) == 2
    assert "none.json" in capsys.readouterr().err


def test_a_malicious_pickle_ends_the_job_in_one_sentence(source, tmp_path, capsys):
    path = source / FIRST / "pseudo_gt.pkl"
    path.write_bytes(b"\x80\x04cos\nsystem\n(X\x08\x00\x00\x00touch ru\x94tR.")
    assert prepare(source, tmp_path / "out") == 2
    assert "pseudo_gt.pkl asks for 'os.system', which is not run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_jobs_file_names_the_rig(source, tmp_path):
    assert prepare(source, tmp_path / "out") == 0
    assert json.loads((tmp_path / "out/prepare.json").read_text())["rig"] == open_dataset(source, "train").rig.hash()
