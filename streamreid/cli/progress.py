"""Progress bars for commands that take longer than two seconds; they appear on stderr only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Bars:
    """One line per step, updated while it runs.

    Args:
        progress: The live display, already started.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, step: str, total: int) -> Callable[[int], None]:
        """Begin a step of `total` units and return what to call with every few done."""
        task = self._progress.add_task(step, total=total)
        return lambda done: self._progress.advance(task, done)


@contextmanager
def progress_bars() -> Iterator[Bars]:
    """Show progress bars on stderr while the block runs; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bars(progress)
