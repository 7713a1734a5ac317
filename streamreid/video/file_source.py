"""Video files and folders of pictures: read as fast as they are consumed, nothing lost."""

import re
from collections.abc import Iterator
from pathlib import Path

import av

from streamreid.clock import Clock
from streamreid.errors import SourceError
from streamreid.types import CameraId, Frame
from streamreid.video.address import SourceAddress
from streamreid.video.capture_time import FileTimeline, Stamp
from streamreid.video.container import (
    OpenError,
    creation_time_seconds,
    decode_packets,
    frame_rate,
    open_container,
    pts_seconds,
    translate_error,
)
from streamreid.video.planes import to_frame
from streamreid.video.source import SourceInfo, SourceStatus

_DEFAULT_FPS = 25.0
_STUCK_AFTER_S = 10.0
_WHOLE_SHARE = 0.8
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_NO_START = (
    "no start_time given and no creation time in the file: its times count from "
    "1970-01-01T00:00:00Z; set start_time to compare it with other cameras"
)


class _RecordedSource:
    """What files and folders share: counting, the status and the end."""

    def __init__(self, address: SourceAddress, camera_id: CameraId) -> None:
        self._address = address
        self._camera_id = camera_id
        self._frames = 0
        self._decode_errors = 0
        self._last_error = ""
        self._ended = False
        self._pictures: Iterator[Frame] = iter(())

    @property
    def skipped(self) -> int:
        """Always 0: a recorded source waits for its consumer."""
        return 0

    def status(self) -> SourceStatus:
        """How the source is doing."""
        return SourceStatus(
            state="ended" if self._ended else "live",
            frames=self._frames,
            decode_errors=self._decode_errors,
            last_error=self._last_error,
        )

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or None at the end; never waits.

        Raises:
            SourceError: Not one frame could be decoded.
        """
        del timeout_s
        frame = next(self._pictures, None)
        if frame is None:
            self.close()
            if self._frames == 0:
                raise SourceError(
                    f"{self._address.shown}: not one frame could be decoded "
                    f"({self._decode_errors} damaged packets{self._because()}); "
                    "check that it plays elsewhere"
                )
            return None
        self._frames += 1
        return frame

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.read(0.0)) is not None:
            yield frame

    def close(self) -> None:
        """Release the source; safe to call twice."""
        self._ended = True
        self._pictures = iter(())

    def _because(self) -> str:
        return f"; {self._last_error}" if self._last_error else ""


class FileSource(_RecordedSource):
    """One video file."""

    def __init__(
        self,
        address: SourceAddress,
        *,
        camera_id: CameraId,
        clock: Clock,
        start_time_s: float | None,
    ) -> None:
        super().__init__(address, camera_id)
        self._clock = clock
        self._container, self._stream = open_container(address)
        fps = frame_rate(self._stream)
        created_s = creation_time_seconds(self._container, self._stream)
        origin_s, note = _origin(start_time_s, created_s)
        self._info = SourceInfo(
            shown=address.shown,
            live=False,
            width=self._stream.codec_context.width or None,
            height=self._stream.codec_context.height or None,
            fps=fps,
            time_source="file",
            note=note,
        )
        self._timeline = FileTimeline(
            start_time_s=origin_s, period_s=1.0 / (fps if fps is not None else _DEFAULT_FPS)
        )
        self._pictures = self._decode()

    @property
    def info(self) -> SourceInfo:
        """What is known about the file."""
        return self._info

    def close(self) -> None:
        """Release the file; safe to call twice."""
        super().close()
        self._container.close()

    def _decode(self) -> Iterator[Frame]:
        index = 0
        progressed_s = self._clock.monotonic_s()
        try:
            for pictures in decode_packets(self._container, self._stream):
                self._decode_errors += pictures is None
                for picture in pictures or ():
                    size = (picture.width, picture.height)
                    stamp = self._timeline.stamp(pts_seconds(picture), size)
                    yield to_frame(picture, camera_id=self._camera_id, index=index, stamp=stamp)
                    index += 1
                    progressed_s = self._clock.monotonic_s()
                if self._clock.monotonic_s() - progressed_s > _STUCK_AFTER_S:
                    self._last_error = f"no frame for {_STUCK_AFTER_S:.0f} s of reading"
                    return
        except (av.error.FFmpegError, ValueError) as error:
            # A file that ends in the middle: what was read stays, the reason is shown.
            self._last_error = str(translate_error(self._address, error))
            return
        self._last_error = self._what_is_missing(index)

    def _what_is_missing(self, frames: int) -> str:
        """What to say about a file that was read to its end, if it is not whole."""
        expected_s = (self._container.duration or 0) / 1e6
        read_s = frames / (self._info.fps or _DEFAULT_FPS)
        # Files without an index only guess how long they are, so a small gap means nothing.
        if frames and read_s < _WHOLE_SHARE * expected_s and expected_s - read_s > 1.0:
            return (
                f"{self._address.shown}: ends after {read_s:.1f} of {expected_s:.1f} s; it "
                "seems to be cut off, copy it again"
            )
        if self._decode_errors:
            return f"{self._address.shown}: {self._decode_errors} damaged packets were left out"
        return ""


class FolderSource(_RecordedSource):
    """A folder of pictures in the natural order of their names."""

    def __init__(
        self,
        address: SourceAddress,
        *,
        camera_id: CameraId,
        clock: Clock,
        start_time_s: float | None,
        fps: float,
    ) -> None:
        super().__init__(address, camera_id)
        del clock
        self._paths = _pictures_in(Path(address.target))
        if not self._paths:
            raise SourceError(
                f"{address.shown}: holds no picture ({', '.join(_PICTURES)}); check the folder"
            )
        origin_s, note = _origin(start_time_s, None)
        self._info = SourceInfo(
            shown=address.shown,
            live=False,
            width=None,
            height=None,
            fps=fps,
            time_source="file",
            note=note,
        )
        self._origin_s = origin_s
        self._pictures = self._decode(fps)

    @property
    def info(self) -> SourceInfo:
        """What is known about the folder."""
        return self._info

    def _decode(self, fps: float) -> Iterator[Frame]:
        size: tuple[int, int] | None = None
        segment = 0
        index = 0
        for number, path in enumerate(self._paths):
            picture = self._decode_picture(path)
            if picture is None:
                self._decode_errors += 1
                continue
            if size is not None and (picture.width, picture.height) != size:
                segment += 1
            size = (picture.width, picture.height)
            stamp = Stamp(self._origin_s + number / fps, segment, "file")
            yield to_frame(picture, camera_id=self._camera_id, index=index, stamp=stamp)
            index += 1

    def _decode_picture(self, path: Path) -> av.VideoFrame | None:
        try:
            container, stream = open_container(self._address, target=str(path))
        except OpenError as error:
            self._last_error = f"{path.name}: {error}"
            return None
        with container:
            try:
                for pictures in decode_packets(container, stream):
                    if pictures:
                        return pictures[0]
            except (av.error.FFmpegError, ValueError) as error:
                self._last_error = f"{path.name}: {translate_error(self._address, error)}"
        return None


def _origin(start_time_s: float | None, created_s: float | None) -> tuple[float, str]:
    if start_time_s is not None:
        return start_time_s, ""
    if created_s is not None:
        return created_s, "no start_time given: taken from the creation time in the file"
    return 0.0, _NO_START


def _pictures_in(folder: Path) -> list[Path]:
    paths = [p for p in folder.iterdir() if p.suffix.lower() in _PICTURES and p.is_file()]
    return sorted(paths, key=lambda path: _natural_key(path.name))


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    """Key that puts `frame2.jpg` before `frame10.jpg`."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
