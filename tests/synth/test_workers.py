"""Workers that die are replaced, and what they had in hand is rendered again."""

import multiprocessing
import os
import signal
from concurrent.futures import BrokenExecutor, Executor

import pytest

from egorear.datasets import workers
from egorear.datasets.workers import make_all
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.synth.job import Recipe, Take
from egorear.synth.workers import Task, render

RECIPE = Recipe(ego4view_syn().select(("back_left",)), size=32, samples=1, take_frames=2)
TASKS = [Task(Take("train", number, 2)) for number in range(8)]


def test_a_killed_worker_costs_nothing_but_time(caplog):
    alone = [list(frames) for frames in make_all(render, RECIPE, TASKS)]
    together = make_all(render, RECIPE, TASKS, workers=2)
    first = next(together)
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGKILL)
    assert [first, *together] == alone
    assert [list(frames) for frames in make_all(render, RECIPE, TASKS)] == alone, "and this process is as it was"
    assert "a worker was killed" in caplog.text


def test_a_take_that_kills_every_worker_is_given_up(monkeypatch):
    class DeadPool(Executor):
        def __init__(self, *_):
            pass

        def submit(self, *_):
            raise BrokenExecutor

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(workers, "ProcessPoolExecutor", DeadPool)
    with pytest.raises(UserError, match=r"killed 3 times at train_00000/take_000000"):
        list(make_all(render, RECIPE, TASKS, workers=2))


def test_frames_that_are_there_are_left_out():
    take = Take("train", 1, 2)
    both = list(*make_all(render, RECIPE, [Task(take)]))
    assert list(*make_all(render, RECIPE, [Task(take, frozenset({0}))])) == both[1:]
