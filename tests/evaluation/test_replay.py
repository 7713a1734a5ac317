"""A replay drives the same engine as a run, and its figures are those of its ledger."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from streamreid.association.calibration import logit
from streamreid.association.joining import JoinMap, JoinSettings
from streamreid.association.ledger import Decision
from streamreid.engine.coefficients import Coefficients, from_plain, to_plain
from streamreid.engine.joining import JoinEvidence
from streamreid.engine.settings import EngineSettings, TimeSettings
from streamreid.evaluation.clustering import Join, false_link_rate
from streamreid.evaluation.crop_cache import CropCache, RememberingScorer
from streamreid.evaluation.fit import (
    PairTable,
    collect_pairs,
    fit_all,
    fit_join_map,
    fit_models,
    fit_thresholds,
    log_loss,
)
from streamreid.evaluation.replay import Replay, chosen_images, entry_keys, judge, run_stream
from streamreid.evaluation.stream import Stage, ablation, of_ids_every, shuffled_ablation
from streamreid.evaluation.tracklets import Tracklet, numbered
from streamreid.types import CameraId, Float32Array, IdentityId, TrackKey
from tests.engine.planted import PlantedScorer

CAMERAS = ("c1", "c2", "c3")


def stream_of(people: int, *, seed: int = 0, gap_s: float = 15.0) -> list[Tracklet]:
    """People who walk c1, c2, c3 and enter one after another."""
    rng = np.random.default_rng(seed)
    found = []
    for person in range(people):
        time_s = gap_s * person
        for camera in CAMERAS:
            times_s = (time_s, time_s + 2.0, time_s + 4.0)
            images = tuple(Path(f"{person}_{camera}_{number}.jpg") for number in range(3))
            found.append(Tracklet(TrackKey(0), CameraId(camera), person + 1, times_s, images))
            time_s += 4.0 + float(rng.uniform(8, 12))
    return numbered(found)


def vectors_of(stream: list[Tracklet], noise: float, seed: int = 1) -> dict[int, Float32Array]:
    rng = np.random.default_rng(seed)
    people = rng.standard_normal((200, 48))
    found = {}
    for path, key in entry_keys(stream).items():
        person = int(path.name.split("_")[0])
        vector = people[person] + noise * rng.standard_normal(48)
        found[int(key)] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


def stage_of(stream: list[Tracklet], noise: float) -> Stage:
    vectors = vectors_of(stream, noise)
    paths = sorted({path for tracklet in stream for path in tracklet.images})
    crops = CropCache(
        paths, np.zeros((len(paths), 1), np.uint8), np.zeros((len(paths), 1), np.float32)
    )
    return Stage(lambda: PlantedScorer(vectors), crops, {})


def test_easy_people_are_all_found() -> None:
    stream = stream_of(12)
    replay = stage_of(stream, 0.2).play(stream, EngineSettings(false_merge_rate=0.1, lag_s=20.0))
    clusters = replay.figures.clusters
    assert clusters.pair_f1 == clusters.idf1 == 1.0
    assert clusters.identities == 12
    assert (replay.figures.links, replay.figures.false_links) == (24, 0)
    assert replay.figures.in_two_places == 0
    assert sum(row.final for row in replay.rows) == len(stream)


def test_the_same_stream_gives_the_same_rows() -> None:
    stream = stream_of(10)
    stage = stage_of(stream, 0.8)
    settings = Coefficients().settings("full", lag_s=20.0)
    assert stage.play(stream, settings).rows == stage.play(stream, settings).rows


def test_every_image_is_remembered_whatever_its_number() -> None:
    stream = stream_of(8)
    stage = stage_of(stream, 0.8)
    settings = EngineSettings(lag_s=20.0)
    stage.play(stream, settings)
    known = len(stage.memory)
    later = numbered(tracklet.shifted(1000.0) for tracklet in stream)
    stage.play(later, settings)
    assert len(stage.memory) == known


def test_a_fit_finds_what_tells_people_apart() -> None:
    """Times are sharp here, and some look-alikes need them: the fit must see both."""
    rng = np.random.default_rng(5)
    count = 4000
    same = (rng.random(count) < 0.2).astype(float)
    pairs = PairTable(
        logit=rng.normal(-2 + 2 * same, 2.0),
        shared=np.clip(rng.normal(0.2 + 0.2 * same, 0.1), 0, 1),
        cooccurrence=np.full(count, np.nan),
        transition=np.where(rng.random(count) < 0.1, np.nan, rng.normal(-1 + 2 * same, 1.0)),
        same=same,
    )
    models = fit_models(pairs)
    assert models.appearance.appearance > 0
    assert models.appearance.neighbours > 0
    assert models.full.transition > 0.5
    assert models.full.cooccurrence == models.appearance.transition == 0
    assert log_loss(pairs, models) < log_loss(pairs, Coefficients().models)


def test_pairs_are_collected_with_their_truth() -> None:
    stream = stream_of(8)
    stage = stage_of(stream, 0.3)
    start = Coefficients(time=TimeSettings(pseudo_match=0.2), max_age_s=300.0)
    pairs = collect_pairs([stream], stage.play, start.settings("full", lag_s=15.0))
    assert 0 < pairs.same.mean() < 1
    assert pairs.logit[pairs.same > 0].mean() > pairs.logit[pairs.same == 0].mean()
    assert np.isfinite(pairs.transition).any()


def test_a_join_map_learns_what_tells_identities_apart_and_counts_each_two_once() -> None:
    stream = stream_of(40)
    of = {item.person: item.track for item in stream}
    rng = np.random.default_rng(3)
    found = []
    for number in range(300):
        one, other = (int(person) for person in rng.choice(40, 2, replace=False) + 1)
        same, pairs = number % 2 == 0, int(rng.integers(1, 30))
        value = 2.0 * same + 0.5 * float(np.log(pairs)) + float(rng.normal(0, 1))
        turns = 1.5 * same + float(rng.normal(0, 1))
        gone = TrackKey(of[one if same else other] * 1000 + number)
        evidence = JoinEvidence((of[one],), (gone,), value, pairs, turns)
        found.append((evidence, one if same else other))
    people = [
        replace(stream[0], track=evidence.gone[0], person=person) for evidence, person in found
    ]

    def fitted(often: int) -> JoinMap:
        def play(
            tracklets: Sequence[Tracklet],
            settings: EngineSettings,
            witness: object = None,
            join_witness: Callable[[JoinEvidence], None] | None = None,
        ) -> Replay:
            assert join_witness is not None
            for number, (evidence, _) in enumerate(found):
                for _ in range(often if number < 50 else 1):
                    join_witness(evidence)
            return None  # type: ignore[return-value]

        return fit_join_map([[*stream, *people]], play, EngineSettings())

    once = fitted(1)
    assert once.slope > 0.5
    assert once.size > 0.2
    assert once.turns > 0.5
    assert once.probability(3.0, 1, 1.5) > 0.9
    assert once.probability(-1.0, 1, 0.0) < 0.2
    often = fitted(20)
    assert (often.slope, often.offset, often.size, often.turns) == pytest.approx(
        (once.slope, once.offset, once.size, once.turns)
    )


@pytest.mark.parametrize("steepness", [1.5, 3.0, 6.0])
def test_thresholds_meet_the_stated_rate_where_it_falls_steeply(steepness: float) -> None:
    """Between points far apart a line misses; measuring more where it is steep does not."""

    def rate(chance: float) -> float:
        return 0.15 * float(np.exp(-steepness * max(logit(chance) - 1.0, 0.0) ** 1.5))

    asked = []

    def play(
        tracklets: Sequence[Tracklet],
        settings: EngineSettings,
        witness: object = None,
        join_witness: object = None,
    ) -> Replay:
        chance = settings.thresholds[0][1]
        asked.append(chance)
        links = 1_000_000
        figures = SimpleNamespace(links=links, false_links=round(rate(chance) * links))
        return SimpleNamespace(figures=figures)  # type: ignore[return-value]

    table = fit_thresholds([[]], play, EngineSettings())
    for stated, chance in table[1:3]:
        assert rate(chance) == pytest.approx(stated, rel=0.15)
    assert len(asked) == len(set(asked)) <= 11
    assert [chance for _, chance in table] == sorted((c for _, c in table), reverse=True)


def test_a_rate_that_rises_by_chance_is_smoothed() -> None:
    def play(tracklets: object, settings: EngineSettings, *_: object) -> Replay:
        chance = settings.thresholds[0][1]
        wrong = {0.4: 60, 0.65: 20, 0.8: 30, 0.9: 2, 0.96: 0}.get(round(chance, 2), 25)
        return SimpleNamespace(figures=SimpleNamespace(links=500, false_links=wrong))  # type: ignore[return-value]

    table = fit_thresholds([[]], play, EngineSettings())  # type: ignore[arg-type]
    chances = [chance for _, chance in table]
    assert chances == sorted(chances, reverse=True)
    assert 0.4 < dict(table)[0.1] < dict(table)[0.02] < 0.96


def test_without_evidence_nobody_is_ever_joined() -> None:
    stream = stream_of(4)
    settings = EngineSettings(lag_s=15.0, join=JoinSettings(tries=0))
    never = fit_join_map([stream], stage_of(stream, 0.3).play, settings)
    assert never.probability(30.0, 1) == pytest.approx(0.0)


@pytest.mark.slow
def test_fit_all_makes_thresholds_that_fall_with_the_rate() -> None:
    stream = stream_of(25, gap_s=6.0)
    stage = stage_of(stream, 0.9)
    start = Coefficients(calibration_slope=0.6, calibration_offset=-2.0, max_age_s=300.0)
    fitted = fit_all([stream], stage.play, start, lag_s=15.0)
    assert from_plain(to_plain(fitted)) == fitted
    for link in fitted.links.values():
        chances = [chance for _, chance in link.thresholds]
        assert chances == sorted(chances, reverse=True)


def test_ablation_covers_every_mode_and_shuffles_only_times() -> None:
    stream = stream_of(6)
    stage = stage_of(stream, 0.3)
    modes = ablation(stage, stream, Coefficients(), {"lag_s": 20.0})
    assert set(modes) == {"appearance", "cooccurrence", "transitions", "full"}
    shuffled = shuffled_ablation(stage, stream, Coefficients(), {"lag_s": 20.0}, [0, 1])
    assert len(shuffled["pair_f1"]["full"]) == 2
    assert shuffled["full_minus_appearance"] == pytest.approx(0.0, abs=1e-9)


def test_searches_are_judged_by_what_was_known_before() -> None:
    rows = [row(1, 1), row(2, 1, 0.9), row(3, 2), row(4, 1, 0.8), row(5, 3, other=1)]
    person = {TrackKey(n): p for n, p in ((1, 7), (2, 7), (3, 8), (4, 8), (5, 7))}
    found, joins = judge(rows, person)
    assert joins == []
    assert [(s.known, s.correct, s.linked) for s in found] == [
        (False, False, False),
        (True, True, True),
        (False, False, False),
        (True, False, True),
        (True, True, False),
    ]


def test_a_join_is_one_link_however_many_tracks_move() -> None:
    """Identity 2 (person 8, twice) joins 1 (person 7): one false link, and 1 is then person 8's."""
    rows = [row(1, 1), row(2, 2), row(3, 2, 0.9)]
    rows += [joined(2, 1, at_s=10.0), joined(3, 1, at_s=10.0), row(4, 1, 0.8)]
    person = {TrackKey(n): p for n, p in ((1, 7), (2, 8), (3, 8), (4, 8), (5, 9), (6, 9))}
    searches, joins = judge(rows, person)
    assert joins == [Join(0.7, correct=False)]
    assert [search.correct for search in searches if search.linked] == [True, True]
    assert false_link_rate(searches, joins) == (1, 3)
    rows = [row(5, 5), row(6, 6), joined(6, 5, at_s=10.0)]
    assert judge(rows, person)[1] == [Join(0.7, correct=True)]


