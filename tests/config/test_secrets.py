"""Secrets come from outside and never get out again."""

import json
from pathlib import Path

import pytest

from streamreid.config import Config, load_config, parse_config
from streamreid.errors import ConfigError
from streamreid.types import CameraId

SECRET = "Zq7-unique-word"  # noqa: S105 - made up


def load_url(url: str, folder: Path = Path("/srv"), **environ: str) -> Config:
    raw = f"streamreid: 1\ncameras:\n  door: {{url: {json.dumps(url)}}}\n".encode()
    return parse_config(raw, name="cams.yaml", folder=folder, environ=environ)


def test_environment_and_file_secrets_are_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "auth"
    path.write_text(f"user:{SECRET}\n")
    path.chmod(0o600)
    for url in ("rtsp://{env:AUTH}@h/1", f"rtsp://{{file:{path.name}}}@h/1", "{env:WHOLE}"):
        config = load_url(url, tmp_path, AUTH=f"user:{SECRET}", WHOLE=f"rtsp://user:{SECRET}@h/1")
        assert config.camera(CameraId("door")).url.reveal() == f"rtsp://user:{SECRET}@h/1"


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://{env:AUTH}@h/1",
        f"rtsp://user:{SECRET}@h/1",
        "{env:WHOLE}",
        "rtsp://h/1?token={env:WORD}",
    ],
)
def test_a_secret_appears_nowhere(url: str) -> None:
    config = load_url(url, AUTH=f"u:{SECRET}", WHOLE=f"rtsp://u:{SECRET}@h/1", WORD=SECRET)
    address = config.camera(CameraId("door")).url
    shown = [repr(config), str(config), repr(address), str(address), f"{address}", address.safe]
    shown += [config.model_dump_json(), str(config.model_dump()), str(config.model_dump_json())]
    assert not [text for text in shown if SECRET in text]


def test_a_password_that_breaks_the_address_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="percent-encode") as caught:
        load_url(f"rtsp://u:x/{SECRET}@h/1")
    assert SECRET not in str(caught.value)


def test_the_digest_does_not_depend_on_the_secret() -> None:
    first = load_url("rtsp://{env:AUTH}@h/1", AUTH="a:b").digest()
    assert load_url("rtsp://{env:AUTH}@h/1", AUTH="c:d").digest() == first


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://{env:NONE}@h/1", "the environment variable 'NONE' is not set"),
        ("rtsp://{env:EVIL}@h/1", "percent-encode"),
        ("rtsp://{env:SPACE}@h/1", "percent-encode"),
        ("rtsp://{file:missing}@h/1", "the secret file 'missing' cannot be read"),
        ("rtsp://{file:open}@h/1", "can be read by others; run chmod 600"),
        ("rtsp://{file:empty}@h/1", "must hold one short line"),
        ("rtsp://{file:.}@h/1", "cannot be read"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named(tmp_path: Path, url: str, expected: str) -> None:
    (tmp_path / "open").write_text(SECRET)
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "empty").touch(mode=0o600)
    with pytest.raises(ConfigError) as caught:
        load_url(url, tmp_path, EVIL=f"{SECRET}@evil/", SPACE=f"{SECRET} x")
    assert expected in str(caught.value)
    assert SECRET not in str(caught.value)


def test_commands_that_open_no_camera_need_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "cams.yaml"
    path.write_text(
        'streamreid: 1\ncameras:\n  a: {url: "rtsp://{env:X}@h/1"}\n  b: {url: "{env:Y}"}\n'
    )
    with pytest.raises(ConfigError, match="'X' is not set"):
        load_config(path, environ={})
    config = load_config(path, environ={}, need_secrets=False)
    assert config.camera(CameraId("a")).url.safe == "rtsp://***@h/1"
