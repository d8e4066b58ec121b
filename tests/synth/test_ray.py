"""Rendering on a Ray cluster, here one of two processes on this machine."""

import os
import signal

import pytest

from egorear.cli.main import main
from egorear.datasets.cluster import make_on_cluster
from egorear.datasets.workers import make_all
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.synth.job import Recipe, Take
from egorear.synth.workers import Task, render

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
RECIPE = Recipe(ego4view_syn().select(("back_left",)), size=32, samples=1, take_frames=2)
TASKS = [Task(Take("train", number, 2)) for number in range(12)]


def test_a_cluster_renders_the_same_bytes(tmp_path):
    for out, where in (("one", ("--workers", "1")), ("ray", ("--ray", "local", "--workers", "2"))):
        options = ["--frames", "24", "--size", "48", "--samples", "1", "--layout", "shards", *where]
        assert main(["synth", "--out", str(tmp_path / out), *options]) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "ray").iterdir()}


def test_a_lost_worker_is_made_good():
    alone = [list(frames) for frames in make_all(render, RECIPE, TASKS)]
    with_ray = make_on_cluster(render, RECIPE, TASKS, "local", 2)
    first = next(with_ray)

    @ray.remote(num_cpus=0)
    def pid() -> int:
        return os.getpid()

    own = ray.get(pid.remote())
    workers = [int(p) for p in os.listdir("/proc") if p.isdecimal() and _is_renderer(int(p))]
    assert workers
    for process in workers:
        if process != own:
            os.kill(process, signal.SIGKILL)
    assert [first, *with_ray] == alone


def test_no_cluster_is_told_in_one_sentence():
    with pytest.raises(UserError, match="no Ray cluster answers"):
        next(make_on_cluster(render, RECIPE, TASKS, "127.0.0.1:1", 1))


def _is_renderer(process: int) -> bool:
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read().startswith(b"ray::_make")
    except OSError:
        return False
