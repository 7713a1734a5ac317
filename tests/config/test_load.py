"""Reading cams.yaml: what it gives, and one clear line for everything that is wrong."""

from pathlib import Path

import pytest

from streamreid.config import Config, load_config, parse_config
from streamreid.config.models import MAX_CAMERAS
from streamreid.errors import ConfigError
from streamreid.types import CameraId

CONFIGS = Path(__file__).parents[2] / "configs"
ONE_CAMERA = "streamreid: 1\ncameras:\n  door: {url: rtsp://10.0.0.1/1}\n"


def load_text(text: str | bytes, **environ: str) -> Config:
    raw = text.encode() if isinstance(text, str) else text
    return parse_config(raw, name="cams.yaml", folder=Path("/srv/site"), environ=environ)


def refused(text: str | bytes, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, **environ)
    return str(caught.value).splitlines()


EXAMPLES = sorted(path for path in CONFIGS.glob("*.yaml") if "cameras:" in path.read_text())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads(path: Path) -> None:
    config = load_config(path, environ={"ENTRANCE_AUTH": "user:word"})
    assert config.camera_ids


def test_a_minimal_file_is_two_lines_per_camera() -> None:
    config = load_text("streamreid: 1\ncameras:\n  door:\n    url: rtsp://10.0.0.1/1\n")
    camera = config.camera(CameraId("door"))
    assert camera.url.reveal() == "rtsp://10.0.0.1/1"
    assert camera.is_live
    assert config.store.path == Path("/srv/site/streamreid.sqlite")
    assert config.resolved_run_dir == Path("/srv/site/streamreid.run")
    assert config.store.retention_s == 72 * 3600


def test_units_times_polygons_and_paths() -> None:
    config = load_text(
        "streamreid: 1\n"
        "cameras:\n"
        "  lobby: {url: videos/lobby.mp4, start_time: 2026-01-05T08:00:00Z,\n"
        "          mask: [[0,0],[200,0],[200,80]]}\n"
        "matcher: {gallery: {max_age: 1h30m, memory: 64MiB}, batch_wait: 20ms,\n"
        "          max_crop_age: 1m30s}\n"
        "store: {path: ~/data/x.sqlite, max_size: 1.5GB}\n"
    )
    camera = config.camera(CameraId("lobby"))
    assert camera.start_time_s == 1_767_600_000.0
    assert config.matcher.max_crop_age_s == 90.0
    assert camera.mask == (((0.0, 0.0), (200.0, 0.0), (200.0, 80.0)),)
    assert camera.url.reveal() == "/srv/site/videos/lobby.mp4"
    assert not camera.is_live
    assert config.matcher.gallery.max_age_s == 5400.0
    assert config.matcher.gallery.memory_bytes == 64 * 2**20
    assert config.matcher.batch_wait_s == 0.02
    assert config.store.path == Path("~/data/x.sqlite").expanduser()
    assert config.store.max_size_bytes == 1_500_000_000


