"""The command line: reads the words, assembles the parts, runs them.

Each command is a file of this folder, imported when it is called: `livestyle --help` must not wait for torch.
"""

import importlib
import signal
import sys
from typing import Any, NoReturn

import click

from livestyle import __version__
from livestyle.errors import LivestyleError

COMMANDS = {  # name: one line of help
    "video": "Paint video files.",
    "image": "Paint pictures.",
    "webcam": "Paint a camera's picture in a window, live.",
    "styles": "List, show, rename, remove and export styles.",
    "demo": "Paint a moving scene in every style; needs no camera and no file.",
    "train": "Train new styles.",
    "optimize": "Paint a picture in any picture's style, slowly and without training.",
    "evaluate": "Measure how well styles are painted.",
    "bench": "Measure this machine's speed.",
    "completion": "Print the shell's completion script.",
}


class LazyGroup(click.Group):
    """Imports a command's file when the command is used, not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"livestyle.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="livestyle %(version)s")
def cli() -> None:
    """Turn any camera, video or picture into a living painting.

    Exit codes: 0 done; 1 finished, but the input was damaged and the output holds what could be
    read; 2 could not start; 130 interrupted, with what was written playable.
    """


def main() -> NoReturn:
    """Run the command line and exit: errors in one line on stderr, a traceback only with --debug."""
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end: as Ctrl-C, so that nothing is lost
    try:
        result: Any = cli.main(standalone_mode=False, prog_name="livestyle")
        sys.exit(result if isinstance(result, int) else 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, click.Abort) as stop:
        if debug:
            raise
        click.echo(str(stop.__cause__ or stop) or "interrupted", err=True)  # click wraps what was raised
        sys.exit(130)
    except (LivestyleError, click.ClickException) as error:
        if debug:
            raise
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"livestyle: {' '.join(message.split())}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(2)  # whoever read our output has gone
    except Exception as error:
        if debug:
            raise
        click.echo(f"livestyle: unexpected {type(error).__name__}: {' '.join(str(error).split())}; --debug shows where", err=True)
        sys.exit(2)
