"""Camera addresses: what is allowed, and that nothing else gets through."""

from pathlib import Path

import pytest

from streamreid.config.camera_url import SourceKind, parse_camera_url

FOLDER = Path("/srv/site")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("rtsp://10.0.0.1/1", "rtsp", "rtsp://10.0.0.1/1"),
        ("RTSPS://h:322/1", "rtsp", "RTSPS://h:322/1"),
        ("https://h/live.ts?x=1", "http", "https://h/live.ts?x=1"),
        ("rtsp://u:p%40ss@[fd00::1]:554/1", "rtsp", "rtsp://u:p%40ss@[fd00::1]:554/1"),
        ("udp://239.0.0.1:1234", "udp", "udp://239.0.0.1:1234"),
        ("file:///videos/a b.mp4", "file", "/videos/a b.mp4"),
        ("file://localhost/videos/a.mp4", "file", "/videos/a.mp4"),
        ("videos/a.mp4", "file", "/srv/site/videos/a.mp4"),
        ("../a.mp4", "file", "/srv/a.mp4"),
        ("./10:00.mp4", "file", "/srv/site/10:00.mp4"),
        ("lobby 10:00.mp4", "file", "/srv/site/lobby 10:00.mp4"),
        ("/dev/video0", "device", "/dev/video0"),
        ("v4l2:///dev/video1", "device", "/dev/video1"),
        ("/dev/shm/a.mp4", "file", "/dev/shm/a.mp4"),
    ],
)
def test_what_is_allowed(text: str, kind: SourceKind, value: str) -> None:
    url = parse_camera_url(text, folder=FOLDER, environ={})
    assert (url.kind, url.reveal()) == (kind, value)
    assert url.live == (kind != "file")


@pytest.mark.parametrize(
    "text",
    [
        *("rtps://h/1", "ftp://h/1", "gopher://h", "data:video/mp4;base64,AAAA", "pipe:0", "fd:3"),
        *("concat:/etc/passwd|/etc/hosts", "subfile,,start,0,end,9,,:/etc/passwd", "crypto:/x"),
        *("async:file:/etc/passwd", "cache:http://h/", "exec:rm -rf /", "tee:/tmp/x", "sdp:x"),
        *("lavfi:testsrc", "hls+http://h/x.m3u8", "javascript:alert(1)", "rtsp:h/1", "http:/h/1"),
        *("rtsp://", "rtsp:///1", "rtsp://:554/1", "rtsp://h:port/1", "rtsp://h:99999/1"),
        *("rtsp://h/1\n-i /etc/passwd", "rtsp://h/ 1", "rtsp://[fd00::1/1", "http://h/\x00"),
        *("file://evil/etc/passwd", "file://../x", "v4l2:///etc/passwd", "v4l2://dev/video0"),
        *("/dev/zero", "/dev/sda", "/proc/self/environ", "/sys/kernel", "a\x00b.mp4", "a\nb.mp4"),
        *("", "   ", "x" * 3000, "../../../../dev/random"),
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        parse_camera_url(text, folder=FOLDER, environ={})


def test_a_secret_cannot_change_the_host() -> None:
    for value in ("a:b@evil", "a:b@evil/x?", "x#", "[", "a b", "a\nb"):
        with pytest.raises(ValueError, match="percent-encode"):
            parse_camera_url("rtsp://{env:A}@10.0.0.1/1", folder=FOLDER, environ={"A": value})


def test_a_secret_is_not_expanded_twice() -> None:
    environ = {"A": "{env:B}", "B": "word"}
    with pytest.raises(ValueError, match="percent-encode"):
        parse_camera_url("rtsp://u:{env:A}@h/1", folder=FOLDER, environ=environ)