def test_defaults_are_overridden_per_camera() -> None:
    config = load_text(
        "cameras:\n  a: {url: rtsp://h/1, detect_fps: 5}\n  b: {url: rtsp://h/2}\n"
        "streamreid: 1\ndefaults: {detect_fps: 2, max_pending: 4}\n"
    )
    first, second = config.camera(CameraId("a")), config.camera(CameraId("b"))
    assert (first.detect_fps, first.max_pending) == (5, 4)
    assert (second.detect_fps, second.max_pending) == (2, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cams.yaml:1:1: the file is empty"),
        (ONE_CAMERA + "store: {path: ~nobody0/x}", "cams.yaml:4:15: store.path names the home fol"),
        (ONE_CAMERA + "  b: {url: ~nobody0/x}", "cams.yaml:4:12: cameras.b.url names the home fol"),
        (
            ONE_CAMERA + "matcher: {weights: ~nobody0/x}",
            "cams.yaml:4:20: matcher.weights names th",
        ),
        ("- 1", "cams.yaml:1:1: the file must be keys and values"),
        ("streamreid: 1\n", "cams.yaml:1:1: cameras is missing"),
        ("streamreid: 2\ncameras: {a: {url: x}}", "cams.yaml:1:13: streamreid must be 1 (found 2)"),
        ("streamreid: 1\ncameras: {}", "cams.yaml:2:10: cameras"),
        (ONE_CAMERA + "matchr: {}", "cams.yaml:4:1: matchr is not a known key; did you mean matc"),
        (ONE_CAMERA + "detector: {kind: yol}", "cams.yaml:4:18: detector.kind must be 'auto', 'y"),
        (ONE_CAMERA + "store: {retention: 72}", "cams.yaml:4:20: store.retention needs a number "),
        (ONE_CAMERA + "store: {max_size: 3}", "cams.yaml:4:19: store.max_size needs a number and"),
        (ONE_CAMERA + "matcher: {threads: 0}", "cams.yaml:4:20: matcher.threads must be greater "),
        (ONE_CAMERA + "matcher: {threads: yes}", "cams.yaml:4:20: matcher.threads must be a vali"),
        (ONE_CAMERA + "  door: {url: x}", "cams.yaml:4:3: camera 'door' occurs twice, first in l"),
        (ONE_CAMERA + "store: &a {}\nmatcher: *a", "cams.yaml:5:10: aliases (*name) are not allo"),
        (ONE_CAMERA + "store: !!python/object:os.system {}", "cams.yaml:4:8: store: the tag 'tag"),
        (ONE_CAMERA + "run_dir: !!binary aGk=", "cams.yaml:4:10: the tag 'tag:yaml.org,2002:bina"),
        (ONE_CAMERA + "topology: {overlaps: [[door, dor]]}", "cams.yaml:4:23: topology.overlaps"),
        (ONE_CAMERA + "topology: {overlaps: [[door, door]]}", "cams.yaml:4:23: topology.overlap"),
        (ONE_CAMERA + "a: [1\n", "cams.yaml:5:1: is not valid YAML"),
        (ONE_CAMERA + "a: 1\n---\nb: 2\n", "cams.yaml:5:1: is not valid YAML"),
        (ONE_CAMERA + "\tb: 2\n", "cams.yaml:4:1: is not valid YAML"),
        (b"streamreid: 1\nx: \xff\n", "cams.yaml:2:4: byte 0xff is not UTF-8"),
        ("x" * (2**20 + 1), "cams.yaml:1:1: is larger than 1 MiB"),
        ("[" * 5000, "cams.yaml:1:21: is nested deeper than 20 levels"),
        ("a:\n" + "".join(" " * i + "a:\n" for i in range(1, 60)), "cams.yaml:21:21: is nested"),
        (ONE_CAMERA + "run_dir: /" + "x" * 90, "cams.yaml:4:10: run_dir /xxx"),
        ('streamreid: 1\ncameras:\n  "a b": {url: x}', "cams.yaml:3:3: the camera name 'a b' must"),
        (
            "streamreid: 1\ncameras: {a: {url: x, start_time: 2026-01-05T08:00:00}}",
            "cams.yaml:2:35: cameras.a.start_time needs a date",
        ),
        (
            "streamreid: 1\ncameras: {a: {url: x, mask: [[0,0],[1,1]]}}",
            "cams.yaml:2:29: cameras.a.mask",
        ),
        (
            ONE_CAMERA + 'transport: {endpoint: "tcp://0.0.0.0:5555"}',
            "cams.yaml:4:23: transport.endpoint tcp://0.0.0.0:5555 can be reached from other",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str | bytes, expected: str) -> None:
    lines = refused(text)
    assert any(line.startswith(expected) for line in lines), lines


def test_every_problem_is_named_in_the_order_of_the_file() -> None:
    lines = refused(
        "streamreid: 1\ncameras:\n  a: {url: rtps://h/1, fps: 3}\n  b: {detect_fps: -1}\n"
        "detector: {confidence: 3}\nmatcher: {device: gpu}\n"
    )
    assert [line.split(": ")[0] for line in lines] == [
        "cams.yaml:3:12",
        "cams.yaml:3:24",
        "cams.yaml:4:3",
        "cams.yaml:4:19",
        "cams.yaml:5:24",
        "cams.yaml:6:19",
    ]
    assert "did you mean" not in lines[0]


def test_loopback_and_keys_make_tcp_acceptable() -> None:
    for transport in (
        "endpoint: 'tcp://127.0.0.1:5555'",
        "endpoint: 'tcp://0.0.0.0:1', curve: keys",
    ):
        load_text(ONE_CAMERA + f"transport: {{{transport}}}")


def test_an_unknown_camera_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no camera 'hall' .* there are: door"):
        load_text(ONE_CAMERA).camera(CameraId("hall"))


def test_too_many_cameras_are_refused() -> None:
    many = "".join(f"  c{i}: {{url: rtsp://h/{i}}}\n" for i in range(MAX_CAMERAS + 1))
    assert "cameras" in refused("streamreid: 1\ncameras:\n" + many)[0]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a file; write one with two lines per camera"):
        load_config(tmp_path / "cams.yaml")
    with pytest.raises(ConfigError, match="is not a file"):
        load_config(tmp_path)


def test_the_digest_follows_values_and_not_spelling() -> None:
    same = (
        ONE_CAMERA + "store: {retention: 3d}",
        "# comment\nstore:\n  retention: 72h\n" + ONE_CAMERA,
    )
    digests = {load_text(text).digest() for text in same}
    assert len(digests) == 1
    assert load_text(ONE_CAMERA + "store: {retention: 71h}").digest() not in digests


def test_names_that_yaml_reads_as_something_else_are_names() -> None:
    config = load_text("streamreid: 1\ncameras:\n  1: {url: a.mp4}\n  on: {url: b.mp4}\n")
    assert config.camera_ids == ("1", "on")


def test_weights_are_a_name_or_a_path_beside_the_file(tmp_path: Path) -> None:
    def weights_of(name: str) -> str:
        text = ONE_CAMERA + f"detector: {{weights: {name}}}"
        config = parse_config(text.encode(), name="c.yaml", folder=tmp_path, environ={})
        return config.detector.weights

    assert weights_of("yolo26n.pt") == "yolo26n.pt"
    assert weights_of("models/yolo26n.pt") == str(tmp_path / "models" / "yolo26n.pt")
    (tmp_path / "yolo26n.pt").touch()
    assert weights_of("yolo26n.pt") == str(tmp_path / "yolo26n.pt")
    assert load_text(ONE_CAMERA).matcher.weights == "default"
