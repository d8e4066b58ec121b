"""Rotations of motion clips in numpy, batched over any leading axes. Quaternions are (w, x, y, z)."""

import numpy as np
from jaxtyping import Float, Num


def about(
    axis: Num[np.ndarray, "*#shape 3"], angle: Num[np.ndarray, "*#shape"] | float
) -> Float[np.ndarray, "*out 3 3"]:
    """Rotation by `angle` radians about the unit vector `axis` (Rodrigues)."""
    x, y, z = np.moveaxis(np.asarray(axis, np.float64), -1, 0)
    zero = np.zeros_like(x)
    K = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    angle = np.asarray(angle)[..., None, None]
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K)


def from_vector(vector: Num[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Rotation by the length of `vector` (radians) about its direction."""
    angle = np.linalg.norm(vector, axis=-1)
    return about(vector / np.maximum(angle, 1e-12)[..., None], angle)


def turn(pitch_roll_yaw: Num[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Rz(yaw) Ry(roll) Rx(pitch): in body axes (left, back, up) a bow forward, a lean and a turn to the left."""
    pitch, roll, yaw = np.moveaxis(np.asarray(pitch_roll_yaw, np.float64), -1, 0)
    left, back, up = np.eye(3)
    return about(up, yaw) @ about(back, roll) @ about(left, pitch)


def between(a: Num[np.ndarray, "*shape 3"], b: Num[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3 3"]:
    """The shortest rotation that takes the direction of `a` to that of `b`."""
    a, b = unit(a), unit(b)
    axis, cosine = np.cross(a, b), (a * b).sum(-1)
    opposite = np.cross(a, np.eye(3)[np.abs(a).argmin(-1)])  # any axis serves a half turn
    axis = np.where((cosine < -1 + 1e-9)[..., None], opposite, axis)
    return about(unit(axis), np.arccos(np.clip(cosine, -1, 1)))


def unit(vector: Num[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The vector at length one; a zero vector stays zero."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)


def to_matrix(quaternion: Num[np.ndarray, "*shape 4"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Rotation matrices of quaternions of any length but zero."""
    w, x, y, z = np.moveaxis(unit(np.asarray(quaternion, np.float64)), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def to_quaternion(R: Num[np.ndarray, "*shape 3 3"]) -> Float[np.ndarray, "*shape 4"]:
    """Unit quaternions of rotation matrices: of four equivalent forms the one that divides by the largest number."""
    m = [[R[..., i, j] for j in range(3)] for i in range(3)]
    forms = np.stack(
        [
            np.stack([1 + m[0][0] + m[1][1] + m[2][2], m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]], -1),
            np.stack([m[2][1] - m[1][2], 1 + m[0][0] - m[1][1] - m[2][2], m[0][1] + m[1][0], m[0][2] + m[2][0]], -1),
            np.stack([m[0][2] - m[2][0], m[0][1] + m[1][0], 1 - m[0][0] + m[1][1] - m[2][2], m[1][2] + m[2][1]], -1),
            np.stack([m[1][0] - m[0][1], m[0][2] + m[2][0], m[1][2] + m[2][1], 1 - m[0][0] - m[1][1] + m[2][2]], -1),
        ],
        -2,
    )
    best = np.einsum("...ii->...i", forms).argmax(-1)
    return unit(np.take_along_axis(forms, best[..., None, None], -2)[..., 0, :])


def slerp(
    a: Num[np.ndarray, "*#shape 4"], b: Num[np.ndarray, "*#shape 4"], share: Num[np.ndarray, "*#shape"] | float
) -> Float[np.ndarray, "*out 4"]:
    """From `a` (share 0) to `b` (share 1) the short way at constant speed."""
    cosine = (a * b).sum(-1)
    b, angle = np.where(cosine < 0, -1, 1)[..., None] * b, np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.maximum(np.sin(angle), 1e-6)
    tiny = angle < 1e-6
    wa = np.where(tiny, 1 - share, np.sin((1 - share) * angle) / sine)
    wb = np.where(tiny, share, np.sin(share * angle) / sine)
    return unit(wa[..., None] * a + wb[..., None] * b)


def blend(
    a: Num[np.ndarray, "*shape 3 3"], b: Num[np.ndarray, "*shape 3 3"], share: float
) -> Float[np.ndarray, "*shape 3 3"]:
    """Slerp of matrices."""
    return to_matrix(slerp(to_quaternion(a), to_quaternion(b), share))


def limit(R: Num[np.ndarray, "*shape 3 3"], angle: float) -> Float[np.ndarray, "*shape 3 3"]:
    """Rotations turned by at most `angle` radians about their own axis."""
    q = to_quaternion(R)
    q = np.where(q[..., :1] < 0, -q, q)
    half = np.arccos(np.clip(q[..., 0], -1, 1))
    identity = np.zeros_like(q)
    identity[..., 0] = 1
    return to_matrix(slerp(identity, q, np.minimum(1, angle / 2 / np.maximum(half, 1e-9))))
