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
from egorear.datasets.writer import check_name, claim_rig
from egorear.errors import UserError
from egorear.files import atomic_write
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

    def frames_in(self, name: str) -> int:
        """How many frames that shard holds; 0 where there is none, or none that is whole."""
        try:
            with tarfile.open(self.path(name), "r:") as tar:
                return sum(member.endswith(".json") for member in tar.getnames())
        except (OSError, tarfile.TarError):
            return 0

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

    def add(self, character: str, sequence: str, stem: str, frame: EncodedFrame) -> None:
        """Appends one frame, its files in alphabetical order.

        Raises:
            UserError: a name is no plain file name, or has a dot.
        """
        for part in (character, sequence, stem):
            check_name(part, "a character, sequence or frame")
        if "." in stem:
            raise UserError(f"'{stem}' cannot name a frame of shards: it must have no dot")
        files = {f"{view}.jpg": data for view, data in frame.images.items()}
        files |= {f"{view}.{kind}.png": data for (kind, view), data in frame.maps.items()}
        files["json"] = frame.json.rstrip().removesuffix(b"}") + self._rig
        for extension, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{character}/{sequence}/{stem}.{extension}")
            entry.size, entry.mode = len(data), 0o644  # owner, group and time stay 0
            self._tar.addfile(entry, io.BytesIO(data))
