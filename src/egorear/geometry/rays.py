"""The ray behind every pixel of a camera, computed once for each camera and device."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.geometry.camera import Camera


@lru_cache(maxsize=64)
def pixel_rays(camera: Camera, device: torch.device) -> Float[Tensor, "3 H W"]:
    """Unit rays (camera frame) of the pixels' centres, zero where the lens sees nothing: `project` calls such a
    point invalid. Do not change the tensor; it is shared by all who ask."""
    rows, columns = torch.meshgrid(
        torch.arange(camera.height, dtype=torch.float64), torch.arange(camera.width, dtype=torch.float64), indexing="ij"
    )
    rays, seen = camera.unproject(torch.stack((columns, rows), -1))
    return torch.where(seen[..., None], rays, 0.0).movedim(-1, 0).float().contiguous().to(device)
