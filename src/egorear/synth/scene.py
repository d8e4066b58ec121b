"""One moment of one person in one place, seen from the headset: everything the renderer needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from egorear.synth.environment import Place

NOBODY = 255  # limb of what does not belong to the wearer


@dataclass(frozen=True)
class Mesh:
    """All triangles of a take; from frame to frame only their vertices move.

    albedo: linear RGB of the vertices. part: `garments.Part` of each triangle. limb: Ego4View joint of the wearer's
    limb it belongs to, `NOBODY` where it is not the wearer. loose: it belongs to a garment that hangs free.
    """

    triangles: Int32[np.ndarray, "F 3"]
    albedo: Float32[np.ndarray, "N 3"]
    part: UInt8[np.ndarray, "F"]
    limb: UInt8[np.ndarray, "F"]
    loose: Bool[np.ndarray, "F"]

    @staticmethod
    def joined(meshes: Sequence["Mesh"]) -> "Mesh":
        """One mesh of several; its vertices are theirs in that order."""
        starts = np.cumsum([0] + [len(mesh.albedo) for mesh in meshes[:-1]]).astype(np.int32)
        return Mesh(
            np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]),
            np.concatenate([mesh.albedo for mesh in meshes]),
            np.concatenate([mesh.part for mesh in meshes]),
            np.concatenate([mesh.limb for mesh in meshes]),
            np.concatenate([mesh.loose for mesh in meshes]),
        )


@dataclass(frozen=True)
class Scene:
    """Posed triangles in a place, and the headset's cameras. World axes: z up, floor at z = 0, metres.

    joints: the wearer's Ego4View joints; limb_radius: how deep each lies under the surface.
    spheres: (x, y, z, radius) along all bodies, for soft shadows.
    T_device_world: world points to device points. T_camera_device: where the cameras of the rig really are.
    turn_rate: angular velocity of the device, radians per second about the device's axes.
    """

    mesh: Mesh
    place: Place
    vertices: Float32[np.ndarray, "N 3"]
    joints: Float32[np.ndarray, "16 3"]
    limb_radius: Float32[np.ndarray, "16"]
    spheres: Float32[np.ndarray, "S 4"]
    T_device_world: Float64[np.ndarray, "4 4"]
    T_camera_device: Float64[np.ndarray, "V 4 4"]
    turn_rate: Float64[np.ndarray, "3"]
