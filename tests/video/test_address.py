"""Camera URLs: what is refused, what is hidden, and how each kind is opened."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.errors import ConfigError, SourceError, StreamreidError
from streamreid.video.address import parse_address


@pytest.mark.parametrize(
    "url",
    [
        "rtps://10.0.0.1/s",
        "concat://a.mp4",
        "subfile://x",
        "exec://reboot",
        "data://text",
        "gopher://host/x",
        "pipe://0",
        "rtmp://host/x",
        "rtsp://",
        "rtsp://user:pw@/stream",
        "http:///path",
        "file://server/share.mp4",
        "v4l2:///dev/../etc/passwd",
    ],
)
def test_urls_that_must_not_be_opened_are_refused(url: str) -> None:
    with pytest.raises((ConfigError, SourceError)):
        parse_address(url)


@pytest.mark.parametrize(
    "name", ["concat:a.ts|b.ts", "subfile,,start,0,end,9,,:/etc/passwd", "pipe:0", "async:x.mp4"]
)
def test_ffmpeg_protocol_prefixes_are_only_file_names(name: str) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        parse_address(name)


@pytest.mark.parametrize(
    ("url", "kind", "live"),
    [
        ("rtsp://cam/s", "rtsp", True),
        ("RTSPS://cam:322/s", "rtsp", True),
        ("http://cam/video.ts", "http", True),
        ("https://cam/video.ts", "http", True),
        ("udp://127.0.0.1:5000", "udp", True),
        ("tcp://127.0.0.1:5000", "tcp", True),
        ("v4l2:///dev/video0", "device", True),
        ("/dev/video3", "device", True),
    ],
)
def test_kinds(url: str, kind: str, live: bool) -> None:
    address = parse_address(url)
    assert (address.kind, address.live) == (kind, live)


def test_files_and_folders(tmp_path: Path) -> None:
    clip = tmp_path / "a clip.mp4"
    clip.write_bytes(b"x")
    assert parse_address(str(clip)).kind == "file"
    assert parse_address(f"file://{tmp_path}/a%20clip.mp4").target == str(clip)
    assert parse_address(str(tmp_path)).kind == "folder"
    with pytest.raises(ConfigError, match="live"):
        parse_address(str(clip), live=True)


@pytest.mark.parametrize("name", ["../outside.mp4", "link.mp4"])
def test_files_outside_the_allowed_folder_are_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    (tmp_path / "outside.mp4").write_bytes(b"x")
    (root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    with pytest.raises(ConfigError, match="outside"):
        parse_address(str(root / name), file_root=root)


def test_http_can_be_read_as_a_file_but_rtsp_cannot() -> None:
    assert parse_address("http://host/clip.mp4", live=False).live is False
    with pytest.raises(ConfigError, match="always live"):
        parse_address("rtsp://host/s", live=False)


_secret = st.text(
    st.characters(codec="ascii", categories=("L", "N", "P", "S"), exclude_characters="/?#"),
    min_size=4,
    max_size=20,
)


@given(user=_secret.filter(lambda text: ":" not in text), password=_secret)
def test_no_text_shows_the_password(user: str, password: str) -> None:
    url = f"rtsp://{user}:{password}@10.0.0.1:554/stream1"
    address = parse_address(url)
    leaked = f"Error opening '{url}': 401 for {password}"
    for text in (address.shown, repr(address), address.mask(leaked)):
        assert f"{user}:{password}" not in text
    assert password not in address.mask(leaked).replace("***", "")
    assert address.shown == "rtsp://***@10.0.0.1:554/stream1"
    assert address.target == url


@pytest.mark.parametrize(
    "url", ["rtsp://bob:sec/ret9@10.0.0.1/s", "rtsp://bob:12/sec?ret9@h/s", "http://u:1#sec/ret9@h"]
)
def test_a_password_that_was_not_escaped_is_not_shown_either(url: str) -> None:
    try:
        text = parse_address(url).shown
    except ConfigError as error:
        text = str(error)
    assert "ret9" not in text
    assert "sec" not in text


def test_ipv6_hosts_have_ports_too() -> None:
    assert parse_address("rtsp://u:p@[fe80::1]:8554/s").shown == "rtsp://***@[fe80::1]:8554/s"


def test_tokens_in_the_query_are_hidden() -> None:
    address = parse_address("http://cam/video?token=hunter22&x=1")
    assert "hunter22" not in address.shown
    assert "hunter22" not in address.mask("cannot open http://cam/video?token=hunter22&x=1")


@given(st.text(max_size=60))
def test_any_text_gives_an_address_or_a_plain_error(text: str) -> None:
    with contextlib.suppress(StreamreidError):
        parse_address(text)
