"""`egorear info`: versions, shipped weights and devices, for bug reports. Imports nothing heavy by itself."""

import argparse
import json
import platform
import re
from importlib import metadata
from typing import Any

import egorear
from egorear.tracking.weights import shipped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear info`."""
    parser.add_argument("--devices", action="store_true", help="also list the devices torch sees (takes seconds)")
    parser.add_argument("--json", action="store_true", help="tell it as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints what a bug report needs."""
    content: dict[str, Any] = {
        "egorear": egorear.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": _versions(),
        "weights": shipped(),
    }
    if args.devices:
        content["devices"] = _devices()
    print(json.dumps(content, indent=2) if args.json else _text(content))
    return 0


def _versions() -> dict[str, str | None]:
    """Version by name of every package that egorear or one of its extras asks for; None if it is not installed."""
    versions: dict[str, str | None] = {}
    try:
        requirements = metadata.requires("egorear") or []
    except metadata.PackageNotFoundError:  # run from a checkout that was not installed
        requirements = ["torch", "numpy", "opencv-python-headless", "safetensors", "rich", "jaxtyping"]
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if name == "egorear" or name in versions:
            continue
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _devices() -> list[str]:
    import torch

    found = [f"cpu ({torch.get_num_threads()} threads)"]
    found += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return found + (["mps"] if torch.backends.mps.is_available() else [])


def _text(content: dict[str, Any]) -> str:
    packages = {name: version or "not installed" for name, version in content["packages"].items()}
    rows = {name: content[name] for name in ("egorear", "python", "system")} | packages
    rows["shipped weights"] = ", ".join(content["weights"]) or "none"
    if "devices" in content:
        rows["devices"] = ", ".join(content["devices"])
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
