"""Whether an exported network answers as torch does, and how long each takes: measured, not assumed."""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from egorear.tracking.onnx_network import OnnxNetwork
from egorear.tracking.pose_network import NetworkAnswer, PoseNetwork

LIMIT_MM, LIMIT_SHARE = 0.1, 1e-3
"""An export that moves a joint farther than the first, or a confidence or a heatmap's peak by more than the second, is
refused."""
MOVED_PX = 0.01  # heatmap peaks are whole cells: this far apart, they are two

Given = tuple[UInt8[Tensor, "B V 3 H W"], Float[Tensor, "V 4 4"], Bool[Tensor, "B V"]]
"""What a `PoseNetwork` takes."""


@dataclass(frozen=True)
class Parity:
    """Differences between torch's answers and the export's in `frames` frames.

    Of all joints: the largest and the median distance (mm) and the largest difference of confidences; of all heatmaps
    of views that were there: how many peak elsewhere, the largest distance of those (pixels of the network's images),
    and the largest difference of peaks.
    """

    frames: int
    joints_max_mm: float
    joints_median_mm: float
    confidence_max: float
    peaks_moved: int
    joints_2d_max_px: float
    scores_2d_max: float

    @property
    def holds(self) -> bool:
        """Whether the export may be used; False if anything is not finite."""
        shares = self.confidence_max, self.scores_2d_max
        small = self.joints_max_mm <= LIMIT_MM and all(share <= LIMIT_SHARE for share in shares)
        return small and math.isfinite(self.joints_2d_max_px)


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of one call with `batch` frames, by turns, on the CPU with so many threads."""

    batch: int
    threads: int
    rounds: int
    torch_ms: float
    onnx_ms: float

    @property
    def ratio(self) -> float:
        """How many times as long torch takes."""
        return self.torch_ms / self.onnx_ms


def parity(network: PoseNetwork, exported: OnnxNetwork, batches: Sequence[Given]) -> Parity:
    """Compares answers to the same input."""
    joints, confidence, pixels, scores = [], [], [], []
    for given in batches:
        with torch.inference_mode():
            ours: NetworkAnswer = network(*given)
        theirs, there = exported(*given), given[2]
        joints.append(1000 * (ours.joints - theirs.joints).norm(dim=-1).flatten())
        confidence.append((ours.confidence - theirs.confidence).abs().flatten())
        pixels.append((ours.joints_2d - theirs.joints_2d).norm(dim=-1)[there].flatten())
        scores.append((ours.scores_2d - theirs.scores_2d).abs()[there].flatten())
    mm, px = torch.cat(joints), torch.cat(pixels)
    return Parity(
        frames=sum(len(images) for images, _, _ in batches),
        joints_max_mm=float(mm.max()),
        joints_median_mm=float(mm.median()),
        confidence_max=float(torch.cat(confidence).max()),
        peaks_moved=int((px > MOVED_PX).sum()),
        joints_2d_max_px=float(px.max()),
        scores_2d_max=float(torch.cat(scores).max()),
    )


def with_views_lost(given: Given, first: int, rounds: int) -> Iterator[Given]:
    """The batch as it is, then in rounds in which each frame lacks some of its views: all sets of views in turn, from
    the one with the number `first` on. What is in a lost view is noise, which must not matter."""
    images, T, present = given
    yield given
    views = range(present.shape[1])
    kept = [set(some) for count in views for some in combinations(views, count) if some]
    for start in range(first, first + rounds * len(images) if kept else first, len(images)):
        chosen = [kept[number % len(kept)] for number in range(start, start + len(images))]
        there = present & torch.tensor([[view in some for view in views] for some in chosen])
        there = torch.where(there.any(dim=1, keepdim=True), there, present)  # at least one view in every frame
        noise = torch.randint_like(images, 256)
        yield torch.where(there[..., None, None, None], images, noise), T, there


def latency(network: PoseNetwork, exported: OnnxNetwork, given: Given, rounds: int = 15) -> Latency:
    """Times both on the first frame of a batch, or on as many as the graph takes, by turns."""
    images, T, present = given
    batch = exported.batch or 1
    frames = torch.arange(batch) % len(images)
    some = images[frames], T, present[frames]
    times: dict[str, list[float]] = {"torch": [], "onnx": []}
    for number in range(rounds + 2):  # the first two warm up
        for name, model in (("torch", network), ("onnx", exported)):
            started = time.perf_counter()
            with torch.inference_mode():
                model(*some)
            if number >= 2:
                times[name].append(1000 * (time.perf_counter() - started))
    medians = (statistics.median(values) for values in times.values())
    return Latency(batch, torch.get_num_threads(), rounds, *medians)
