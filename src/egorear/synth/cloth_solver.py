"""Position-based dynamics of cloth on a moving body: all time steps of a take in one compiled call.

Each substep moves the vertices by their velocity and gravity, then corrects them: edges keep their length, opposite
vertices of two triangles theirs softly (bending), no vertex goes farther from its seam than the cloth is long
(Kim et al., "Long Range Attachments", 2012) nor farther from its skinned place than it may, none stays in the body or
under the floor. Constraints are met one after the other in a fixed order (Gauss-Seidel), with + - * / and sqrt alone,
so every machine finds the same bytes. Many short steps with one round of corrections each hold cloth better than few
with many ("Small Steps in Physics Simulation", Macklin et al., 2019); bends and the body wait for every second one.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from egorear.synth.cloth_colliders import ARMS, local, radius_at

GRAVITY = 9.81
AIR_DRAG = 1.0  # share of its speed that cloth loses to the air in a second
FELT = 0.3  # share of its skinned place's acceleration that cloth feels: recorded motion is jerky
FOLLOW = 5.0  # share of its speed relative to its skinned place that it loses in a second
RECALL = 15.0  # 1/s²: a weak spring to the skinned place, which undoes tangles
BENDING = 1e-5  # compliance, s²
FRICTION = 0.3  # on the body (Coulomb)
FLOOR_FRICTION = 0.4
FLOOR = 0.003  # cloth rests this high on it
FASTEST = 8.0  # m/s, relative to the skinned place
POLISH = 6  # rounds of corrections on a copy of each kept frame
BRUSH = 0.002  # m: how far an arm pushes the cloth of trunk and legs in a substep
DEEP = 0.5  # share of the radius under which a vertex may have come through
NEAR = 0.3  # m: how far from a vertex an axis may be, over its radius, to count as near
LOOK_AROUND = 12  # substeps after which to find anew what is near


@njit(cache=True, error_model="numpy")
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def simulate(weave, body, skinned, substeps, step, settling, wanted, out):  # pragma: no cover (compiled)
    """Fills in out [K C 3] for the frames whose row in `wanted` [T] is 0 or more.

    weave: `cloth_weave.Weave`; body: `cloth_colliders.Body`; skinned [T M 3]: places of the weave's vertices.
    substeps: of a frame, an even number of `step` seconds; settling: frames for which the first pose is held.
    """
    frames, count = skinned.shape[:2]
    cloth, axes = len(weave.looseness), len(body.length)
    here = skinned[0].astype(np.float64)  # positions
    before = here.copy()  # positions one substep ago
    place, last_place = here.copy(), here.copy()  # skinned places now and one substep ago
    speed = np.zeros((cloth, 3))  # of the skinned places, metres a substep
    at, last_at = np.empty((axes, 3)), np.empty((axes, 3))
    turn, last_turn = np.empty((axes, 3, 3)), np.empty((axes, 3, 3))
    _pose(body, 0, 0, 0.0, at, turn)
    contacts = np.empty((cloth * axes, 2), np.int64)
    near, tick = 0, 0
    itself = np.arange(cloth)
    for t in range(-settling, frames):
        now, last = max(t, 0), max(t - 1, 0)
        for sub in range(substeps):
            if tick % LOOK_AROUND == 0:
                near = _look_around(weave, body, here, at, turn, contacts)
            tick += 1
            last_place[:] = place
            last_at[:] = at
            last_turn[:] = turn
            part = (sub + 1) / substeps
            _pose(body, last, now, part, at, turn)
            for i in range(count):
                for k in range(3):
                    place[i, k] = skinned[last, i, k] + part * (skinned[now, i, k] - skinned[last, i, k])
            _move(here, before, place, last_place, speed, cloth, step)
            _stretch(here, weave.edges, weave.edge_length, weave.edge_most, weave.edge_share)
            if sub % 2 == 0:
                _tether(here, here, weave.anchor, weave.reach)
            else:
                _bend(here, weave.bends, weave.bend_length, weave.bend_share, step)
                _tether(here, place, itself, weave.looseness)
                _collide(weave, body, here, before, at, turn, last_at, last_turn, contacts[:near], place)
            _floor(here, before, cloth)
        if t == 0 and frames > 1:  # the first pose was held; now the cloth goes along as if it had come that way
            for i in range(cloth):
                for k in range(3):
                    speed[i, k] = (skinned[1, i, k] - skinned[0, i, k]) / substeps
                    before[i, k] = here[i, k] - speed[i, k]
        if t >= 0 and wanted[t] >= 0:
            near = _look_around(weave, body, here, at, turn, contacts)
            out[wanted[t]] = _polished(weave, body, here, at, turn, contacts[:near], place)[:cloth]


@njit(cache=True, error_model="numpy")
@no_type_check
def _polished(weave, body, here, at, turn, contacts, place):  # pragma: no cover (compiled)
    """A copy for the picture with less of what one round of corrections leaves over; time goes on with the original."""
    copy, before = here.copy(), here.copy()
    shortest = np.zeros(len(weave.edges))
    for _ in range(POLISH):
        _stretch(copy, weave.edges, shortest, weave.edge_most, weave.edge_share)
        _collide(weave, body, copy, before, at, turn, at, turn, contacts, place)
        _floor(copy, before, len(weave.looseness))
    return copy


@njit(cache=True, error_model="numpy")
@no_type_check
def _pose(body, last, now, share, at, turn):  # pragma: no cover (compiled)
    """Axes between two frames: interpolated linearly, then made orthonormal."""
    origin, basis = body.origin, body.basis
    for s in range(len(at)):
        for i in range(3):
            at[s, i] = origin[last, s, i] + share * (origin[now, s, i] - origin[last, s, i])
            for k in range(3):
                turn[s, i, k] = basis[last, s, i, k] + share * (basis[now, s, i, k] - basis[last, s, i, k])
        x, y, z = turn[s, :, 0], turn[s, :, 1], turn[s, :, 2]
        z /= np.sqrt(z[0] * z[0] + z[1] * z[1] + z[2] * z[2]) + 1e-12
        dot = x[0] * z[0] + x[1] * z[1] + x[2] * z[2]
        for i in range(3):
            x[i] -= dot * z[i]
        x /= np.sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]) + 1e-12
        y[0] = z[1] * x[2] - z[2] * x[1]
        y[1] = z[2] * x[0] - z[0] * x[2]
        y[2] = z[0] * x[1] - z[1] * x[0]


@njit(cache=True, error_model="numpy")
@no_type_check
def _look_around(weave, body, here, at, turn, contacts):  # pragma: no cover (compiled)
    """Fills in the pairs of cloth vertex and axis that may soon touch; returns how many there are.

    A vertex' home comes last: what it hangs on counts more than what brushes it.
    """
    count = 0
    for i in range(len(weave.home)):
        for s in range(len(at)):
            _, _, _, _, square = local(here, i, s, at, turn, body.length, body.blunt)
            far = body.largest[s] + NEAR
            if s != weave.home[i] and square < far * far:
                contacts[count, 0], contacts[count, 1] = i, s
                count += 1
        contacts[count, 0], contacts[count, 1] = i, weave.home[i]
        count += 1
    return count


@njit(cache=True, error_model="numpy")
@no_type_check
def _move(here, before, place, last_place, speed, cloth, step):  # pragma: no cover (compiled)
    drag, follow, recall = AIR_DRAG * step, FOLLOW * step, RECALL * step * step
    fastest = FASTEST * step
    for i in range(cloth):
        size = 0.0
        for k in range(3):
            carried = place[i, k] - last_place[i, k]
            moved = here[i, k] - before[i, k] + (1 - FELT) * (carried - speed[i, k])
            speed[i, k] = carried
            moved -= drag * moved + follow * (moved - carried)
            moved += recall * (last_place[i, k] - here[i, k])
            if k == 2:
                moved -= GRAVITY * step * step
            before[i, k] = here[i, k]
            here[i, k] = moved - carried
            size += here[i, k] * here[i, k]
        slow = min(1.0, fastest / (np.sqrt(size) + 1e-12))
        for k in range(3):
            here[i, k] = before[i, k] + slow * here[i, k] + place[i, k] - last_place[i, k]
    for i in range(cloth, len(here)):
        for k in range(3):
            here[i, k] = place[i, k]


@njit(cache=True, error_model="numpy", forceinline=True)
@no_type_check
def _draw_together(here, a, b, x, y, z, pull, share):  # pragma: no cover (compiled)
    """Moves two vertices by `pull` of their difference (x, y, z) from a to b; b goes `share` of the way."""
    pb = pull * share
    pa = pull - pb
    here[a, 0] += pa * x
    here[a, 1] += pa * y
    here[a, 2] += pa * z
    here[b, 0] -= pb * x
    here[b, 1] -= pb * y
    here[b, 2] -= pb * z


@njit(cache=True, error_model="numpy")
@no_type_check
def _stretch(here, edges, rest, most, share):  # pragma: no cover (compiled)
    """No edge shorter than at rest nor longer than its most."""
    for e in range(len(edges)):
        a, b = edges[e, 0], edges[e, 1]
        x, y, z = here[b, 0] - here[a, 0], here[b, 1] - here[a, 1], here[b, 2] - here[a, 2]
        size = np.sqrt(x * x + y * y + z * z) + 1e-12
        pull = 1 - min(max(size, rest[e]), most[e]) / size
        _draw_together(here, a, b, x, y, z, pull, share[e])


@njit(cache=True, error_model="numpy")
@no_type_check
def _bend(here, bends, rest, share, step):  # pragma: no cover (compiled)
    stiffness = 1 / (1 + BENDING / (step * step))
    for e in range(len(bends)):
        a, b = bends[e, 0], bends[e, 1]
        x, y, z = here[b, 0] - here[a, 0], here[b, 1] - here[a, 1], here[b, 2] - here[a, 2]
        pull = stiffness * (1 - rest[e] / (np.sqrt(x * x + y * y + z * z) + 1e-12))
        _draw_together(here, a, b, x, y, z, pull, share[e])


@njit(cache=True, error_model="numpy")
@no_type_check
def _tether(here, centres, number, most):  # pragma: no cover (compiled)
    """Each vertex i no farther than most[i] from centre number[i]."""
    for i in range(len(most)):
        c = number[i]
        x, y, z = here[i, 0] - centres[c, 0], here[i, 1] - centres[c, 1], here[i, 2] - centres[c, 2]
        scale = min(1.0, most[i] / (np.sqrt(x * x + y * y + z * z) + 1e-12))  # a branch would take longer
        here[i, 0] = centres[c, 0] + scale * x
        here[i, 1] = centres[c, 1] + scale * y
        here[i, 2] = centres[c, 2] + scale * z


@njit(cache=True, error_model="numpy")
@no_type_check
def _collide(weave, body, here, before, at, turn, last_at, last_turn, contacts, place):  # pragma: no cover (compiled)
    """Out of the body."""
    scratch = np.empty((2, 3))
    for c in range(len(contacts)):
        i, s = contacts[c, 0], contacts[c, 1]
        x, y, z, height, square = local(here, i, s, at, turn, body.length, body.blunt)
        most = body.largest[s] + weave.margin[i]
        if square >= most * most:
            continue
        out = radius_at(body.radius, s, height / body.length[s], x, y) + weave.margin[i]
        size = np.sqrt(square)
        if size < out:
            if s < ARMS <= weave.home[i]:  # a hand that sinks into a hip must not tear the skirt
                out = min(out, size + BRUSH)
            blunt = body.blunt[s]
            _push(
                here, before, i, s, x, y, z, height, size, out, blunt, at, turn, last_at, last_turn, place, scratch
            )  # fmt: skip


@njit(cache=True, error_model="numpy")
@no_type_check
def _push(
    here, before, i, s, x, y, z, height, size, out, blunt, at, turn, last_at, last_turn, place, scratch
):  # pragma: no cover (compiled)
    """Moves a vertex that lies `size` < `out` from its axis, at x y z from the axis' point at `height`."""
    depth = out - size
    if size < DEEP * out:  # the near side may be the wrong one: lean to that of the skinned place
        for k in range(3):
            d = place[i, k] - at[s, k]
            x += 0.5 * d * turn[s, k, 0]
            y += 0.5 * d * turn[s, k, 1]
        size = np.sqrt(x * x + y * y + z * z)
    x, y, z = x / (size + 1e-12), y / (size + 1e-12), z / (size + 1e-12) / blunt
    outward, slid = scratch
    opening = 0.0
    for k in range(3):
        outward[k] = x * turn[s, k, 0] + y * turn[s, k, 1] + z * turn[s, k, 2]
        here[i, k] = at[s, k] + height * turn[s, k, 2] + out * outward[k]
        # Against where the surface was a substep ago: the cloth goes along with it, without a rebound.
        came = last_at[s, k] + height * last_turn[s, k, 2]
        came += out * (x * last_turn[s, k, 0] + y * last_turn[s, k, 1] + z * last_turn[s, k, 2])
        slid[k] = came - before[i, k]
        before[i, k] = came
        opening += slid[k] * outward[k]
    way = 0.0
    for k in range(3):
        slid[k] -= opening * outward[k]
        way += slid[k] * slid[k]
    kept = max(0.0, 1 - FRICTION * depth / (np.sqrt(way) + 1e-12))
    for k in range(3):
        before[i, k] -= kept * slid[k]


@njit(cache=True, error_model="numpy")
@no_type_check
def _floor(here, before, cloth):  # pragma: no cover (compiled)
    for i in range(cloth):
        if here[i, 2] < FLOOR:
            here[i, 2] = FLOOR
            before[i, 2] = FLOOR
            before[i, 0] += FLOOR_FRICTION * (here[i, 0] - before[i, 0])
            before[i, 1] += FLOOR_FRICTION * (here[i, 1] - before[i, 1])
