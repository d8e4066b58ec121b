"""Rotations in numpy, batched over any leading axes. Quaternions are (w, x, y, z)."""

import numpy as np
from jaxtyping import Float, Num


def about(
    axis: Num[np.ndarray, "*#shape 3"], angle: Num[np.ndarray, "*#shape"] | float
) -> Float[np.ndarray, "*out 3 3"]:
    """Rotation by `angle` radians about the unit vector `axis` (Rodrigues)."""
    axis, angle = np.asarray(axis, np.float64), np.asarray(angle, np.float64)
    x, y, z = axis[..., 0], axis[..., 1], axis[..., 2]
    sine, cosine = np.sin(angle), np.cos(angle)
    rest = 1 - cosine
    R = np.empty((*np.broadcast_shapes(x.shape, angle.shape), 3, 3))
    R[..., 0, 0], R[..., 1, 1], R[..., 2, 2] = cosine + rest * x * x, cosine + rest * y * y, cosine + rest * z * z
    R[..., 0, 1], R[..., 1, 0] = rest * x * y - sine * z, rest * x * y + sine * z
    R[..., 0, 2], R[..., 2, 0] = rest * x * z + sine * y, rest * x * z - sine * y
    R[..., 1, 2], R[..., 2, 1] = rest * y * z - sine * x, rest * y * z + sine * x
    return R


def from_vector(vector: Num[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Rotation by the length of `vector` (radians) about its direction."""
    angle = np.linalg.norm(vector, axis=-1)
    return about(vector / np.maximum(angle, 1e-12)[..., None], angle)


def turn(pitch_roll_yaw: Num[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Rz(yaw) Ry(roll) Rx(pitch): in body axes (left, back, up) a bow forward, a lean and a turn to the left."""
    angles = np.asarray(pitch_roll_yaw, np.float64)
    sines, cosines = np.sin(angles), np.cos(angles)
    sp, sr, sy = sines[..., 0], sines[..., 1], sines[..., 2]
    cp, cr, cy = cosines[..., 0], cosines[..., 1], cosines[..., 2]
    R = np.empty((*angles.shape, 3))
    R[..., 0, 0], R[..., 0, 1], R[..., 0, 2] = cy * cr, cy * sr * sp - sy * cp, cy * sr * cp + sy * sp
    R[..., 1, 0], R[..., 1, 1], R[..., 1, 2] = sy * cr, sy * sr * sp + cy * cp, sy * sr * cp - cy * sp
    R[..., 2, 0], R[..., 2, 1], R[..., 2, 2] = -sr, cr * sp, cr * cp
    return R


def between(a: Num[np.ndarray, "*shape 3"], b: Num[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3 3"]:
    """The shortest rotation that takes the direction of `a` to that of `b`."""
    a, b = unit(a), unit(b)
    axis, cosine = cross(a, b), (a * b).sum(-1)
    opposite = cross(a, np.eye(3)[np.abs(a).argmin(-1)])  # any axis serves a half turn
    axis = np.where((cosine < -1 + 1e-9)[..., None], opposite, axis)
    return about(unit(axis), np.arccos(np.clip(cosine, -1, 1)))


def cross(a: Num[np.ndarray, "*#shape 3"], b: Num[np.ndarray, "*#shape 3"]) -> Float[np.ndarray, "*out 3"]:
    """np.cross, of which most of the time goes into finding out what it was given."""
    ax, ay, az, bx, by, bz = (v[..., i] for v in (a, b) for i in range(3))
    return np.stack((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx), -1)


def unit(vector: Num[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The vector at length one; a zero vector stays zero."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)


def to_matrix(quaternion: Num[np.ndarray, "*shape 4"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Rotation matrices of quaternions of any length but zero."""
    q = unit(np.asarray(quaternion, np.float64))
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    R = np.empty((*q.shape[:-1], 3, 3))
    R[..., 0, 0], R[..., 0, 1], R[..., 0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    R[..., 1, 0], R[..., 1, 1], R[..., 1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    R[..., 2, 0], R[..., 2, 1], R[..., 2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return R


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


def swing_twist(
    R: Num[np.ndarray, "*shape 3 3"], axis: Num[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "*shape 3 3"], Float[np.ndarray, "*shape"]]:
    """R = swing @ about(axis, twist): the turn about the bone's own unit axis (radians), and the rest of it."""
    q = to_quaternion(R)
    twist = 2 * np.arctan2(q[..., 1:] @ axis, q[..., 0])
    twist = (twist + np.pi) % (2 * np.pi) - np.pi
    return R @ about(axis, -twist), twist


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
