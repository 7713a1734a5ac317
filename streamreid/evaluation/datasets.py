"""Finds the images of re-identification data sets: who is on them, which camera, when.

Source: layouts of the data sets as ShengcaiLiao/QAConv (v2.1 and a3db278a) reads them. Files are
visited in sorted order, training identities are numbered from 0 in order of appearance, and junk
(identity -1) is dropped. DukeMTMC has been withdrawn by its authors and is left out on purpose.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from streamreid.errors import DatasetError
from streamreid.evaluation.clocks import (
    Clock,
    NoClock,
    SyntheticClock,
    published_clock,
    read_clock,
)
from streamreid.evaluation.dataset_layouts import (
    IMAGE_SUFFIXES,
    LAYOUTS,
    SPLITS,
    Layout,
    Split,
)
from streamreid.evaluation.image_names import ParsedName

DATASETS = tuple(LAYOUTS)
_JUNK = -1
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        path: The file.
        identity: Person; in a training split numbered from 0.
        camera: Camera, from 0.
        time_s: Seconds on the data set's clock, None when it has no time.
    """

    path: Path
    identity: int
    camera: int
    time_s: float | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """The images of a data set; a split that was not there is empty.

    Attributes:
        name: Name of the data set.
        train: Training images.
        query: Images that are looked up.
        gallery: Images that are searched.
        clock: Where the times come from, in words.
    """

    name: str
    train: tuple[ImageRecord, ...]
    query: tuple[ImageRecord, ...]
    gallery: tuple[ImageRecord, ...]
    clock: str


_Found = list[tuple[Path, ParsedName]]


def load(
    name: str,
    root: Path | str,
    *,
    train: str | None = None,
    query: str | None = None,
    gallery: str | None = None,
    clock: Path | str | None = None,
    required: Sequence[Split] | None = None,
    combine_all: bool = False,
) -> Dataset:
    """Find and parse the images of a data set; no image is opened.

    Args:
        name: One of `DATASETS`.
        root: Folder of the data set.
        train: Use this instead of the layout's training split: a folder, or a .txt with one file
            name per line; both relative to `root` (or to the working directory).
        query: The same for the query split.
        gallery: The same for the gallery split.
        clock: Clock file for names with sequence and frame, see `read_clock`.
        required: Splits that must be there; the data set's own choice when None. Others are loaded
            if they are there.
        combine_all: Only msmt17: train on everything, "MSMT17 (all)".

    Returns:
        The records of each split in sorted (or listed) order.

    Raises:
        DatasetError: If the name is unknown, a required split is missing or empty, names do not
            parse, or the clock does not fit.
    """
    layout = _layout(name, combine_all)
    folder = Path(root)
    if not folder.is_dir():
        raise DatasetError(f"data set folder {folder} does not exist; give the folder with --root")
    given = {"train": train, "query": query, "gallery": gallery}
    needed = layout.required if required is None else required
    found: dict[Split, _Found] = {}
    for split in SPLITS:
        source = given[split]
        if source is not None:
            found[split] = _from_source(folder, source, split, layout)
        elif split in needed:
            found[split] = _from_layout(folder, split, layout, name, required=True)
        else:
            found[split] = _optional(folder, split, layout, name)
    if combine_all:
        found = _combine(found)
    times = _clock(layout, clock, found)
    records = {split: _records(entries, times) for split, entries in found.items()}
    if name != "msmt17":
        records["train"] = _relabelled(records["train"])
    return Dataset(name, records["train"], records["query"], records["gallery"], times.description)


def _layout(name: str, combine_all: bool) -> Layout:
    if name not in LAYOUTS:
        why = "DukeMTMC was withdrawn by its authors; " if "duke" in name.lower() else ""
        raise DatasetError(f"unknown data set {name!r}: {why}use one of {', '.join(DATASETS)}")
    if combine_all and name != "msmt17":
        raise DatasetError(f"combine_all is for msmt17 only, not for {name!r}")
    return LAYOUTS[name]


def _optional(root: Path, split: Split, layout: Layout, name: str) -> _Found:
    """Entries of a split that nobody asked for; one that cannot be used is left out."""
    try:
        return _from_layout(root, split, layout, name, required=False)
    except DatasetError:
        return []


def _from_layout(root: Path, split: Split, layout: Layout, name: str, *, required: bool) -> _Found:
    """Entries of a split where the layout has it; none if it is missing and not required."""
    choices = layout.folders.get(split, ())
    there = [root / choice for choice in choices if (root / choice).exists()]
    if name == "msmt17":
        lists = [_msmt_list(path, layout) for path in there]
        if lists:
            return [entry for entries in lists for entry in entries]
    elif there:
        return _parsed(_images_in(there[0], split, layout), layout, f"{split} folder {there[0]}")
    if not required:
        return []
    if not choices:
        raise DatasetError(f"data set {name!r} has no {split} split; use another data set")
    content = sorted(entry.name for entry in root.iterdir())
    raise DatasetError(
        f"{root} has no {' or '.join(choices)} ({split} split of {name!r}); found "
        f"{content[:8]}. Give the folder that holds it with --root"
        + ("" if split == "train" else f", or the {split} images with --{split}")
    )


