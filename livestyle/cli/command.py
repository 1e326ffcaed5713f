"""Commands whose help ends with examples, and that suggest similar names for misspelled ones."""

import difflib
from collections.abc import Sequence
from typing import Any

import click


class WithExamples(click.Command):
    """A command whose help ends with examples: command lines, shown unwrapped."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):  # not wrapped, so that they can be copied
                formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in self.examples))


class Command(WithExamples):
    """A single command: `@click.command(cls=Command, examples=["livestyle video in.mp4 out.mp4 --style scream", ...])`."""


class Group(WithExamples, click.Group):
    """A group of commands, which accept examples too: `@click.group(cls=Group, examples=[...])`."""

    command_class = Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        commands = self.list_commands(ctx)
        if args[0] not in commands and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command {args[0]!r}; {suggestion(args[0], commands)}", ctx)
        return super().resolve_command(ctx, args)


def suggestion(word: str, known: Sequence[str]) -> str:
    """A phrase that names the known words most similar to `word`; all known words if none is similar."""
    found = difflib.get_close_matches(word, known, n=3, cutoff=0.7)
    return f"did you mean {' or '.join(found)}?" if found else f"there are: {', '.join(known)}"
