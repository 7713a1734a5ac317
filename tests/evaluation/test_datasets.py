"""Parsers against the golden records on generated trees, and every way a data set can be wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import DATASETS, Dataset, ImageRecord, load
from tests.golden_data import load_golden

SUBSETS = ("train", "query", "gallery")


def plant(root: Path, names: list[str]) -> Path:
    """Create empty files, which is all that a parser looks at."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def records_of(data: Dataset, subset: str) -> tuple[ImageRecord, ...]:
    return {"train": data.train, "query": data.query, "gallery": data.gallery}[subset]


def assert_golden(arrays: dict[str, Any], tag: str, data: Dataset, root: Path) -> None:
    for subset in SUBSETS:
        if f"{tag}_{subset}_name" not in arrays:
            continue
        records = records_of(data, subset)
        expected = arrays[f"{tag}_{subset}_name"].tolist()
        found = [record.path.relative_to(root).as_posix() for record in records]
        assert [
            name[-len(short) :] for name, short in zip(found, expected, strict=True)
        ] == expected
        assert [r.identity for r in records] == arrays[f"{tag}_{subset}_pid"].tolist()
        assert [r.camera for r in records] == arrays[f"{tag}_{subset}_cam"].tolist()
        times = [0.0 if record.time_s is None else record.time_s for record in records]
        np.testing.assert_allclose(times, arrays[f"{tag}_{subset}_time"], atol=1e-9, rtol=0)
        identities = {record.identity for record in records}
        assert len(identities) == int(arrays[f"{tag}_num_{subset}_ids"])


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("market", "market1501"),
        ("cuhk03", "cuhk03_np_detected"),
        ("cuhk03", "cuhk03_np_labeled"),
        ("randperson", "randperson"),
        ("clonedperson", "clonedperson"),
        ("market", "folder"),
    ],
)
def test_records_equal_golden(tag: str, name: str, tmp_path: Path) -> None:
    arrays = load_golden("datasets")
    root = plant(tmp_path, arrays[f"{tag}_files"].tolist())
    assert_golden(arrays, tag, load(name, root), root)


@pytest.mark.parametrize(("tag", "combine_all"), [("msmt", False), ("msmt_all", True)])
def test_msmt_records_equal_golden(tag: str, combine_all: bool, tmp_path: Path) -> None:
    arrays = load_golden("datasets")
    for part in ("train", "val", "query", "gallery"):
        write(tmp_path / f"list_{part}.txt", *arrays[f"msmt_list_{part}"].tolist())
    data = load("msmt17", tmp_path, combine_all=combine_all)
    assert_golden(arrays, tag, data, tmp_path)
    assert data.query[0].path.relative_to(tmp_path).parts[0] == "test"
    assert data.train[0].path.relative_to(tmp_path).parts[0] == "train"


def test_any_image_type_and_names_without_time(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        [
            "query/0001_c1_00.png",
            "query/notes.txt",
            "query/0002_c12s3_000100_00.JPG",
            "bounding_box_test/0001_c2_01.bmp",
            "bounding_box_test/-1_c2_01.bmp",
        ],
    )
    data = load("folder", root)
    assert [(r.identity, r.camera, r.time_s) for r in data.query] == [(1, 0, None), (2, 11, 4.0)]
    assert [(r.identity, r.camera) for r in data.gallery] == [(1, 1)]  # junk is dropped
    assert data.train == ()
    assert load("folder", root, query="query/").query == data.query


def test_times_never_come_from_an_index(tmp_path: Path) -> None:
    root = plant(tmp_path, ["query/0001_c1_000451.png", "gallery/0001_c2_000452_01.png"])
    data = load("folder", root)
    assert data.query[0].time_s is None
    assert data.gallery[0].time_s is None
    assert data.clock == "none"


def test_lists_name_files_anywhere_under_root(tmp_path: Path) -> None:
    names = ["0001_c1s1_000100_00.jpg", "0001_c2s1_000200_00.jpg", "0002_c2s1_000300_00.jpg"]
    plant(tmp_path, [f"images/{name}" for name in names])
    query = write(tmp_path / "q.txt", "# one of each", f"images/{names[0]}", "")
    write(tmp_path / "gallery.txt", names[2], names[1])
    data = load("market1501", tmp_path, query=str(query), gallery="gallery.txt", required=())
    assert [record.path.name for record in data.query] == names[:1]
    assert [record.path.name for record in data.gallery] == [names[2], names[1]]  # as listed
    assert data.gallery[0].time_s == pytest.approx(300 / 25)


