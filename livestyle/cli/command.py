"""Commands whose help ends with examples, and which tell what may have been meant."""

import difflib
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

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        commands = self.list_commands(ctx)
        if args[0] not in commands and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command {args[0]!r}; {near(args[0], commands)}", ctx)
        return super().resolve_command(ctx, args)


def near(word: str, known: Sequence[str]) -> str:
    """What may have been meant, or all that there is."""
    found = difflib.get_close_matches(word, known, n=3, cutoff=0.7)
    return f"did you mean {' or '.join(found)}?" if found else f"there are: {', '.join(known)}"
