"""Opens a dataset whatever its layout."""

from collections.abc import Sequence
from pathlib import Path

from egorear.datasets.ego4view import open_ego4view, read_split
from egorear.datasets.egocap import EgoCap, egocap_splits, is_egocap
from egorear.datasets.egopw import EgoPW
from egorear.datasets.frames import FrameDataset
from egorear.datasets.index import FILE, Index
from egorear.datasets.mo2cap2 import Mo2Cap2
from egorear.datasets.mo2cap2_chunks import Mo2Cap2Chunks, is_mo2cap2_chunks
from egorear.datasets.monocular import Monocular, is_monocular, monocular_splits
from egorear.datasets.sceneego import SceneEgo
from egorear.datasets.shards import ShardDataset
from egorear.datasets.unrealego import UnrealEgo, is_unrealego
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.geometry.rig import Rig


def open_dataset(
    root: str | Path,
    split: str = "train",
    image_size: int | tuple[int, int] = 256,
    views: Sequence[str] | None = None,
    rig: Rig | None = None,
) -> FrameDataset:
    """One split of any dataset that we read: shards are told by their index, EgoCap by its folders, EgoPW, SceneEgo
    and Mo2Cap2 by the labels of what their lists name, UnrealEgo and the two of Ego4View by their lists.

    Raises:
        UserError: there is no such dataset or split, or it is damaged.
    """
    if (Path(root) / FILE).exists() and Index.load(root).layout == "shards":
        return ShardDataset(root, split, image_size, views, rig)
    if is_egocap(root):
        return EgoCap(root, split, image_size, views, rig)
    if is_mo2cap2_chunks(root, split):
        return Mo2Cap2Chunks(root, split, image_size, views, rig)
    if (kind := _monocular(root)) is not None:
        return kind(root, split, image_size, views, rig)
    if is_unrealego(root):
        return UnrealEgo(root, split, image_size, views, rig)
    return open_ego4view(root, split, image_size, views, rig)


def list_splits(root: str | Path) -> list[str]:
    """The splits that a dataset has: finished ones of shards, those of EgoCap whose files are there, else those whose
    lists name anything.

    Raises:
        UserError: there is none, or an index or a list is damaged.
    """
    root = Path(root)
    if (root / FILE).exists() and (index := Index.load(root)).layout == "shards":
        found = [split for split in SPLITS if index.splits.get(split)]
    elif is_egocap(root):
        found = egocap_splits(root)
    elif (kind := _monocular(root)) is not None:
        found = monocular_splits(kind, root)
    elif chunks := [split for split in SPLITS if is_mo2cap2_chunks(root, split)]:
        found = chunks
    else:
        found = [split for split in SPLITS if (root / f"{split}.txt").exists() and read_split(root, split)]
    if not found:
        raise UserError(f"{root} has no split: it must hold {', '.join(f'{split}.txt' for split in SPLITS)} or shards")
    return found


def _monocular(root: str | Path) -> type[Monocular] | None:
    """Whose sequences a folder's lists name, if it is one of these."""
    return next((kind for kind in (EgoPW, SceneEgo, Mo2Cap2) if is_monocular(kind, root)), None)
