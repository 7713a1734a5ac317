"""Networks of cameras and the people who walk through them: who is where, when, without pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamreid.errors import ConfigError
from streamreid.types import CameraId


@dataclass(frozen=True, slots=True)
class Duration:
    """A random duration: `shift_s` plus a log-normal one.

    Attributes:
        median_s: Median of the log-normal part, seconds, above 0.
        spread: Standard deviation of its logarithm; 0 makes it constant.
        shift_s: Added to every draw; negative where views overlap.
    """

    median_s: float
    spread: float = 0.3
    shift_s: float = 0.0

    def __post_init__(self) -> None:
        if not (self.median_s > 0.0 and self.spread >= 0.0 and math.isfinite(self.shift_s)):
            raise ValueError(f"needs median_s > 0, spread >= 0 and a finite shift_s, got {self}")

    def draw(self, rng: np.random.Generator) -> float:
        """Draw one duration in seconds."""
        return self.shift_s + self.median_s * math.exp(self.spread * rng.standard_normal())

    @property
    def true_median_s(self) -> float:
        """Median of the whole duration, seconds."""
        return self.shift_s + self.median_s


@dataclass(frozen=True, slots=True)
class Node:
    """One camera of a network.

    Attributes:
        camera_id: Its name.
        dwell: How long a person stays in view.
        entry_weight: Relative share of people who enter the network here; 0 for nobody.
        leave_share: Probability in [0, 1] that a person goes home after this camera.
        clock_offset_s: What its clock shows minus the true time, seconds.
    """

    camera_id: CameraId
    dwell: Duration = Duration(8.0)
    entry_weight: float = 1.0
    leave_share: float = 0.2
    clock_offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Link:
    """A way from one camera to another.

    Attributes:
        source: Camera that is left.
        target: Camera that is entered next.
        transit: Seconds from leaving `source` to entering `target`; negative while in both views.
        weight: Relative share of the people at `source` who take this way.
    """

    source: CameraId
    target: CameraId
    transit: Duration
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Network:
    """Cameras and the ways between them.

    Attributes:
        nodes: The cameras, each name once.
        links: Directed ways; several between the same two cameras are allowed.
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        names = [node.camera_id for node in self.nodes]
        if len(set(names)) != len(names) or not names:
            raise ConfigError(f"a network needs cameras with different names, got {names}")
        for link in self.links:
            for name in (link.source, link.target):
                if name not in names:
                    raise ConfigError(f"link {link.source}->{link.target}: no camera {name!r}")

    def node(self, camera_id: CameraId) -> Node:
        """The camera of that name."""
        return next(node for node in self.nodes if node.camera_id == camera_id)

    @property
    def overlapping_pairs(self) -> frozenset[frozenset[CameraId]]:
        """Pairs of cameras that may see one person at once."""
        return frozenset(
            frozenset((link.source, link.target))
            for link in self.links
            if link.transit.shift_s < 0.0
        )

    @property
    def disjoint_pairs(self) -> frozenset[frozenset[CameraId]]:
        """Pairs of different cameras that never see one person at once (in true time)."""
        names = [node.camera_id for node in self.nodes]
        pairs = {frozenset((a, b)) for a in names for b in names if a != b}
        return frozenset(pairs) - self.overlapping_pairs


@dataclass(frozen=True, slots=True)
class Crowd:
    """The people who walk through a network.

    Attributes:
        people: How many, at least 1.
        arrivals_per_minute: Mean rate at which people (or groups) enter the network.
        group_share: Share of arrivals that are groups of `group_size`.
        group_size: People in a group; they take the same way, a few seconds apart.
        look_alike_share: Share of people whose clothes are those of somebody before them.
        uniform_share: Share of people who all wear one and the same uniform.
        loop_share: Probability of choosing among all ways, not only to cameras not yet visited.
        max_visits: Most cameras that one person passes.
    """

    people: int
    arrivals_per_minute: float = 6.0
    group_share: float = 0.0
    group_size: int = 2
    look_alike_share: float = 0.0
    uniform_share: float = 0.0
    loop_share: float = 0.1
    max_visits: int = 6

    def __post_init__(self) -> None:
        if self.people < 1 or self.group_size < 2 or self.max_visits < 1:
            raise ConfigError(f"a crowd needs people >= 1, groups >= 2, visits >= 1, got {self}")
        if self.arrivals_per_minute <= 0.0:
            raise ConfigError(f"arrivals_per_minute must be > 0, got {self.arrivals_per_minute}")


@dataclass(frozen=True, slots=True)
class Visit:
    """One person in the view of one camera, without interruption: the true tracklet.

    Attributes:
        person: True identity, from 1.
        camera_id: The camera.
        enter_s: When the person comes into view by the camera's own clock, seconds.
        leave_s: When the person is gone, same clock; after `enter_s`.
        appearance: Which clothes: equal numbers look the same (look-alikes, uniforms).
        group: Number of the arrival; people of one group share it.
        true_enter_s: `enter_s` in true time, that is without the camera's clock offset.
        true_leave_s: `leave_s` in true time.
    """

    person: int
    camera_id: CameraId
    enter_s: float
    leave_s: float
    appearance: int
    group: int
    true_enter_s: float
    true_leave_s: float


