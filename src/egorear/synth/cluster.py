"""Renders takes as tasks of a Ray cluster; the encoded frames come back, so no disk needs to be shared."""

import logging
import socket
from collections import deque
from collections.abc import Generator, Sequence

from egorear.datasets.frame import EncodedFrame
from egorear.errors import UserError
from egorear.synth.job import Recipe
from egorear.synth.workers import AHEAD, DEATHS, Frames, Task, render, use_one_thread

CONNECT_S = 10.0


def render_on_cluster(
    recipe: Recipe, tasks: Sequence[Task], address: str, workers: int = 1
) -> Generator[Frames, None, None]:
    """The frames of each task, in order. address: of the cluster's head ("auto", "host:port", "ray://host:port"), or
    "local" to start one of `workers` processes here. egorear and the files of `--motion` must be on every node.

    Raises:
        UserError: there is no such cluster, or nodes die again and again over the same take.
    """
    import ray
    from ray.exceptions import RayError

    started = not ray.is_initialized()
    if started:
        check_reachable(address)
        options = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (RayError, ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(f"--ray {address}: no Ray cluster answers there ({_first_line(error)})") from error
    try:
        remote = ray.remote(num_cpus=1, max_retries=DEATHS)(_render)
        shared = ray.put(recipe)
        waiting, pending = deque(tasks), deque()
        while waiting or pending:
            ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting and len(pending) < ahead:
                task = waiting.popleft()
                pending.append((task, remote.remote(shared, task)))
            task, reference = pending.popleft()
            try:
                frames = ray.get(reference)
            except UserError:
                raise
            except RayError as error:
                raise UserError(
                    f"--ray {address}: {task.take.name} cannot be rendered: {_first_line(error)}"
                ) from error
            del reference
            yield frames
    finally:
        if started:
            ray.shutdown()


def check_reachable(address: str) -> None:
    """Ray itself would try for minutes.

    Raises:
        UserError: nobody answers at that address.
        ModuleNotFoundError: ray is not installed.
    """
    import ray  # noqa: F401

    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), CONNECT_S).close()
        except (OSError, OverflowError) as error:
            raise UserError(f"--ray {address}: no Ray cluster answers there ({error})") from error


def _render(recipe: Recipe, task: Task) -> list[tuple[int, EncodedFrame]]:
    use_one_thread()
    return list(render(recipe, task))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
