"""Rigid transforms as 4x4 matrices: `T_b_a` takes points of frame a to frame b."""

import torch
from jaxtyping import Float
from torch import Tensor


def transform_points(T: Float[Tensor, "*#B 4 4"], points: Float[Tensor, "*#B N 3"]) -> Float[Tensor, "*#B N 3"]:
    """Applies T to points; the leading dimensions broadcast. The result has the points' dtype.

    Written without matmul: mixed precision and TF32 would round the millimetres away.
    """
    T = T.to(points)[..., None, :3, :]
    x, y, z = points[..., 0:1], points[..., 1:2], points[..., 2:3]
    return x * T[..., 0] + y * T[..., 1] + z * T[..., 2] + T[..., 3]


def invert_rigid(T: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 4 4"]:
    """Inverse of rigid transforms: `T_a_b` from `T_b_a`."""
    R = T[..., :3, :3].transpose(-1, -2)
    t = -(R * T[..., None, :3, 3]).sum(-1)
    return rigid(R, t)


def rigid(R: Float[Tensor, "*B 3 3"], t: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 4 4"]:
    """The 4x4 transform x → R x + t."""
    last_row = torch.zeros_like(R[..., :1, :])
    last = torch.cat((last_row, torch.ones_like(t[..., None, :1])), -1)
    return torch.cat((torch.cat((R, t[..., None]), -1), last), -2)


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices of axis · angle vectors (radians), by Rodrigues' formula; smooth at zero."""
    squared = axis_angle.square().sum(-1)[..., None, None]
    small = squared < 1e-6
    angle = torch.where(small, 1.0, squared).sqrt()
    sine = torch.where(small, 1.0 - squared / 6.0, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24.0, (1.0 - angle.cos()) / angle.square())
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    K = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    K_squared = (K[..., :, :, None] * K[..., None, :, :]).sum(-2)
    return torch.eye(3, dtype=K.dtype, device=K.device) + sine * K + cosine * K_squared


def matrix_to_axis_angle(R: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Axis · angle vectors (radians, angle in [0, π]) of rotation matrices, by way of the quaternion."""
    q = matrix_to_quaternion(R)
    q = torch.where(q[..., :1] < 0, -q, q)
    squared = q[..., 1:].square().sum(-1, keepdim=True)
    small = squared < 1e-12
    sine = torch.where(small, 1.0, squared).sqrt()
    return q[..., 1:] * torch.where(small, 2.0, 2.0 * torch.atan2(sine, q[..., :1]) / sine)


def matrix_to_quaternion(R: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 4"]:
    """Unit quaternions (w, x, y, z) of rotation matrices, exact at every angle (Shepperd, 1978)."""
    xx, yy, zz = R[..., 0, 0], R[..., 1, 1], R[..., 2, 2]
    wx, wy, wz = R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]
    xy, xz, yz = R[..., 0, 1] + R[..., 1, 0], R[..., 0, 2] + R[..., 2, 0], R[..., 1, 2] + R[..., 2, 1]
    # Row i is 4 q_i q: the same quaternion four times, most exact where its own component is the largest.
    rows = torch.stack(
        (
            torch.stack((1 + xx + yy + zz, wx, wy, wz), -1),
            torch.stack((wx, 1 + xx - yy - zz, xy, xz), -1),
            torch.stack((wy, xy, 1 - xx + yy - zz, yz), -1),
            torch.stack((wz, xz, yz, 1 - xx - yy + zz), -1),
        ),
        -2,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    row = rows.gather(-2, best[..., None, None].expand(*best.shape, 1, 4))[..., 0, :]
    return row / row.norm(dim=-1, keepdim=True)
