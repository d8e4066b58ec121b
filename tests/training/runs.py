"""`egorear fit` in processes that share one import and may be killed, and what their checkpoints hold."""

import multiprocessing
import os
import resource
import signal
import socket
from pathlib import Path
from typing import Any

import torch

PROCESSES = multiprocessing.get_context("forkserver")  # one import for all runs
PROCESSES.set_forkserver_preload(["egorear.training.cli"])


def command(
    name: str,
    arguments: list[str],
    log: Path,
    environment: dict[str, str],
    at: tuple[str, int] | None,
    number: int,
    largest_file: int | None,
) -> None:
    """An egorear command in a process of its own, see `fit`."""
    import egorear.training.stages as stages
    from egorear.cli.main import main

    os.environ.update(environment)
    torch.set_num_threads(1)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    counts = dict.fromkeys(("batch", "step", "validation", "saving"), 0)

    def count(event: str) -> None:
        counts[event] += 1
        if at == (event, counts[event]):
            os.kill(os.getpid(), number)

    def counted(event: str, function: Any, before: bool) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if before:
                count(event)
            result = function(*args, **kwargs)
            if not before:
                count(event)
            return result

        return call

    stages.loss_terms = counted("batch", stages.loss_terms, before=True)
    stages.Stage.optimizer_step = counted("step", stages.Stage.optimizer_step, before=False)
    stages.Stage._judge = counted("validation", stages.Stage._judge, before=True)
    torch.save = counted("saving", torch.save, before=False)  # written, but not yet in its place
    os._exit(main([name, *arguments]))


def fit(
    arguments: list[str],
    folder: Path,
    at: tuple[str, int] | None = None,
    number: int = signal.SIGKILL,
    largest_file: int | None = None,
) -> tuple[int, str]:
    """The exit code of the run in `folder`, started or continued, and what it told.

    at: event at which the process gets the signal `number`: its name and how often it has come. largest_file: bytes.
    """
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    arguments = [*arguments, "--ckpt_path=last", f"--trainer.default_root_dir={folder}"]
    process = PROCESSES.Process(target=command, args=("fit", arguments, log, {}, at, number, largest_file))
    process.start()
    process.join()
    return process.exitcode, log.read_text()


def run_two(name: str, arguments: list[str], log: Path, told_to_stop: tuple[str, int] | None = None) -> list[int]:
    """Exit codes of two processes that train or judge together, as a cluster starts them; `log` receives what they
    tell. told_to_stop: event at which the second one gets SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    arguments = [
        *arguments, "--trainer.accelerator=cpu", "--trainer.devices=2",
        "--trainer.strategy=ddp_find_unused_parameters_true",
    ]  # fmt: skip
    processes = []
    for rank in range(2):
        environment = {**address, "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
        at = told_to_stop if rank == 1 else None
        own = (name, arguments, log.with_suffix(f".{rank}"), environment, at, signal.SIGTERM, None)
        processes.append(PROCESSES.Process(target=command, args=own))
        processes[-1].start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def state(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def assert_same(one: Any, other: Any, where: str = "") -> None:
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}/{i}")
    else:
        assert one == other, where


def assert_same_run(whole: Path, resumed: Path) -> None:
    """Weights, average, optimizer, schedule, best validation and where the loops stand are the same, bit for bit."""
    one, other = state(whole), state(resumed)
    for checkpoint in (one, other):
        fit_loop = checkpoint["loops"]["fit_loop"]
        checkpoint["loops"] = {key: fit_loop[key] for key in ("epoch_progress", "epoch_loop.batch_progress")}
    assert_same(one, other)
    assert_same(state(whole, "best")["state_dict"], state(resumed, "best")["state_dict"])
    model = "model/model.safetensors"
    assert (whole / model).read_bytes() == (resumed / model).read_bytes()
