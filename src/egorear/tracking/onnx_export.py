"""A pose network to one ONNX file: bytes of images in, joints out, nothing left to write around it (docs/export.md)."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jaxtyping
import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.files import atomic_write
from egorear.geometry.skeleton import SKELETONS
from egorear.tracking.onnx_network import INPUTS, SCHEMA, VERSION, as_metadata
from egorear.tracking.pose_network import NetworkAnswer, PoseNetwork

OPSET = 18  # TensorRT 10 reads GridSample of 18 right and that of 20 wrong (NVIDIA/TensorRT#4646)
LARGEST_BYTES = 2**31 - 2**20  # of the weights: what protobuf can hold, less the graph itself

Sampling = Literal["grid", "gather"]
"""How features are read between pixels: by GridSample, the faster; or by Gather, for engines that compute GridSample
wrong without saying so (TensorRT 10.14 to 11.1: NVIDIA/TensorRT#4813)."""


def export_onnx(network: PoseNetwork, path: Path, about: dict[str, Any], sampling: Sampling, batch: int | None) -> None:
    """Writes the network, which must be on the CPU, as an ONNX file, atomically.

    about: goes into the file's metadata, each value as JSON (texts as they are). batch: frames the graph takes; None:
    any number.

    Raises:
        UserError: the weights are too large for one file, or the path cannot be written.
    """
    if sum(p.numel() * p.element_size() for p in network.parameters()) > LARGEST_BYTES:
        raise UserError(f"the network's weights are larger than the {LARGEST_BYTES} bytes that an ONNX file can hold")
    views, (width, height) = network.lenses.views, _size(network)
    count = 2 if batch is None else batch  # an example of 1 would be taken for a constant
    example = (
        torch.zeros(count, len(views), 3, height, width, dtype=torch.uint8),
        network.lenses.T_camera_device.float(),
        torch.ones(count, len(views), dtype=torch.bool),
    )
    free = None if batch is not None else {0: torch.export.Dim("batch", min=1, max=4096)}
    with torch.no_grad(), _tracing():
        exported = torch.export.export(network, example, dynamic_shapes=(free, None, free))
        if sampling == "gather":
            exported = exported.run_decompositions({torch.ops.aten.grid_sampler.default: sample_by_gather})
        program = torch.onnx.export(
            exported,
            input_names=INPUTS,
            output_names=NetworkAnswer._fields,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    if batch is None:
        for value in (*program.model.graph.inputs[::2], *program.model.graph.outputs):
            value.shape[0] = "batch"  # type: ignore[index]
    program.model.metadata_props.update({name: as_metadata(value) for name, value in about.items()})
    program.model.producer_name = "egorear"
    with atomic_write(path) as temporary:
        program.save(temporary, external_data=False)


def describe(network: PoseNetwork, model_id: str, sampling: Sampling, batch: int | None) -> dict[str, Any]:
    """What a user of the file must know, and all that `OnnxNetwork` needs: it stands in the file and in
    `export.json`."""
    size, skeleton = _size(network), network.skeleton
    frames, views, joints = "batch" if batch is None else batch, len(network.lenses.views), len(skeleton)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "model_id": model_id,
        "views": list(network.lenses.views),
        "skeleton": next(name for name, known in SKELETONS.items() if known == skeleton),
        "joint_names": list(skeleton.names),
        "origin": network.origin,
        "axes": "x right, y backward, z down (head upright); right-handed; metres",
        "calibrated": network.calibration is not None,
        "sampling": sampling,
        "batch": batch,
        "rig_hash": network.lenses.hash(),
        "rig": network.lenses.to_dict(),
        "inputs": {
            "images": f"uint8 ({frames}, {views}, 3, {size[1]}, {size[0]}): RGB as the rig's lenses see it, its views",
            "T_camera_device": f"float32 ({views}, 4, 4): takes device points (m) to each camera's, its views",
            "present": f"bool ({frames}, {views}): which views each frame has, at least one; the others' are not read",
        },
        "outputs": {
            "joints": f"float32 ({frames}, {joints}, 3): metres, from the origin",
            "confidence": f"float32 ({frames}, {joints}): 0 to 1; if calibrated, probability of an error below 100 mm",
            "joints_2d": f"float32 ({frames}, {views}, {joints - 1}, 2): pixels of the images, joints after the first;"
            " the centre of the top left pixel is (0, 0); without meaning where a view is not present",
            "scores_2d": f"float32 ({frames}, {views}, {joints - 1}): the heatmaps' peaks; 0 where a view is absent",
        },
    }


def sample_by_gather(
    maps: Float[Tensor, "N C H W"],
    grid: Float[Tensor, "N h w 2"],
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
) -> Float[Tensor, "N C h w"]:
    """`F.grid_sample`, bilinear, zero outside, corners not aligned, as weighted sums of gathered pixels."""
    assert (interpolation_mode, padding_mode, align_corners) == (0, 0, False), "no network here samples otherwise"
    height, width = maps.shape[-2:]
    x, y = grid.flatten(1, 2).unbind(-1)
    x, y = (x + 1) * (width / 2) - 0.5, (y + 1) * (height / 2) - 0.5
    left, top = x.floor(), y.floor()
    pixels = maps.flatten(2)
    total = torch.zeros_like(pixels[..., :1])
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        weight = (1 - (x - column).abs()) * (1 - (y - row).abs()) * inside
        index = torch.where(inside, row * width + column, 0.0).long()
        total = total + pixels.gather(2, index[:, None].expand(-1, maps.shape[1], -1)) * weight[:, None]
    return total.unflatten(2, grid.shape[1:3])


def _size(network: PoseNetwork) -> tuple[int, int]:
    return next((camera.width, camera.height) for camera in network.lenses.cameras.values())


@contextlib.contextmanager
def _tracing() -> Iterator[None]:
    """Without the exporter's remarks on packages it could have used and on its own deprecated calls, and without
    checks of annotated shapes, if somebody has switched them on: comparing the batch's size makes it a constant."""
    logger = logging.getLogger("torch.onnx")
    level, unchecked = logger.level, jaxtyping.config.jaxtyping_disable
    logger.setLevel(logging.ERROR)
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        jaxtyping.config.update("jaxtyping_disable", unchecked)
