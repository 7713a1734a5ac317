"""Drawing the report: one HTML page that needs nothing but itself."""

import base64
import datetime
from collections.abc import Sequence
from importlib.resources import files

from streamreid import __version__
from streamreid.association.ledger import Decision
from streamreid.cli.report_data import Picture, ReportData, Sighting
from streamreid.cli.report_evidence import EvidencePicture
from streamreid.cli.report_svg import clock, colour, timeline

PICTURE_HEIGHT = 132
"""Rows of a crop in the page: its twofold display size would make pages of many megabytes."""


def render_report(
    data: ReportData, evidence: Sequence[EvidencePicture] = (), *, unexplained: bool = False
) -> str:
    """Draw a report.

    Args:
        data: What it shows.
        evidence: Drawings of the strongest matches.
        unexplained: Whether there are matches that could not be drawn for want of their weights.

    Returns:
        A complete HTML document: styles, pictures and drawings are inside, every text that comes
        from the store is escaped, and its content policy forbids any request.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        clock=clock,
        colour=colour,
        percent=percent,
        seconds=seconds,
        why=why,
        picture=_crop_url,
        drawing=_drawing_url,
        transit=transit,
    )
    template = environment.from_string(
        files("streamreid.cli").joinpath("templates/report.html.j2").read_text(encoding="utf-8")
    )
    drawing = ""
    if data.span_s is not None:
        cameras = [camera.camera_id for camera in data.cameras]
        drawing = timeline(data.tracks, cameras, data.span_s)
    return template.render(
        data=data,
        evidence=evidence,
        unexplained=unexplained,
        timeline=Markup(drawing),  # noqa: S704 - made by report_svg, which escapes every text
        span=_span(data),
        version=__version__,
    )


def percent(share: float | None) -> str:
    """A probability for people: whole per cent, but never a false certainty."""
    if share is None:
        return "-"
    if share > 0.995:
        return ">99 %"
    return "<1 %" if share < 0.005 else f"{100.0 * share:.0f} %"


def seconds(duration_s: float) -> str:
    """A duration for people."""
    size = abs(duration_s)
    if size < 90.0:
        return f"{duration_s:.1f} s"
    return f"{duration_s / 60.0:.1f} min" if size < 5400.0 else f"{duration_s / 3600.0:.1f} h"


def transit(sighting: Sighting) -> str:
    """What lies between a sighting and the one before."""
    if sighting.transit_s is None:
        return ""
    if sighting.transit_s < 0.0:
        return f"{seconds(-sighting.transit_s)} in both"
    return f"after {seconds(sighting.transit_s)}"


def why(decision: Decision | None) -> list[str]:
    """Why a track has its identity, as short lines."""
    if decision is None:
        return ["not decided yet"]
    if decision.reason == "new":
        return ["new person", *_runner_up(decision, "nearest known")]
    lines = [f"{decision.reason} at {percent(decision.probability)}"]
    if decision.appearance is not None:
        lines.append(f"looks {percent(decision.appearance)}")
    if decision.cooccurrence is not None:
        lines.append(f"company {decision.cooccurrence:.2f}")
    if decision.transition is not None:
        lines.append(f"travel time x{decision.transition:.2f}")
    lines += _runner_up(decision, "next")
    if decision.actor != "engine":
        lines.append(f"by {decision.actor}")
    return lines


def _runner_up(decision: Decision, word: str) -> list[str]:
    if decision.runner_up_identity_id is None:
        return []
    return [f"{word}: #{decision.runner_up_identity_id} {percent(decision.runner_up_probability)}"]


def _span(data: ReportData) -> str:
    if data.span_s is None:
        return "no tracks yet"
    first, last = (datetime.datetime.fromtimestamp(at, datetime.UTC) for at in data.span_s)
    until = last.strftime("%H:%M:%S" if first.date() == last.date() else "%Y-%m-%d %H:%M:%S")
    return f"{first:%Y-%m-%d %H:%M:%S} to {until} UTC, {seconds(data.span_s[1] - data.span_s[0])}"


def _crop_url(picture: Picture) -> str:
    return _data_url(_small(picture.jpeg))


def _drawing_url(evidence: EvidencePicture) -> str:
    return _data_url(evidence.jpeg)


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _small(jpeg: bytes) -> bytes:
    """The crop at the height of the page; a JPEG that cannot be read stays what it is."""
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape[0] <= PICTURE_HEIGHT:
        return jpeg
    width = max(1, round(image.shape[1] * PICTURE_HEIGHT / image.shape[0]))
    small = cv2.resize(image, (width, PICTURE_HEIGHT), interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return encoded.tobytes() if done else jpeg
