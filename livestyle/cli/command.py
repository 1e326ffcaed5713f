"""Commands whose help ends with examples."""

from collections.abc import Sequence
from typing import Any

import click


class WithExamples(click.Command):
    """examples: command lines, shown as they are below the options."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):  # not wrapped: they are to be copied
                formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in self.examples))


class Command(WithExamples):
    """@click.command(cls=Command, examples=["livestyle video in.mp4 out.mp4 --style scream", ...])"""


class Group(WithExamples, click.Group):
    """@click.group(cls=Group, examples=[...]); its commands take examples too."""

    command_class = Command
