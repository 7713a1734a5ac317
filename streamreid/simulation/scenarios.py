"""Ready-made networks of any number of cameras, and crowds that make them hard in one way each."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from streamreid.errors import ConfigError
from streamreid.simulation.network import Crowd, Duration, Link, Network, Node
from streamreid.types import CameraId

ScenarioName = Literal[
    "plain", "groups", "look-alikes", "uniforms", "loops", "clock-offsets", "overlaps"
]
SCENARIOS: tuple[ScenarioName, ...] = get_args(ScenarioName)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A network and the crowd that walks through it."""

    name: ScenarioName
    network: Network
    crowd: Crowd


def grid_network(cameras: int, *, seed: int = 0) -> Network:
    """Cameras on a grid of corridors, as square as possible; neighbours are linked both ways.

    Args:
        cameras: How many, at least 2.
        seed: Chooses the length of each corridor: medians between 8 and 60 s.

    Returns:
        The network; cameras are named `cam01`, `cam02`, ...

    Raises:
        ConfigError: With fewer than two cameras.
    """
    if cameras < 2:
        raise ConfigError(f"a network needs at least 2 cameras, got {cameras}")
    rng = np.random.default_rng(seed)
    columns = math.ceil(math.sqrt(cameras))
    names = [CameraId(f"cam{number + 1:02d}") for number in range(cameras)]
    links: list[Link] = []
    for here in range(cameras):
        right, below = here + 1, here + columns
        neighbours = [right] if right % columns and right < cameras else []
        neighbours += [below] if below < cameras else []
        for there in neighbours:
            median_s = float(rng.uniform(8.0, 60.0))
            for source, target in ((here, there), (there, here)):
                transit = Duration(median_s * float(rng.uniform(0.9, 1.1)), spread=0.25)
                links.append(Link(names[source], names[target], transit))
    nodes = tuple(Node(name, dwell=Duration(8.0, spread=0.35)) for name in names)
    return Network(nodes, tuple(links))


def scenario(name: ScenarioName, *, cameras: int = 4, people: int = 200, seed: int = 0) -> Scenario:
    """Make one of `SCENARIOS`.

    Args:
        name: `plain`, or what is hard about it: `groups` of three, `look-alikes` (a third of the
            people), `uniforms` (a third in one uniform), `loops` (people walk to and fro),
            `clock-offsets` (every second camera's clock is wrong by up to 20 s), `overlaps` (every
            second way lets both cameras see a person at once).
        cameras: Number of cameras.
        people: Number of people.
        seed: Chooses the network's lengths and offsets.

    Returns:
        The network and the crowd, to be given to `simulate_network`.

    Raises:
        ConfigError: If the name is unknown or there are fewer than two cameras.
    """
    if name not in SCENARIOS:
        raise ConfigError(f"unknown scenario {name!r}; use one of {', '.join(SCENARIOS)}")
    network = grid_network(cameras, seed=seed)
    crowd = Crowd(people=people, arrivals_per_minute=1.5 * cameras)
    if name == "groups":
        crowd = replace(crowd, group_share=0.5, group_size=3)
    elif name == "look-alikes":
        crowd = replace(crowd, look_alike_share=0.33)
    elif name == "uniforms":
        crowd = replace(crowd, uniform_share=0.33)
    elif name == "loops":
        crowd = replace(crowd, loop_share=0.8, max_visits=10)
    elif name == "clock-offsets":
        network = _with_clock_offsets(network, seed)
    elif name == "overlaps":
        network = _with_overlaps(network)
    return Scenario(name, network, crowd)


def _with_clock_offsets(network: Network, seed: int) -> Network:
    rng = np.random.default_rng((seed, 1))
    nodes = [
        replace(node, clock_offset_s=float(rng.uniform(-20.0, 20.0))) if place % 2 else node
        for place, node in enumerate(network.nodes)
    ]
    return Network(tuple(nodes), network.links)


def _with_overlaps(network: Network) -> Network:
    # Both directions of a way stand next to each other, so they are changed together.
    links = [
        replace(link, transit=Duration(2.0, spread=0.3, shift_s=-5.0)) if place % 4 < 2 else link
        for place, link in enumerate(network.links)
    ]
    return Network(network.nodes, tuple(links))
