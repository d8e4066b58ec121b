"""Named parameters of a movement: each is drawn from its range by name, unless it was given."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from egorear.errors import UserError

Value = float | int | str


class Draw:
    """Draws parameters and keeps what they were.

    rng: the generator, also for curves. given: parameters that are not left to chance; all the others come out as
    they would have without.
    """

    def __init__(self, rng: np.random.Generator, given: Mapping[str, Value] | None = None):
        self.rng = rng
        self.values: dict[str, Value] = {}
        self._given = dict(given or {})

    def uniform(self, name: str, low: float | int, high: float | int) -> float:
        return self._number(name, float(self.rng.uniform(low, high)), low, high)

    def normal(self, name: str, mean: float | int, deviation: float | int) -> float:
        return self._number(name, float(self.rng.normal(mean, deviation)), mean - 5 * deviation, mean + 5 * deviation)

    def chance(self, name: str, probability: float) -> bool:
        """True (1) with the probability."""
        return bool(self._number(name, float(self.rng.random() < probability), 0, 1))

    def choice(
        self, name: str, options: Sequence[Value], p: Sequence[float] | None = None, others: Collection[Value] = ()
    ) -> Value:
        """One of the options, with probabilities `p` or all alike; `others` may be given but are not drawn."""
        value = self._named(name, options[int(self.rng.choice(len(options), p=p))])
        if value not in (*options, *others):
            allowed = ", ".join(map(str, others or options))
            raise UserError(f"the movement's '{name}' is {value!r} but must be one of {allowed}")
        return value

    def side(self, name: str) -> int:
        """0 left, 1 right."""
        return int(self.choice(name, (0, 1)))

    def check(self) -> None:
        """Call after the last draw.

        Raises:
            UserError: a given parameter is none of the movement's.
        """
        if unknown := sorted(set(self._given) - set(self.values)):
            raise UserError(f"the movement has no parameter '{unknown[0]}'; it has {', '.join(sorted(self.values))}")

    def _number(self, name: str, drawn: float, low: float | int, high: float | int) -> float:
        value = self._named(name, drawn)
        if isinstance(value, str) or not low <= value <= high:
            raise UserError(f"the movement's '{name}' is {value!r} but must be a number from {low:g} to {high:g}")
        return float(value)

    def _named(self, name: str, drawn: Value) -> Value:
        if name in self.values:
            raise ValueError(f"'{name}' is drawn twice")
        self.values[name] = self._given.get(name, drawn)
        return self.values[name]
