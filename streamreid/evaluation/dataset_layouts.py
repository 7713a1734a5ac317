"""How each re-identification data set lies on disk: folders or lists, names, clock, file types."""

from dataclasses import dataclass
from typing import Literal

from streamreid.evaluation.image_names import (
    NameParser,
    parse_clonedperson,
    parse_cuhk03,
    parse_folder,
    parse_market,
    parse_msmt17,
    parse_randperson,
)

Split = Literal["train", "query", "gallery"]
SPLITS: tuple[Split, ...] = ("train", "query", "gallery")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
_JPEG = frozenset({".jpg"})


@dataclass(frozen=True, slots=True)
class Layout:
    """How one data set lies on disk."""

    folders: dict[Split, tuple[str, ...]]
    """Names under which a split's folder (or list) may be found."""
    parse: NameParser
    expected: str
    clock: Literal["none", "market", "synthetic"]
    suffixes: frozenset[str]
    required: tuple[Split, ...] = SPLITS


_MARKET_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("bounding_box_train",),
    "query": ("query",),
    "gallery": ("bounding_box_test",),
}
_CUHK03 = Layout(_MARKET_FOLDERS, parse_cuhk03, "0001_c1_2.png", "none", frozenset({".png"}))
LAYOUTS = {
    "market1501": Layout(_MARKET_FOLDERS, parse_market, "0002_c1s1_000451_03.jpg", "market", _JPEG),
    "cuhk03_np_detected": _CUHK03,
    "cuhk03_np_labeled": _CUHK03,
    "msmt17": Layout(
        {
            "train": ("list_train.txt", "list_val.txt"),
            "query": ("list_query.txt",),
            "gallery": ("list_gallery.txt",),
        },
        parse_msmt17,
        "0003/0003_026_06_0303morning_0098_0.jpg 3",
        "none",
        IMAGE_SUFFIXES,
    ),
    "randperson": Layout(
        {"train": ("randperson_subset",)},
        parse_randperson,
        "00000000_s03_c01_f093242.jpg",
        "synthetic",
        IMAGE_SUFFIXES,
        ("train",),
    ),
    "clonedperson": Layout(
        {"train": ("train",), "query": ("test/query",), "gallery": ("test/gallery",)},
        parse_clonedperson,
        "000001_s01_c03_f092505.jpg",
        "synthetic",
        IMAGE_SUFFIXES,
    ),
    "folder": Layout(
        {
            "train": ("bounding_box_train", "train"),
            "query": ("query",),
            "gallery": ("bounding_box_test", "gallery"),
        },
        parse_folder,
        "0002_c1_03.png, or 0002_c1s1_000451_03.png to carry a time",
        "market",
        IMAGE_SUFFIXES,
        ("query", "gallery"),
    ),
}
