import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import Rig, ego4view_rw, ego4view_syn
from egorear.synth.body import BONES, sample_person
from egorear.synth.headset import HeadPoints, HeadsetMesh, build_glasses, build_headset, head_points
from egorear.synth.mount import sample_mount
from egorear.synth.rasterizer import rasterize

SIZE = 160
MOST_COVERED = 0.12

HEAD = HeadPoints(
    *np.array([(0, 0.05, 0), (0, 0.25, -0.02), (0, 0.15, -0.11), (-0.08, 0.15, -0.01), (0.08, 0.15, -0.01)], np.float32)
)
"""A head in the device frame: x right, y backward, z down, metres."""


def wide_rig(*places: tuple[float, float, float], degrees: float = 100.0, outward: float = 0.0) -> Rig:
    """Fisheyes that see `degrees` from their axis, at places in the device frame, turned outward from straight down."""
    camera = KannalaBrandt(
        width=SIZE, height=SIZE, fx=45.0, fy=45.0, cx=80.0, cy=80.0, k1=0.0, k2=0.0, k3=0.0, k4=0.0,
        max_angle=math.radians(degrees),
    )  # fmt: skip
    T = torch.eye(4).repeat(len(places), 1, 1)
    for i, place in enumerate(places):
        away = np.array(place[:2]) - (0, 0.15)
        down = np.array([*(math.sin(outward) * away / np.linalg.norm(away)), math.cos(outward)])
        right = np.cross((0, 1, 0), down)
        R = np.stack((right / np.linalg.norm(right), np.cross(down, right / np.linalg.norm(right)), down))
        T[i, :3, :3] = torch.from_numpy(R)
        T[i, :3, 3] = torch.from_numpy(-R @ place)
    return Rig("wide", {f"camera_{i}": camera for i in range(len(places))}, T)


SIX = [(-0.06, 0, 0), (0.06, 0, 0), (-0.06, 0.37, 0), (0.06, 0.37, 0), (-0.16, 0.15, 0), (0.16, 0.15, 0)]
RIGS = {
    "syn": ego4view_syn(),
    "rw": ego4view_rw(),
    "front": ego4view_syn().select(["front_left", "front_right"]),
    "one": ego4view_syn().select(["front_left"]),
    "one wide": wide_rig((0, 0, 0)),
    "a row of three": wide_rig((-0.06, 0, 0), (0, 0, 0), (0.06, 0, 0), degrees=85),
    "six": wide_rig(*SIX, degrees=90),
    "six wide, outward": wide_rig(*SIX, degrees=105, outward=math.radians(20)),
}


def open_edges(triangles: np.ndarray) -> set:
    """Edges that not exactly two triangles share, once in each direction."""
    edges = [tuple(edge) for edge in np.concatenate((triangles[:, :2], triangles[:, 1:], triangles[:, ::-2])).tolist()]
    assert len(set(edges)) == len(edges)
    return set(edges) - {(b, a) for a, b in edges}


def enclosed(vertices: np.ndarray, triangles: np.ndarray) -> float:
    """Volume, positive if the triangles wind outward."""
    a, b, c = vertices.astype(float)[triangles].swapaxes(0, 1)
    return float((a * np.cross(b, c)).sum() / 6)


def seen_by(rig: Rig, points: np.ndarray):
    """Per camera: the points in its frame, and which lie in its field of view."""
    T = rig.T_camera_device.double().numpy()
    for camera, t in zip(rig.cameras.values(), T, strict=True):
        there = points @ t[:3, :3].T + t[:3, 3]
        yield there, there[:, 2] >= np.linalg.norm(there, axis=1) * math.cos(camera.max_angle)