def simulate_network(network: Network, crowd: Crowd, *, seed: int) -> tuple[Visit, ...]:
    """Let people walk through a network of cameras.

    A person is in one place only: visits of one person overlap in true time only where a link's
    `shift_s` is negative, that is where views overlap, and never within one camera.

    Args:
        network: Cameras and ways.
        crowd: How many people, how often, how alike.
        seed: Same seed, same visits.

    Returns:
        All visits, in order of entering by true time; every person has at least one.
    """
    rng = np.random.default_rng(seed)
    appearances = _appearances(crowd, rng)
    weights = np.array([node.entry_weight for node in network.nodes])
    visits: list[Visit] = []
    person = group = 0
    now_s = 0.0
    while person < crowd.people:
        now_s += rng.exponential(60.0 / crowd.arrivals_per_minute)
        group += 1
        size = crowd.group_size if rng.random() < crowd.group_share else 1
        entry = network.nodes[int(rng.choice(len(weights), p=weights / weights.sum()))]
        members = range(person, min(person + size, crowd.people))
        route = _route(network, crowd, entry, now_s, rng)
        for place, member in enumerate(members):
            steps = route if place == 0 else _beside(route, place, rng)
            visits += _visits(network, steps, member + 1, appearances[member], group)
        person += len(members)
    return tuple(sorted(visits, key=lambda visit: (visit.true_enter_s, visit.person)))


_Step = tuple[CameraId, float, float]


def _route(
    network: Network, crowd: Crowd, entry: Node, start_s: float, rng: np.random.Generator
) -> list[_Step]:
    """Walk until the person goes home: camera, entering and leaving in true time."""
    camera, enter_s = entry.camera_id, start_s
    left_s: dict[CameraId, float] = {}
    steps: list[_Step] = []
    while True:
        node = network.node(camera)
        leave_s = enter_s + max(1.0, node.dwell.draw(rng))
        steps.append((camera, enter_s, leave_s))
        left_s[camera] = leave_s
        if len(steps) >= crowd.max_visits or rng.random() < node.leave_share:
            return steps
        link = _next_link(network, crowd, camera, left_s, rng)
        if link is None:
            return steps
        # Nobody enters a view before having been in the last one for half a second.
        next_s = max(leave_s + link.transit.draw(rng), enter_s + 0.5)
        # Nor a view that the person is still in.
        enter_s = max(next_s, left_s.get(link.target, -math.inf) + 0.5)
        camera = link.target


def _next_link(
    network: Network,
    crowd: Crowd,
    camera: CameraId,
    visited: dict[CameraId, float],
    rng: np.random.Generator,
) -> Link | None:
    ways = [link for link in network.links if link.source == camera and link.target != camera]
    if rng.random() >= crowd.loop_share:
        ways = [link for link in ways if link.target not in visited]
    if not ways:
        return None
    weights = np.array([link.weight for link in ways])
    return ways[int(rng.choice(len(ways), p=weights / weights.sum()))]


def _beside(route: Sequence[_Step], place: int, rng: np.random.Generator) -> list[_Step]:
    """The same way for somebody who walks a few seconds behind, without passing or turning."""
    delay_s = place * 0.8 + rng.uniform(0.0, 0.8)
    return [(camera, enter_s + delay_s, leave_s + delay_s) for camera, enter_s, leave_s in route]


def _visits(
    network: Network, steps: Sequence[_Step], person: int, appearance: int, group: int
) -> list[Visit]:
    visits: list[Visit] = []
    for camera, enter_s, leave_s in steps:
        offset_s = network.node(camera).clock_offset_s
        visits.append(
            Visit(
                person=person,
                camera_id=camera,
                enter_s=enter_s + offset_s,
                leave_s=leave_s + offset_s,
                appearance=appearance,
                group=group,
                true_enter_s=enter_s,
                true_leave_s=leave_s,
            )
        )
    return visits


def _appearances(crowd: Crowd, rng: np.random.Generator) -> list[int]:
    """Clothes per person, from 0: mostly new ones, sometimes somebody else's, or the uniform."""
    chosen: list[int] = []
    fresh = 0
    uniform: int | None = None
    for _ in range(crowd.people):
        draw = rng.random()
        if draw < crowd.uniform_share:
            if uniform is None:
                uniform, fresh = fresh, fresh + 1
            chosen.append(uniform)
        elif draw < crowd.uniform_share + crowd.look_alike_share and chosen:
            chosen.append(chosen[int(rng.integers(len(chosen)))])
        else:
            chosen.append(fresh)
            fresh += 1
    return chosen
