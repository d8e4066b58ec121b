"""Makes frames in this process, in several, or on a Ray cluster: the same in the same order from each.

Who makes them writes no file: what is made comes back to the caller, so a process may die at any moment.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any, Protocol, runtime_checkable

from egorear.errors import UserError

DEATHS = 3  # of workers over the same task, then it is given up
AHEAD = 2  # tasks in hand or done, for each worker: enough that none waits for the writer


@runtime_checkable
class Task(Protocol):
    """A few frames to make; `name` is what a user knows them by."""

    @property
    def name(self) -> str: ...


Make = Callable[[Any, Any], Iterable[Any]]  # of what all tasks share, and a task; found by name in other processes


def make_all(
    make: Make, shared: Any, tasks: Sequence[Task], workers: int = 1, ray: str | None = None
) -> Generator[Iterable[Any], None, None]:
    """What `make(shared, task)` gives for each task, in order, from `workers` processes (1: this one, lazily).

    ray: address of a Ray cluster that makes it instead, or "local" for one of `workers` processes.

    Raises:
        UserError: `make` does, there is no such cluster, or workers die again and again over the same task.
    """
    if ray is not None and tasks:
        from egorear.datasets.cluster import make_on_cluster

        yield from make_on_cluster(make, shared, tasks, ray, workers)
    elif workers <= 1 or len(tasks) <= 1:
        yield from (make(shared, task) for task in tasks)
    else:
        yield from _from_processes((make, shared), tasks, min(workers, len(tasks)))


def _from_processes(what: tuple[Make, Any], tasks: Sequence[Task], workers: int) -> Iterator[Iterable[Any]]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start, (*what, stop))
    deaths: Counter[str] = Counter()
    waiting, pending = deque(tasks), deque[tuple[Task, Future]]()
    try:
        while waiting or pending:
            while waiting and len(pending) < AHEAD * workers:
                task = waiting.popleft()
                pending.append((task, _submit(pool, task)))
            task, future = pending[0]
            try:
                made = future.result()
            except BrokenExecutor as error:
                pool.shutdown(wait=True)
                _count_death(deaths, task.name, error)
                pool = ProcessPoolExecutor(workers, context, _start, (*what, stop))
                pending = deque((task, _submit(pool, task) if _is_lost(f) else f) for task, f in pending)
                continue
            pending.popleft()
            yield made
    finally:
        stop.set()  # each worker ends with the frame in hand
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: Executor, task: Task) -> Future:
    with interrupts_for_parent_only():
        try:
            return pool.submit(_make, task)
        except BrokenExecutor as error:
            failed = Future()
            failed.set_exception(error)
            return failed


def _is_lost(future: Future) -> bool:
    return not future.done() or isinstance(future.exception(), BrokenExecutor)


def _count_death(deaths: Counter[str], task: str, error: BaseException) -> None:
    """Which task was in hand is not told, so the first unfinished one counts; if it is done by the next death, then
    another one counts."""
    deaths[task] += 1
    if deaths[task] >= DEATHS:
        raise UserError(
            f"workers were killed {DEATHS} times at {task} (out of memory?): try fewer --workers"
        ) from error
    logging.getLogger("egorear").warning("a worker was killed (out of memory?): going on again from %s", task)


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


def _start(make: Make, shared: Any, stop: Any) -> None:
    become_worker()
    _WORKER.update(make=make, shared=shared, stop=stop)


def become_worker() -> None:
    """Of a process of a pool: Ctrl-C is left to the parent, the parent's death ends it, and it keeps to one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells the workers to stop
    if (parent := multiprocessing.parent_process()) is not None:
        # A parent that was killed tells nothing; without this its workers would wait for work for ever.
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    use_one_thread()


def _make(task: Task) -> list[Any]:
    made = []
    if not _WORKER["stop"].is_set():
        for frame in _WORKER["make"](_WORKER["shared"], task):
            made.append(frame)
            if _WORKER["stop"].is_set():
                break
    return made


def use_one_thread() -> None:
    """For a process that has a core to itself: more threads would only spin."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
