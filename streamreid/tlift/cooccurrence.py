"""Live TLift: who was near whom, kept as short lists that are updated with every new score.

Source: qaconv_tlift.md section 11.2, after Liao and Shao, arXiv 1904.10424 (temporal lifting).
"""

from bisect import insort
from dataclasses import dataclass, field

import numpy as np

from streamreid.tlift.rescore import best_matches, pivot_weight
from streamreid.types import CameraId, Float64Array


@dataclass(slots=True)
class _Query:
    """One event in the role of a query, with its best gallery matches per camera."""

    time_s: float
    lists: dict[CameraId, list[tuple[float, float]]] = field(default_factory=dict)


class CooccurrenceState:
    """The lists T(e, b) of every live query event e and gallery camera b.

    An event plays two roles: as a query it owns lists, as a gallery item it is pushed into the
    lists of others. With exact scores for all pairs, nothing expired and a lag of `tau_s` or
    more the weights equal those of `streamreid.tlift.rescore.tlift`. Three modes follow from
    `lag_s`: 0 is causal, anything up to `tau_s` a fixed lag, `tau_s` or more retrospective.

    Args:
        tau_s: Companions are queries of the same camera less than this many seconds away.
        sigma_s: Width of the kernel around a pivot, seconds.
        pivots: Best matches that vote (K); ties at the last place all vote.
        alpha: Share of a score that does not depend on time.
    """

    def __init__(
        self,
        *,
        tau_s: float = 100.0,
        sigma_s: float = 200.0,
        pivots: int = 10,
        alpha: float = 0.2,
    ) -> None:
        if tau_s <= 0 or sigma_s <= 0 or pivots < 1:
            raise ValueError(
                f"tau_s, sigma_s and pivots must be positive, got {tau_s}, {sigma_s}, {pivots}"
            )
        self.tau_s = tau_s
        self.sigma_s = sigma_s
        self.pivots = pivots
        self.alpha = alpha
        self._queries: dict[int, _Query] = {}
        self._cameras: dict[CameraId, list[tuple[float, int]]] = {}

    def __len__(self) -> int:
        """Number of live query events."""
        return len(self._queries)

    def __contains__(self, event: int) -> bool:
        return event in self._queries

    def add_query(self, event: int, camera: CameraId, time_s: float) -> None:
        """Start the lists of an event; adding it again changes nothing.

        Args:
            event: Any number that names it.
            camera: Its camera.
            time_s: Its time in seconds of that camera's clock.
        """
        if event in self._queries:
            return
        self._queries[event] = _Query(time_s)
        insort(self._cameras.setdefault(camera, []), (time_s, event))

    def push(self, event: int, camera: CameraId, time_s: float, score: float) -> None:
        """Tell a query event how well one gallery item matches it; each pair once.

        Args:
            event: The query event; an unknown or expired one is ignored.
            camera: Camera of the gallery item.
            time_s: Time of the gallery item in seconds of its camera's clock.
            score: Similarity in [0, 1] on the scale that `tlift` asks for.
        """
        query = self._queries.get(event)
        if query is None:
            return
        found = query.lists.setdefault(camera, [])
        insort(found, (score, time_s))
        if len(found) > self.pivots:
            last = found[-self.pivots][0]
            keep_from = 0
            while found[keep_from][0] < last:
                keep_from += 1
            del found[:keep_from]

    def companions(self, camera: CameraId, time_s: float, lag_s: float) -> list[int]:
        """Query events of a camera near a time: `-tau < t - time_s <= lag` and `t - time_s < tau`.

        Args:
            camera: The camera.
            time_s: The time, seconds of its clock.
            lag_s: How far into the future of `time_s` to look.
        """
        return [
            event
            for other_s, event in self._cameras.get(camera, ())
            if -self.tau_s < other_s - time_s <= lag_s and other_s - time_s < self.tau_s
        ]

    def weights(
        self,
        companions: list[int],
        gallery_camera: CameraId,
        gallery_time_s: Float64Array,
    ) -> Float64Array | None:
        """Weight of gallery items of one camera for a query with these companions.

        Args:
            companions: Query events near the query, itself included; from `companions`.
            gallery_camera: Camera of the gallery items.
            gallery_time_s: Their times, shape `(N,)`.

        Returns:
            Weights in [0, 1], shape `(N,)`; None when no companion has a match in that camera.
        """
        merged = [
            pair
            for event in companions
            if (query := self._queries.get(event)) is not None
            for pair in query.lists.get(gallery_camera, ())
        ]
        if not merged:
            return None
        values = np.array(merged)
        _, pivot_times_s = best_matches(values[:, 0], values[:, 1], self.pivots)
        return pivot_weight(gallery_time_s, pivot_times_s, self.sigma_s)

    def rescore(
        self,
        camera: CameraId,
        time_s: float,
        gallery_camera: CameraId,
        gallery_time_s: Float64Array,
        score: Float64Array,
        *,
        lag_s: float,
    ) -> Float64Array:
        """Lifted scores `(w + alpha) * score` of one query against items of one camera.

        Args:
            camera: Camera of the query.
            time_s: Time of the query.
            gallery_camera: Camera of the items.
            gallery_time_s: Their times, shape `(N,)`.
            score: Their scores, shape `(N,)`.
            lag_s: How far into the future companions may be.
        """
        near = self.companions(camera, time_s, lag_s)
        weight = self.weights(near, gallery_camera, gallery_time_s)
        if weight is None:
            return self.alpha * score
        return (weight + self.alpha) * score

    def expire(self, before_s: float) -> int:
        """Forget query events before a time; what they pushed into others' lists stays.

        Args:
            before_s: Events with an earlier time go.

        Returns:
            How many went.
        """
        gone = 0
        for events in self._cameras.values():
            count = 0
            while count < len(events) and events[count][0] < before_s:
                del self._queries[events[count][1]]
                count += 1
            del events[:count]
            gone += count
        return gone
