"""Credentials are masked wherever they may stand in a message."""

import pytest

from streamreid.errors import SourceError, mask_credentials


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://user:Zq7@10.0.0.1/1",
        "cannot open rtsp://user:Zq7@h/1: refused",
        "rtsp://user:Z@q7/Zq7@h/1",
        "rtsp://Zq7@h/1",
        "'http://a:Zq7@h/x?b=1'",
        "http://h/x?token=Zq7&y=1",
        "http://h/x?Password=Zq7",
        "rtsp://a:Zq7@h/1 and rtsp://b:Zq7@h/2",
    ],
)
def test_a_password_does_not_survive(text: str) -> None:
    masked = mask_credentials(text)
    assert "Zq7" not in masked
    assert "***" in masked
    assert "Zq7" not in str(SourceError(text))


@pytest.mark.parametrize("text", ["rtsp://h/1", "me@example.org", "2 of 3 cameras", "a = b"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_credentials(text) == text


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", ["x", "x://", "a@", "://", "x:", "token=", "rtsp://a:b"])
def test_a_long_text_is_searched_in_no_time(part: str) -> None:
    assert len(mask_credentials(part * 50_000)) > 0
