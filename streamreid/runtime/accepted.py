"""The configuration that a run goes by, whatever stands in the file meanwhile.

Workers start again at any time. What they read then must be what was accepted last, not what
somebody is just writing: else a slip of the pen would stop a system at its next crash.
"""

import os
from pathlib import Path

from streamreid.config.load import parse_config, read_bytes
from streamreid.config.models import Config
from streamreid.errors import ConfigError, StoreError


class AcceptedConfig:
    """Reads the file when asked to, and keeps a private copy of what was accepted.

    Args:
        path: The file.
        running: What it said when the run began.

    Attributes:
        copy: The copy in the run folder; may hold passwords, as the file does.
    """

    def __init__(self, path: Path, running: Config) -> None:
        self._path = path
        self._running = running
        self.copy = running.resolved_run_dir / "accepted.yaml"

    def read(self) -> Config:
        """Read the file; every worker that starts from now on goes by what it says.

        Raises:
            ConfigError: The file cannot be used, or changes what the supervisor itself goes by;
                what was accepted before still holds.
            StoreError: The copy cannot be written.
        """
        raw = read_bytes(self._path)
        folder = self._path.absolute().parent
        wanted = parse_config(raw, name=self._path.name, folder=folder, environ=os.environ)
        self._refuse_fixed(wanted)
        try:
            draft = self.copy.with_suffix(".draft")
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(raw)
            draft.rename(self.copy)
        except OSError as exc:
            raise StoreError(f"cannot write '{self.copy}': {exc.strerror}") from exc
        return wanted

    def forget(self) -> None:
        """Remove the copy; safe to call twice."""
        self.copy.unlink(missing_ok=True)

    def _refuse_fixed(self, wanted: Config) -> None:
        running = self._running
        fixed = {
            "run_dir": (running.resolved_run_dir, wanted.resolved_run_dir),
            "store.path": (running.store.path, wanted.store.path),
            "metrics": (running.metrics, wanted.metrics),
            "logging": (running.logging, wanted.logging),
        }
        changed = [name for name, (before, now) in fixed.items() if before != now]
        if changed:
            raise ConfigError(
                f"{self._path}: {', '.join(changed)} cannot change while it runs; change it back, "
                "or stop streamreid and start it again"
            )