def _from_source(root: Path, source: str, split: Split, layout: Layout) -> _Found:
    """Entries of a split that the user gave as a folder or as a list of names."""
    for candidate in (root / source, Path(source)):
        if candidate.is_dir():
            return _parsed(
                _images_in(candidate, split, layout), layout, f"{split} folder {candidate}"
            )
        if candidate.is_file():
            if candidate.suffix != ".txt":
                raise DatasetError(
                    f"{split} {candidate} is neither a folder nor a .txt list of file names"
                )
            return _parsed(_listed(root, candidate), layout, f"{split} list {candidate}")
    raise DatasetError(
        f"{split} {source!r} does not exist, neither under {root} nor from the working directory"
    )


def _images_in(folder: Path, split: Split, layout: Layout) -> list[tuple[Path, str]]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in layout.suffixes)
    if not paths:
        raise DatasetError(
            f"{split} folder {folder} holds no image; expected {', '.join(sorted(layout.suffixes))}"
        )
    return [(path, path.name) for path in paths]


def _listed(root: Path, listing: Path) -> list[tuple[Path, str]]:
    """Files of a list: paths under `root`, or bare names that occur once anywhere under it."""
    names = [line.strip() for line in _lines(listing)]
    names = [name for name in names if name and not name.startswith("#")]
    if not names:
        raise DatasetError(f"list {listing} holds no file name")
    by_name: dict[str, Path | None] = {}
    if not all((root / name).is_file() for name in names):
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                by_name[path.name] = None if path.name in by_name else path
    paths: list[tuple[Path, str]] = []
    missing: list[str] = []
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DatasetError(f"list {listing}: {name!r} must be a path under {root}")
        found = root / name if (root / name).is_file() else by_name.get(name)
        if found is None:
            missing.append(name)
        else:
            paths.append((found, name))
    if missing:
        raise DatasetError(
            f"list {listing}: {len(missing)} of {len(names)} files are not (or not once) under "
            f"{root}, such as {missing[:_SHOWN]}; give the folder that holds them with --root"
        )
    return paths


def _msmt_list(listing: Path, layout: Layout) -> _Found:
    """Entries of an official list: `path identity` per line."""
    folder = "train" if listing.stem in ("list_train", "list_val") else "test"
    entries: _Found = []
    for number, line in enumerate(_lines(listing), start=1):
        if not line.strip():
            continue
        path, _, identity = line.strip().rpartition(" ")
        parsed = layout.parse(path)
        if parsed is None or not identity.isdigit():
            raise DatasetError(f"{listing}:{number}: {line!r}; expected '{layout.expected}'")
        file = listing.parent / folder / path
        entries.append((file, replace(parsed, identity=int(identity))))
    return entries


def _lines(listing: Path) -> list[str]:
    try:
        return listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise DatasetError(f"list {listing} cannot be read: {exc}") from exc


def _parsed(paths: list[tuple[Path, str]], layout: Layout, where: str) -> _Found:
    entries = [(path, layout.parse(name)) for path, name in paths]
    wrong = [path.name for path, parsed in entries if parsed is None]
    if wrong:
        raise DatasetError(
            f"{where}: {len(wrong)} of {len(entries)} names do not parse, such as "
            f"{wrong[:_SHOWN]}; expected names like {layout.expected}. Rename or remove them"
        )
    return [
        (path, parsed)
        for path, parsed in entries
        if parsed is not None and parsed.identity != _JUNK
    ]


def _combine(found: dict[Split, _Found]) -> dict[Split, _Found]:
    """Shift test identities behind the training ones and train on all images."""
    shift = len({parsed.identity for _, parsed in found["train"]})
    shifted: dict[Split, _Found] = {
        split: [
            (path, replace(parsed, identity=parsed.identity + shift))
            for path, parsed in found[split]
        ]
        for split in ("query", "gallery")
    }
    everything = found["train"] + shifted["gallery"] + shifted["query"]
    return {"train": everything, **shifted}


def _clock(layout: Layout, clock: Path | str | None, found: dict[Split, _Found]) -> Clock:
    names = [parsed for entries in found.values() for _, parsed in entries]
    if clock is not None:
        if layout.clock != "market":
            raise DatasetError("a clock file is for names like 0002_c1s1_000451_03.jpg only")
        return read_clock(Path(clock))
    if layout.clock == "synthetic":
        return SyntheticClock()
    if layout.clock == "none" or all(name.frame is None for name in names):
        return NoClock()
    return published_clock(names)


def _records(entries: _Found, clock: Clock) -> tuple[ImageRecord, ...]:
    return tuple(
        ImageRecord(path, parsed.identity, parsed.camera, clock.time_s(parsed))
        for path, parsed in entries
    )


def _relabelled(records: tuple[ImageRecord, ...]) -> tuple[ImageRecord, ...]:
    """Number identities from 0 in order of first appearance."""
    numbers: dict[int, int] = {}
    for record in records:
        numbers.setdefault(record.identity, len(numbers))
    return tuple(replace(record, identity=numbers[record.identity]) for record in records)