def skull(head: HeadPoints) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid within the head."""
    middle = (head.forehead + head.back_of_head) / 2
    lengths = 0.97 * np.array([head.right_temple[0] - middle[0], head.back_of_head[1] - middle[1], 0.12])
    turn, rise = np.meshgrid(np.linspace(0, 2 * np.pi, 48), np.linspace(-np.pi / 2, np.pi / 2, 24), indexing="ij")
    directions = np.stack((np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)), -1)
    here = (np.arange(47)[:, None] * 24 + np.arange(23)).ravel()
    corners = [(here, here + 24, here + 25), (here, here + 25, here + 1)]
    return middle + directions.reshape(-1, 3) * lengths, np.concatenate([np.stack(c, 1) for c in corners])


def covered(rig: Rig, mesh: HeadsetMesh, head: HeadPoints = HEAD) -> list[float]:
    """Share of what each camera sees that the headset hides."""
    inner, inside = skull(head)
    points = np.concatenate((mesh.vertices, inner))
    triangles = np.concatenate((mesh.triangles, inside + len(mesh.vertices))).astype(np.int32)
    shares = []
    for camera, (there, _) in zip(rig.resized(SIZE, SIZE).cameras.values(), seen_by(rig, points), strict=True):
        pixels, valid = camera.project(torch.from_numpy(there))
        distance = np.linalg.norm(there, axis=1).astype(np.float32)
        _, winner = rasterize(pixels.numpy().astype(np.float32), distance, valid.numpy(), triangles, SIZE, SIZE)
        grid = torch.stack(torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="xy"), -1)
        _, in_view = camera.unproject(grid.double())
        shares.append(((winner >= 0) & (winner < len(mesh.triangles)))[in_view.numpy()].mean())
    return shares


@pytest.mark.parametrize("name", RIGS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_headset_is_a_closed_mesh_that_keeps_clear_of_its_lenses(name, seed):
    rig = RIGS[name]
    mesh = build_headset(np.random.default_rng(seed), rig, HEAD)
    assert np.isfinite(mesh.vertices).all()
    assert 100 < len(mesh.triangles) <= 3000
    assert not open_edges(mesh.triangles)
    assert enclosed(mesh.vertices, mesh.triangles) > 0
    edges = mesh.vertices[mesh.triangles] - mesh.vertices[np.roll(mesh.triangles, 1, 1)]
    assert np.linalg.norm(edges, axis=-1).max() < 0.0201
    assert ((mesh.albedo > 0) & (mesh.albedo < 1)).all()
    for points, seen in seen_by(rig, mesh.vertices.astype(float)):
        assert np.linalg.norm(points[seen], axis=1).min(initial=1) > 0.01
        own_housing = (np.hypot(points[:, 0], points[:, 1]) < 0.013) & (points[:, 2] < 0) & (points[:, 2] > -0.06)
        assert own_housing.sum() >= 10
        assert not (own_housing & seen).any()


@pytest.mark.parametrize("name", RIGS)
def test_a_headset_hides_little_of_the_view(name):
    shares = [covered(RIGS[name], build_headset(np.random.default_rng(seed), RIGS[name], HEAD)) for seed in range(8)]
    assert np.max(shares) < MOST_COVERED


def test_a_part_in_a_camera_s_way_is_left_out():
    x, y, z = HEAD.forehead.tolist()
    rig = wide_rig((x, y - 0.012, z), degrees=85)  # within the band
    mesh = build_headset(np.random.default_rng(0), rig, HEAD)
    for points, seen in seen_by(rig, mesh.vertices.astype(float)):
        assert np.linalg.norm(points[seen], axis=1).min(initial=1) > 0.01


def test_the_band_goes_around_the_head():
    mesh = build_headset(np.random.default_rng(1), RIGS["syn"], HEAD)
    for point, outward in ((HEAD.forehead, 1), (HEAD.back_of_head, 1), (HEAD.left_temple, 0), (HEAD.right_temple, 0)):
        beyond = point[outward] + np.sign(point[outward] - (0, 0.15)[outward]) * 0.012
        aim = np.array(point)
        aim[outward] = beyond
        assert np.linalg.norm(mesh.vertices - aim, axis=1).min() < 0.025


def test_same_generator_state_same_headset():
    one, two = (build_headset(np.random.default_rng(7), RIGS["syn"], HEAD) for _ in range(2))
    assert (one.vertices == two.vertices).all()
    assert (one.albedo == two.albedo).all()


@pytest.mark.parametrize("seed", range(3))
def test_head_points_of_a_person_are_in_the_device_frame(seed):
    rng = np.random.default_rng(seed)
    person = sample_person(rng)
    head = head_points(person, sample_mount(rng, rng, person))
    assert head.forehead[1] > 0.03  # the cameras are before it
    assert head.back_of_head[1] > head.forehead[1] + 0.12
    assert head.crown[2] < head.forehead[2]
    assert 0.1 < head.right_temple[0] - head.left_temple[0] < 0.24


def test_thick_hair_does_not_widen_the_headset_without_end():
    face, back, crown = (np.array(p, np.float32) for p in ((0, -0.12, 1.6), (0, 0.08, 1.6), (0, 0, 1.7)))
    hair = np.array([(x, y, 1.6) for x in (-0.13, 0.13) for y in (-0.04, 0, 0.02)], np.float32)
    person = SimpleNamespace(vertices=hair, forehead=face, back_of_head=back, crown=crown)
    mount = SimpleNamespace(rotation=np.eye(3, dtype=np.float32), position=np.zeros(3, np.float32))
    head = head_points(person, mount)
    assert 2 * 0.75 * 0.1 <= head.left_temple[0] - head.right_temple[0] <= 2 * 0.9 * 0.1 + 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_glasses_sit_on_the_face(seed):
    rng = np.random.default_rng(seed)
    person = sample_person(rng)
    joint = person.rest_joints[BONES.index("Head")]
    carried = (person.skin_weights * (person.skin_bones == BONES.index("Head"))).sum(1) > 0.5
    head = person.vertices[carried]
    vertices, triangles, albedo = build_glasses(rng, head, person.forehead, joint)
    assert 150 <= len(triangles) <= 550
    assert not open_edges(triangles)
    assert enclosed(vertices, triangles) > 0
    assert vertices.shape == albedo.shape
    front = vertices[vertices[:, 1] < vertices[:, 1].min() + 0.02]
    face = head[(np.abs(head[:, 0] - joint[0]) < 0.02) & (head[:, 2] > joint[2]) & (head[:, 2] < person.forehead[2])]
    nose = face[face[:, 1].argmin()]
    assert nose[2] - 0.015 < front[:, 2].min()
    assert front[:, 2].max() < person.forehead[2]
    assert abs(front[:, 1].min() - nose[1]) < 0.02
    middle = (vertices.min(0) + vertices.max(0)) / 2
    assert abs(middle[0] - person.forehead[0]) < 1e-3
