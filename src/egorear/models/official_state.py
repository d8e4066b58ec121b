"""A published checkpoint under our names, which remembers what its file calls each tensor: messages say that."""

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from egorear.errors import UserError
from egorear.models.pretrained import not_finite, state_difference


class PublishedState:
    """The tensors of a published file under our names and in our layouts.

    tensors: shared with the file's where possible. names: by our name, each name that the file has the tensor under.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        rename: Callable[[str], str | None],
        relayout: Callable[[str, Tensor], Tensor] = lambda _, tensor: tensor,
    ) -> None:
        """rename: our name of a published one; None leaves it out. relayout: our layout of a tensor, by our name.

        Raises:
            UserError: two tensors are the same one of ours and differ.
        """
        self.tensors: dict[str, Tensor] = {}
        self.names: dict[str, list[str]] = {}
        self._rename, self._relaid = rename, set[str]()
        for published, tensor in state.items():
            name = rename(published)
            if name is None:
                continue
            ours = relayout(name, tensor)
            names = self.names.setdefault(name, [])
            if names and not _same(self.tensors[name], ours):
                raise UserError(
                    f"'{published}' differs from the checkpoint's other copy of the same tensor, '{names[0]}'"
                )
            self.tensors[name] = ours
            names.append(published)
            if ours.shape != tensor.shape:
                self._relaid.add(name)

    def difference(self, expected: Mapping[str, Tensor]) -> str:
        """What keeps the file from being `expected`, in its own names; empty if nothing does."""
        return state_difference(expected, self.tensors, self.called)

    def finite(self, names: Iterable[str]) -> dict[str, Tensor]:
        """The tensors of these names (ours).

        Raises:
            UserError: one of them holds NaN or infinite values.
        """
        tensors = {name: self.tensors[name] for name in names}
        if problem := not_finite(tensors, self.called):
            raise UserError(problem)
        return tensors

    def called(self, name: str) -> str:
        """What a message calls the tensor of our name: as the file does, or would do if it had it."""
        if name in self.names:
            return f"'{self.names[name][0]}'" + (" (in our layout)" if name in self._relaid else "")
        beside = self._beside(name)
        return f"'{name}' (our name)" if beside is None else f"'{beside}'"

    def _beside(self, missing: str) -> str | None:
        """The published name of a tensor whose layer has another one in the file, if both end as ours do."""
        layer, _, last = missing.rpartition(".")
        for ours, (published, *_) in self.names.items():
            their_layer, _, their_last = published.rpartition(".")
            if ours == f"{layer}.{their_last}" and self._rename(f"{their_layer}.{last}") == missing:
                return f"{their_layer}.{last}"
        return None


def unwrapped(published: str) -> str:
    """A published name without what DataParallel puts before it."""
    return re.sub(r"^(module\.)+", "", published)


def own_copies(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that share no memory with the originals, float32 in place of every floating-point type."""
    return {name: t.to(torch.float32 if t.is_floating_point() else t.dtype, copy=True) for name, t in state.items()}


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)
