"""livestyle doctor"""

import click

from livestyle.cli.command import Command


@click.command(cls=Command, examples=["livestyle doctor", "livestyle doctor --json > doctor.json"])
def doctor() -> None:
    """Check this installation."""
