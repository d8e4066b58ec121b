"""Every set of cameras that one network can be left with: the rest lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from egorear.evaluation.faults import Fault, Lost


@dataclass(frozen=True)
class ViewSet(Lost):
    """Only the views `kept` have pictures."""

    family: ClassVar[str] = "views"
    kept: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return ", ".join(self.kept)


def view_sets(views: Sequence[str]) -> list[Fault]:
    """All sets but the empty one, small ones first; the last has every view."""
    return [
        ViewSet(tuple(view for view in views if view not in kept), kept=kept)
        for count in range(1, len(views) + 1)
        for kept in combinations(views, count)
    ]
