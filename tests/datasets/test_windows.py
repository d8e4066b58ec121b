"""Windows hold consecutive frames of one sequence, lose none and bridge nothing."""

import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from egorear.datasets.ego4view import open_ego4view
from egorear.datasets.frame import FrameTruth
from egorear.datasets.windows import WindowDataset, covering, runs, windows
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn

FRAMES = (*range(7), *range(9, 14))  # a walk with a gap; and a wave of 3 frames


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("video")
    writer = SynWriter(root, ego4view_syn().select(("front_left",)))
    for sequence, numbers in (("walk", FRAMES), ("wave", range(3))):
        for number in numbers:
            image = np.full((32, 32, 3), 10 * number, np.uint8)
            joints = np.full((16, 3), number / 10 + 0.1)
            truth = FrameTruth(joints, np.eye(4), np.zeros((1, 16), np.uint8))
            writer.write("someone", sequence, f"frame_{number:03d}", {"front_left": image}, truth)
    writer.write_splits({"train": ["someone"]})
    return root


def names(sequence: str, numbers: list[int]) -> list[str]:
    return [f"someone/{sequence}/img2_{number:06d}_x" for number in numbers]


def test_a_run_ends_with_its_sequence_and_at_a_gap() -> None:
    frames = names("walk", [3, 4, 5, 8, 9]) + names("wave", [10, 11]) + names("wait", [2]) + names("walk_2", [7, 6])
    assert runs(frames) == [range(3), range(3, 5), range(5, 7), range(7, 8), range(8, 9), range(9, 10)]
    assert runs([]) == []


def test_every_third_frame_of_a_video_is_no_gap_but_its_usual_step() -> None:
    assert runs(names("walk", [0, 3, 6, 9, 15, 18])) == [range(4), range(4, 6)]
    assert runs(names("walk", [0, 3, 4])) == [range(1), range(1, 3)], "of equally common steps the smallest"


def test_a_name_without_number_is_told() -> None:
    with pytest.raises(UserError, match="'someone/walk/first' has no number"):
        runs(["someone/walk/first"])


@given(st.lists(st.integers(1, 40), max_size=5), st.integers(1, 12), st.integers(1, 15))
def test_windows_lose_no_frame_and_never_leave_their_run(lengths: list[int], length: int, stride: int) -> None:
    ends = np.cumsum([0, *lengths]).tolist()
    parts = [range(a, b) for a, b in pairwise(ends)]
    for run in parts:
        found = windows([run], length, stride)
        assert all(len(window) == length and set(window) <= set(run) for window in found)
        assert len({window.start for window in found}) == len(found)
        if len(run) >= length:
            assert found[0].start == run.start
            assert found[-1].stop == run.stop
            assert all(b.start - a.start == stride for a, b in pairwise(found[:-1]))
            if stride <= length:
                assert set().union(*found) == set(run)
        else:
            assert found == []
    assert windows(parts, length, stride) == [window for run in parts for window in windows([run], length, stride)]
    answered = [frame for window, counted in covering(parts, length) for frame in window[counted]]
    assert answered == list(range(sum(lengths)))
    assert [len(window) for window, _ in covering(parts, length) if len(window) < length] == [
        len(run) for run in parts if len(run) < length
    ]


@pytest.mark.parametrize(("length", "stride"), [(0, 1), (1, 0)])
def test_windows_of_nothing_are_refused(length: int, stride: int) -> None:
    with pytest.raises(UserError, match="must be 1 or more"):
        windows([range(9)], length, stride)


def test_items_are_windows_of_samples_and_short_runs_are_told_once(
    video: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = open_ego4view(video, "train", 32)
    with caplog.at_level(logging.WARNING):
        data = WindowDataset(source, 4, 2)
    assert [record.message for record in caplog.records] == [
        "1 of 3 runs are shorter than a window of 4 frames and are left out (3 frames)"
    ]
    assert data.windows == [range(4), range(2, 6), range(3, 7), range(7, 11), range(8, 12)]
    window = data[2]
    assert window.images.shape == (4, 1, 3, 32, 32)
    assert window.counted is None
    assert window.name == [source.name(i) for i in range(3, 7)]
    for t, frame in enumerate(range(3, 7)):
        assert torch.equal(window.images[t], source[frame].images)
        assert torch.equal(window.joints[t], source[frame].joints)
        assert torch.equal(window.rig.T_camera_device[t], source[frame].rig.T_camera_device)
    batch = data.__getitems__([2, 0])
    assert batch.joints.shape == (2, 4, 16, 3)
    assert torch.equal(batch.joints[0], window.joints)
    assert torch.equal(batch.as_frames().joints[:4], window.joints)
    assert batch.batch_item(1).name == [source.name(i) for i in range(4)]


def test_judged_windows_answer_each_frame_of_a_run_once(video: Path) -> None:
    source = open_ego4view(video, "train", 32)
    batch = (data := WindowDataset(source, 4, None)).__getitems__(list(range(len(data))))
    assert batch.counted is not None
    counted = [name for name, counts in zip(batch.name, batch.counted.flatten().tolist(), strict=True) if counts]
    assert counted == source.names[:12]


def test_no_run_that_is_long_enough_is_told_with_the_longest(video: Path) -> None:
    with pytest.raises(UserError, match="a window is 8 frames long but the longest run without a gap has only 7"):
        WindowDataset(open_ego4view(video, "train", 32), 8, 4)
