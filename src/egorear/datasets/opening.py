"""Opens a dataset whatever its layout."""

from collections.abc import Sequence
from pathlib import Path

from egorear.datasets.ego4view import open_ego4view
from egorear.datasets.frames import FrameDataset
from egorear.datasets.index import FILE, Index
from egorear.datasets.shards import ShardDataset
from egorear.geometry.rig import Rig


def open_dataset(
    root: str | Path,
    split: str = "train",
    image_size: int | tuple[int, int] = 256,
    views: Sequence[str] | None = None,
    rig: Rig | None = None,
) -> FrameDataset:
    """One split of Ego4View-Syn, Ego4View-RW or shards: shards are told by their index, the others by their lists.

    Raises:
        UserError: there is no such dataset or split, or it is damaged.
    """
    if (Path(root) / FILE).exists() and Index.load(root).layout == "shards":
        return ShardDataset(root, split, image_size, views, rig)
    return open_ego4view(root, split, image_size, views, rig)
