"""An exported network (`egorear export`, docs/export.md), run by ONNX Runtime in place of torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from egorear.errors import UserError
from egorear.files import read_json
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import SKELETONS, Skeleton
from egorear.tracking.calibration import sha256_of
from egorear.tracking.pose_network import NetworkAnswer

MODEL, DESCRIPTION = "model.onnx", "export.json"
SCHEMA, VERSION = "egorear-export", 1
INPUTS = ("images", "T_camera_device", "present")


def is_export(folder: Path) -> bool:
    """Whether a folder holds an exported network rather than weights."""
    return (folder / DESCRIPTION).exists()


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """Stands in for a `PoseNetwork`; its tensors come and go on the CPU, whatever device computes.

    session: an `onnxruntime.InferenceSession`. batch: how many frames the graph takes; None: any number.
    """

    session: Any
    model_id: str
    lenses: Rig
    skeleton: Skeleton
    origin: str
    batch: int | None

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return torch.device("cpu")

    @staticmethod
    def load(folder: Path, device: torch.device | str = "cpu") -> "OnnxNetwork":
        """Opens `model.onnx` as the `export.json` beside it says. device: cpu, or cuda with onnxruntime-gpu.

        Raises:
            UserError: a file is missing or damaged, they do not belong together, or the device is not there.
        """
        path = folder / DESCRIPTION
        content = read_json(path)
        content = content if isinstance(content, dict) else {}
        if (content.get("schema"), content.get("version")) != (SCHEMA, VERSION):
            raise UserError(f"{path}: 'schema' and 'version' must be \"{SCHEMA}\" and {VERSION}")
        expected = {
            "model_id": (isinstance(content.get("model_id"), str), "text"),
            "skeleton": (content.get("skeleton") in list(SKELETONS), f"one of {', '.join(SKELETONS)}"),
            "origin": (content.get("origin") in ("device", "pelvis"), '"device" or "pelvis"'),
            "batch": (_is_batch(content.get("batch")), "null or a number of frames above 0"),
        }
        for name, (holds, words) in expected.items():
            if not holds:
                raise UserError(f"{path}: '{name}' must be {words}")
        try:
            Rig.from_dict(content.get("rig"))
        except UserError as error:
            raise UserError(f"{path}: 'rig': {error}") from error
        if sha256_of(folder / MODEL) != content.get("sha256"):
            raise UserError(f"{folder / MODEL} is damaged or not the one that {path} describes: export it again")
        network = OnnxNetwork.open(folder / MODEL, content, device)
        inside = network.session.get_modelmeta().custom_metadata_map
        for name in ("model_id", "skeleton", "origin", "batch", "rig"):
            if inside.get(name) != as_metadata(content.get(name)):
                raise UserError(f"{path}: '{name}' is not what {folder / MODEL} says of itself: export it again")
        return network

    @staticmethod
    def open(path: Path, about: dict[str, Any], device: torch.device | str = "cpu") -> "OnnxNetwork":
        """Opens an ONNX file that is as a checked `about` says.

        Raises:
            UserError: it cannot be opened, or the device is not there.
        """
        session = _session(path, device)
        lenses, skeleton = Rig.from_dict(about["rig"]), SKELETONS[about["skeleton"]]
        return OnnxNetwork(session, about["model_id"], lenses, skeleton, about["origin"], about["batch"])

    def __call__(
        self, images: UInt8[Tensor, "B V 3 H W"], T_camera_device: Float[Tensor, "V 4 4"], present: Bool[Tensor, "B V"]
    ) -> NetworkAnswer:
        """As `PoseNetwork`."""
        step = self.batch or len(images)
        parts = []
        for start in range(0, len(images), step):
            some, there = images[start : start + step], present[start : start + step]
            short = step - len(some)  # the graph's own number of frames is filled up with black ones
            given = F.pad(some, (0, 0) * 4 + (0, short)), T_camera_device.float(), F.pad(there, (0, 0, 0, short))
            answer = self.session.run(None, {name: t.numpy() for name, t in zip(INPUTS, given, strict=True)})
            parts.append([torch.from_numpy(part)[: len(some)] for part in answer])
        return NetworkAnswer(*(torch.cat(part) for part in zip(*parts, strict=True)))


def as_metadata(value: Any) -> str:
    """How something of the description stands in the file's metadata."""
    return value if isinstance(value, str) else json.dumps(value)


def _session(path: Path, device: torch.device | str) -> Any:
    """An ONNX Runtime session with as many threads as torch has.

    Raises:
        UserError: the file is no ONNX model, or this ONNX Runtime cannot use the device.
    """
    import onnxruntime

    kind = torch.device(device)
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(kind.type, kind.type)
    if provider not in onnxruntime.get_available_providers():
        raise UserError(f"device '{device}' cannot be used: this ONNX Runtime has no support for it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait spinning are slow on busy cores; torch's do not either (cli/main.py).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors, which are raised, too
    settings = {"device_id": kind.index or 0} if kind.type == "cuda" else {}
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[(provider, settings)])
    except Exception as error:  # its exceptions have no common class
        raise UserError(f"cannot open {path}: {error}".splitlines()[0]) from error
    if session.get_providers()[0] != provider:  # it falls back to the CPU by itself
        raise UserError(f"device '{device}' cannot be used: ONNX Runtime could not open it")
    return session


def _is_batch(value: Any) -> bool:
    return value is None or (type(value) is int and value > 0)
