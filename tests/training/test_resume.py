"""Killed at any moment, a run goes on from its last checkpoint and ends with the same bits."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.training.conftest import tiny_arguments
from tests.training.runs import assert_same_run, fit, state

from egorear.cli.fit import run_lightning
from egorear.errors import UserError

STEPS = [
    "--data.in_memory=true", "--trainer.max_steps=16", "--trainer.val_check_interval=5", "--checkpoint_every_n_steps=2",
    "--model.ema_decay=0.9", "--model.augmentation={}", "--model.schedule.decay=epochs",
]  # fmt: skip
EPOCHS = [
    "--data.in_memory=false", "--data.workers=2", "--trainer.max_steps=-1", "--trainer.max_epochs=4",
    "--trainer.check_val_every_n_epoch=1", "--trainer.val_check_interval=1.0", "--trainer.accumulate_grad_batches=4",
    "--checkpoint_every_n_steps=1", "--model.schedule.decay=epochs", "--model.schedule.milestones=[1,3]",
]  # fmt: skip


@pytest.fixture(scope="module")
def steps(dataset: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], Path]]:
    """The arguments of a run counted in steps, and where it went through at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # the server of processes, started with the first one, hands it on
        folder = tmp_path_factory.mktemp("steps")
        arguments = [*tiny_arguments(dataset, cache, folder), *STEPS]
        code, told = fit(arguments, folder / "whole")
        assert code == 0, told
        yield arguments, folder / "whole"


def kill_and_compare(arguments: list[str], whole: Path, resumed: Path, kills: list[tuple[str, int]]) -> None:
    for at in kills:
        code, told = fit(arguments, resumed, at)
        assert code == -signal.SIGKILL, told
    code, told = fit(arguments, resumed)
    assert code == 0, told
    assert_same_run(whole, resumed)
    assert sorted(path.name for path in (resumed / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_killed_again_and_again_it_ends_as_if_it_never_had_been(steps: tuple[list[str], Path], tmp_path: Path) -> None:
    # 6 batches an epoch; checkpoints after steps 2, 4, 6 … and the validations of 5, 10, 15.
    kills = [("batch", 1), ("step", 3), ("saving", 3), ("validation", 1), ("batch", 4), ("validation", 3)]
    kill_and_compare(*steps, tmp_path / "run", kills)


def test_killed_with_workers_at_the_end_of_epochs_and_between_the_batches_of_a_step(
    steps: tuple[list[str], Path], arguments: list[str], tmp_path: Path
) -> None:
    # 2 steps an epoch, of 4 and 2 batches; a checkpoint after each.
    whole = tmp_path / "whole"
    assert fit([*arguments, *EPOCHS], whole)[0] == 0
    kills = [("step", 1), ("batch", 6), ("batch", 7), ("validation", 2), ("step", 2), ("saving", 2)]
    kill_and_compare([*arguments, *EPOCHS], whole, tmp_path / "run", kills)


def test_a_run_that_was_through_goes_on_with_more_steps(steps: tuple[list[str], Path], tmp_path: Path) -> None:
    arguments, whole = steps
    for count in (5, 12, 16):  # from the middle of an epoch, and from its end
        assert fit([*arguments, f"--trainer.max_steps={count}"], tmp_path / "run")[0] == 0
        assert state(tmp_path / "run")["global_step"] == count
    assert_same_run(whole, tmp_path / "run")


def test_told_to_stop_it_saves_the_step_first(steps: tuple[list[str], Path], tmp_path: Path) -> None:
    arguments, whole = steps
    for number, at, reached in ((signal.SIGTERM, 3, 3), (signal.SIGUSR1, 5, 8), (signal.SIGINT, 2, 10)):
        seldom = [*arguments, "--checkpoint_every_n_steps=1000"]
        code, told = fit(seldom, tmp_path / "run", ("batch", at), number)
        assert (code, state(tmp_path / "run")["global_step"]) == (1, reached), told
        assert "interrupted" in told.splitlines()[-1]
    assert fit(arguments, tmp_path / "run")[0] == 0
    assert_same_run(whole, tmp_path / "run")


def test_a_full_disk_ends_in_a_sentence_and_leaves_the_last_checkpoint(
    steps: tuple[list[str], Path], tmp_path: Path
) -> None:
    arguments, whole = steps
    assert fit([*arguments, "--trainer.max_steps=4"], tmp_path / "run")[0] == 0
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    code, told = fit(arguments, tmp_path / "run", largest_file=len(before) // 2)
    assert (code, (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()) == (2, before), told
    assert told.splitlines()[-1].startswith("egorear fit: error: cannot write")
    assert fit(arguments, tmp_path / "run")[0] == 0
    assert_same_run(whole, tmp_path / "run")


def test_weights_alone_are_nothing_to_go_on_from(steps: tuple[list[str], Path], tmp_path: Path) -> None:
    arguments, whole = steps
    best = [*arguments, f"--ckpt_path={whole / 'checkpoints' / 'best.ckpt'}"]
    with pytest.raises(UserError, match=r"best\.ckpt holds weights alone"):
        run_lightning("fit", [*best, f"--trainer.default_root_dir={tmp_path}"])


@pytest.mark.slow
def test_a_stream_goes_on_where_it_was(steps: tuple[list[str], Path], arguments: list[str], tmp_path: Path) -> None:
    stream = {
        "class_path": "egorear.synth.stream.SynthStream",
        "init_args": {"size": 64, "interleave": 3, "take_frames": 4, "views": ["front_left", "front_right"]},
    }
    arguments = [
        *arguments, *STEPS, "--data.in_memory=false", "--data.workers=2", "--data.batch_size=4",
        f"--data.stream={json.dumps(stream)}", "--trainer.limit_train_batches=5",
    ]  # fmt: skip
    whole = tmp_path / "whole"
    assert fit(arguments, whole)[0] == 0
    kill_and_compare(arguments, whole, tmp_path / "run", [("step", 4), ("batch", 4), ("validation", 2)])
