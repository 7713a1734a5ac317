"""The ablation of `eval stream`: every mode on one stream, with true and with shuffled times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreid.association.constraints import pair_of
from streamreid.engine.coefficients import MODES, Coefficients, Mode
from streamreid.engine.evidence import PairEvidence
from streamreid.engine.joining import JoinEvidence
from streamreid.engine.settings import EngineSettings
from streamreid.evaluation.clustering import clopper_pearson
from streamreid.evaluation.crop_cache import CropCache, RememberingScorer
from streamreid.evaluation.replay import Replay, StreamFigures, run_stream
from streamreid.evaluation.tracklets import Tracklet, shuffled_in_camera
from streamreid.gallery.scorer import Scorer
from streamreid.types import CropKey

Memory = dict[tuple[tuple[CropKey, ...], tuple[CropKey, ...]], float]


@dataclass(slots=True)
class Stage:
    """Everything needed to replay tracklets again and again.

    Attributes:
        fresh_scorer: Makes an empty scorer of the same weights.
        crops: Embeddings of the crops.
        memory: Scores that were computed before; shared by all replays of the same images.
        progress: Told how many tracklets have ended.
    """

    fresh_scorer: Callable[[], Scorer]
    crops: CropCache
    memory: Memory
    progress: Callable[[int], None] | None = None

    def play(
        self,
        tracklets: Sequence[Tracklet],
        settings: EngineSettings,
        witness: Callable[[PairEvidence], None] | None = None,
        join_witness: Callable[[JoinEvidence], None] | None = None,
    ) -> Replay:
        """Replay tracklets once."""
        cameras = sorted({tracklet.camera_id for tracklet in tracklets})
        pairs = frozenset(
            pair_of(one, other) for one in cameras for other in cameras if one < other
        )
        return run_stream(
            tracklets,
            RememberingScorer(self.fresh_scorer(), self.memory),
            self.crops,
            settings,
            all_camera_pairs=pairs,
            progress=self.progress,
            witness=witness,
            join_witness=join_witness,
        )


def ablation(
    stage: Stage,
    tracklets: Sequence[Tracklet],
    coefficients: Coefficients,
    wishes: Mapping[str, Any],
    *,
    modes: Sequence[Mode] = MODES,
) -> dict[str, StreamFigures]:
    """Replay one stream in every mode.

    Args:
        stage: Where to replay.
        tracklets: The stream.
        coefficients: What was fitted for the weights.
        wishes: Further fields of `EngineSettings`.
        modes: Which modes.
    """
    return {
        mode: stage.play(tracklets, coefficients.settings(mode, **wishes)).figures for mode in modes
    }


def shuffled_ablation(
    stage: Stage,
    tracklets: Sequence[Tracklet],
    coefficients: Coefficients,
    wishes: Mapping[str, Any],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Full mode against appearance only when times mean nothing.

    Times are permuted within every camera, and no track is forbidden an identity because of time.

    Args:
        stage: Where to replay.
        tracklets: The stream.
        coefficients: What was fitted for the weights.
        wishes: Further fields of `EngineSettings`.
        seeds: One permutation each.

    Returns:
        Pairwise F1 per seed and mode, and the mean difference.
    """
    free = {**wishes, "places": False}
    modes: tuple[Mode, ...] = ("appearance", "full")
    f1: dict[str, list[float]] = {mode: [] for mode in modes}
    for seed in seeds:
        stream = shuffled_in_camera(tracklets, seed)
        for mode, figures in ablation(stage, stream, coefficients, free, modes=modes).items():
            f1[mode].append(figures.clusters.pair_f1)
    difference = float(np.mean(np.array(f1["full"]) - np.array(f1["appearance"])))
    return {
        "seeds": list(seeds),
        "pair_f1": f1,
        "mean_pair_f1": {mode: float(np.mean(values)) for mode, values in f1.items()},
        "full_minus_appearance": difference,
    }


def plain_figures(figures: StreamFigures) -> dict[str, Any]:
    """Figures of one mode as values that JSON can carry."""
    clusters = figures.clusters
    low, high = clopper_pearson(figures.false_links, figures.links)
    return {
        "pair_precision": clusters.pair_precision,
        "pair_recall": clusters.pair_recall,
        "pair_f1": clusters.pair_f1,
        "bcubed_precision": clusters.bcubed_precision,
        "bcubed_recall": clusters.bcubed_recall,
        "bcubed_f1": clusters.bcubed_f1,
        "idf1": clusters.idf1,
        "identities": clusters.identities,
        "true_identities": clusters.true_identities,
        "false_merges": clusters.false_merges,
        "false_splits": clusters.false_splits,
        "links": figures.links,
        "false_links": figures.false_links,
        "joins": figures.joins,
        "false_joins": figures.false_joins,
        "false_link_rate": figures.false_link_rate,
        "false_link_rate_interval_95": [low, high],
        "strangers_taken_for_known": figures.new_person_errors[0],
        "known_taken_for_new": figures.new_person_errors[1],
        "fnir_at_fpir_10": figures.fnir_at_fpir_10,
        "fnir_at_fpir_1": figures.fnir_at_fpir_1,
        "expected_calibration_error": figures.calibration_error,
        "decisions_revised": figures.revised,
        "in_two_places_one_camera": figures.in_two_places,
        "in_two_cameras_at_once": figures.in_two_cameras,
    }


def of_ids_every(tracklets: Sequence[Tracklet], every: int, first: int) -> list[Tracklet]:
    """Tracklets of every n-th person, such as those held out of training.

    Args:
        tracklets: The tracklets.
        every: Distance between the people, in order of their ids.
        first: Place of the first of them.
    """
    people = sorted({tracklet.person for tracklet in tracklets})
    chosen = set(people[first::every])
    return [tracklet for tracklet in tracklets if tracklet.person in chosen]
