"""The command line: parses arguments, builds jobs, runs them and prints the results.

Each command is a module of this package, imported when the command runs: `livestyle --help` must not wait for torch.
"""

import importlib
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click

from livestyle import __version__
from livestyle.cli.command import Group, suggestion
from livestyle.cli.options import print_error, print_line, with_advice, write_json, writing_to_stdout
from livestyle.errors import LivestyleError, hide_passwords
from livestyle.interrupt import SIGNALS

SECTIONS = {  # sections of the help: command -> summary
    "Paint": {
        "video": "Paint video files.",
        "image": "Paint pictures.",
        "webcam": "Paint a camera live, in a window.",
        "serve": "Paint in any browser: a page whose camera is painted here.",
        "demo": "Paint a moving scene in every style; needs no camera and no file.",
        "optimize": "Paint a picture in any picture's style, slowly and without training.",
    },
    "Styles": {
        "styles": "List, show, rename, remove and export styles.",
        "train": "Train new styles.",
    },
    "Measure": {
        "doctor": "Check this installation: versions, devices, encoders, cameras.",
        "bench": "Measure the speed of this machine.",
        "evaluate": "Measure how well styles are painted.",
    },
    "Shell": {
        "completion": "Print the completion script for bash, zsh or fish.",
    },
}
COMMANDS = [name for commands in SECTIONS.values() for name in commands]


class Program(Group):
    """The group of all commands. Imports a command's module when the command is used, and prints the summary for --json."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return COMMANDS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"livestyle.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(f"{name:{width}}", line) for name, line in commands.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. With --json, print the summary as one JSON object, also after an error."""
        words = ctx.args[: ctx.args.index("--")] if "--" in ctx.args else ctx.args
        as_json = "--json" in words
        summary: dict[str, Any] = {}
        ctx.obj = summary  # add_to_summary fills it
        try:
            if "" in ctx.args:
                raise click.UsageError("an argument is empty; is a shell variable unset?")
            result = super().invoke(ctx)
        except click.exceptions.Exit:
            raise
        except (Exception, KeyboardInterrupt) as error:
            if as_json:
                write_json(summary | {"error": one_line(error)})
            if isinstance(error, KeyboardInterrupt):
                raise click.Abort from error  # for a KeyboardInterrupt click would print an empty line
            raise
        if as_json and summary:
            write_json(summary)
        return result


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=["livestyle demo", "livestyle video in.mp4 out.mp4 --style scream"],
)
@click.version_option(__version__, "--version", message="livestyle %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Turn any camera, video or picture into a living painting.

    Exit codes: 0: done. 1: done, but part of the input or output was lost. 2: failed.
    130: interrupted; what was written so far is playable.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> int:
    """Run the command line, and return the exit code. Prints an error as one line on stderr; --debug adds the traceback."""
    received: list[int] = []
    with interrupting(received):
        try:
            result = cli.main(standalone_mode=False, prog_name="livestyle")
            with writing_to_stdout():
                sys.stdout.flush()
            return result if isinstance(result, int) else 0
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if "--debug" in sys.argv:
                traceback.print_exc()
            return explain(error, interrupted=bool(received))


@contextmanager
def interrupting(received: list[int]) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block for Ctrl-C, SIGTERM and SIGHUP, except those that are ignored (nohup).

    received: a list, to which the number of each signal that arrives is appended.
    """

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    previous = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)}
    for number in previous:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def explain(error: BaseException, interrupted: bool) -> int:
    """Print an error, and return its exit code."""
    if isinstance(error, (BrokenPipeError, SystemExit)):  # click turns a broken pipe into SystemExit
        return 2  # the reader of the output has closed the pipe
    if isinstance(error, (LivestyleError, click.ClickException)):
        print_error(error, one_line(error))
        return 2
    # an interrupted import may raise another error than KeyboardInterrupt
    if interrupted or isinstance(error, (KeyboardInterrupt, click.Abort)):
        click.echo(nl=sys.stderr.isatty(), err=True)  # after the terminal's ^C
        print_line(one_line(error) if isinstance(error, (KeyboardInterrupt, click.Abort)) else "interrupted", err=True)
        return 130
    print_error(error, one_line(error))
    return 2


def one_line(error: BaseException) -> str:
    """The message of an error, as one line, with the passwords in URLs hidden."""
    return hide_passwords(_message(error))


def _message(error: BaseException) -> str:
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        if not error.option_name.startswith("--"):
            return f"there is no option {error.option_name}; write -- before a name that starts with a dash"
        options = [name for option in error.ctx.command.params for name in option.opts if name.startswith("--")]
        return f"there is no option {error.option_name}; {suggestion(error.option_name, options)}"
    if isinstance(error, click.ClickException):
        message = " ".join(error.format_message().split())
        if isinstance(error, click.MissingParameter) and error.ctx is not None:
            return f"{message.rstrip('.')}; see {error.ctx.command_path} --help"
        return message
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return str(error.__cause__ or error) or "interrupted"
    if isinstance(error, LivestyleError):
        return with_advice(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ImportError) and error.name and error.name.partition(".")[0] != "livestyle":
        is_missing = isinstance(error, ModuleNotFoundError)
        what = f"the package {error.name} is not installed" if is_missing else f"cannot import {error.name}: {first_line(error)}"
        return f"{what}; `livestyle doctor` shows what works"
    if isinstance(error, MemoryError):
        return "out of memory; use a smaller --size"
    return f"unexpected {type(error).__name__}: {first_line(error)}; --debug shows where"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, as libraries may add pages of advice."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")
