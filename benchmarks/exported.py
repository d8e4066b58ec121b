"""What an export brings on this CPU: `python benchmarks/exported.py WEIGHTS EXPORT… [--threads N] [--rounds N]`.

torch and each exported folder (ONNX Runtime; OpenVINO too where it is installed) take the demo's first frame by turns.
Milliseconds: the median of the wall clock, and of the process's CPU time, which other work on the machine hardly moves.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from egorear.cli.demo import DATA
from egorear.datasets.opening import open_dataset
from egorear.tracking import PoseTracker
from egorear.tracking.onnx_network import INPUTS, MODEL
from egorear.tracking.sources import DatasetSource


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("exports", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tracker = PoseTracker.from_pretrained(args.weights)
    frame = next(iter(DatasetSource(open_dataset(DATA, "test"))))
    retaken = tracker.cameras.retake([frame.images], frame.rig)
    given = retaken.images, retaken.rig.T_camera_device, retaken.present
    engines: dict[str, Callable] = {"torch": tracker.network}
    for folder in args.exports:
        engines[f"{folder.name}, ONNX Runtime"] = PoseTracker.from_pretrained(folder).network
        if (openvino := _openvino(folder, args.threads)) is not None:
            engines[f"{folder.name}, OpenVINO"] = openvino
    wall, cpu, truth = {name: [] for name in engines}, {name: [] for name in engines}, None
    for number in range(args.rounds + 3):  # three warm up
        for name, engine in engines.items():
            clocks = time.perf_counter(), time.process_time()
            with torch.inference_mode():
                joints = engine(*given)[0]
            if number >= 3:
                wall[name].append(1000 * (time.perf_counter() - clocks[0]))
                cpu[name].append(1000 * (time.process_time() - clocks[1]))
            truth = joints if truth is None else truth
            if number == 0:
                print(f"{name}: {1000 * (joints - truth).norm(dim=-1).max():.2g} mm from torch")
    print(f"threads {args.threads}, medians of {args.rounds}")
    for name in engines:
        print(f"{name:<40} {statistics.median(wall[name]):8.1f} ms wall {statistics.median(cpu[name]):8.1f} ms CPU")


def _openvino(folder: Path, threads: int) -> Callable | None:
    try:
        import openvino
    except ModuleNotFoundError:
        return None
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(folder / MODEL, "CPU", settings)

    def run(*given: torch.Tensor) -> list[torch.Tensor]:
        answer = compiled({name: tensor.numpy() for name, tensor in zip(INPUTS, given, strict=True)})
        return [torch.from_numpy(answer[port]) for port in compiled.outputs]

    return run


if __name__ == "__main__":
    main()
