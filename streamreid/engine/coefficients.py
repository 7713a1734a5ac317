"""Everything that was fitted on validation identities and comes with the weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from streamreid.association.assignment import Linkage
from streamreid.association.calibration import DecisionModel, DecisionModels
from streamreid.association.joining import JoinMap, JoinSettings
from streamreid.association.neighbours import NeighbourSettings
from streamreid.engine.settings import EngineSettings, TimeSettings

Mode = Literal["appearance", "cooccurrence", "transitions", "full"]
MODES: tuple[Mode, ...] = get_args(Mode)
FORMAT = 2
_WITHOUT_JOINS = 1
"""Format of files that were fitted before identities were joined; their thresholds hold without."""

Table = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class LinkCoefficients:
    """How a linkage value becomes a probability, and which one to ask for.

    Attributes:
        slope: Slope of the map from linkage value to log odds.
        offset: Its offset.
        thresholds: Measured pairs (false-merge rate, link probability).
        join: Map from the linkage value of two identities to the probability that they are one.
    """

    slope: float = 1.0
    offset: float = 0.0
    thresholds: Table = ()
    join: JoinMap = field(default_factory=JoinMap)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What a fit found.

    Attributes:
        weights_digest: The weights that the scores came from; empty when it does not matter.
        fitted_on: The data, in words.
        calibration_slope: a of the pair probability sigmoid(a * score + b).
        calibration_offset: b of it.
        models: Log odds of a pair, by the terms that have evidence.
        links: Map and thresholds per mode.
        linkage: How a track is compared with an identity.
        join: Which identities are held against each other, and by what.
        neighbours: How neighbourhoods for re-ranking are formed.
        time: Parameters of the time terms; their switches are set by the mode.
        max_age_s: Age of candidates the fit was made with, seconds.
        stranger_logit: Appearance logit that one in ten pairs of different people of one camera
            exceeds, on the data of the fit; None when it was not measured.
    """

    weights_digest: str = ""
    fitted_on: str = "nothing; neutral values"
    calibration_slope: float = 1.0
    calibration_offset: float = 0.0
    models: DecisionModels = field(default_factory=DecisionModels)
    links: Mapping[Mode, LinkCoefficients] = field(default_factory=dict)
    linkage: Linkage = field(default_factory=Linkage)
    join: JoinSettings = field(default_factory=JoinSettings)
    neighbours: NeighbourSettings = field(default_factory=NeighbourSettings)
    time: TimeSettings = field(default_factory=TimeSettings)
    max_age_s: float = 7200.0
    stranger_logit: float | None = None

    def settings(self, mode: Mode = "full", **wishes: Any) -> EngineSettings:
        """Engine settings of a mode.

        Args:
            mode: Which time terms take part.
            wishes: Further fields of `EngineSettings`, such as `false_merge_rate` or `lag_s`.
        """
        link = self.links.get(mode, LinkCoefficients())
        time = replace(
            self.time,
            cooccurrence=mode in ("cooccurrence", "full"),
            transitions=mode in ("transitions", "full"),
        )
        values: dict[str, Any] = {
            "calibration_slope": self.calibration_slope,
            "calibration_offset": self.calibration_offset,
            "decision": self.models,
            "link_slope": link.slope,
            "link_offset": link.offset,
            "thresholds": link.thresholds,
            "linkage": self.linkage,
            "join": self.join,
            "join_map": link.join,
            "neighbours": self.neighbours,
            "max_age_s": self.max_age_s,
            "time": time,
        }
        return EngineSettings(**(values | wishes))


def to_plain(coefficients: Coefficients) -> dict[str, Any]:
    """As values that JSON can carry."""
    plain = asdict(coefficients)
    plain["links"] = {mode: asdict(link) for mode, link in coefficients.links.items()}
    return {"format": FORMAT, **plain}


def from_plain(plain: Mapping[str, Any]) -> Coefficients:
    """From values that JSON carried.

    Files of format 1 know nothing of joins; with them identities are not joined, because their
    thresholds keep the stated false-merge rate only then.

    Raises:
        ValueError: If the format is another one, a field is missing, unknown or out of range.
    """
    values = dict(plain)
    version = values.pop("format", None)
    if version not in (_WITHOUT_JOINS, FORMAT):
        raise ValueError(f"expected format {FORMAT} or {_WITHOUT_JOINS}, got {version!r}")
    if version == _WITHOUT_JOINS:
        values["join"] = asdict(JoinSettings(tries=0))
        values["links"] = {
            mode: {**link, "join": asdict(JoinMap())}
            for mode, link in values.get("links", {}).items()
        }
    try:
        named = values.pop("models")
        models = {mode: DecisionModel(**named[mode]) for mode in MODES}
        links = {
            mode: LinkCoefficients(
                float(link["slope"]),
                float(link["offset"]),
                tuple((float(rate), float(chance)) for rate, chance in link["thresholds"]),
                JoinMap(**link["join"]),
            )
            for mode, link in values.pop("links").items()
        }
        return Coefficients(
            models=DecisionModels(**models),
            links=links,
            linkage=Linkage(**values.pop("linkage")),
            join=JoinSettings(**values.pop("join")),
            neighbours=NeighbourSettings(**values.pop("neighbours")),
            time=TimeSettings(**values.pop("time")),
            **values,
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"field missing or unknown: {exc}") from exc
