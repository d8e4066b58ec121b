"""`egorear COMMAND …`: finds the command, runs it, turns failures into one sentence and an exit code.

Exit codes: 0 done, 1 failed or interrupted, 2 bad input. Nothing heavy is imported here, so that
`egorear --help` answers at once; each command lives in the module of its name.
"""

import argparse
import importlib
import os
import sys

import egorear
from egorear.errors import UserError

COMMANDS = {
    "demo": "shipped frames and weights to poses, error and pictures, offline",
    "predict": "image folders, one video per camera, or a dataset split to poses.npz",
    "convert": "poses.npz to BVH or CSV, for animation programs, engines and tables",
    "live": "cameras to poses as they come, sent to engines and avatars",
    "view": "look at a poses.npz: one interactive HTML page, or Rerun",
    "export": "a network to one ONNX file, checked against torch",
    "evaluate": "score a poses.npz; study a network under faults or with fewer cameras",
    "compare": "poses of several networks on the same frames, joint by joint",
    "calibrate": "make a network's confidences mean what they say",
    "propagation": "what propagation along the skeleton brings, joint by joint",
    "reconstruct": "how much of the heatmaps EgoTAP's encoders keep",
    "bench": "what each network costs: parameters, GMAC, memory, time",
    "synth": "render training data for any rig",
    "prepare": "a dataset to checked shards, bad frames put aside",
    "motion": "check recordings of motion: contacts, limits, action labels",
    "card": "describe a dataset: a page of figures and pictures",
    "fit": "train one stage from a YAML configuration (also: validate, test)",
    "validate": "run the validation of a training stage",
    "test": "run the test of a training stage",
    "study": "train and judge the paper's matrix of cameras and methods",
    "rig": "show, check or convert a rig; count what its cameras see",
    "weights": "import published checkpoints, list what ships",
    "info": "versions and devices, for bug reports",
}

EXTRAS = {
    "lightning": "train",
    "jsonargparse": "train",
    "torchmetrics": "train",
    "numba": "synth",
    "ray": "scale",
    "h5py": "egocap",
    "huggingface_hub": "hub",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "export",
    "pythonosc": "live",
    "rerun": "view",
}
"""Module to the extra of pyproject.toml that brings it."""


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    # Spinning OpenMP threads make torch ten times slower on busy cores; this must precede its import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in argv
    argv = [a for a in argv if a != "--debug"]
    name = argv[0] if argv else "--help"
    try:
        if name in ("-h", "--help", "--version"):
            print(f"egorear {egorear.__version__}" if name == "--version" else _help(), flush=True)
            return 0
        if name not in COMMANDS:
            print(f"egorear: error: there is no command '{name}'; try: egorear --help", file=sys.stderr)
            return 2
        code = _run(name, argv[1:])
        sys.stdout.flush()  # a reader that has gone is noticed here, not when Python exits
        return code
    except UserError as error:
        if debug:
            raise
        # A DataLoader's worker hands its error on with its traceback before it; only the sentence is for the user.
        sentence = str(error).rpartition(f"{UserError.__module__}.{UserError.__name__}: ")[2].strip()
        print(f"egorear {name}: error: {sentence}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if debug or (error.name or "").startswith("egorear"):
            raise
        package = (error.name or "").partition(".")[0]
        brings = f"egorear[{EXTRAS[package]}]" if package in EXTRAS else package
        print(
            f"egorear {name}: error: this command needs the package '{package}': pip install '{brings}'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(f"\negorear {name}: interrupted; what was written is whole", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # of a log or a cache that another library writes: a full disk, a folder that is gone
        if debug:
            raise
        print(f"egorear {name}: error: {error}", file=sys.stderr)
        return 1


def _run(name: str, argv: list[str]) -> int:
    module = importlib.import_module(f"egorear.cli.{'fit' if name in ('validate', 'test') else name}")
    if name in ("fit", "validate", "test"):
        return module.run_lightning(name, argv) or 0
    parser = argparse.ArgumentParser(prog=f"egorear {name}", description=COMMANDS[name])
    module.add_arguments(parser)
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    return module.run(args) or 0


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: egorear COMMAND [options]     (egorear COMMAND --help tells them)\n\n"
        f"{egorear.__doc__}\n\ncommands:\n{rows}\n\n"
        "  --debug after any command shows the traceback of an error"
    )


if __name__ == "__main__":
    sys.exit(main())
