"""Options that several commands share, their types, and functions that print."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from livestyle.errors import LivestyleError, OutputError, TooLargeError, printable
from livestyle.networks import ARCHITECTURES
from livestyle.size import LARGEST_SIDE, Size

if TYPE_CHECKING:
    import torch

    from livestyle.stylizer import Stylizer

F = TypeVar("F", bound=Callable[..., Any])
MODELS = ["auto", *ARCHITECTURES]


class SizeType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    """WxH, a height, or a name such as 720p or 4k -> a Size: (width or None, height)."""

    name = "WxH|HEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        if isinstance(value, tuple):
            return value
        text = value.strip().lower()
        match = re.fullmatch(r"(?:(\d{1,9})x)?(\d{1,9})p?", "2160" if text in ("4k", "uhd") else text, re.ASCII)
        if not match or (match[1] and text.endswith("p")):
            self.fail(f"{value!r} is not a size; write 1280x720, or a height such as 720 or 720p", param, ctx)
        width, height = int(match[1]) if match[1] else None, int(match[2])
        if height < 1 or width == 0 or max(width or 0, height) > LARGEST_SIDE:
            self.fail(f"{value!r} is not a size: each side is between 1 and {LARGEST_SIDE} pixels", param, ctx)
        return width, height


UNITS = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}  # in seconds
NUMBER = r"\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}"


class TimeType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    """Seconds (90, 12.5), a time with units (1h30m, 90s, 500ms), or [h:]m:s (1:02:03.5) -> seconds as a Fraction.

    above_zero: refuse 0.
    """

    name = "TIME"

    def __init__(self, above_zero: bool = False) -> None:
        self._above_zero = above_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        if not isinstance(value, str):
            return Fraction(value)
        seconds = _seconds(value.strip().lower())
        if seconds is None:
            self.fail(f"{value!r} is not a time; write seconds (12.5), 1:02:03.5 or 1h2m3.5s", param, ctx)
        if self._above_zero and not seconds:
            self.fail(f"{value!r}: the time must be above 0", param, ctx)
        return seconds


def _seconds(text: str) -> Fraction | None:
    """The seconds of a time in any of the forms that TimeType accepts; None for any other text."""
    if match := re.fullmatch(rf"(?:(?:(\d{{1,4}}):)?(\d{{1,4}}):)?({NUMBER})", text, re.ASCII):
        return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + Fraction(match[3])
    text = re.sub(r"(?<=[\d. ])(hours?|hrs?)", "h", text)
    text = re.sub(r"(?<=[\d. ])(minutes?|mins?)", "m", text)
    text = re.sub(r"(?<=[\d. ])(seconds?|secs?)", "s", text)
    text = re.sub(r"h(\d{1,2})$", r"h\1m", re.sub(r"m(\d{1,2})$", r"m\1s", text))  # 1h30, 1m30
    parts = re.fullmatch("".join(rf"(?:({NUMBER}) ?{unit}(?![a-z]) ?)?" for unit in UNITS), text, re.ASCII)
    if not text or not parts:
        return None
    return sum((Fraction(part) * size for part, size in zip(parts.groups(), UNITS.values(), strict=True) if part), Fraction(0))


def complete_style(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of styles, for shell completion; files if no name fits."""
    from livestyle.style_files.gallery import Gallery

    names = [CompletionItem(name) for name in Gallery().names if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def combine_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator that adds several options, which the help lists in this order."""

    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


style_option = click.option(
    "-s",
    "--style",
    default="wave",
    show_default=True,
    shell_complete=complete_style,
    help="Name or file of a style, a picture of a painting, or a blend: wave:.7,painting.jpg:.3. `livestyle styles` lists them.",
)
look_options = combine_options(
    click.option(
        "--model",
        type=click.Choice(MODELS),
        default="auto",
        show_default=True,
        help="Network: " + ", ".join(f"{each.name} {each.summary}" for each in ARCHITECTURES.values()) + ".",
    ),
    click.option(
        "--device", default="auto", show_default=True, metavar="auto|cpu|openvino|cuda|cuda:N|mps", help="Device to paint on."
    ),
    click.option(
        "--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="From 0, the photo, to 1, the painting."
    ),
    click.option("--keep-colors", is_flag=True, help="Keep the photo's colours; paint only the lightness."),
)
only_option = click.option("--only", type=click.Choice(["person", "background"]), help="Paint only this part of the picture.")
compare_option = click.option("--compare", is_flag=True, help="Show the photo in the left half of the frames.")
smooth_option = click.option(
    "--smooth",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Reduce flicker, by following motion from frame to frame; try 0.7. On a CPU, it at least halves the speed.",
)
size_option = click.option("--size", type=SizeType(), help="Scale to fit, with the aspect ratio kept: 1280x720, 720 or 720p.")
loss_options = combine_options(
    click.option("--content-weight", type=click.FloatRange(0, 1e6), help="Higher: closer to the photo."),
    click.option("--style-weight", type=click.FloatRange(0, 1e6), help="Higher: closer to the style."),
    click.option("--tv-weight", type=click.FloatRange(0, 1e6), help="Higher: smoother."),
    click.option("--loss-model", help="Loss network: own (bundled), vgg_19, vgg_16 ..."),
    click.option(
        "--loss-model-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Weights of the loss network (safetensors).",
    ),
)
overwrite_options = combine_options(
    click.option("-y", "overwrite", flag_value=True, type=bool, default=None, help="Overwrite existing files."),
    click.option("-n", "overwrite", flag_value=False, type=bool, help="Never overwrite existing files."),
)
report_options = combine_options(
    click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON on stdout, also after an error."),
    click.option("--quiet", is_flag=True, help="Print no progress bar, notes or summary."),
    click.option("--debug", is_flag=True, help="Show tracebacks and the messages of libraries."),
)


def may_write(path: Path, overwrite: bool | None) -> bool:
    """Whether an existing file may be replaced: with -y, or if the user agrees on a terminal.

    False if there is no file and no -y: a file that another program creates before the output is written must stay.
    Raises OutputError if the path is a folder, or a file that must not be replaced.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    if overwrite or not path.exists():
        return bool(overwrite)
    if overwrite is None and sys.stdin.isatty() and click.confirm(f"{printable(str(path))} exists. Overwrite it?", err=True):
        return True
    raise OutputError(f"{path} exists; use -y to overwrite it, or another name")


def open_stylizer(
    style: str, model: str, device: str, strength: float, keep_colors: bool, quiet: bool = False, also: Iterable[str] = ()
) -> "Stylizer":
    """Open the stylizer for the shared options, and print notes on the style files that it uses.

    also: further styles that will be used.
    """
    from livestyle.style_files.blend import parse_blend
    from livestyle.stylizer import Stylizer

    stylizer = Stylizer(style, model, device, strength=strength, keep_colors=keep_colors)
    used = dict.fromkeys([*parse_blend(style), *also])
    print_notes(stylizer.gallery.notes + stylizer.gallery.shadowed(used, stylizer.model), quiet)
    return stylizer


def torch_device(name: str) -> "torch.device":
    """PyTorch's device for a value of --device: for OpenVINO, the CPU. Raises DeviceError."""
    import torch

    from livestyle.engines.devices import choose_device

    chosen = choose_device(name)
    return torch.device("cpu" if chosen == "openvino" else chosen)


def with_advice(error: LivestyleError) -> str:
    """An error's message, followed by its advice, if it has any, such as an option to use."""
    fits = error.fits if isinstance(error, TooLargeError) else None
    advice = f"use --size {fits[0]}x{fits[1]}" if fits else error.advice
    return f"{error}; {advice}" if advice else str(error)


def print_error(error: BaseException, message: str) -> None:
    """Print the message of an error on stderr, after a line for each note of the error."""
    for line in [*getattr(error, "__notes__", ()), message]:
        print_line(f"livestyle: {line}", err=True)


def print_notes(notes: Iterable[str], quiet: bool) -> None:
    """Print notes on stderr, unless --quiet is given."""
    for note in [] if quiet else notes:
        print_line(f"note: {note}", err=True)


def print_line(text: object, err: bool = False) -> None:
    """Print one line on stdout or stderr, escaped: use it for every text that may contain the name of a file or a style."""
    line = printable(str(text))
    if err:
        click.echo(line, err=True)
    else:
        with writing_to_stdout():
            click.echo(line)


@contextmanager
def writing_to_stdout() -> Iterator[None]:
    """Raise OutputError if writing to stdout fails in the block. BrokenPipeError is passed on: the reader closed the pipe."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to stdout: {error.strerror}") from error


def counted(number: int, thing: str) -> str:
    """A number with its noun: 1 frame, 2 frames."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def add_to_summary(summary: dict[str, Any]) -> None:
    """Add keys to the summary, which --json prints on stdout when the command ends, also after an error."""
    keys = click.get_current_context().find_root().obj
    if isinstance(keys, dict):
        keys.update(summary)
    else:  # the command was called without the program, as in tests
        write_json(summary)


def write_json(summary: dict[str, Any]) -> None:
    """Print one JSON object on stdout, in ASCII: file names may contain bytes that are not valid text."""
    with writing_to_stdout():
        click.echo(json.dumps(summary))
