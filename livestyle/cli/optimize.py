"""The command `livestyle optimize`."""

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    add_to_summary,
    counted,
    loss_options,
    overwrite_options,
    print_line,
    print_notes,
    report_options,
    size_option,
    torch_device,
)
from livestyle.cli.photos import STDIO, confirm_targets
from livestyle.errors import OutputError
from livestyle.size import Size, fit_size

if TYPE_CHECKING:
    from livestyle.train.measure.optimize import OptimizationStep

DEFAULT_MAX_SIDE = 512  # pixels; larger pictures take long


@click.command(
    cls=Command,
    examples=[
        "livestyle optimize photo.jpg --style-image painting.jpg -o painted.jpg",
        "livestyle optimize photo.jpg --style-image painting.jpg -o painted.jpg --size 720 --iterations 400",
    ],
)
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("--style-image", required=True, type=click.Path(path_type=Path), help="The picture to take the style from.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write.")
@size_option
@loss_options
@click.option("--iterations", type=click.IntRange(1), default=200, show_default=True, help="Number of L-BFGS iterations.")
@click.option(
    "--style-size", type=click.IntRange(32, 2048), default=256, show_default=True, help="Short side of the style picture, pixels."
)
@click.option(
    "--from",
    "start",
    type=click.Choice(["photo", "noise"]),
    default="photo",
    show_default=True,
    help="The picture to start from.",
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="Where to compute.")
@overwrite_options
@report_options
def optimize(
    photo: Path,
    style_image: Path,
    output: Path,
    size: Size | None,
    loss_model: str | None,
    loss_model_file: Path | None,
    iterations: int,
    style_size: int,
    start: str,
    device: str,
    overwrite: bool | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **weights: float | None,
) -> None:
    """Paint PHOTO in the style of any picture by optimising its pixels, which is slow (Gatys et al. 2016).

    Larger photos are scaled down to fit 512x512 unless --size is given. Ctrl-C writes the best picture so far.
    """
    from tqdm import tqdm

    from livestyle.interrupt import ctrl_c_noted
    from livestyle.pictures.pixels import resize
    from livestyle.pictures.reading import read_picture
    from livestyle.pictures.writing import write_picture
    from livestyle.train.content.crops import to_tensor
    from livestyle.train.measure.optimize import Weights, check_memory, noise_like, optimize_picture
    from livestyle.train.measure.yardstick import check_picture, open_yardstick, style_tensor

    started = time.monotonic()
    if output == STDIO:
        raise OutputError("cannot write -: name a file, such as painted.png")
    confirm_targets([(photo, output), (style_image, output)], overwrite)
    picture, style_picture = read_picture(photo), read_picture(style_image).image
    width, height = painted_size(picture.image.shape[1], picture.image.shape[0], size)
    check_picture(style_picture, str(style_image))
    compute_device = torch_device(device)
    yardstick = open_yardstick(loss_model, loss_model_file, compute_device)
    check_memory(yardstick, height, width)
    pixels = resize(picture.image, width, height)
    check_picture(pixels, str(photo))
    if pixels is not picture.image and size is None:
        print_notes([f"painted at {width}x{height}; use --size for another size"], quiet)

    content = to_tensor(pixels)[None].to(compute_device)  # (1, 3, H, W)
    style = yardstick.grams(style_tensor(style_picture, style_size).to(compute_device))
    overrides = {name.removesuffix("_weight"): weight for name, weight in weights.items() if weight is not None}
    first = noise_like(content) if start == "noise" else None
    steps = itertools.islice(optimize_picture(yardstick, content, style, Weights(**overrides), first), iterations + 1)
    best: OptimizationStep | None = None
    with ctrl_c_noted() as interrupted, tqdm(total=iterations, unit="iteration", disable=quiet, dynamic_ncols=True) as bar:
        for step in steps:
            best = step if best is None or step.total < best.total else best
            bar.update(step.iteration - bar.n)
            bar.set_postfix({"total": f"{best.total:.3g}", "style": f"{best.style:.3g}", "content": f"{best.content:.3g}"})
            if interrupted():
                break
    assert best is not None  # islice yields at least one step
    painted = (best.picture[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()  # (H, W, 3)
    alpha = None if picture.alpha is None else resize(picture.alpha, width, height)
    write_picture(output, painted, alpha, picture.exif)
    seconds = time.monotonic() - started
    losses = {name: getattr(best, name) for name in ("style", "content", "total")}
    if as_json:
        add_to_summary({"written": str(output), "iterations": step.iteration, "losses": losses, "seconds": round(seconds, 1)})
    if step.iteration < iterations:
        raise KeyboardInterrupt(f"stopped after iteration {step.iteration} of {iterations}; {output} is the best so far")
    if not (as_json or quiet):
        line = ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        print_line(f"{output}: {line} after {counted(step.iteration, 'iteration')}, {seconds:.0f} s", err=True)


def painted_size(width: int, height: int, size: Size | None) -> tuple[int, int]:
    """Scale (width, height) to fit `size`; without a size, scale them down to at most DEFAULT_MAX_SIDE. In pixels."""
    if size is None and max(width, height) <= DEFAULT_MAX_SIDE:
        return width, height
    return fit_size(width, height, size or (DEFAULT_MAX_SIDE, DEFAULT_MAX_SIDE))