def test_what_operators_move_is_not_held_against_the_engine() -> None:
    rows = [row(1, 1), row(2, 2), replace(joined(2, 1, at_s=10.0), actor="ana")]
    searches, joins = judge(rows, {TrackKey(1): 7, TrackKey(2): 8})
    assert (len(searches), joins) == (2, [])


def joined(track: int, into: int, *, at_s: float) -> Decision:
    moved = replace(row(track, into, 0.7), reason="merged", decided_at_s=at_s)
    return replace(moved, revision=1)


def row(track: int, identity: int, chance: float = 0.5, other: int | None = None) -> Decision:
    return Decision(
        TrackKey(track),
        0,
        float(track),
        IdentityId(identity),
        chance,
        None,
        None,
        None,
        None if other is None else IdentityId(other),
        None if other is None else 0.3,
        "matched",
        final=True,
    )


@pytest.mark.parametrize(("total", "expected"), [(1, [0]), (3, [0, 1, 2]), (10, [0, 3, 6, 9])])
def test_crops_are_spread_over_a_tracklet(total: int, expected: list[int]) -> None:
    times_s = tuple(float(number) for number in range(total))
    images = tuple(Path(f"{number}.jpg") for number in range(total))
    tracklet = Tracklet(TrackKey(1), CameraId("c1"), 1, times_s, images)
    assert chosen_images(tracklet, 4).tolist() == expected


def test_every_tenth_person() -> None:
    stream = stream_of(25)
    assert {item.person for item in of_ids_every(stream, 10, 5)} == {6, 16}


def test_a_score_is_computed_once() -> None:
    stream = stream_of(4)
    scorer = PlantedScorer(vectors_of(stream, 0.3))
    memory: dict = {}  # type: ignore[type-arg]
    run_stream(stream, RememberingScorer(scorer, memory), lambda *_: None, EngineSettings())  # type: ignore[arg-type]
    known = len(memory)
    scorer = PlantedScorer(scorer.vectors)
    run_stream(stream, RememberingScorer(scorer, memory), lambda *_: None, EngineSettings())  # type: ignore[arg-type]
    assert len(memory) == known > 0


@pytest.mark.parametrize(
    "change",
    [{"format": 9}, {"models": {}}, {"linkage": {"sharpness": -1}}, {"surprise": 1}],
)
def test_foreign_coefficients_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"format|field|sharpness"):
        from_plain({**to_plain(Coefficients()), **change})
