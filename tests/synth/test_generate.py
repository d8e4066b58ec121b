"""The data engine as a job: the same bytes whoever renders them, resumable, and true to its own pictures."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from egorear.cli.main import main
from egorear.datasets.consistency import check_truth
from egorear.datasets.ego4view import Ego4ViewRW, open_ego4view
from egorear.datasets.index import Index
from egorear.datasets.opening import open_dataset
from egorear.datasets.shard_writer import Shard
from egorear.datasets.shards import ShardDataset
from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.synth.job import FIRST_HARD_TAKE, Job, Recipe, divide, plan

SMALL = ("--size", "48", "--samples", "1")
THIRTY = ("--frames", "30", "--seed", "3")


def synth(out: Path, *options: str) -> int:
    return main(["synth", "--out", str(out), *SMALL, *options])


def started(out: Path, *options: str, **popen) -> subprocess.Popen:
    command = [sys.executable, "-m", "egorear.cli.main", "synth", "--out", str(out), *SMALL, *options]
    # A shell that runs the tests in the background lets its children ignore Ctrl-C; this one must hear it.
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **popen,
    )  # fmt: skip


def wait_for(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def _has_files(folder: Path, pattern: str, count: int) -> bool:
    return len(list(folder.rglob(pattern))) >= count


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "data"
    assert synth(out, *THIRTY) == 0
    return out


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "shards"
    assert synth(out, *THIRTY, "--layout", "shards") == 0
    return out


def test_the_same_bytes_with_two_workers(rendered, tmp_path):
    assert synth(tmp_path / "two", *THIRTY, "--workers", "2") == 0
    assert contents(tmp_path / "two") == contents(rendered)


def test_a_longer_job_goes_on_where_a_shorter_one_ended(tmp_path):
    assert synth(tmp_path / "grown", "--frames", "3", "--split", "test") == 0
    first = contents(tmp_path / "grown")
    assert synth(tmp_path / "grown", "--frames", "12", "--split", "test") == 0
    assert synth(tmp_path / "at once", "--frames", "12", "--split", "test") == 0
    grown = contents(tmp_path / "grown")
    assert grown == contents(tmp_path / "at once")
    assert all(grown[name] == data for name, data in first.items() if not name.endswith(("index.json", "synth.json")))


def test_a_folder_never_shrinks(rendered, capsys):
    assert synth(rendered, "--frames", "20", "--seed", "3") == 2
    assert "24 frames of 'train'" in capsys.readouterr().err


def test_resuming_renders_only_what_is_missing(rendered, tmp_path):
    out = tmp_path / "data"
    assert synth(out, *THIRTY) == 0
    kept = next(out.rglob("*000001.json"))
    lost = kept.with_name("000002.json")
    before = kept.stat().st_mtime_ns
    lost.unlink()
    assert synth(out, *THIRTY) == 0
    assert contents(out) == contents(rendered)
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("layout", ["syn", "rw", "shards"])
def test_what_was_lost_or_damaged_since_is_rendered_again(tmp_path, layout):
    out, options = tmp_path / "data", ("--frames", "3", "--split", "test", "--take-frames", "2", "--layout", layout)
    assert synth(out, *options) == 0
    before = contents(out)
    for harm in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])):
        harm(next(out.rglob("*.tar" if layout == "shards" else "000001.jpg")))
        assert main(["synth", "--verify", str(out)]) == 1
        assert synth(out, *options) == 0
        assert contents(out) == before


def test_damage_that_was_found_is_not_forgotten_by_a_job_that_is_stopped(tmp_path, monkeypatch):
    out, options = tmp_path / "data", ("--frames", "4", "--split", "test", "--take-frames", "2", "--layout", "rw")
    assert synth(out, *options) == 0
    before = contents(out)
    for harmed in (next(out.rglob("*_metadata.json")), next(out.rglob("000001.jpg"))):
        harmed.write_bytes(harmed.read_bytes()[:-9])
        with monkeypatch.context() as patch:
            patch.setattr("egorear.synth.generate.render", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            assert synth(out, *options) == 1
        assert synth(out, *options) == 0
        assert contents(out) == before


def test_interrupted_it_ends_with_whole_files_and_goes_on(tmp_path):
    out = tmp_path / "data"
    job = started(out, "--frames", "400", "--split", "train", "--workers", "2")
    wait_for(lambda: len(list(out.rglob("*/json_*/*.json"))) > 2)
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "Traceback" not in errors
    assert not [p for p in out.rglob(".*")], "no temporary file stays behind"
    for record in out.rglob("json_smplx_gendered/*.json"):
        images = record.parent.parent / "fisheye_rgb"
        assert len(list(images.glob(f"*/{record.stem}.jpg"))) == 4


@pytest.mark.parametrize(
    ("layout", "workers", "files"), [("syn", "1", "*.jpg"), ("rw", "2", "*.jpg"), ("shards", "1", ".train-*.tar")]
)
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path, layout, workers, files):
    options = ("--frames", "30", "--split", "train", "--layout", layout)
    out = tmp_path / "data"
    for count in (1,) if layout == "shards" else (1, 41):
        job = started(out, *options, "--workers", workers)
        wait_for(partial(_has_files, out, files, count))
        job.kill()
        job.communicate(timeout=20)  # the workers hold stderr too: this would not return if they lived on
        (out / ".index.json.0123abcd.json").touch()  # what a kill at the worst moment leaves
    assert synth(out, *options) == 0
    assert synth(tmp_path / "at once", *options) == 0
    assert contents(out) == contents(tmp_path / "at once")
    assert main(["synth", "--verify", str(out)]) == 0


@pytest.mark.parametrize("layout", ["syn", "shards"])
def test_a_full_disk_is_told_in_one_sentence_and_resumed(tmp_path, layout, monkeypatch, capsys):
    out, options = tmp_path / "data", ("--frames", "12", "--split", "test", "--layout", layout)
    written = {"bytes": 0}

    def is_full(data: bytes) -> None:
        written["bytes"] += len(data)
        if written["bytes"] > 100_000:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        write_bytes = Path.write_bytes
        patch.setattr(Path, "write_bytes", lambda path, data: (is_full(data), write_bytes(path, data))[1])
        add = Shard.add
        patch.setattr(Shard, "add", lambda shard, *frame: (is_full(frame[-1].json), add(shard, *frame))[1])
        assert synth(out, *options) == 2
    message = capsys.readouterr().err.strip()
    assert "No space left on device" in message
    assert "\n" not in message
    assert not [p for p in out.rglob(".*")]
    assert synth(out, *options) == 0
    assert synth(tmp_path / "at once", *options) == 0
    assert contents(out) == contents(tmp_path / "at once")


def test_the_index_finds_what_was_changed(rendered, tmp_path, capsys):
    out = tmp_path / "data"
    assert synth(out, "--frames", "12", "--split", "test") == 0
    assert main(["synth", "--verify", str(out)]) == 0
    assert Index.load(out).hash() in capsys.readouterr().out
    (out / "test_00000" / "take_000009").mkdir()
    assert main(["synth", "--verify", str(out)]) == 1
    assert "take_000009 is in split 'test' but not in the index" in capsys.readouterr().out
    image = next(out.rglob("000003.jpg"))
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    assert main(["synth", "--verify", str(out)]) == 1
    assert "test_00000/take_000000 is not what the index says" in capsys.readouterr().out


def test_what_the_folder_holds_is_not_mixed_with_another_job(rendered, capsys):
    assert synth(rendered, "--frames", "30", "--seed", "4") == 2
    message = capsys.readouterr().err
    assert "seed" in message
    assert "synth.json" in message


def test_all_layouts_hold_the_same_frames(rendered, shards, tmp_path):
    assert synth(tmp_path / "rw", *THIRTY, "--layout", "rw") == 0
    folders, tars = open_ego4view(rendered, "train", 48), ShardDataset(shards, "train", 48, check=True)
    recordings = open_ego4view(tmp_path / "rw", "train", 48)
    assert isinstance(recordings, Ego4ViewRW)
    assert folders.names == tars.names == recordings.names
    for other in (tars, recordings):
        for index in (0, 11, 23):
            mine, theirs = folders[index], other[index]
            assert mine.name == theirs.name
            assert torch.equal(mine.images, theirs.images)
            assert torch.equal(mine.joints_2d, theirs.joints_2d)
            torch.testing.assert_close(mine.rig.T_camera_device, theirs.rig.T_camera_device, atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--frames", "0"], "--frames"),
        ([], "--frames"),
        (["--frames", "5", "--rig", "nowhere.json"], "nowhere.json"),
        (["--frames", "5", "--motion", "nowhere.bvh"], "nowhere.bvh"),
        (["--frames", "5", "--fps", "31"], "from 0.1 to 30"),
        (["--frames", "5", "--workers", "0"], "--workers"),
        (["--frames", "99999999999999"], "seeds"),
        (["--frames", "1", "--take-frames", "9999999"], "'take_frames'"),
        (["--frames", "1", "--samples", "999"], "'samples'"),
        (["--frames", "1", "--ray", "127.0.0.1:1"], "no Ray cluster"),
        (["--preset", "open-v1"], "fixes --size"),
        (["--verify", "nowhere"], "nowhere"),
    ],
)
def test_bad_options_are_named_in_one_sentence(tmp_path, capsys, options, word):
    assert synth(tmp_path / "data", *options) == 2
    message = capsys.readouterr().err.strip()
    assert word in message
    assert "\n" not in message
    assert not (tmp_path / "data").exists()


def test_cameras_of_unlike_aspect_ratios_are_refused_before_anything_is_written(tmp_path, capsys):
    views = {"wide": (96, 64), "square": (64, 64)}
    cameras = {
        view: KannalaBrandt(width=w, height=h, fx=20.0, fy=20.0, cx=w / 2, cy=h / 2) for view, (w, h) in views.items()
    }
    Rig("unlike", cameras, torch.eye(4).repeat(2, 1, 1)).save(tmp_path / "rig.json")
    assert synth(tmp_path / "data", "--frames", "1", "--rig", str(tmp_path / "rig.json")) == 2
    assert "camera 'square' is 64x64" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_unwritable_folder_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert synth(tmp_path / "file" / "data", "--frames", "1") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_splits_do_not_share_people(rendered):
    lists = {split: (rendered / f"{split}.txt").read_text().split() for split in ("train", "validation", "test")}
    assert all(lists.values())
    assert len({name for names in lists.values() for name in names}) == sum(map(len, lists.values()))


def test_takes_are_numbered_by_split_and_mix():
    recipe = Recipe(ego4view_syn(), take_frames=8)
    takes = plan(Job("", recipe, divide(100, "all"), {"test": 9}))
    assert {split: sum(take.frames for take in each) for split, each in takes.items()} == {
        "train": 80, "validation": 10, "test": 19
    }  # fmt: skip
    assert [take.frames for take in takes["test"]] == [8, 2, 8, 1]
    assert [take.name for take in takes["test"][1:3]] == ["test_00000/take_000001", "test_hard_00000/hard_000000"]
    assert takes["test"][2].number == FIRST_HARD_TAKE
    assert len({take.name for each in takes.values() for take in each}) == sum(map(len, takes.values()))


def test_stored_truth_agrees_with_itself(rendered):
    report = check_truth(open_ego4view(rendered, "train", 48))
    assert report.agrees(pixels=0.01, millimetres=0.01)


def test_sequences_carry_time_and_the_way_of_the_device(tmp_path):
    assert synth(tmp_path, "--frames", "14", "--split", "train", "--fps", "30", "--take-frames", "12") == 0
    dataset = open_ego4view(tmp_path, "train", 48)
    truths = [dataset.truth(index) for index in range(14)]
    np.testing.assert_allclose([t.timestamp_s for t in truths], [*np.arange(12) / 30, 0, 1 / 30], atol=1e-6)
    places = np.stack([np.linalg.inv(t.T_device_world)[:3, 3] for t in truths[:12]])
    assert np.linalg.norm(np.diff(places, axis=0), axis=-1).max() < 0.2, "a head moves less than 6 m/s"
    assert all(t.visibility is not None for t in truths)


@pytest.mark.parametrize("layout", ["syn", "rw", "shards"])
def test_cameras_that_have_moved_are_told_by_every_layout(tmp_path, layout):
    options = ("--frames", "12", "--split", "train", "--mix", "hard", "--shaken", "--children", "--layout", layout)
    assert synth(tmp_path, *options, "--truth", "depth") == 0
    dataset = open_dataset(tmp_path, "train", 48)
    assert dataset.names[10] == "train_hard_00000/hard_000001/000000"
    assert check_truth(dataset).agrees(pixels=0.01, millimetres=0.01)
    moves = [(dataset[i].rig.T_camera_device - dataset.rig.T_camera_device).abs().max() for i in (0, 9, 10)]
    assert moves[0] == moves[1] != moves[2]
    assert 1e-4 < moves[0] < 0.1
    depth = dataset.maps(0)["front_left"].depth_m
    assert depth is not None
    assert 0 < depth.min() < 1.5, "the wearer's own body is near"


def test_a_rig_of_one_camera_of_another_model(tmp_path):
    camera = KannalaBrandt(width=64, height=48, fx=20.0, fy=20.0, cx=31.5, cy=23.5, k1=0.0, k2=0.0, k3=0.0, k4=0.0)
    Rig("mine", {"chin": camera}, torch.eye(4)[None]).save(tmp_path / "rig.json")
    assert synth(tmp_path / "data", "--frames", "2", "--split", "train", "--rig", str(tmp_path / "rig.json")) == 0
    sample = open_ego4view(tmp_path / "data", "train", (64, 48), views=("chin",))[0]
    assert sample.images.shape == (1, 3, 48, 64)
    assert np.isfinite(sample.joints.numpy()).all()
