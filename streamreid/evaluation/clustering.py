"""How well found identities agree with true people, over tracklets."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import beta

from streamreid.types import Float64Array


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """Agreement of a grouping of tracklets with the truth, fractions.

    Attributes:
        pair_precision: Of the pairs put together, the share that is one person; 1 without pairs.
        pair_recall: Of the pairs that are one person, the share put together; 1 without pairs.
        pair_f1: Harmonic mean of both.
        bcubed_precision: Mean over tracklets: share of its group that is its person.
        bcubed_recall: Mean over tracklets: share of its person that is in its group.
        bcubed_f1: Harmonic mean of both.
        idf1: Share of tracklets right when every identity stands for one person at most and every
            person is stood for by one identity at most (best one-to-one assignment).
        identities: Number of groups.
        true_identities: Number of people.
        false_merges: Tracklets that are not of their group's most frequent person.
        false_splits: Groups beyond one that people are spread over, summed over people.
    """

    pair_precision: float
    pair_recall: float
    pair_f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    idf1: float
    identities: int
    true_identities: int
    false_merges: int
    false_splits: int


def cluster_figures(person: Sequence[Hashable], identity: Sequence[Hashable]) -> ClusterFigures:
    """Compare found identities with true people.

    Args:
        person: True person of every tracklet.
        identity: Found identity of every tracklet, same length.

    Raises:
        ValueError: If the lengths differ or there is nothing to compare.
    """
    if len(person) != len(identity) or not person:
        raise ValueError(
            f"need as many people as identities, at least one; got {len(person)}, {len(identity)}"
        )
    table = _contingency(person, identity)
    in_person, in_group = table.sum(axis=1), table.sum(axis=0)
    together = float(_pairs(table).sum())
    precision = _share(together, float(_pairs(in_group).sum()))
    recall = _share(together, float(_pairs(in_person).sum()))
    total = len(person)
    bcubed_precision = float((table**2 / in_group[None, :]).sum()) / total
    bcubed_recall = float((table**2 / in_person[:, None]).sum()) / total
    rows, columns = linear_sum_assignment(table, maximize=True)
    return ClusterFigures(
        pair_precision=precision,
        pair_recall=recall,
        pair_f1=harmonic(precision, recall),
        bcubed_precision=bcubed_precision,
        bcubed_recall=bcubed_recall,
        bcubed_f1=harmonic(bcubed_precision, bcubed_recall),
        idf1=float(table[rows, columns].sum()) / total,
        identities=table.shape[1],
        true_identities=table.shape[0],
        false_merges=total - int(table.max(axis=0).sum()),
        false_splits=int((table > 0).sum()) - table.shape[0],
    )


def harmonic(first: float, second: float) -> float:
    """Harmonic mean of two fractions; 0 when both are 0."""
    return 2 * first * second / (first + second) if first + second > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Search:
    """One final decision, seen as a search for a person among the identities known so far.

    Attributes:
        known: Whether the person was seen before (a mated search).
        probability: Probability of the best candidate identity; 0 without any.
        correct: Whether that candidate is the person.
        linked: Whether the track was joined to an identity that existed already.
    """

    known: bool
    probability: float
    correct: bool
    linked: bool


@dataclass(frozen=True, slots=True)
class Join:
    """Two identities that the engine made one.

    Attributes:
        probability: Stated probability that they are one person.
        correct: Whether both stood for the same person, each for that of most of its tracks.
    """

    probability: float
    correct: bool


def false_link_rate(searches: Sequence[Search], joins: Sequence[Join] = ()) -> tuple[int, int]:
    """Number of links that join two people, and of links; a join of two identities is one link."""
    links = [search.correct for search in searches if search.linked]
    links += [join.correct for join in joins]
    return links.count(False), len(links)


def clopper_pearson(events: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a rate.

    Args:
        events: How often it happened.
        trials: How often it could have.
        confidence: Coverage.
    """
    if trials == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, events, trials - events + 1)) if events else 0.0
    high = float(beta.ppf(1 - tail, events + 1, trials - events)) if events < trials else 1.0
    return low, high


def fnir_at_fpir(searches: Sequence[Search], fpir: float) -> float:
    """Share of known people missed, at the threshold that a share of strangers passes.

    A known person is missed when the best candidate is someone else or below the threshold
    (open-set identification, ISO/IEC 19795).

    Args:
        searches: All searches.
        fpir: Share of strangers that may be taken for somebody.

    Returns:
        A fraction; 1 without known people.
    """
    strangers = np.sort([search.probability for search in searches if not search.known])[::-1]
    known = [search for search in searches if search.known]
    if not known:
        return 1.0
    allowed = int(np.floor(fpir * len(strangers)))
    threshold = float(strangers[allowed]) if allowed < len(strangers) else -1.0
    found = sum(search.correct and search.probability > threshold for search in known)
    return 1.0 - found / len(known)


def majority(people: Sequence[int]) -> int:
    """The most frequent person, the one that came first when equal."""
    return Counter(people).most_common(1)[0][0]


def _contingency(person: Sequence[Hashable], identity: Sequence[Hashable]) -> Float64Array:
    row = {name: number for number, name in enumerate(dict.fromkeys(person))}
    column = {name: number for number, name in enumerate(dict.fromkeys(identity))}
    table = np.zeros((len(row), len(column)))
    for one, other in zip(person, identity, strict=True):
        table[row[one], column[other]] += 1
    return table


def _pairs(count: Float64Array) -> Float64Array:
    result: Float64Array = count * (count - 1) / 2
    return result


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 1.0
