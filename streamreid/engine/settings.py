"""Every number the engine decides by, as one frozen value."""

from dataclasses import dataclass, field

from streamreid.association.assignment import Linkage
from streamreid.association.calibration import DecisionModels
from streamreid.association.constraints import CameraPair
from streamreid.association.joining import JoinMap, JoinSettings
from streamreid.association.neighbours import NeighbourSettings


@dataclass(frozen=True, slots=True)
class TimeSettings:
    """Parameters of the two time terms; published TLift values unless validation chose others.

    Attributes:
        cooccurrence: Whether live TLift takes part in decisions.
        transitions: Whether learned transition times take part in decisions.
        tau_s: TLift: how near in time people are neighbours, seconds.
        sigma_s: TLift: width of the kernel around pivots, seconds.
        pivots: TLift: K.
        alpha: TLift: weight of appearance alone.
        usual_weight: TLift: mean weight w0 of a candidate, against which a weight counts for or
            against.
        pseudo_match: Appearance probability from which a mutual best pair teaches transition times.
        pair_match: The same for two tracks that are mutually best in each other's camera only.
        pair_margin: By how much such a pair's logit must exceed that of either runner-up.
        prior_support: Number of pairs (kappa) that the flat prior of a transition histogram weighs.
        smoothing: Width of the kernel on transition times, relative to the time.
        half_life_s: Half-life of learned transition times, seconds.
    """

    cooccurrence: bool = False
    transitions: bool = False
    tau_s: float = 100.0
    sigma_s: float = 200.0
    pivots: int = 10
    alpha: float = 0.2
    usual_weight: float = 0.3
    pseudo_match: float = 0.9
    pair_match: float = 0.6
    pair_margin: float = 0.5
    prior_support: float = 10.0
    smoothing: float = 0.3
    half_life_s: float = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine decides by.

    Attributes:
        calibration_slope: a of the pair probability sigmoid(a * score + b); comes with the weights.
        calibration_offset: b of it.
        decision: Models of the pair's log odds; come with the weights.
        link_slope: Slope of the map from linkage value to the log odds of a link.
        link_offset: Its offset.
        neighbours: How neighbourhoods for re-ranking are formed.
        linkage: How a track is compared with an identity.
        join: Which identities are held against each other, and by what.
        join_map: Map from their linkage value to the probability that they are one person.
        false_merge_rate: Share of final links that may join two people.
        thresholds: Measured pairs (false-merge rate, link probability); come with the weights.
        lag_s: Seconds from the end of a track to its final decision.
        delivery_s: Part of `lag_s` kept for events that arrive late; order of arrival within it is
            irrelevant.
        step_s: Decisions are made on this grid of event time.
        max_age_s: Identities not seen for longer are no candidates; memory is bounded by it.
        shortlist: Entries asked from the scorer's shortlist.
        max_candidates: Tracks scored exactly per track.
        identity_tracks: Tracks of one identity that a new track is compared with.
        crops_per_track: Crops of a track used for scoring.
        places: Whether one person is never in two places at once; off only to measure without it.
        overlaps: Camera pairs whose views overlap; one person may be in both at once, whatever was
            learned. Others are recognised.
        disjoint: Camera pairs that cannot see one person at once. Others are learned.
        time: The two time terms.
    """

    calibration_slope: float = 1.0
    calibration_offset: float = 0.0
    decision: DecisionModels = field(default_factory=DecisionModels)
    link_slope: float = 1.0
    link_offset: float = 0.0
    neighbours: NeighbourSettings = field(default_factory=NeighbourSettings)
    linkage: Linkage = field(default_factory=Linkage)
    join: JoinSettings = field(default_factory=JoinSettings)
    join_map: JoinMap = field(default_factory=JoinMap)
    false_merge_rate: float = 0.02
    thresholds: tuple[tuple[float, float], ...] = ()
    lag_s: float = 60.0
    delivery_s: float = 2.0
    step_s: float = 1.0
    max_age_s: float = 7200.0
    shortlist: int = 96
    max_candidates: int = 32
    identity_tracks: int = 8
    crops_per_track: int = 4
    places: bool = True
    overlaps: frozenset[CameraPair] = frozenset()
    disjoint: frozenset[CameraPair] = frozenset()
    time: TimeSettings = field(default_factory=TimeSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.delivery_s <= self.lag_s:
            raise ValueError(
                f"delivery_s must be between 0 and lag_s ({self.lag_s}), got {self.delivery_s}"
            )
        for name in ("step_s", "max_age_s", "calibration_slope", "link_slope"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
