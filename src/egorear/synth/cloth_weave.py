"""How cloth holds together: the constraints of a person's hanging garments, found at rest."""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from numba import njit

from egorear.synth.body import Person
from egorear.synth.cloth_colliders import Colliders, clearance

THICKNESS_M = 0.010  # cloth keeps this far from the body, or as far as it was at rest, if nearer
EASE = 0.3  # how much wider than at rest the hem may become,
EASE_FROM_M = 0.2  # which it has this far from the seam
THINNING_M = 0.2  # way from the seam on which cloth becomes four times as light


class Weave(NamedTuple):
    """M vertices: first the C that move, then those of the seams, which are skinned.

    looseness: how far each may be from its skinned place; margin: how far it keeps from the body; home: the axis of
    the body it is nearest to at rest. Edges of the mesh and bends (the vertices opposite an edge) are pairs with their
    length, the second vertex' share of a correction, and, for edges, the length they may stretch to.
    anchor, reach: the seam vertex each hangs from and how far from it the cloth lets it (itself and inf: none).
    """

    looseness: Float64[np.ndarray, "C"]
    margin: Float64[np.ndarray, "C"]
    home: Int64[np.ndarray, "C"]
    edges: Int64[np.ndarray, "E 2"]
    edge_length: Float64[np.ndarray, "E"]
    edge_most: Float64[np.ndarray, "E"]
    edge_share: Float64[np.ndarray, "E"]
    bends: Int64[np.ndarray, "D 2"]
    bend_length: Float64[np.ndarray, "D"]
    bend_share: Float64[np.ndarray, "D"]
    anchor: Int64[np.ndarray, "C"]
    reach: Float64[np.ndarray, "C"]


def weave_cloth(person: Person, colliders: Colliders) -> tuple[Int64[np.ndarray, "M"], Weave]:
    """The vertices that the cloth is made of, as numbers in the person, and its constraints."""
    vertices, triangles = _cut_out(person.triangles, person.looseness > 0)
    count = int((person.looseness > 0).sum())
    rest = person.vertices[vertices].astype(np.float64)
    edges, bends = (pairs[(pairs < count).any(1)] for pairs in _pairs(triangles))
    reach = np.where(np.arange(len(rest)) < count, np.inf, 0.0)
    anchor = np.arange(len(rest))
    ways = np.concatenate((edges, bends))  # with the bends, ways are hardly longer than the straight ones
    _spread(ways, _lengths(rest, ways), reach, anchor)
    edges, bends = _apart(edges, reach), _apart(bends, reach)
    margin, home = clearance(colliders, rest[:count])
    return vertices, Weave(
        person.looseness[vertices[:count]].astype(np.float64),
        np.clip(margin, -THICKNESS_M, THICKNESS_M),
        home,
        edges,
        _lengths(rest, edges),
        _most(rest, edges, reach),
        _shares(edges, reach),
        bends,
        _lengths(rest, bends),
        _shares(bends, reach),
        anchor[:count],
        reach[:count],
    )


def _cut_out(triangles: Int32[np.ndarray, "F 3"], moves: Bool[np.ndarray, "N"]):
    """The vertices of all triangles with one that moves, those that move first, and the triangles between them."""
    triangles = triangles[moves[triangles].any(1)]
    used = np.unique(triangles)
    vertices = np.concatenate((np.flatnonzero(moves), used[~moves[used]]))
    number = np.full(len(moves), -1)
    number[vertices] = np.arange(len(vertices))
    return vertices, number[triangles]


def _pairs(triangles: Int64[np.ndarray, "F 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a mesh, each once, and the vertices opposite each edge that two triangles share."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    opposite = np.concatenate([triangles[:, 2], triangles[:, 0], triangles[:, 1]])
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, opposite = edges[order], opposite[order]
    same = (edges[1:] == edges[:-1]).all(1)
    return edges[np.concatenate(([True], ~same))], np.stack((opposite[:-1], opposite[1:]), 1)[same]


def _lengths(points: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    x, y, z = (points[pairs[:, 1]] - points[pairs[:, 0]]).T
    return np.sqrt(x * x + y * y + z * z)


def _apart(pairs: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Pairs in an order in which neighbours share no vertex, so that a processor need not wait for the one before."""
    pairs = pairs[np.argsort(reach[pairs].min(1), kind="stable")]
    color = np.empty(len(pairs), np.int64)
    _color(pairs, np.zeros(len(reach), np.int64), color)
    return pairs[np.argsort(color, kind="stable")]


def _most(rest: np.ndarray, edges: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """How long edges may become: there is cloth in the pleats to widen for a stride, but none that hangs lengthens."""
    length, far = _lengths(rest, edges), _hanging(reach)[edges]
    across = 1 - np.clip((far[:, 1] - far[:, 0]) / np.maximum(length, 1e-9), -1, 1) ** 2
    return length * (1 + EASE * across * np.clip(far.min(1) / EASE_FROM_M, 0, 1))


def _shares(pairs: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """The second vertex' share of a correction, by the masses. Cloth is lighter the farther it hangs from its seam:
    one round of corrections then holds all that hangs on the uppermost edges. The seam itself stays."""
    lightness = np.where(reach > 0, (1 + _hanging(reach) / THINNING_M) ** 2, 0)[pairs]
    return lightness[:, 1] / (lightness[:, 0] + lightness[:, 1])


def _hanging(reach: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(reach), reach, 0)


@njit(cache=True, error_model="numpy")
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def _spread(ways, length, reach, anchor):  # pragma: no cover (compiled)
    """Shortest ways from the seam (reach 0), and where on it each begins, by relaxation."""
    changed = True
    while changed:
        changed = False
        for e in range(len(ways)):
            for a, b in ((ways[e, 0], ways[e, 1]), (ways[e, 1], ways[e, 0])):
                if reach[a] + length[e] < reach[b]:
                    reach[b] = reach[a] + length[e]
                    anchor[b] = anchor[a]
                    changed = True


@njit(cache=True, error_model="numpy")
@no_type_check
def _color(pairs, taken, color):  # pragma: no cover (compiled)
    """The lowest color that no earlier pair with a vertex in common has; taken: a bit of each vertex for each color."""
    for e in range(len(pairs)):
        a, b = pairs[e]
        color[e] = 0
        while (taken[a] | taken[b]) >> color[e] & 1:
            color[e] += 1
        taken[a] |= 1 << color[e]
        taken[b] |= 1 << color[e]
