"""Pieces of a mesh that carry all they need to be cut, worn and moved: skin weights and where they lie on a body."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32, Num

from egorear.synth.rasterizer import vertex_normals

HEIGHT, ARM, LEG, SCALP, SIDE, BACK = range(6)
"""Columns of `Surface.wear`, metres on the mean body: height over the hips joint, way along the arm and the leg
(0 off the limb), way inside the hairline (negative outside), and the places across (left is positive) and backward."""


@dataclass(frozen=True)
class Surface:
    """A mesh at rest, metres, with outward normals; wear: where each vertex lies on any body (see `HEIGHT`);
    skin_bones, skin_weights: what moves it."""

    points: Float32[np.ndarray, "N 3"]
    normals: Float32[np.ndarray, "N 3"]
    wear: Float32[np.ndarray, "N 6"]
    skin_bones: Int32[np.ndarray, "N 4"]
    skin_weights: Float32[np.ndarray, "N 4"]
    triangles: Int32[np.ndarray, "F 3"]

    def keeping(self, triangles: Bool[np.ndarray, "F"]) -> "Surface":
        """Only those triangles, and the vertices they use."""
        used, kept = np.unique(self.triangles[triangles], return_inverse=True)
        return self._of(used, kept.reshape(-1, 3).astype(np.int32))

    def clipped(self, field: Num[np.ndarray, "N"]) -> "Surface":
        """The part where a field over the vertices, linear within triangles, is not negative: hems without teeth."""
        inside = (field >= 0)[self.triangles]
        count = inside.sum(1)
        if (count == 3).all():
            return self
        one, two = self.triangles[count == 1], self.triangles[count == 2]
        # The corner that is alone on its side of the line comes first.
        a, b, c = np.concatenate((_first(one, inside[count == 1]), _first(two, ~inside[count == 2]))).T
        edges = np.sort(np.concatenate((np.stack((a, b), 1), np.stack((a, c), 1))), axis=1).astype(np.int64)
        keys, new = np.unique(edges[:, 0] * len(field) + edges[:, 1], return_inverse=True)
        first, second = np.divmod(keys, len(field))
        share = (field[first] / (field[first] - field[second])).astype(np.float32)
        ab, ac = (len(field) + new.reshape(2, -1)).astype(np.int32)
        n = len(one)
        triangles = np.concatenate([
            self.triangles[count == 3],
            np.stack((a, ab, ac), 1)[:n], np.stack((ab, b, c), 1)[n:], np.stack((ab, c, ac), 1)[n:],
        ])  # fmt: skip
        grown = self._with_mixtures(first, second, share)
        used, kept = np.unique(triangles, return_inverse=True)
        return grown._of(used, kept.reshape(-1, 3).astype(np.int32))

    def moved(self, points: Num[np.ndarray, "N 3"]) -> "Surface":
        return replace(self, points=points.astype(np.float32))

    def _of(self, used, triangles) -> "Surface":
        return Surface(
            self.points[used], self.normals[used], self.wear[used], self.skin_bones[used], self.skin_weights[used],
            triangles,
        )  # fmt: skip

    def _with_mixtures(self, first, second, share) -> "Surface":
        """Appends vertices that lie a share of the way from one vertex to another."""

        def extended(values):
            mixed = values[first] + share[:, None] * (values[second] - values[first])
            return np.concatenate((values, mixed))

        bones = np.concatenate((self.skin_bones[first], self.skin_bones[second]), axis=1)
        weights = np.concatenate(
            ((1 - share[:, None]) * self.skin_weights[first], share[:, None] * self.skin_weights[second]), axis=1
        )
        bones, weights = strongest(bones, weights)
        return Surface(
            extended(self.points), extended(self.normals), extended(self.wear),
            np.concatenate((self.skin_bones, bones)), np.concatenate((self.skin_weights, weights)), self.triangles,
        )  # fmt: skip


def strongest(
    bones: Int[np.ndarray, "N K"], weights: Float32[np.ndarray, "N K"]
) -> tuple[Int32[np.ndarray, "N 4"], Float32[np.ndarray, "N 4"]]:
    """The four bones of the greatest total weight; bones may be named more than once."""
    total = np.zeros((len(bones), int(bones.max(initial=0)) + 4), np.float32)
    np.add.at(total, (np.arange(len(bones))[:, None], bones), weights)
    most = np.argsort(-total, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(total, most, axis=1)
    return most.astype(np.int32), kept / kept.sum(1, keepdims=True)


def _first(triangles: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """The triangles, turned so that the marked corner comes first."""
    return np.take_along_axis(triangles, (marked.argmax(1)[:, None] + np.arange(3)) % 3, axis=1)


def sheet(
    points: Num[np.ndarray, "R C 3"],
    skin_bones: Int32[np.ndarray, "N 4"],
    skin_weights: Float32[np.ndarray, "N 4"],
    closed: bool,
) -> Surface:
    """A surface over a grid of points, which lies off the coordinates of `Surface.wear` (all zero).

    Rows run away from the viewer's eye and columns to the right, seen from outside; closed: the last column meets the
    first. N = R C vertices, row by row.
    """
    rows, columns = points.shape[:2]
    place = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    right = np.roll(place, -1, axis=1) if closed else place[:, 1:]
    left = place if closed else place[:, :-1]
    a, b, c, d = (corner.ravel() for corner in (left[:-1], right[:-1], left[1:], right[1:]))
    triangles = np.concatenate((np.stack((a, b, c), 1), np.stack((b, d, c), 1)))
    flat = points.reshape(-1, 3).astype(np.float32)
    normals = vertex_normals(flat, triangles)
    return Surface(flat, normals, np.zeros((len(flat), 6), np.float32), skin_bones, skin_weights, triangles)
