"""Makes frames as tasks of a Ray cluster; what is made comes back, so no disk needs to be shared to write it."""

import logging
import socket
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from egorear.datasets.workers import AHEAD, DEATHS, Make, Task, use_one_thread
from egorear.errors import UserError

CONNECT_S = 10.0


def make_on_cluster(
    make: Make, shared: Any, tasks: Sequence[Task], address: str, workers: int = 1
) -> Generator[Iterable[Any], None, None]:
    """What `make(shared, task)` gives for each task, in order. address: of the cluster's head ("auto", "host:port",
    "ray://host:port"), or "local" to start one of `workers` processes here. egorear and every file that `make` reads
    must be on every node.

    Raises:
        UserError: `make` does, there is no such cluster, or nodes die again and again over the same task.
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
        remote = ray.remote(num_cpus=1, max_retries=DEATHS)(_make)
        reference_to_shared = ray.put(shared)
        waiting, pending = deque(tasks), deque()
        while waiting or pending:
            ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting and len(pending) < ahead:
                task = waiting.popleft()
                pending.append((task, remote.remote(make, reference_to_shared, task)))
            task, reference = pending.popleft()
            try:
                made = ray.get(reference)
            except UserError:
                raise
            except RayError as error:
                raise UserError(f"--ray {address}: {task.name} cannot be made: {_first_line(error)}") from error
            del reference
            yield made
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


def _make(make: Make, shared: Any, task: Any) -> list[Any]:
    use_one_thread()
    return list(make(shared, task))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
