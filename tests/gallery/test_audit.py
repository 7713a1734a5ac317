"""The audit finds what the shortlist loses, and the size of the shortlist follows."""

import numpy as np
import pytest

from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import Embeddings
from streamreid.types import CropKey
from tests.gallery.builders import entry, make_crops, make_scorer


def scorer_of_pairs(people: int, **options: float) -> LocalScorer:
    """Everybody twice, each time in a track of its own."""
    scorer = make_scorer(capacity=2 * people, **options)
    entries = [entry(i + 1, track=i, at_s=float(i)) for i in range(2 * people)]
    scorer.insert(entries, scorer.embed(make_crops(list(range(people)) * 2)))
    return scorer


def insert_with_random_vectors(scorer: LocalScorer, first: int, count: int) -> None:
    """Maps are right, shortlist vectors are noise: the best entry has any place."""
    found = scorer.embed(make_crops([number % 40 for number in range(first, first + count)]))
    vectors = np.random.default_rng(first).normal(size=found.vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    entries = [entry(number + 1, track=number) for number in range(first, first + count)]
    scorer.insert(entries, Embeddings(found.maps, vectors))


def test_audit_of_every_query_counts_the_misses() -> None:
    scorer = scorer_of_pairs(200, audited_share=1.0)
    for number in range(1, 31):
        scorer.candidates([CropKey(number)], 400)
        scorer.audit.finish(scorer.ring, scorer.head)
    whole = scorer.audit.report()
    assert (whole.audited, whole.missed, whole.skipped) == (30, 0, 0)
    assert whole.miss_rate == 0.0
    assert whole.miss_rate_bound == pytest.approx(0.095, abs=0.002)
    for number in range(101, 131):
        scorer.candidates([CropKey(number)], 0)  # an empty shortlist loses everything
        scorer.audit.finish(scorer.ring, scorer.head)
    assert scorer.audit.report().missed == 30


def test_audit_works_in_slices_beside_the_queries() -> None:
    scorer = scorer_of_pairs(300, audited_share=1.0)
    scorer.candidates([CropKey(1)], 5)
    assert scorer.audit.report().audited == 0
    scorer.evict(before_s=20.0)  # entries may leave while an audit waits
    for number in range(30, 33):
        scorer.candidates([CropKey(number)], 5)
    assert scorer.audit.report().audited == 1


def test_a_track_is_audited_once() -> None:
    scorer = scorer_of_pairs(100, audited_share=1.0)
    for _ in range(5):
        scorer.candidates([CropKey(1)], 5)
        scorer.audit.finish(scorer.ring, scorer.head)
    assert scorer.audit.report().audited == 1


def test_share_of_audited_queries_is_kept() -> None:
    scorer = make_scorer(audited_share=0.1)
    wanted = sum(scorer.audit.wants(np.array([i, i + 1]), [i], 100) for i in range(5000))
    assert 400 < wanted < 600
    hasty = make_scorer(audited_share=0.1, miss_rate=0.01).audit
    assert all(hasty.wants(np.array([i]), [i], 1000) for i in range(50))  # a calibration is due
    assert not make_scorer(exact=True).audit.wants(np.array([1]), [1], 1000)
    with pytest.raises(ValueError, match="audited share"):
        make_scorer(audited_share=1.5)


def test_shortlist_grows_until_it_keeps_its_promise() -> None:
    """With vectors of noise a tenth of the gallery is lost nine times in ten, and found out."""
    scorer = make_scorer(capacity=600, audited_share=1.0, miss_rate=0.1)
    insert_with_random_vectors(scorer, 0, 600)
    sizes = []
    for number in range(1, 201):
        sizes.append(len(scorer.candidates([CropKey(number)], 60).entry_ids))
        scorer.audit.finish(scorer.ring, scorer.head)
        if number == 100:
            missed_while_learning = scorer.audit.missed
    assert sizes[0] == 60
    assert min(sizes[100:]) > 400
    report = scorer.audit.report()
    assert report.size == sizes[-1]
    assert report.promised_miss_rate == 0.1
    assert (report.missed - missed_while_learning) / 100 <= 0.2
    assert scorer.description["shortlist_miss_rate"] == 0.1


def test_size_stays_as_asked_without_a_promise() -> None:
    scorer = make_scorer(capacity=600, audited_share=1.0)
    insert_with_random_vectors(scorer, 0, 600)
    for number in range(1, 21):
        assert len(scorer.candidates([CropKey(number)], 60).entry_ids) == 60
        scorer.audit.finish(scorer.ring, scorer.head)
    report = scorer.audit.report()
    assert report.missed > 5
    assert (report.size, report.promised_miss_rate) == (0, 1.0)
