"""Writes frames as shards: tar files in the form of WebDataset, the same bytes from the same frames.

{root}/rig.json  {root}/index.json
{root}/{name}.tar
    {character}/{sequence}/{stem}.{view}.jpg
    {character}/{sequence}/{stem}.{view}.{kind}.png     if asked for: `datasets.maps.KINDS`
    {character}/{sequence}/{stem}.json                  as in the folder layouts, and `rig`, the hash of rig.json
"""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from egorear.datasets.frame import EncodedFrame
from egorear.datasets.writer import claim_rig
from egorear.errors import UserError
from egorear.files import atomic_write, check_name
from egorear.geometry.rig import Rig


class ShardWriter:
    """Writes whole shards below `root`; a shard that has its name is whole.

    Raises:
        UserError: `root` holds frames of another rig, a view's name has a dot, or nothing can be written.
    """

    def __init__(self, root: str | Path, rig: Rig) -> None:
        self.root = Path(root)
        self._rig_hash = rig.hash()
        for view in rig.views:
            check_name(view, "a view")
            if "." in view:
                raise UserError(f"'{view}' cannot name a view of shards: it must have no dot")
        claim_rig(self.root, rig)

    def path(self, name: str) -> Path:
        """Where the shard of that name is."""
        check_name(name, "a shard")
        return self.root / f"{name}.tar"

    def frames_in(self, name: str) -> list[str]:
        """The names of the frames that shard holds, in order; none where there is no shard, or none that is whole."""
        try:
            with tarfile.open(self.path(name), "r:") as tar:
                return [name.removesuffix(".json") for name in tar.getnames() if name.endswith(".json")]
        except (OSError, tarfile.TarError):
            return []

    def forget(self, name: str) -> None:
        """Removes the shard of that name, so that it is written again."""
        self.path(name).unlink(missing_ok=True)

    @contextmanager
    def shard(self, name: str) -> Iterator["Shard"]:
        """A shard to add frames to; it appears under its name when the block ends without an error.

        Raises:
            UserError: the disk is full or cannot be written.
        """
        with atomic_write(self.path(name)) as temporary, tarfile.open(temporary, "w", format=FORMAT) as tar:
            yield Shard(tar, self._rig_hash)


FORMAT = tarfile.USTAR_FORMAT  # no extended headers: they may hold times


class Shard:
    """A shard being written. Frames must come in the order in which they are to be read."""

    def __init__(self, tar: tarfile.TarFile, rig_hash: str) -> None:
        self._tar = tar
        self._rig = f',"rig":"{rig_hash}"}}\n'.encode()

    def add(self, name: str, frame: EncodedFrame) -> None:
        """Appends one frame, "character/sequence/stem" (the character may be folders in folders), its files in
        alphabetical order.

        Raises:
            UserError: a part of the name is no plain file name, or the stem has a dot.
        """
        check_frame_name(name)
        files = {f"{view}.jpg": data for view, data in frame.images.items()}
        files |= {f"{view}.{kind}.png": data for (kind, view), data in frame.maps.items()}
        files["json"] = frame.json.rstrip().removesuffix(b"}") + self._rig
        for extension, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{name}.{extension}")
            entry.size, entry.mode = len(data), 0o644  # owner, group and time stay 0
            self._tar.addfile(entry, io.BytesIO(data))


def check_frame_name(name: str) -> None:
    """Refuses what cannot name a frame in a shard.

    Raises:
        UserError: it is not "character/sequence/stem", or the stem has a dot.
    """
    parts = name.split("/")
    for part in parts:
        check_name(part, "a character, sequence or frame")
    if "." in parts[-1] or len(parts) < 3 or "\\" in name:
        raise UserError(
            f"'{name}' cannot name a frame of shards: it must be character/sequence/stem, no dot in the stem"
        )
