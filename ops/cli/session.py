"""What the global options said, and the settings that follow from them; one object per command line."""

import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ops.cli.output import Printer

if TYPE_CHECKING:
    from ops.settings import Loaded, Settings


@dataclass
class Session:
    """Filled by the option callbacks before a verb runs; settings are read when a verb first asks."""

    config: Path | None = None
    flags: list[str] = field(default_factory=list)
    output: str = "table"
    no_color: bool = False
    _log_is_set: bool = field(default=False, init=False)

    @cached_property
    def loaded(self) -> "Loaded":
        """All settings with their origins; warnings about near misses are said once. Raises ConfigError."""
        from ops.settings import load

        loaded = load(self.flags, self.config)
        for warning in loaded.warnings:
            say(f"warning: {warning}")
        return loaded

    @property
    def settings(self) -> "Settings":
        """The settings alone, for verbs that go on to do something: from here on logs go to stderr."""
        settings = self.loaded.settings
        if not self._log_is_set:
            # Unconfigured, structlog would print onto stdout, between the data.
            self._configure_log(settings, "cli")
        return settings

    def colour_on(self, terminal: bool) -> bool:
        """Colour is used on a terminal, unless --no-color or NO_COLOR speak against it."""
        from ops.settings import colour_wanted

        return terminal and not self.no_color and colour_wanted()

    @property
    def printer(self) -> Printer:
        """The printer for stdout."""
        return Printer(self.output, self.colour_on(sys.stdout.isatty()))

    def child_flags(self) -> list[str]:
        """The global options again, for a child process of `up`."""
        config = ["--config", str(self.config)] if self.config else []
        return [*config, *(part for flag in self.flags for part in ("--set", flag))]

    def log_to_stderr(self, role: str) -> None:
        """Name the role in this process's log; for verbs that run for long."""
        self._configure_log(self.settings, role)

    def _configure_log(self, settings: "Settings", role: str) -> None:
        self._log_is_set = True
        from ops.logs import LogContext, configure
        from ops.settings import secret_values

        context = LogContext(settings.env, settings.release_name, role, secrets=secret_values(settings))
        configure(
            context,
            log_format=settings.log_format,
            log_level=settings.log_level,
            colour=self.colour_on(sys.stderr.isatty()),
        )


def say(sentence: str) -> None:
    """A sentence for people."""
    print(sentence, file=sys.stderr, flush=True)
