"""Damaged and hostile files end in a clear error, quickly, and nothing is executed (S4, S8)."""

import random
import re
from pathlib import Path

import pytest

from streamreid.config import parse_config
from streamreid.errors import ConfigError

EXAMPLE = (Path(__file__).parents[2] / "configs" / "cams.yaml").read_bytes()
PLACE = re.compile(r"^cams\.yaml:\d+:\d+: \S")
NASTY = [
    *(b"&a [*a]", b"!!python/object/apply:os.system ['touch PWNED']", b"<<: {}", b"{{{{", b"- - -"),
    *(b"\x00", b"\xff\xfe", b"\t", b"? ", b"|\n", b">\n", b"%YAML 9.9\n", b"%TAG ! x\n", b"---\n"),
    *(b"0x" + b"f" * 50, b"1e999", b".nan", b"-.inf", b"9" * 5000, b"~", b"\xe2\x80\xae", b"'"),
    *(b"2001-99-99T99:99:99Z", b"!!timestamp x", b"!!float x", b"!!int ''", b"!!bool maybe"),
    *(
        b"!!set {a}",
        b"!!omap [a: 1]",
        b"!<tag:x> y",
        b'"\\x',
        b"[a, b",
        b"a: b: c",
        b"\r",
        b"\xc2\x85",
    ),
]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to four places."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        length = rng.choice((0, 1, 1, 3, 20, 200))
        kind = rng.randrange(5)
        if kind == 0:
            data = data[:at] + data[at + length :]
        elif kind == 1:
            data = data[:at] + rng.randbytes(max(1, length // 10)) + data[at:]
        elif kind == 2:
            data = data[:at] + rng.choice(NASTY) + data[at:]
        elif kind == 3:
            other = rng.randrange(len(data) + 1)
            data = data[:at] + data[other : other + length] + data[at:]
        else:
            lines = data.split(b"\n")
            rng.shuffle(lines)
            data = b"\n".join(lines)
    return data


def outcome(data: bytes) -> str:
    """`valid`, or the error's text; anything else is raised."""
    try:
        parse_config(
            data, name="cams.yaml", folder=Path("/srv"), environ={"ENTRANCE_AUTH": "user:Zq7word"}
        )
    except ConfigError as error:
        return str(error)
    return "valid"


def check_mutations(count: int, seed: int) -> None:
    rng = random.Random(seed)
    texts = [outcome(mutate(EXAMPLE, rng)) for _ in range(count)]
    errors = [text for text in texts if text != "valid"]
    assert len(errors) > count // 2
    for text in errors:
        assert all(PLACE.match(line) or "more problems" in line for line in text.splitlines()), text
        assert "Zq7word" not in text


def test_a_hundred_mutations_end_cleanly() -> None:
    check_mutations(100, seed=1)


@pytest.mark.slow
def test_a_thousand_mutations_end_cleanly() -> None:
    check_mutations(1000, seed=2)


@pytest.mark.parametrize(
    "data",
    [
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        b"[" * 5000,
        b"{a: " * 5000,
        b"- " * 5000,
        b"x" * (2 * 2**20),
        b"!!python/object/apply:os.system ['touch PWNED']",
        b"!!python/name:os.system",
        b"streamreid: 1\nstreamreid: 1\n",
        b'"' + b"\\" * 9999,
        b"a: " + b"'" * 99999,
        b"#" * 100_000 + b"\n" * 100_000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_known_attacks_are_refused(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert PLACE.match(outcome(data))
    assert list(tmp_path.iterdir()) == []


INJECTIONS = [
    *("' OR 1=1 --", '"; DROP TABLE tracks; --', "a'b", "a;b", "../../etc", "/etc/passwd", ".."),
    *("<script>alert(1)</script>", "=cmd()", "+1", "@x", "a\x1b[31m", "a b", "ä", "", "x" * 65),
    *(
        "a\x00b",
        "a\nb",
        "%00",
        "{env:X}",
        "${X}",
        "$(id)",
        "`id`",
        "a|b",
        "a&b",
        "a*",
        "a/b",
        "a\\b",
    ),
]


SQL = ["'", '"', "`", "\\", ";", " --", "/*", "')", "' UNION SELECT 1", "' OR ''='", "%", "%27"]
WORDS = ["1", "door", "NULL", "sqlite_schema", "x' AND 1=1", "x) OR (1=1", "0x27"]
INJECTIONS += [f"{word}{part}" for word in WORDS for part in SQL]


@pytest.mark.parametrize("name", INJECTIONS, ids=repr)
def test_a_camera_name_that_could_do_harm_is_refused(name: str) -> None:
    escaped = "".join(f"\\u{ord(character):04x}" for character in name)
    text = outcome(f'streamreid: 1\ncameras:\n  "{escaped}": {{url: a.mp4}}\n'.encode())
    assert text.startswith("cams.yaml:3:3: the camera name ")
    assert "\x1b" not in text
