"""Crops of a data set at simulated times: right people, steady cameras, names that read back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamreid.errors import DatasetError, StoreError
from streamreid.evaluation.datasets import ImageRecord, load
from streamreid.evaluation.tracklets import tracklets_of
from streamreid.simulation.crops import CLOCK, IMAGES, VISITS, choose_crops, write_crops
from streamreid.simulation.network import Crowd, Network, Visit, simulate_network
from streamreid.simulation.scenarios import grid_network


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    """Twelve people in three cameras, three images each, and a distractor."""
    found = []
    rng = np.random.default_rng(0)
    for identity in [*range(1, 13), 0]:
        for camera in range(3):
            for number in range(3):
                path = tmp_path / "set" / f"{identity:04d}_c{camera + 1}_{number}.jpg"
                path.parent.mkdir(exist_ok=True)
                pixels = rng.integers(0, 255, (8, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
                found.append(ImageRecord(path, identity, camera, None))
    return found


def _walk(people: int, **crowd: float) -> tuple[Network, tuple[Visit, ...]]:
    network = grid_network(4)
    settings = Crowd(people=people, **crowd)  # type: ignore[arg-type]
    return network, simulate_network(network, settings, seed=1)


def test_crops_show_one_identity_per_appearance(records: list[ImageRecord]) -> None:
    network, visits = _walk(20, look_alike_share=0.6)
    crops = choose_crops(visits, network, records, seed=0)
    shown: dict[int, set[str]] = {}
    for crop in crops:
        shown.setdefault(crop.visit.appearance, set()).add(crop.source.name[:4])
        assert crop.visit.enter_s < crop.captured_at_s < crop.visit.leave_s
    assert all(len(names) == 1 for names in shown.values())
    assert len(set.union(*shown.values())) == len(shown)
    assert "0000" not in set.union(*shown.values())


def test_a_simulated_camera_shows_one_camera_of_the_set(records: list[ImageRecord]) -> None:
    network, visits = _walk(10)
    crops = choose_crops(visits, network, records, seed=0)
    shown: dict[str, set[str]] = {}
    for crop in crops:
        shown.setdefault(crop.visit.camera_id, set()).add(crop.source.name[5:7])
    assert all(len(cameras) == 1 for cameras in shown.values())
    assert len(set.union(*shown.values())) == 3


def test_the_folder_reads_back_as_a_stream(records: list[ImageRecord], tmp_path: Path) -> None:
    network, visits = _walk(10)
    crops = choose_crops(visits, network, records, seed=0, per_visit=3)
    out = tmp_path / "out"
    write_crops(crops, visits, network, out)
    data = load("folder", out, gallery=IMAGES, clock=out / CLOCK, required=("gallery",))
    assert len(data.gallery) == len(crops) == 3 * len(visits)
    tracklets = tracklets_of(data.gallery)
    assert {t.person for t in tracklets} == {visit.person for visit in visits}
    first_s = crops[0].captured_at_s
    times = sorted(time + first_s for t in tracklets for time in t.times_s)
    assert times == pytest.approx([crop.captured_at_s for crop in crops], abs=0.021)
    assert (out / VISITS).read_text().count("\n") == len(visits) + 1


def test_too_few_people_are_named(records: list[ImageRecord]) -> None:
    network, visits = _walk(13)
    with pytest.raises(DatasetError, match="needs 13 different people, the data set has 12"):
        choose_crops(visits, network, records, seed=0)


def test_an_unwritable_folder_is_one_error(records: list[ImageRecord], tmp_path: Path) -> None:
    network, visits = _walk(3)
    crops = choose_crops(visits, network, records, seed=0)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write the crops"):
        write_crops(crops, visits, network, tmp_path / "file")
