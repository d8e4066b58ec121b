"""Which sequences a split of EgoPW, SceneEgo or Mo2Cap2 has: our lists, or those of AG-EgoPose's release."""

from pathlib import Path

from egorear.datasets.ego4view import read_split
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.files import read_bytes

FOLDER = "train_test_directory"  # where the release keeps its lists
LIMIT_BYTES = 2**20


def split_sequences(root: Path, split: str, dataset: str) -> list[str]:
    """The folders of a split below the root, from `{split}.txt`, or else from the release's `{split}_{dataset}.txt`
    there or in `train_test_directory/`, whose lines may begin with folders of another machine.

    Raises:
        UserError: there is no such split or list, it is damaged, or a line of it names nothing below the root.
    """
    path = find_list(root, split, dataset)
    if path is None:
        raise UserError(f"{root} has no list of '{split}': it must hold {split}.txt or {split}_{dataset}.txt")
    if path.name == f"{split}.txt":
        return read_split(root, split)
    try:
        lines = read_bytes(path, LIMIT_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read the list of sequences {path}: {error}") from error
    return list(dict.fromkeys(_below(root, path, line) for line in lines if line.strip()))


def find_list(root: Path, split: str, dataset: str) -> Path | None:
    """The list that a split is read from, none where there is none.

    Raises:
        UserError: there is no such split.
    """
    if split not in SPLITS:
        raise UserError(f"'{split}' is no split of {root}; there are {', '.join(SPLITS)}")
    published = f"{split}_{dataset}.txt"
    places = (root / f"{split}.txt", root / published, root / FOLDER / published)
    return next((path for path in places if path.exists()), None)


def _below(root: Path, path: Path, line: str) -> str:
    """The longest end of a line that is a folder below the root; its last two folders where none is.

    One folder alone is never tried: training and test sequences of SceneEgo have the same names.
    """
    parts = [part for part in line.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in line or len(parts) < 2:
        raise UserError(f"{path}: '{line.strip()}' must be the path of a sequence, its last two folders at least")
    ends = ["/".join(parts[start:]) for start in range(len(parts) - 1)]
    return next((end for end in ends if (root / end).is_dir()), ends[-1])
