"""Renders takes in this process, in several, or on a Ray cluster: the same bytes in the same order from each.

Who renders touches no file: encoded frames come back to the caller, so a process may die at any moment.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from egorear.datasets.frame import EncodedFrame, encode_frame
from egorear.errors import UserError
from egorear.synth.job import Recipe, Take

DEATHS = 3  # of workers over the same take, then it is given up
AHEAD = 2  # takes in hand or rendered, for each worker: enough that none waits for the writer
Frames = Iterable[tuple[int, EncodedFrame]]


@dataclass(frozen=True)
class Task:
    """The frames of a take that are missing. present: indices of those that are there."""

    take: Take
    present: frozenset[int] = frozenset()


def render(recipe: Recipe, task: Task) -> Iterator[tuple[int, EncodedFrame]]:
    """Renders and encodes the missing frames of a take, one after the other."""
    from egorear.synth import studio

    for index, images, truth in studio.take(recipe, task.take, task.present):
        yield index, encode_frame(recipe.rig, images, truth)


def render_all(recipe: Recipe, tasks: Sequence[Task], workers: int = 1) -> Generator[Frames, None, None]:
    """The frames of each task, in order, from `workers` processes (1: this one, lazily).

    Raises:
        UserError: a source of motion cannot be read, or workers die again and again over the same take.
    """
    if workers <= 1 or len(tasks) <= 1:
        yield from (render(recipe, task) for task in tasks)
    else:
        yield from _from_processes(recipe, tasks, min(workers, len(tasks)))


def _from_processes(recipe: Recipe, tasks: Sequence[Task], workers: int) -> Generator[Frames, None, None]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start, (recipe, stop))
    deaths: Counter[str] = Counter()
    waiting, pending = deque(tasks), deque[tuple[Task, Future]]()
    try:
        while waiting or pending:
            while waiting and len(pending) < AHEAD * workers:
                task = waiting.popleft()
                pending.append((task, _submit(pool, task)))
            task, future = pending[0]
            try:
                frames = future.result()
            except BrokenExecutor as error:
                pool.shutdown(wait=True)
                _count_death(deaths, task.take.name, error)
                pool = ProcessPoolExecutor(workers, context, _start, (recipe, stop))
                pending = deque((task, _submit(pool, task) if _is_lost(f) else f) for task, f in pending)
                continue
            pending.popleft()
            yield frames
    finally:
        stop.set()  # each worker ends with the frame in hand
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: Executor, task: Task) -> Future:
    with interrupts_for_parent_only():
        try:
            return pool.submit(_render, task)
        except BrokenExecutor as error:
            failed = Future()
            failed.set_exception(error)
            return failed


def _is_lost(future: Future) -> bool:
    return not future.done() or isinstance(future.exception(), BrokenExecutor)


def _count_death(deaths: Counter[str], take: str, error: BaseException) -> None:
    """Which take was in hand is not told, so the first unfinished one counts; if it is done by the next death, then
    another one counts."""
    deaths[take] += 1
    if deaths[take] >= DEATHS:
        raise UserError(
            f"workers were killed {DEATHS} times at {take} (out of memory?): try fewer --workers"
        ) from error
    logging.getLogger("egorear").warning("a worker was killed (out of memory?): going on again from %s", take)


@contextmanager
def interrupts_for_parent_only() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C, which a terminal sends to all: their parent tells them to stop."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_WORKER: dict[str, Any] = {}


def _start(recipe: Recipe, stop: Any) -> None:
    become_worker()
    _WORKER.update(recipe=recipe, stop=stop)


def become_worker() -> None:
    """Of a process of a pool: Ctrl-C is left to the parent, the parent's death ends it, and it keeps to one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells the workers to stop
    if (parent := multiprocessing.parent_process()) is not None:
        # A parent that was killed tells nothing; without this its workers would wait for work for ever.
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    use_one_thread()


def _render(task: Task) -> list[tuple[int, EncodedFrame]]:
    frames = []
    if not _WORKER["stop"].is_set():
        for frame in render(_WORKER["recipe"], task):
            frames.append(frame)
            if _WORKER["stop"].is_set():
                break
    return frames


def use_one_thread() -> None:
    """For a process that has a core to itself: more threads would only spin."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
