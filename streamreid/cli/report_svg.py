"""Timelines as inline SVG: one row per camera, one bar per track, a colour per identity."""

import datetime
from collections.abc import Sequence
from html import escape

from streamreid.store.views import TrackRow
from streamreid.types import CameraId

_WIDTH = 1120
_LEFT = 120
_RIGHT = 16
_BAR = 18
_GAP = 4
_ROW_PAD = 10
_AXIS = 26
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def colour(identity_id: int | None) -> str:
    """The colour of an identity as CSS; grey for nobody. Neighbouring ids differ clearly."""
    if identity_id is None:
        return "hsl(0 0% 60%)"
    hue = identity_id * 137.508 % 360.0
    lightness = (46, 58, 38)[identity_id % 3]
    return f"hsl({hue:.0f} 62% {lightness}%)"


def clock(at_s: float, *, tenths: bool = False) -> str:
    """Time of day, UTC."""
    moment = datetime.datetime.fromtimestamp(at_s, datetime.UTC)
    text = moment.strftime("%H:%M:%S")
    return f"{text}.{moment.microsecond // 100_000}" if tenths else text


def timeline(
    tracks: Sequence[TrackRow], cameras: Sequence[CameraId], span_s: tuple[float, float]
) -> str:
    """Draw who was in which camera, when.

    Args:
        tracks: The tracks.
        cameras: Rows, from top to bottom.
        span_s: Left and right edge, epoch seconds.

    Returns:
        An `<svg>` element; all text in it is escaped.
    """
    start_s, end_s = span_s[0], max(span_s[1], span_s[0] + 1.0)
    parts: list[str] = []
    bars: list[str] = []
    y = 4
    for number, camera in enumerate(cameras):
        lanes = _lanes([track for track in tracks if track.camera_id == camera])
        height = max(1, len(lanes)) * (_BAR + _GAP) - _GAP + _ROW_PAD
        shade = "row odd" if number % 2 else "row"
        parts.append(f'<rect class="{shade}" x="0" y="{y}" width="{_WIDTH}" height="{height}"/>')
        parts.append(f'<text class="camera" x="8" y="{y + height / 2:.1f}">{escape(camera)}</text>')
        for lane, row in enumerate(lanes):
            top = y + _ROW_PAD / 2 + lane * (_BAR + _GAP)
            bars += [_bar(track, top, start_s, end_s) for track in row]
        y += height
    parts += [*_axis(start_s, end_s, y), *bars]
    total = y + _AXIS
    return (
        f'<svg class="timeline" viewBox="0 0 {_WIDTH} {total:.0f}" role="img" '
        f'aria-label="Timeline of all cameras">{"".join(parts)}</svg>'
    )


def _x(at_s: float, start_s: float, end_s: float) -> float:
    return _LEFT + (at_s - start_s) / (end_s - start_s) * (_WIDTH - _LEFT - _RIGHT)


def _bar(track: TrackRow, top: float, start_s: float, end_s: float) -> str:
    x = _x(track.started_at_s, start_s, end_s)
    width = max(3.0, _x(track.ended_at_s, start_s, end_s) - x)
    who = "undecided" if track.identity_id is None else f"person {track.identity_id}"
    seconds = track.ended_at_s - track.started_at_s
    hint = f"{who}, {track.camera_id}, {clock(track.started_at_s)}, {seconds:.1f} s"
    label = "" if track.identity_id is None or width < 14 else str(track.identity_id)
    return (
        f'<g class="bar"><title>{escape(hint)}</title>'
        f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_BAR}" rx="4" '
        f'fill="{colour(track.identity_id)}"/>'
        f'<text x="{x + width / 2:.1f}" y="{top + _BAR / 2 + 0.5:.1f}">{label}</text></g>'
    )


def _lanes(tracks: Sequence[TrackRow]) -> list[list[TrackRow]]:
    """Spread tracks that overlap in time over lanes; a lane is reused as soon as it is free."""
    lanes: list[list[TrackRow]] = []
    for track in sorted(tracks, key=lambda item: item.started_at_s):
        free = next((lane for lane in lanes if lane[-1].ended_at_s <= track.started_at_s), None)
        if free is None:
            lanes.append([track])
        else:
            free.append(track)
    return lanes


def _axis(start_s: float, end_s: float, y: float) -> list[str]:
    wanted = (end_s - start_s) / 8.0
    step_s = next((step for step in _STEPS_S if step >= wanted), _STEPS_S[-1])
    parts = []
    at_s = -(-start_s // step_s) * step_s
    while at_s <= end_s:
        x = _x(at_s, start_s, end_s)
        parts.append(f'<line class="tick" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="time" x="{x:.1f}" y="{y + 16:.1f}">{clock(at_s)}</text>')
        at_s += step_s
    return parts
