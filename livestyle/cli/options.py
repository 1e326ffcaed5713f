"""Options that several commands share, and what is asked of them before anything heavy is imported."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from livestyle.errors import OutputError

if TYPE_CHECKING:
    import torch

    from livestyle.stylizer import Stylizer

F = TypeVar("F", bound=Callable[..., Any])
Size = tuple[int | None, int]  # the width and height to fit inside; None: any width


class SizeType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    """WxH, or a height -> (width or None, height)."""

    name = "WxH|HEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        match = re.fullmatch(r"(?:(\d{1,5})[xX])?(\d{1,5})", str(value))
        if not match or int(match[2]) < 1 or (match[1] and int(match[1]) < 1):
            self.fail(f"{value!r} is not a size; write 1280x720, or a height such as 720", param, ctx)
        return (int(match[1]) if match[1] else None, int(match[2]))


def complete_style(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The styles' names, for the shell."""
    from livestyle.gallery import Gallery

    return [name for name in Gallery().names if name.startswith(incomplete)]


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in this order."""

    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


style_option = click.option(
    "-s", "--style", default="wave", show_default=True, shell_complete=complete_style, help="A style; a blend: wave:.7,udnie:.3."
)
look_options = together(
    click.option("--model", type=click.Choice(["auto", "full", "lite"]), default="auto", show_default=True, help="The network."),
    click.option(
        "--device", default="auto", show_default=True, metavar="auto|cpu|openvino|cuda|cuda:N|mps", help="Where to paint."
    ),
    click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="0 the photo, 1 the painting."),
    click.option("--keep-colors", is_flag=True, help="The painting's lightness, the photo's colours."),
)
smooth_option = click.option(
    "--smooth", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Steadier strokes, by the frame before."
)
size_option = click.option("--size", type=SizeType(), help="Fit inside, aspect kept; default: the input's size.")
loss_options = together(
    click.option("--content-weight", type=click.FloatRange(0, 1e6), help="More: the photo shows through."),
    click.option("--style-weight", type=click.FloatRange(0, 1e6), help="More: the photo drowns."),
    click.option("--tv-weight", type=click.FloatRange(0, 1e6), help="More: smoother."),
    click.option("--loss-model", help="The network that losses are measured in: own (bundled), vgg_19, vgg_16 ..."),
    click.option(
        "--loss-model-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its weights, safetensors."
    ),
)
overwrite_options = together(
    click.option("-y", "overwrite", flag_value=True, type=bool, default=None, help="Overwrite what exists."),
    click.option("-n", "overwrite", flag_value=False, type=bool, help="Never overwrite."),
)
report_options = together(
    click.option("--json", "as_json", is_flag=True, help="A machine-readable summary on stdout."),
    click.option("--quiet", is_flag=True, help="No progress bar, no summary."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
)


def may_write(path: Path, overwrite: bool | None) -> bool:
    """Whether a file of that name may be replaced: with -y, or where a person agrees on a terminal.

    Raises OutputError if there is one that may not. If there is none, one that appears later may be replaced with -y alone.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    if overwrite or not path.exists():
        return bool(overwrite)
    if overwrite is None and sys.stdin.isatty() and click.confirm(f"{path} exists. Overwrite it?", err=True):
        return True
    raise OutputError(f"{path} exists; use -y to overwrite it, or another name")


def refuse_same_file(source: Path, target: Path) -> None:
    """Raises OutputError if the output is the input, also by another name or a link."""
    if source.exists() and target.exists() and source.samefile(target):
        raise OutputError(f"{target} is the input itself; name another output")


def fit_size(width: int, height: int, size: Size | None) -> tuple[int, int]:
    """(width, height) scaled to fit inside the asked size, aspect kept."""
    if size is None:
        return width, height
    factor = size[1] / height if size[0] is None else min(size[0] / width, size[1] / height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def open_stylizer(style: str, model: str, device: str, strength: float, keep_colors: bool, quiet: bool = False) -> "Stylizer":
    """The stylizer for the shared options, its gallery's notes told."""
    from livestyle.stylizer import Stylizer

    stylizer = Stylizer(style, model, device, strength=strength, keep_colors=keep_colors)
    tell(stylizer.gallery.notes, quiet)
    return stylizer


def torch_device(name: str) -> "torch.device":
    """Where PyTorch computes losses, for a device's name: OpenVINO's is the CPU. Raises DeviceError."""
    import torch

    from livestyle.engines import choose_device

    chosen = choose_device(name)
    return torch.device("cpu" if chosen == "openvino" else chosen)


def tell(notes: list[str], quiet: bool) -> None:
    """Notes for a person, on stderr."""
    for note in [] if quiet else notes:
        click.echo(f"note: {note}", err=True)


def print_json(summary: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(summary, ensure_ascii=False))
