"""What comes from outside is data: damaged weights are refused, nothing of ours can run them."""

import ast
import random
import shutil
from pathlib import Path

import pytest

import streamreid
from streamreid.errors import WeightsError
from streamreid.reid.weights import load_model, path_of
from tests.video.damage import damaged

PACKAGE = Path(streamreid.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "workers").glob("*.py")])
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load"}


def _dangers(source: str) -> list[str]:
    """What must not be in the product, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and _forbidden(node.module or ""):
            # the error's name may be said, to catch it
            taken = [alias.name for alias in node.names if alias.name != "UnpicklingError"]
            found += [f"{node.lineno}: {node.module}.{name}" for name in taken]
        elif isinstance(node, ast.Attribute) and _forbidden(ast.unparse(node.value)):
            found += [f"{node.lineno}: {ast.unparse(node)}"] * (node.attr != "UnpicklingError")
        elif isinstance(node, ast.Call) and _unsafe(node):
            found.append(f"{node.lineno}: {ast.unparse(node.func)}")
    return found


def _forbidden(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in FORBIDDEN_MODULES


def _unsafe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return (
        name in FORBIDDEN_CALLS
        or name.rpartition(".")[2] in ("recv_pyobj", "send_pyobj")
        or (name == "torch.load" and given.get("weights_only") != "True")
        or given.get("shell", "False") != "False"
        or given.get("allow_pickle", "False") != "False"
    )


@pytest.mark.parametrize(
    "line",
    [
        "pickle.loads(data)",
        "from pickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text)",
        "subprocess.run(command, shell=True)",
        "socket.recv_pyobj()",
        "np.load(path, allow_pickle=True)",
        "os.system(name)",
        "eval(text)",
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert _dangers(line)


def test_nothing_that_is_read_can_be_run() -> None:
    """S5: no unpickling, no shell, no unsafe loader anywhere in the product."""
    assert len(SOURCES) > 100
    found = {str(path): _dangers(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("count", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_damaged_weights_of_ours_are_refused_by_name(tmp_path: Path, count: int) -> None:
    clean = path_of("default")
    for seed in range(count):
        path = tmp_path / f"damaged{seed}.safetensors"
        path.write_bytes(damaged(clean.read_bytes(), random.Random(seed)))
        with pytest.raises(WeightsError, match=path.name):
            load_model(str(path))
        path.unlink()


def test_sound_weights_load_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "sound.safetensors"
    shutil.copyfile(path_of("default"), path)
    assert load_model(str(path)).card.architecture
