"""Where detector weights are looked for, and that a pinned digest is enforced."""

import hashlib
from pathlib import Path

import pytest

from streamreid.detection import weights
from streamreid.detection.weights import check_sha256, default_cache_dir, find_weights
from streamreid.errors import WeightsError
from tests.video.servers import http_server


def test_a_path_wins_over_the_cache(tmp_path: Path) -> None:
    cached = tmp_path / "weights" / "yolo26n.pt"
    cached.parent.mkdir()
    cached.write_bytes(b"cached")
    own = tmp_path / "mine.pt"
    own.write_bytes(b"mine")

    def find(name: str) -> Path | None:
        return find_weights(name, cache_dir=tmp_path, allow_download=False, report=pytest.fail)

    assert find(str(own)) == own
    assert find("yolo26n.pt") == cached
    assert find("yolo26s.pt") is None
    assert find(str(tmp_path / "absent" / "yolo26n.pt")) is None


@pytest.mark.parametrize("name", ["evil.pt", "../yolo26n.pt", "yolo26n.pt?x=1", "yolo26n-seg.pt"])
def test_only_published_names_are_downloaded(tmp_path: Path, name: str) -> None:
    found = find_weights(name, cache_dir=tmp_path, allow_download=True, report=pytest.fail)
    assert found is None


@pytest.mark.parametrize(
    ("status", "stored"), [(200, True), (404, False)], ids=["published", "gone"]
)
def test_downloads_are_reported_and_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, stored: bool
) -> None:
    body = b"x" * 600_000
    lines: list[str] = []
    with http_server({"/yolo26n.pt": (status, {}, body)}) as (address, _):
        monkeypatch.setattr(weights, "RELEASE_URL", address + "/")
        found = find_weights(
            "yolo26n.pt", cache_dir=tmp_path, allow_download=True, report=lines.append
        )
    assert lines[0] == f"downloading {address}/yolo26n.pt"
    assert (found is not None) == stored
    if found is not None:
        assert found.read_bytes() == body
        assert hashlib.sha256(body).hexdigest() in lines[-1]
    else:
        assert "404" in lines[-1]
    assert [p.name for p in (tmp_path / "weights").iterdir()] == (["yolo26n.pt"] if stored else [])


def test_a_pinned_digest_is_enforced(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert check_sha256(path, None) == check_sha256(path, digest.upper()) == digest
    with pytest.raises(WeightsError, match=r"detector\.sha256"):
        check_sha256(path, "0" * 64)


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
