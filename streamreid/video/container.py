"""Opening a video with PyAV: time limits, allow-lists, and errors that a person can act on."""

import errno
from collections.abc import Iterator
from datetime import UTC, datetime

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from streamreid.errors import SourceError
from streamreid.video.address import SourceAddress

OPEN_TIMEOUT_S = 8.0
READ_TIMEOUT_S = 5.0

_MISCONFIGURED: tuple[type[Exception], ...] = (
    av.error.HTTPUnauthorizedError,
    av.error.HTTPForbiddenError,
    av.error.HTTPNotFoundError,
    av.error.HTTPBadRequestError,
    av.error.HTTPOtherClientError,
    av.error.ProtocolNotFoundError,
    av.error.PermissionError,
)
_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (av.error.HTTPUnauthorizedError, "the camera refuses the user name or password"),
    (av.error.HTTPForbiddenError, "the camera forbids this user to see the stream"),
    (av.error.HTTPNotFoundError, "the camera has no stream of this name; check the path"),
    (av.error.ConnectionRefusedError, "nothing listens there; check the address and the port"),
    (av.error.TimeoutError, "the camera went silent"),
    (av.error.ExitError, "the camera went silent"),
    (av.error.ProtocolNotFoundError, "this protocol is not allowed or not built in"),
    (av.error.DecoderNotFoundError, "no decoder for this video"),
    (av.error.PermissionError, "not allowed to read it"),
    (av.error.FileNotFoundError, "it is not there"),
    (av.error.InvalidDataError, "this is no video that can be read"),
)


class OpenError(SourceError):
    """A source that could not be opened or read.

    Attributes:
        misconfigured: True when only a person can repair it (wrong password, path or protocol).
        cut_off: True when the stream ended cleanly.
    """

    def __init__(self, message: str, *, misconfigured: bool, cut_off: bool = False) -> None:
        super().__init__(message)
        self.misconfigured = misconfigured
        self.cut_off = cut_off


def translate_error(address: SourceAddress, error: Exception) -> OpenError:
    """One clear error without credentials for whatever PyAV raised.

    Args:
        address: The source.
        error: Error of the library; its text holds the whole URL with the password.
    """
    reason = next((text for kind, text in _ADVICE if isinstance(error, kind)), None)
    detail = getattr(error, "strerror", None) or type(error).__name__
    advice = _device_advice(error) if address.kind == "device" else ""
    reason = f"{reason or 'cannot be read'} ({address.mask(str(detail))}){advice}"
    return OpenError(f"{address.shown}: {reason}", misconfigured=isinstance(error, _MISCONFIGURED))


def _device_advice(error: Exception) -> str:
    """What to do about a camera at this machine."""
    if isinstance(error, av.error.FileNotFoundError):
        return "; plug the camera in, or choose one of `ls /dev/video*`"
    if isinstance(error, av.error.PermissionError):
        return "; add the user to the group `video`"
    if getattr(error, "errno", None) == errno.EBUSY:
        return "; another program uses it: end that first"
    return ""


def open_container(
    address: SourceAddress,
    *,
    target: str | None = None,
    open_timeout_s: float = OPEN_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> tuple[InputContainer, VideoStream]:
    """Open a source and pick its video stream, decoded by the calling thread alone.

    Args:
        address: The checked address.
        target: File to open instead of `address.target` (one picture of a folder).
        open_timeout_s: Longest wait for the opening.
        read_timeout_s: Longest wait for one read.

    Returns:
        The container and its video stream.

    Raises:
        OpenError: It cannot be opened or holds no video.
    """
    name = target if target is not None else address.target
    if address.kind in ("file", "folder"):
        # Naming the protocol keeps a file called `concat:x` or `http:...` a file.
        name = f"file:{name}"
    try:
        container = av.open(
            name,
            mode="r",
            format="v4l2" if address.kind == "device" else None,
            options=address.options(silence_s=read_timeout_s),
            metadata_errors="replace",
            timeout=(open_timeout_s, read_timeout_s),
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise translate_error(address, error) from None
    stream = next((s for s in container.streams.video if not _is_cover(s)), None)
    if stream is None:
        container.close()
        raise OpenError(f"{address.shown}: holds no video stream", misconfigured=True)
    if stream.codec_context is None:
        container.close()
        raise OpenError(f"{address.shown}: no decoder for its video", misconfigured=True)
    # Frame threads cost 12-45 % more CPU and add latency (design: performance, section 4).
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    return container, stream


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def pts_seconds(picture: av.VideoFrame) -> float | None:
    """Stream time of a decoded picture in seconds, or None."""
    if picture.pts is None or picture.time_base is None:
        return None
    return float(picture.pts * picture.time_base)


def realtime_seconds(container: InputContainer) -> float | None:
    """Wall time of stream time 0 by the sender's RTCP report in epoch seconds, or None."""
    value = container.start_time_realtime
    return None if not value or value < 0 else value / 1e6


def creation_time_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Creation time written in the container in epoch seconds, or None if absent or absurd."""
    for metadata in (container.metadata, stream.metadata):
        text = metadata.get("creation_time")
        if not text:
            continue
        try:
            created = datetime.fromisoformat(text)
        except ValueError:
            continue
        seconds = (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()
        if seconds > 0.0:
            return seconds
    return None


def frame_rate(stream: VideoStream) -> float | None:
    """Frames a second that the stream declares, or None if it declares none or an absurd one."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate is not None and 0.01 <= float(rate) <= 1000.0:
            return float(rate)
    return None


def decode_packets(
    container: InputContainer, stream: VideoStream
) -> Iterator[list[av.VideoFrame] | None]:
    """Decode packet by packet, so that a damaged one costs itself only.

    Yields:
        The pictures of one packet (often one, sometimes none), or None for a damaged packet.

    Raises:
        av.error.FFmpegError: Reading itself failed.
    """
    for packet in container.demux(stream):
        try:
            pictures = packet.decode()
        except av.error.FFmpegError:
            yield None
            continue
        yield [picture for picture in pictures if isinstance(picture, av.VideoFrame)]
