"""`streamreid identity` and `topology` on a store at rest, and through a matcher's socket."""

import json
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from streamreid.association.ledger import Decision
from streamreid.cli.main import main
from streamreid.control import ControlServer, socket_path
from streamreid.engine.events import IdentityUpdate, Outcome, TransitionUpdate
from streamreid.store import Batch
from streamreid.tlift.transition import TransitionModel
from streamreid.types import IdentityId, TrackId
from tests.store.builders import DOOR, HALL, INCARNATION, crop_row, open_writer, track_end

CAMS = (
    "streamreid: 1\ncameras:\n  door: {url: door.mp4}\n  hall: {url: hall.mp4}\n"
    "store: {path: site.sqlite}\n"
)


@pytest.fixture
def cams(tmp_path: Path) -> Path:
    """A store with people 1 (door, then hall), 2 and 3 (both in the hall, at once)."""
    with open_writer(tmp_path / "site.sqlite") as store:
        places = [(DOOR, 110.0), (HALL, 210.0), (HALL, 310.0), (HALL, 312.0)]
        holders = [1, 1, 2, 3]
        for seq, (camera, at_s) in enumerate(places):
            # The first call fixes the start; the builders would use 99 s for all.
            store.track_key(camera, INCARNATION, TrackId(seq + 1), at_s - 10)
            crop = crop_row(store, seq, track=seq + 1, at_s=at_s - 5, camera=camera)
            row = replace(
                track_end(store, seq, track=seq + 1, at_s=at_s, camera=camera),
                track=crop.track,
                started_at_s=at_s - 10,
            )
            holder = IdentityId(holders[seq])
            decision = Decision(
                crop.track, 0, at_s, holder, 0.9, 0.8, None, None, None, None, "new", final=True
            )
            update = IdentityUpdate(holder, "confirmed", at_s - 10, at_s)
            store.commit(Batch(crops=(crop,), ends=(row,), outcome=Outcome((decision,), (update,))))
        store.commit(Batch(outcome=Outcome(transitions=(learned(),))))
    path = tmp_path / "cams.yaml"
    path.write_text(CAMS)
    for name in ("door.mp4", "hall.mp4"):
        (tmp_path / name).touch()
    return path


def learned() -> TransitionUpdate:
    model = TransitionModel()
    for number in range(20):
        model.learn(DOOR, HALL, 80.0 + number, at_s=100.0)
    return TransitionUpdate(DOOR, HALL, model.dump(DOOR, HALL, at_s=100.0), 20.0, 100.0)


def holders(cams: Path) -> dict[int, int]:
    with sqlite3.connect(cams.parent / "site.sqlite") as connection:
        return dict(connection.execute("SELECT id, identity_id FROM tracks").fetchall())


def run(cams: Path, *arguments: str | int) -> int:
    return main([*(str(argument) for argument in arguments), "--cameras", str(cams)])


def test_merge_split_and_undo_at_rest(cams: Path) -> None:
    start = holders(cams)
    assert run(cams, "identity", "merge", 1, 2, "--by", "ana") == 0
    tracks = sorted(start)
    assert [holders(cams)[track] for track in tracks] == [1, 1, 1, 3]
    assert run(cams, "identity", "split", 1, tracks[1], "--by", "ana") == 0
    assert [holders(cams)[track] for track in tracks] == [1, 4, 1, 3]
    assert run(cams, "identity", "undo", 1) == 0
    assert [holders(cams)[track] for track in tracks] == [1, 1, 1, 3]
    assert run(cams, "identity", "undo", 1) == 0
    assert holders(cams) == start
    with sqlite3.connect(cams.parent / "site.sqlite") as connection:
        actions = [row[0] for row in connection.execute("SELECT action FROM audit ORDER BY id")]
    assert actions == ["identity.merge", "identity.split", "identity.undo", "identity.undo"]


def test_who_was_side_by_side_cannot_be_merged(
    cams: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = holders(cams)
    assert run(cams, "identity", "merge", 2, 3) == 2
    assert "at the same time" in capsys.readouterr().err
    assert holders(cams) == start


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("identity", "merge", 1, 77), "no such id"),
        (("identity", "show", 77), "has no tracks"),
        (("identity", "confirm", 99), "no identity 99"),
        (("topology", "reset", "--from", "cellar"), "there is no camera 'cellar'"),
    ],
)
def test_says_what_is_wrong(
    cams: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str | int, ...],
    message: str,
) -> None:
    assert run(cams, *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_list_and_show_for_programs(cams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cams, "identity", "list", "--json") == 0
    people = json.loads(capsys.readouterr().out)
    assert [person["identity"] for person in people] == [1, 2, 3]
    assert run(cams, "identity", "show", 1, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [track["camera"] for track in shown["tracks"]] == ["door", "hall"]
    assert shown["tracks"][0]["decisions"][0]["reason"] == "new"
    assert run(cams, "identity", "show", 1) == 0
    assert "90.0 %" in capsys.readouterr().out


def test_a_running_matcher_is_asked(cams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def answer(verb: str, arguments: object, _caller: object) -> dict[str, object]:
        asked.append((verb, arguments))
        return {"tracks": {"5": 1}, "reasons": {"5": "merged"}}

    folder = cams.parent / "site.run"
    server = ControlServer(socket_path(folder, "matcher"), answer)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            server.serve(0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert run(cams, "identity", "merge", 1, 2) == 0
    finally:
        stop.set()
        thread.join()
        server.close()
    assert asked == [("identity.merge", {"identity": 1, "other": 2, "actor": "operator"})]
    assert "track 5: identity 1 (merged)" in capsys.readouterr().out


def test_topology_is_shown_exported_and_reset(
    cams: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, export = cams.parent / "ways.png", cams.parent / "ways.json"
    assert run(cams, "topology", "show", "--out", str(picture)) == 0
    assert "door" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run(cams, "topology", "export", "--out", str(export)) == 0
    (way,) = json.loads(export.read_text())["ways"]
    assert way["median_s"] == pytest.approx(89.5, rel=0.1)
    assert run(cams, "topology", "reset", "--from", "hall") == 0
    assert "0 ways" in capsys.readouterr().out
    assert run(cams, "topology", "reset", "--from", "door", "--to", "hall") == 0
    assert "1 ways" in capsys.readouterr().out


def test_topology_is_frozen_and_thawed_at_rest(
    cams: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb, said, value in (("freeze", "stay", "[1.0]"), ("thaw", "again", "[0.0]")):
        assert run(cams, "topology", verb) == 0
        assert said in capsys.readouterr().out
        with sqlite3.connect(cams.parent / "site.sqlite") as connection:
            rows = connection.execute("SELECT name, value FROM time_records").fetchall()
        assert rows == [("frozen", value)]
    assert run(cams, "topology", "reset") == 0
    with sqlite3.connect(cams.parent / "site.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM time_records").fetchone() == (1,)
