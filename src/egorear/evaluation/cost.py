"""What a network costs: parameters, multiplications, memory and time, whole and by part.

The figures depend on the architecture alone, so that random weights and random images do.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from egorear.geometry.rig import ego4view_syn
from egorear.models.agegopose import AGEgoPose

PARTS = {
    "estimators": "estimator",
    "encoder": "estimator",
    "joint_maps": "estimator",
    "heatmap_net": "estimator",
    "limb_maps": "limb estimator",
    "refiners": "refiner",
    "lifter": "lifter",
    "static": "static",
    "embedding": "embedding",
    "motion": "motion",
    "decoder": "decoder",
}
"""What the children of a network are called here; the heatmap heads run inside the estimators."""
PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Type of the autocast by Lightning's name of it."""
WARM_UPS = 2


@dataclass(frozen=True)
class Cost:
    """What one network costs for `batch` frames of `views` in one forward pass; a temporal one for `batch` windows.

    window: frames of a temporal network's window, whose costs are shared out among them; None for a single frame.
    gmac: 10^9 multiplications and additions per frame (all views) in convolutions, linear layers, attention and
    `grid_sample` (four per value that it samples; 0.02% of the paper's network); norms, activations and upsampling
    are not counted, as is usual. Attention counts as it is computed: a masked key costs as much as any other.
    peak_mb: 10^6 bytes of weights, images and all other tensors alive at the same time;
    what a kernel takes for itself is not in it. milliseconds: one per round, of the whole batch.
    gmac_of, milliseconds_of: by part, the latter the median over rounds; what belongs to no part is missing there.
    """

    name: str
    views: tuple[str, ...]
    image_size: int
    batch: int
    parameters: int
    gmac: float
    peak_mb: float
    window: int | None = None
    milliseconds: list[float] = field(default_factory=list)
    gmac_of: dict[str, float] = field(default_factory=dict)
    milliseconds_of: dict[str, float] = field(default_factory=dict)

    @property
    def gflop(self) -> float:
        """10^9 operations per frame: a multiplication and its addition are two."""
        return 2 * self.gmac

    @property
    def median_ms(self) -> float:
        """Of the rounds, for the whole batch."""
        return statistics.median(self.milliseconds)

    @property
    def frames_per_second(self) -> float:
        """At the median time."""
        return 1000 * self.batch * (self.window or 1) / self.median_ms

    def quartiles_ms(self) -> tuple[float, float]:
        """Between these lies the middle half of the rounds."""
        if len(self.milliseconds) < 2:
            return self.median_ms, self.median_ms
        low, _, high = statistics.quantiles(self.milliseconds, n=4, method="inclusive")
        return low, high


def measure(
    networks: dict[str, nn.Module],
    batch: int = 1,
    rounds: int = 10,
    threads: int = 1,
    device: torch.device | str = "cpu",
    precision: str = "32-true",
    compiled: bool = False,
) -> list[Cost]:
    """Costs of the networks (of `models.MODELS`' classes), which are moved to `device` and stay there.

    Rounds are interleaved: each times every network once, so that a busy minute of the machine is shared by all.
    threads: of torch on the CPU, restored afterwards. precision: a key of `PRECISIONS`. compiled: time what
    `torch.compile` makes of them (its compilation is not in the times).
    """
    device = torch.device(device)
    runs = {name: Run(network, batch, device, precision) for name, network in networks.items()}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        costs = {name: run.work(name) for name, run in runs.items()}
        for run in runs.values():
            if compiled:
                run.network.compile()
            for _ in range(WARM_UPS):
                run()
        for _ in range(rounds):
            for name, run in runs.items():
                start = run.clock()
                run()
                costs[name].milliseconds.append(run.clock() - start)
        if not compiled:  # hooks would break up what is compiled
            for name, run in runs.items():
                costs[name].milliseconds_of.update(run.parts_ms(rounds))
    finally:
        torch.set_num_threads(before)
    return list(costs.values())


