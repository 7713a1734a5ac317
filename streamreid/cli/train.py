"""`streamreid train`: train a network and a matching layer from a configuration file."""

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamreid.training.config import TrainConfig


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train")(train)


def train(
    config: Annotated[Path, typer.Option("--config", help="Configuration of the run (YAML).")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for checkpoint, logs and weights; runs/NAME if left out."
        ),
    ] = None,
) -> None:
    """Train weights; started again with the same folder it goes on where it stopped.

    Ctrl-C writes a checkpoint and ends cleanly.

    Example: streamreid train --config configs/train_market.yaml --out runs/market
    """
    import torch
    from rich.console import Console

    from streamreid.cli.progress import progress_bars
    from streamreid.training.allocator import keep_freed_memory
    from streamreid.training.recipe import StepReport
    from streamreid.training.runner import Hooks, run_training
    from streamreid.training.validation import ValidationFigures

    settings = load_train_config(config)
    keep_freed_memory()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    folder = out or Path("runs") / settings.name
    console = Console()
    stop = _StopRequest()
    with progress_bars() as bars:
        advance: dict[str, object] = {}

        def images_expected(count: int) -> None:
            advance["images"] = bars.start("reading images", count)

        def image_loaded() -> None:
            _advance(advance.get("images"), 1)

        def stepped(report: StepReport, expected: int) -> None:
            if "steps" not in advance:
                advance["steps"] = bars.start(f"training {settings.name}", expected)
                _advance(advance["steps"], report.step - 1)
            _advance(advance["steps"], 1)

        def validated(step: int, figures: dict[str, ValidationFigures]) -> None:
            for name, found in figures.items():
                console.print(
                    f"step {step}, held-out identities of {name}: "
                    f"Rank-1 {found.rank1:.1%}, mAP {found.mean_ap:.1%}"
                )

        hooks = Hooks(images_expected, image_loaded, stepped, validated, stop.requested)
        with stop:
            result = run_training(settings, folder, hooks)
    if result.weights is None:
        console.print(f"stopped at step {result.step}; start it again to go on")
        return
    console.print(f"wrote {result.weights}, {result.weights.with_suffix('.md').name}, curves.png")


def load_train_config(path: Path) -> "TrainConfig":
    """Read and check a training configuration.

    Args:
        path: YAML file; relative paths inside it start in the working directory.

    Raises:
        ConfigError: It cannot be read or used; names every problem as `file:line:column: text`.
    """
    from pydantic import ValidationError

    from streamreid.config.problems import describe, format_problems
    from streamreid.config.reader import read_document
    from streamreid.errors import ConfigError
    from streamreid.training.config import TrainConfig

    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be read: {exc.strerror}; see configs/train_*.yaml"
        ) from exc
    document = read_document(raw, name=path.name)
    problems = list(document.problems)
    try:
        config = TrainConfig.model_validate(document.values)
    except ValidationError as exc:
        details = exc.errors(include_url=False)
        problems += [describe(detail, document, TrainConfig) for detail in details]
        raise ConfigError(format_problems(path.name, problems)) from exc
    if problems:
        raise ConfigError(format_problems(path.name, problems))
    return config


def _advance(bar: object, count: int) -> None:
    if callable(bar):
        bar(count)


class _StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a wish; a second one interrupts as usual."""

    def __init__(self) -> None:
        self._wanted = False
        self._before: dict[signal.Signals, object] = {}

    def requested(self) -> bool:
        """Whether somebody wants the run to end."""
        return self._wanted

    def __enter__(self) -> "_StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._put_back()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._wanted = True
        self._put_back()

    def _put_back(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