def test_clock_file_gives_the_times(tmp_path: Path) -> None:
    root = plant(tmp_path, ["query/0001_c1s2_000100_00.jpg", "gallery/0001_c2s1_000025_00.jpg"])
    clock = write(tmp_path / "clock.csv", "camera,sequence,offset_frames", "1,2,50", "2,1,-25")
    data = load("folder", root, clock=clock)
    assert data.query[0].time_s == pytest.approx(6.0)
    assert data.gallery[0].time_s == pytest.approx(0.0)
    assert data.clock == "clock file clock.csv"


def test_train_is_needed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    root = plant(tmp_path, ["bounding_box_train/0007_c1s1_000100_00.jpg"])
    assert load("market1501", root, required=("train",)).train[0].identity == 0
    with pytest.raises(DatasetError, match="has no query"):
        load("market1501", root)
    plant(root, ["query/0001_c1s1_000100_00.jpg", "bounding_box_train/odd name.jpg"])
    tested = load("market1501", root, required=("query",))
    assert (len(tested.train), len(tested.query)) == (0, 1)


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ([], {"name": "imagenet"}, "unknown data set 'imagenet': use one of market1501"),
        ([], {"name": "dukemtmc"}, "withdrawn"),
        (["gallery/0001_c1.png"], {}, r"has no query \(query split.*found \['gallery'\].*--query"),
        (["query/0001_c1_0.png"], {}, "has no bounding_box_test or gallery"),
        (["query/a.txt", "gallery/0001_c1_0.png"], {}, "query folder .* holds no image"),
        (["query/person.png", "gallery/0001_c1_0.png"], {}, r"1 of 1 names do not parse.*person"),
        (["query/0001_c1_0.png"], {"gallery": "none.txt"}, "gallery 'none.txt' does not exist"),
        (["query/0001_c1_0.png"], {"gallery": "query/0001_c1_0.png"}, "neither a folder nor a"),
        (["query/0001_c1_0.png", "l.txt"], {"gallery": "l.txt"}, "holds no file name"),
        (["query/0001_c1_0.png"], {"name": "randperson"}, "has no randperson_subset"),
        (
            ["randperson_subset/00000000_s03_c01_f093242.jpg"],
            {"name": "randperson", "required": ("query",)},
            "'randperson' has no query split",
        ),
        (
            ["query/0001_c1_0.png", "gallery/0001_c1_0.png"],
            {"combine_all": True},
            "combine_all is for msmt17 only",
        ),
        (
            ["query/0001_c1_0.png", "bounding_box_test/0001_c1_0.png"],
            {"name": "cuhk03_np_labeled", "clock": "c.csv", "required": ()},
            "a clock file is for names like",
        ),
    ],
)
def test_wrong_trees_are_named(
    files: list[str], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    root = plant(tmp_path, files)
    with pytest.raises(DatasetError, match=message):
        load(options.pop("name", "folder"), root, **options)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0001_c9_0.png"], r"1 of 1 files are not \(or not once\) under"),
        (["same.png"], r"not once\) under"),
        (["../0001_c1_0.png"], "must be a path under"),
        (["/etc/passwd"], "must be a path under"),
    ],
)
def test_wrong_lists_are_named(lines: list[str], message: str, tmp_path: Path) -> None:
    root = plant(tmp_path / "root", ["a/same.png", "b/same.png", "query/0001_c1_0.png"])
    write(root / "list.txt", *lines)
    with pytest.raises(DatasetError, match=message):
        load("folder", root, gallery="list.txt")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["camera,frame", "1,2"], "expected camera,sequence,offset_frames"),
        (["camera,sequence,offset_frames", "1,one,3"], "line 2: .*three whole numbers"),
        (["camera,sequence,offset_frames", "1,1"], "line 2: .*three whole numbers"),
        (["camera,sequence,offset_frames"], "has no rows"),
        (["camera,sequence,offset_frames", "3,1,0"], "no row for camera 1, sequence 1"),
    ],
)
def test_wrong_clock_files_are_named(lines: list[str], message: str, tmp_path: Path) -> None:
    root = plant(tmp_path, ["query/0001_c1s1_000100_00.jpg", "gallery/0001_c2s1_000025_00.jpg"])
    with pytest.raises(DatasetError, match=message):
        load("folder", root, clock=write(tmp_path / "clock.csv", *lines))
    with pytest.raises(DatasetError, match="cannot be read"):
        load("folder", root, clock=tmp_path / "absent.csv")


def test_a_root_that_does_not_exist_is_named(tmp_path: Path) -> None:
    for name in DATASETS:
        with pytest.raises(DatasetError, match="does not exist; give the folder with --root"):
            load(name, tmp_path / "absent")


def test_a_wrong_msmt_line_is_named(tmp_path: Path) -> None:
    write(tmp_path / "list_query.txt", "0003/0003_026_06_morning.jpg 3", "0003.jpg 3")
    with pytest.raises(DatasetError, match=r"list_query\.txt:2"):
        load("msmt17", tmp_path, required=("query",))