class Run:
    """One network in eval mode with a batch of random images; a call is one forward pass."""

    def __init__(self, network: nn.Module, batch: int, device: torch.device, precision: str) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.device, self.dtype = device, PRECISIONS[precision]
        self.config: Any = network.config
        size, views = self.config.image_size, self.config.views
        self.window: int | None = self.config.window if isinstance(network, AGEgoPose) else None
        self.images = torch.randn(batch, self.window or len(views), 3, size, size, device=device)
        self.others: tuple[Any, ...] = ()  # what the network takes beside the images
        if self.window is None:
            self.others = (ego4view_syn().select(views).resized(size, size).to(device),)

    def __call__(self) -> None:
        with torch.no_grad(), torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            self.network(self.images, *self.others)

    def clock(self) -> float:
        """Milliseconds; waits for what the device still has to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return 1000 * time.perf_counter()

    def work(self, name: str) -> Cost:
        """All of the cost but time."""
        gmac, gmac_of = multiplications(self.network, self.images[:1], *self.others)
        frames = self.window or 1
        held = [*self.network.parameters(), *self.network.buffers(), self.images]
        with LiveBytes(held) as live:
            self()
        parameters = sum(p.numel() for p in self.network.parameters())
        size, views = self.config.image_size, tuple(self.config.views)
        return Cost(
            name,
            views,
            size,
            len(self.images),
            parameters,
            gmac / frames,
            live.peak / 1e6,
            self.window,
            gmac_of={part: value / frames for part, value in gmac_of.items()},
        )

    def parts_ms(self, rounds: int) -> dict[str, float]:
        """Median milliseconds by part."""
        spent: dict[str, list[float]] = {}
        for _ in range(rounds):
            with by_part(self.network, self.clock) as parts:
                self()
            for part, value in parts.items():
                spent.setdefault(part, []).append(value)
        return {part: statistics.median(values) for part, values in spent.items()}


def multiplications(network: nn.Module, *inputs: Any) -> tuple[float, dict[str, float]]:
    """GMAC of one forward pass (see `Cost.gmac`), whole and by part."""
    counting = {
        torch.ops.aten.grid_sampler_2d: _grid_sample_flop,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,  # torch counts those of GPUs only
    }
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one kernel for all of an attention, of which torch counts nothing
    try:
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=counting) as counter:

            def reading() -> float:
                return counter.get_total_flops() / 2e9

            with by_part(network, reading) as parts:
                network(*inputs)
            return reading(), parts
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def by_part(network: nn.Module, reading: Callable[[], float]) -> Iterator[dict[str, float]]:
    """By how much `reading` (a clock, a counter) rises within each of the `PARTS` while the context lasts."""
    parts: dict[str, float] = {}
    hooks = []
    for child_name, child in network.named_children():
        if child_name not in PARTS:
            continue
        for module in child.values() if isinstance(child, nn.ModuleDict) else (child,):
            part = PARTS[child_name]
            parts.setdefault(part, 0.0)
            entered: list[float] = []

            def enter(*_: Any, entered: list[float] = entered) -> None:
                entered.append(reading())

            def leave(*_: Any, part: str = part, entered: list[float] = entered) -> None:
                parts[part] += reading() - entered.pop()

            hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield parts
    finally:
        for hook in hooks:
            hook.remove()


class LiveBytes(TorchDispatchMode):
    """Follows every tensor that is made within the context; `peak`: the most bytes alive after any operation."""

    def __init__(self, held: list[Tensor]) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0
        self._note(held)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._note([leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)])
        return result

    def _note(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            reference = StorageWeakRef(storage)
            self.alive[reference.cdata] = (reference, storage.nbytes())
        self.alive = {key: entry for key, entry in self.alive.items() if not entry[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))


def _attention_flop(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Queries times keys, and weights times values."""
    return sdpa_flop_count(query, key, value)


def _grid_sample_flop(*_: Any, out_shape: tuple[int, ...], **__: Any) -> int:
    """Bilinear: four multiplications and four additions a value."""
    return 8 * prod(out_shape)
