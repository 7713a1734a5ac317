"""Simulated networks of cameras: what is learned about them, and what each part is worth there.

    python scripts/results_networks.py --out networks.md --json networks.json

People walk through drawn networks (streamreid.simulation); their looks are drawn vectors whose
scores spread like those of the `default` weights on people they were not trained on. The engine is
the one of `streamreid run`, with the coefficients shipped with the weights; nothing is fitted here.
Finished parts are kept in the JSON, so that an interrupted run goes on where it stopped.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.association.constraints import CameraPair, pair_of
from streamreid.config.coefficients import packaged_coefficients
from streamreid.engine.coefficients import MODES, Mode
from streamreid.evaluation.replay import Replay, run_stream
from streamreid.simulation.drawn import DrawnScorer, Looks, tracklets_of_visits
from streamreid.simulation.network import Visit, simulate_network
from streamreid.simulation.scenarios import SCENARIOS, Scenario, ScenarioName, scenario
from streamreid.tlift.transition import TransitionModel
from streamreid.types import Float64Array

WEIGHTS = "default"
CAMERAS = (4, 8, 16)
PEOPLE = 200
PEOPLE_FOR_MEDIANS = 300
CLEAR = Looks(visit_noise=0.6, camera_noise=0.3)
"""People who are easy to tell apart: then what is learned shows, not what was confused."""


def main() -> int:
    """Run what the JSON does not hold yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the page to write")
    parser.add_argument("--json", type=Path, required=True, help="figures, kept between runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.05, help="stated false-merge rate")
    parser.add_argument(
        "--bench", type=Path, nargs="*", default=[], help="figures of scripts/bench_association.py"
    )
    parser.add_argument("--only", help="run only parts whose name contains this")
    args = parser.parse_args()
    done: dict[str, Any] = json.loads(args.json.read_text("utf-8")) if args.json.is_file() else {}
    for name, job in jobs(args.seed, args.rate):
        if name in done or (args.only and args.only not in name):
            continue
        began = time.process_time()
        done[name] = job() | {
            "cpu_s": round(time.process_time() - began, 1),
            "coefficients_of": packaged_coefficients(WEIGHTS).weights_digest[:8],
        }
        print(f"{name}: {done[name]}", flush=True)
        args.json.write_text(json.dumps(done, indent=1) + "\n", "utf-8")
    text = page(done, args.seed, args.rate)
    if args.bench:
        text += cost([json.loads(path.read_text("utf-8")) for path in args.bench])
    args.out.write_text(text + _TAIL, "utf-8")
    return 0


def jobs(seed: int, rate: float) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """Every part by name, cheap ones first."""
    found: list[tuple[str, Callable[[], dict[str, Any]]]] = []

    def scenarios(modes: Sequence[Mode], sizes: Sequence[int]) -> None:
        for mode in modes:
            for cameras in sizes:
                for name in SCENARIOS if cameras == CAMERAS[0] else SCENARIOS[:1]:
                    run = partial(identities, name, cameras, mode, seed, rate)
                    found.append((f"{name}/{cameras}/{mode}", run))

    def ways(looks: str) -> None:
        for cameras in CAMERAS:
            found.append((f"medians/{cameras}/{looks}", partial(medians, cameras, looks, seed)))

    scenarios(["full"], CAMERAS[:1])
    ways("clear")
    found.append(("moved-clock/4/full", partial(moved_clock, seed, rate)))
    scenarios(["appearance", "transitions", "cooccurrence"], CAMERAS[:1])
    scenarios(["full", "appearance", "transitions", "cooccurrence"], CAMERAS[1:])
    ways("real")
    return found


def identities(
    name: ScenarioName, cameras: int, mode: Mode, seed: int, rate: float
) -> dict[str, Any]:
    """Who is who in one scenario and one mode."""
    chosen = scenario(name, cameras=cameras, people=PEOPLE, seed=seed)
    visits = simulate_network(chosen.network, chosen.crowd, seed=seed)
    return _figures(_replay(chosen, visits, mode, Looks(), seed, rate))


def moved_clock(seed: int, rate: float) -> dict[str, Any]:
    """A clock that jumps by ten minutes after half of the people."""
    chosen = scenario("plain", cameras=4, people=2 * PEOPLE, seed=seed)
    visits = simulate_network(chosen.network, chosen.crowd, seed=seed)
    camera = chosen.network.nodes[1].camera_id
    middle_s = visits[len(visits) // 2].true_enter_s
    moved = tuple(
        replace(visit, enter_s=visit.enter_s + 600.0, leave_s=visit.leave_s + 600.0)
        if visit.camera_id == camera and visit.true_enter_s > middle_s
        else visit
        for visit in visits
    )
    told = _replay(chosen, moved, "full", CLEAR, seed, rate, disjoint=frozenset())
    return _figures(told) | {"moved": camera, "warnings": list(told.warnings)}


def medians(cameras: int, looks: str, seed: int) -> dict[str, Any]:
    """Learned transition medians of every linked pair after 300 people."""
    chosen = scenario("plain", cameras=cameras, people=PEOPLE_FOR_MEDIANS, seed=seed)
    visits = simulate_network(chosen.network, chosen.crowd, seed=seed)
    kind = CLEAR if looks == "clear" else Looks()
    replay = _replay(chosen, visits, "transitions", kind, seed, 0.05)
    model = TransitionModel()
    for row in replay.transitions:
        model.load(
            row.from_camera_id, row.to_camera_id, row.passages, updated_at_s=row.updated_at_s
        )
    at_s = max(row.updated_at_s for row in replay.transitions)
    walked = _walked(visits)
    pairs = []
    for link in chosen.network.links:
        way = (link.source, link.target)
        true_s = link.transit.true_median_s
        learned_s = model.typical_s(*way, at_s=at_s)
        walked_s = float(np.median(walked[way])) if way in walked else float("nan")
        pairs.append(
            {
                "way": "-".join(way),
                "walked": len(walked.get(way, ())),
                "support": round(model.support(*way, at_s=at_s), 1),
                "true_s": round(true_s, 1),
                "walked_s": round(walked_s, 1),
                "learned_s": round(learned_s, 1),
                "error": round(learned_s / true_s - 1, 4),
                "error_to_walked": round(learned_s / walked_s - 1, 4),
                "error_of_walked": round(walked_s / true_s - 1, 4),
            }
        )
    return {"pairs": pairs}


def _walked(visits: Sequence[Visit]) -> dict[CameraPair, list[float]]:
    """Times that people took from one camera to the next they were in."""
    people: dict[int, list[Visit]] = {}
    for visit in sorted(visits, key=lambda visit: visit.true_enter_s):
        people.setdefault(visit.person, []).append(visit)
    found: dict[CameraPair, list[float]] = {}
    for own in people.values():
        for before, after in pairwise(own):
            way = (before.camera_id, after.camera_id)
            found.setdefault(way, []).append(after.true_enter_s - before.true_leave_s)
    return found


def _replay(
    chosen: Scenario,
    visits: Sequence[Visit],
    mode: Mode,
    looks: Looks,
    seed: int,
    rate: float,
    **wishes: Any,
) -> Replay:
    """Drive the engine with visits; it is told the true topology unless clocks are wrong."""
    # With wrong clocks nobody knows who was anywhere at once, so no operator would configure it.
    wrong = any(node.clock_offset_s for node in chosen.network.nodes)
    disjoint = frozenset() if wrong else _pairs(chosen.network.disjoint_pairs)
    scorer = DrawnScorer(visits, looks, seed=seed)
    settings = packaged_coefficients(WEIGHTS).settings(
        mode,
        calibration_slope=1.0,
        calibration_offset=0.0,
        false_merge_rate=rate,
        overlaps=_pairs(chosen.network.overlapping_pairs),
        **({"disjoint": disjoint} | wishes),
    )
    counted = wishes.get("disjoint", disjoint)
    return run_stream(
        tracklets_of_visits(visits), scorer, scorer.vectors, settings, all_camera_pairs=counted
    )


def _pairs(pairs: Any) -> frozenset[CameraPair]:
    return frozenset(pair_of(*sorted(pair)) for pair in pairs)


def _figures(replay: Replay) -> dict[str, Any]:
    figures = replay.figures
    clusters = figures.clusters
    return {
        "idf1": round(clusters.idf1, 4),
        "pair_precision": round(clusters.pair_precision, 4),
        "pair_recall": round(clusters.pair_recall, 4),
        "bcubed_f1": round(clusters.bcubed_f1, 4),
        "identities": clusters.identities,
        "true_identities": clusters.true_identities,
        "false_links": figures.false_links,
        "links": figures.links,
        "at_once_in_one_camera": figures.in_two_places,
        "at_once_in_disjoint_cameras": figures.in_two_cameras,
        "violations_counted": replay.violations,
    }


def page(done: dict[str, Any], seed: int, rate: float) -> str:
    """The page, from all figures."""
    fitted = sorted({part.get("coefficients_of", "") for part in done.values()} - {""})
    parts = [_HEAD.format(seed=seed, rate=100 * rate, people=PEOPLE, fitted=" and ".join(fitted))]
    rows = []
    for name, cameras in [*((name, 4) for name in SCENARIOS), ("plain", 8), ("plain", 16)]:
        found = [done.get(f"{name}/{cameras}/{mode}") for mode in MODES]
        full = found[MODES.index("full")]
        if full is None:
            continue
        cells = [f"{100 * one['idf1']:.1f}" if one else "-" for one in found]
        rows.append(
            f"| {name} | {cameras} | {' | '.join(cells)} | {100 * full['pair_precision']:.1f} / "
            f"{100 * full['pair_recall']:.1f} | {full['identities']} / "
            f"{full['true_identities']} | {full['false_links']} of {full['links']} | "
            f"{full['at_once_in_one_camera']} / {full['at_once_in_disjoint_cameras']} |"
        )
    parts.append(_IDENTITIES + "\n".join(rows) + "\n")
    parts.append(_MEDIANS + "\n".join(_median_rows(done)) + "\n")
    moved = done.get("moved-clock/4/full")
    if moved:
        named = ", ".join(f"`{text}`" for text in moved["warnings"]) or "nothing"
        parts.append(
            f"\n## A clock that moves\n\nThe clock of `{moved['moved']}` jumps by ten minutes after"
            f" half of {2 * PEOPLE} people (clear looks). The engine said: {named}.\n"
        )
    return "".join(parts)


def cost(benches: Sequence[dict[str, Any]]) -> str:
    """What deciding costs, from the figures of runs of the benchmark."""
    head = _COST.format(
        cameras=benches[0]["cameras"],
        rate=benches[0]["tracks_per_s"],
        age=benches[0]["max_age_s"] / 3600,
    )
    rows = [
        f"| {bench['sightings']:g} | {one['minute']:.0f} | {one['ms_per_track']:.1f} | "
        f"{100 * one['core_share']:.1f} | {one['tracks_held']} | {one['memory_mib']:.0f} |"
        for bench in benches
        for one in bench["samples"]
    ]
    return head + "\n".join(rows) + "\n"


def _median_rows(done: dict[str, Any]) -> list[str]:
    rows = []
    for looks in ("clear", "real"):
        for cameras in CAMERAS:
            found = done.get(f"medians/{cameras}/{looks}")
            if found is None:
                continue
            pairs = found["pairs"]
            rows.append(
                f"| {looks} | {cameras} | {len(pairs)} | "
                f"{np.mean([pair['walked'] for pair in pairs]):.0f} | "
                f"{np.mean([pair['support'] for pair in pairs]):.0f} | "
                + " | ".join(
                    _errors(np.array([pair[kind] for pair in pairs]))
                    for kind in ("error", "error_to_walked", "error_of_walked")
                )
                + " |"
            )
    return rows


def _errors(error: Float64Array) -> str:
    """Median and worst relative error in per cent, and how many are within 10 %."""
    size = np.abs(error[~np.isnan(error)])
    return f"{100 * np.median(size):.1f} / {100 * size.max():.0f} / {int((size <= 0.1).sum())}"


_HEAD = """# Simulated networks: what is learned, and what each part is worth

{people} people walk through networks of 4, 8 and 16 cameras on a grid of corridors; one scenario
each for what makes it hard ([simulation](../simulation.md)). Seed {seed}, stated false-merge rate
{rate:.0f} %.

- **Looks are drawn, not photographed.** A crop is a vector; the logit of two tracks is a line over
  the cosine of their means. Measured on 368 tracklets of 50 people of Market-1501 that the
  `default` weights were not trained on, the calibrated logit of two people is -7.9 +- 2.3 and that
  of one person in two cameras 0.6 +- 1.8; the drawn ones are -7.9 +- 2.4 and 0.6 +- 1.6. *Clear*
  looks (medians, moved clock) are easier, so that what is learned shows, not what was confused.
- **Nothing was fitted here.** Coefficients and thresholds are those shipped with the weights
  ({fitted}). A dash was not run yet.
- The engine is told the true topology (`overlaps`, `disjoint`), except where clocks are wrong.

"""

_IDENTITIES = """## Identities

IDF1 over cameras, per cent, with each part of the evidence; the other columns are of the full mode.
*At once* are pairs of tracks of one identity that were in two places at once, in one camera / in
two cameras whose views do not overlap; both must be 0.

| scenario | cameras | appearance | co-occ. | transitions | full | P / R | ids | false | at once |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""

_MEDIANS = """
## Transition times after 300 people

The learned typical time (median of the main mode) of every linked way, as `streamreid topology`
shows it, against the true median of the network and against the median of the walks that really
happened. Each cell: median error / worst error in per cent / ways within 10 %. *Walked* is how many
people took a way on average, *learned* how many steps were learned (weighted by belief). The last
column is chance: how far the median of all true walks is from that of the network, whatever is
learned; with ten to twenty walks a way no method can be surer than that.

| looks | cameras | ways | walked | learned | to network | to walks | walks to network |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

_COST = """
## What deciding costs

{cameras} cameras with {rate:g} tracks a second in all; CPU time of the engine alone, scoring taken
off (`scripts/bench_association.py`), with the default age of {age:g} h after which people are new.
*Sightings* are the tracks that a person has on average; with one, all are strangers to one another
and every track is an identity of its own.

| sightings | minute | ms per track | % of a core | tracks held | MiB |
| --- | --- | --- | --- | --- | --- |
"""

_TAIL = """
## Reproduce

    python scripts/results_networks.py --out docs/results/networks.md \\
        --json docs/results/networks.json --bench docs/results/bench/association*.json

Figures per way and per mode are in `networks.json`; CPU seconds of every part, too.
"""


if __name__ == "__main__":
    sys.exit(main())
