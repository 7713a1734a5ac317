"""`streamreid keys`: the files it makes, and the sentences it refuses with."""

import json
from pathlib import Path

import pytest

from streamreid.cli.main import main
from streamreid.transport.keys import allowed_keys, load_keys, load_public_key


def test_a_new_installation_can_be_used_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "keys"
    assert main(["keys", "create", str(folder)]) == 0
    assert "transport: {curve:" in capsys.readouterr().out
    worker = load_keys(folder / "worker.secret")
    assert allowed_keys(folder / "allowed") == {worker.public: "worker"}
    assert load_keys(folder / "matcher.secret").public == load_public_key(folder / "matcher.public")
    private = [path for path in folder.rglob("*.secret") if path.stat().st_mode & 0o077]
    assert private == []


def test_a_host_is_added_listed_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "create", str(tmp_path)]) == 0
    assert main(["keys", "add", str(tmp_path), "garage"]) == 0
    host = tmp_path / "hosts" / "garage"
    assert sorted(path.name for path in host.iterdir()) == [
        "matcher.public",
        "worker.public",
        "worker.secret",
    ]
    key = load_keys(host / "worker.secret").public
    assert allowed_keys(tmp_path / "allowed")[key] == "garage"
    capsys.readouterr()
    assert main(["keys", "list", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["garage", "worker"]
    assert main(["keys", "revoke", str(tmp_path), "garage"]) == 0
    assert key not in allowed_keys(tmp_path / "allowed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "."], "exists already"),
        (["add", ".", "worker"], "has keys already"),
        (["add", ".", "../x"], "must match"),
        (["add", "elsewhere", "x"], "cannot read key file"),
        (["revoke", ".", "nobody"], "allowed: worker"),
        (["revoke", ".", "../matcher"], "is not in the allow-list"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["keys", "create", "."]) == 0
    capsys.readouterr()
    assert main(["keys", *arguments]) == 2
    assert words in capsys.readouterr().err
