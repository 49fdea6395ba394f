"""`config show`: every setting, its value and where it came from."""

import click

from ops.cli.session import Session
from ops.cli.verbs import Verbs, pass_session
from ops.errors import NotFound


def register(root: Verbs) -> None:
    """Add the verbs of this module."""
    config = root.verbs("config", "Look at the settings. All of them are described in docs/configuration.md.")

    @config.verb(
        "show",
        examples=[
            "./bongsu config show",
            "./bongsu config show --changed",
            "./bongsu config show kafka_bootstrap_servers --output json",
        ],
    )
    @click.argument("names", nargs=-1, metavar="[SETTING]...")
    @click.option("--changed", is_flag=True, help="Only what is not a default.")
    @pass_session
    def show(session: Session, names: tuple[str, ...], changed: bool) -> None:
        """Print key, value and source; secrets and passwords inside addresses are masked."""
        from ops.settings import shown

        loaded = session.loaded
        wanted = [name.lower() for name in names] or list(loaded.origins)
        for name in wanted:
            if name not in loaded.origins:
                raise NotFound(f"there is no setting {name}; ./bongsu config show lists all of them.")
        rows = [
            {"key": name, "value": shown(loaded.settings, name), "source": loaded.origins[name]}
            for name in wanted
            if not changed or loaded.origins[name] != "default"
        ]
        session.printer.rows(rows, ("key", "value", "source"))
