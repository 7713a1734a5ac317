"""The report: one page, nothing from outside, nothing unescaped, and the numbers of the store."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from streamreid.association.ledger import Decision
from streamreid.cli.main import main
from streamreid.cli.report_data import collect
from streamreid.cli.report_evidence import strongest_links, weights_of_run
from streamreid.cli.report_page import percent, render_report, seconds, why
from streamreid.cli.report_svg import clock, colour, timeline
from streamreid.simulation.truth import SceneTruth
from streamreid.store.reader import open_reader
from streamreid.store.views import TrackRow
from streamreid.types import CameraId, IdentityId, TrackKey
from tests.cli.scene_store import store_of_truth
from tests.cli.scenes import small_truth
from tests.store.builders import crop_row, open_writer


class _Page(HTMLParser):
    """Collects what a browser would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "srcset") and value:
                self.links.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def truth() -> SceneTruth:
    return small_truth()


@pytest.fixture(scope="module")
def page(truth: SceneTruth, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    store_of_truth(truth, folder / "s.sqlite")
    assert main(["report", str(folder / "s.sqlite"), "--out", str(folder / "r.html")]) == 0
    assert (folder / "r.html").stat().st_mode & 0o777 == 0o600
    return (folder / "r.html").read_text("utf-8")


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    parsed = _Page(page)
    assert "script" not in parsed.tags
    assert "link" not in parsed.tags
    assert not parsed.handlers
    assert parsed.links
    assert all(link.startswith("data:image/jpeg;base64,") for link in parsed.links)
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|https?://", page)


def test_every_person_and_camera_is_there(page: str, truth: SceneTruth) -> None:
    parsed = _Page(page)
    words = " ".join(parsed.words)
    for person in truth.people:
        assert f"Person {person} " in words
    for camera in truth.boxes:
        assert words.count(camera) > 2
    assert parsed.tags.count("img") == len(truth.sightings)
    assert page.count('<g class="bar">') == len(truth.sightings)
    assert "looks 85 %" in words
    assert "travel time x1.50" in words


def test_pictures_are_small_jpegs(page: str) -> None:
    import cv2
    import numpy as np

    content = base64.b64decode(_Page(page).links[0].partition(",")[2])
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[:2] == (132, 53)


def test_the_strongest_matches_are_explained(truth: SceneTruth, tmp_path: Path) -> None:
    store, out = tmp_path / "s.sqlite", tmp_path / "r.html"
    store_of_truth(truth, store)
    command = ["report", str(store), "--out", str(out), "--evidence", "2"]
    assert main([*command, "--weights", "imagenet"]) == 0
    page = out.read_text("utf-8")
    drawings = re.findall(r'<figure class="panel"><img src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(drawings) == 2
    for drawing in drawings:
        with Image.open(io.BytesIO(base64.b64decode(drawing))) as picture:
            assert picture.width > 500
    assert main(command) == 0
    assert "<figure" not in out.read_text()
    assert "--weights FILE" in out.read_text()


def test_links_are_matches_between_cameras_one_for_each_person(
    truth: SceneTruth, tmp_path: Path
) -> None:
    store_of_truth(truth, tmp_path / "s.sqlite")
    with open_reader(tmp_path / "s.sqlite") as reader:
        data = collect(reader)
    links = strongest_links(data, 100)
    assert links
    assert len({link.identity_id for link in links}) == len(links)
    for link in links:
        assert link.before.track.camera_id != link.after.track.camera_id
        assert link.after.decision is not None
        assert link.after.decision.reason != "new"
    assert strongest_links(data, 1) == links[:1]
    assert weights_of_run(data) is None


def test_names_and_labels_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    with open_writer(tmp_path / "s.sqlite") as store:
        from tests.store.builders import full_batch

        store.commit(full_batch(store, 0))
        store.label_identity(1, evil)
    with open_reader(tmp_path / "s.sqlite") as reader:
        page = render_report(collect(reader))
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "script" not in _Page(page).tags
    assert "secret" not in page


def test_a_track_name_in_the_drawing_is_escaped() -> None:
    track = TrackRow(TrackKey(1), CameraId("<b>&"), 0.0, 1.0, False, "left", 3, IdentityId(4))
    drawing = timeline([track], [CameraId("<b>&")], (0.0, 1.0))
    assert "<b>" not in drawing
    assert "&lt;b&gt;&amp;" in drawing


def test_an_empty_store_still_makes_a_page(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite"):
        pass
    with open_reader(tmp_path / "s.sqlite") as reader:
        page = render_report(collect(reader))
    assert "Nobody has been identified yet" in page
    assert "no tracks yet" in page


def test_undecided_tracks_are_counted_and_grey(tmp_path: Path) -> None:
    from streamreid.store import Batch

    with open_writer(tmp_path / "s.sqlite") as store:
        store.commit(Batch(crops=(crop_row(store, 0),)))
    with open_reader(tmp_path / "s.sqlite") as reader:
        data = collect(reader)
    assert (len(data.undecided), data.people_in_all, data.links) == (1, 0, 0)
    assert colour(None) in render_report(data)


def test_limits_keep_those_seen_in_most_cameras(truth: SceneTruth, tmp_path: Path) -> None:
    store_of_truth(truth, tmp_path / "s.sqlite")
    with open_reader(tmp_path / "s.sqlite") as reader:
        data = collect(reader, max_people=2, pictures_per_sighting=0)
    assert data.people_in_all == len(truth.people)
    cameras = {
        person: len({s.camera_id for s in truth.sightings if s.person == person})
        for person in truth.people
    }
    shown = [int(person.identity.identity_id) for person in data.people]
    assert len(shown) == 2
    assert min(cameras[person] for person in shown) == sorted(cameras.values())[-2]
    page = render_report(data)
    assert "no picture kept" in page
    assert f"Shown: 2 of {len(truth.people)}" in page


def test_ways_between_cameras(truth: SceneTruth, tmp_path: Path) -> None:
    store_of_truth(truth, tmp_path / "s.sqlite")
    with open_reader(tmp_path / "s.sqlite") as reader:
        ways = {(way.from_camera_id, way.to_camera_id): way for way in collect(reader).ways}
    there = ways[CameraId("entrance"), CameraId("corridor")]
    assert 2.0 < there.median_s < 6.0
    assert min(there.transits_s) <= there.median_s <= max(there.transits_s)


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "-"), (0.0, "<1 %"), (0.5, "50 %"), (0.994, "99 %"), (0.9999, ">99 %")],
)
def test_probabilities_are_never_falsely_certain(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("duration_s", "text"), [(3.21, "3.2 s"), (300.0, "5.0 min"), (-7200.0, "-2.0 h")]
)
def test_durations(duration_s: float, text: str) -> None:
    assert seconds(duration_s) == text


def test_clock_shows_utc() -> None:
    assert clock(3661.25) == "01:01:01"
    assert clock(3661.25, tenths=True) == "01:01:01.2"


def test_reasons_name_the_runner_up_and_the_operator() -> None:
    decision = Decision(
        TrackKey(1), 2, 0.0, IdentityId(3), 0.97, 0.9, 0.4, 2.0, IdentityId(5), 0.2, "merged", "ann"
    )
    assert why(decision) == [
        "merged at 97 %",
        "looks 90 %",
        "company 0.40",
        "travel time x2.00",
        "next: #5 20 %",
        "by ann",
    ]
    assert why(None) == ["not decided yet"]


def test_a_missing_store_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "none.sqlite")]) == 4
    assert "none.sqlite" in capsys.readouterr().err


def test_an_unwritable_page_is_one_clear_line(
    truth: SceneTruth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_of_truth(truth, tmp_path / "s.sqlite")
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "r.html"
    assert main(["report", str(tmp_path / "s.sqlite"), "--out", str(target)]) == 4
    assert "cannot be written" in capsys.readouterr().err.replace("\n", " ")
