"""The command `livestyle evaluate`."""

import itertools
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    MODELS,
    SizeType,
    add_to_summary,
    complete_style,
    loss_options,
    may_write,
    open_stylizer,
    overwrite_options,
    print_line,
    print_notes,
    report_options,
    torch_device,
)
from livestyle.errors import LivestyleError, OutputError
from livestyle.size import Size

if TYPE_CHECKING:
    from livestyle.frame import Image
    from livestyle.train.measure.evaluate import Reading
    from livestyle.train.measure.steadiness import Clip, Steadiness

CLIP_FRAMES, CLIP_HEIGHT = 12, 360  # of the clips for --steady; two pairs of frames are 10 apart (LONG_RANGE)
SHEET_PHOTOS = 10  # maximum on a contact sheet; pictures are not scaled down there, so that strokes are visible


@click.command(
    cls=Command,
    examples=[
        "livestyle evaluate photos/ --pictures paintings/",
        "livestyle evaluate photo.jpg --pictures paintings/ -s wave --steady -o report/",
    ],
)
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--pictures", required=True, type=click.Path(path_type=Path), help="The folder with the style pictures, NAME.jpg.")
@click.option(
    "-s", "--style", "names", multiple=True, shell_complete=complete_style,
    help="A style or painting; may be repeated. Default: all.",
)
@click.option("--model", type=click.Choice(MODELS), default="auto", show_default=True, help="The network.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|openvino|cuda|cuda:N|mps", help="Where to paint.")
@click.option("--height", "heights", multiple=True, type=click.IntRange(16, 4320), help="Paint at this height; may be repeated.")
@click.option("--size", "sizes", multiple=True, type=SizeType(), help="Paint at this size, aspect not kept; may be repeated.")
@loss_options
@click.option("--iterations", is_flag=True, help="Also count the L-BFGS iterations that reach the same total loss.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Maximum number of these iterations.")
@click.option("--steady", is_flag=True, help="Also measure warping errors and flicker.")
@click.option(
    "--clip", "clips", multiple=True, type=click.Path(path_type=Path), help="As --steady, on this video too; may be repeated."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A folder for table.txt, table.json and sheet.jpg.")
@overwrite_options
@report_options
def evaluate(
    photos: tuple[Path, ...],
    pictures: Path,
    names: tuple[str, ...],
    model: str,
    device: str,
    heights: tuple[int, ...],
    sizes: tuple[Size, ...],
    loss_model: str | None,
    loss_model_file: Path | None,
    iterations: bool,
    limit: int,
    steady: bool,
    clips: tuple[Path, ...],
    output: Path | None,
    overwrite: bool | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **weights: float | None,
) -> int:
    """Paint PHOTOS, which are files or folders, in each style, and measure the paintings; 0 is the best value of each figure.

    Style loss: how much of the style is missing. Content loss, CFSD: how much of the photo is lost. Shift error: how much strokes
    change when the photo moves by whole pixels. Lattice: how strong hatching and grids are.

    The total loss for --iterations uses the weights that a style was trained with, unless options set others.
    After Ctrl-C or an error, the tables cover the photos that are done.
    """
    from tqdm import tqdm

    from livestyle.output_file import write_whole
    from livestyle.pictures.finding import find_pictures
    from livestyle.pictures.reading import read_picture
    from livestyle.pictures.writing import write_picture
    from livestyle.style_files.gallery import Gallery
    from livestyle.train.measure.evaluate import (
        evaluate_photo,
        override_weights,
        prepare_style,
        read_style_pictures,
        size_label,
        trained_weights,
        usable_photos,
    )
    from livestyle.train.measure.report import iterations_table, losses_table, make_paintings_sheet, report, steadiness_tables
    from livestyle.train.measure.steadiness import measure_steadiness
    from livestyle.train.measure.yardstick import DEFAULT_LOSS_MODEL, open_yardstick

    all_sizes: list[Size | None] = [*((None, height) for height in heights), *sizes]
    all_sizes = list(dict.fromkeys(all_sizes or [None]))
    sheets = {size: f"sheet{'' if len(all_sizes) == 1 else '_' + size_label(size)}.jpg" for size in all_sizes}
    if output is not None:
        make_output_folder(output, ["table.txt", "table.json", *sheets.values()], overwrite)
    paths = list(dict.fromkeys(find_pictures(list(photos))))
    style_pictures, notes = read_style_pictures(pictures, names, Gallery().names)
    print_notes(notes, quiet)
    yardstick = open_yardstick(loss_model, loss_model_file, torch_device(device))
    paths, skipped = usable_photos(paths, all_sizes, yardstick, iterations)
    print_notes([f"skipped: {note}" for note in skipped], quiet)
    moving = steadiness_clips(paths[0], clips) if steady or clips else []

    readings: list[Reading] = []
    steadiness: dict[str, list[Steadiness]] = {}
    rows: dict[Size | None, list[tuple[str, list[Image]]]] = {size: [] for size in all_sizes}  # of the contact sheets
    ended: KeyboardInterrupt | LivestyleError | None = None
    with open_stylizer(next(iter(style_pictures)), model, device, 1.0, False, quiet, also=style_pictures) as stylizer:
        styles = []
        for name, picture in style_pictures.items():
            look = stylizer.look(name)
            info = stylizer.gallery.models(name)[look.body.architecture.name].info
            each_weights = override_weights(trained_weights(info), weights)
            styles.append(prepare_style(yardstick, name, picture, partial(stylizer, look=look), each_weights))
        total = len(all_sizes) * len(paths) * len(styles)
        with tqdm(total=total, unit="picture", disable=quiet, dynamic_ncols=True) as bar:
            try:
                for size, path in itertools.product(all_sizes, paths):  # read again: all may not fit into memory
                    photo = read_picture(path).image
                    row, found = evaluate_photo(yardstick, styles, path.name, photo, size, limit if iterations else None)
                    readings += found
                    rows[size] += [(path.name, row)] if len(rows[size]) < SHEET_PHOTOS else []
                    bar.update(len(found))
                if moving:
                    for style in styles:
                        steadiness[style.name] = [each for clip in moving for each in measure_steadiness(style.paint, clip)]
            except KeyboardInterrupt:
                if not readings:
                    raise
                ended = KeyboardInterrupt(f"stopped after {len(readings)} of {total} pictures, which the tables cover")
            except LivestyleError as error:
                if not readings:
                    raise
                ended = error
        print_notes(stylizer.engine.notes, quiet)
    tables = [losses_table(readings, loss_model or DEFAULT_LOSS_MODEL)]
    if iterations:
        tables.append(iterations_table(readings, {style.name: style.weights for style in styles}, limit))
    if steadiness:
        tables += steadiness_tables(steadiness)
    text = "\n\n".join(map(str, tables))
    summary = report(tables, readings, skipped)
    if as_json:
        add_to_summary(summary)
    else:
        for line in text.split("\n"):
            print_line(line)
    if output is not None:
        write_whole(output / "table.txt", f"{text}\n".encode())
        write_whole(output / "table.json", f"{json.dumps(summary, ensure_ascii=False, indent=1)}\n".encode())
        for size in (size for size in all_sizes if rows[size]):
            write_picture(output / sheets[size], make_paintings_sheet(style_pictures, rows[size]))
    if ended is not None:
        raise ended
    return 1 if skipped else 0


def steadiness_clips(photo: Path, videos: Sequence[Path]) -> "list[Clip]":
    """Make the clips for --steady: drawn clips, the videos, and the photo with sensor noise. Raises InputError."""
    from livestyle.train.measure.steadiness import drawn_clips, read_clip, read_still

    clips: list[Clip] = [*drawn_clips(CLIP_FRAMES, CLIP_HEIGHT * 16 // 9, CLIP_HEIGHT)]
    clips += [read_clip(path, CLIP_FRAMES, CLIP_HEIGHT) for path in videos]
    return [*clips, read_still(photo, CLIP_FRAMES, CLIP_HEIGHT)]


def make_output_folder(folder: Path, names: Sequence[str], overwrite: bool | None) -> None:
    """Make the folder, and ask before files of these names are overwritten. Raises OutputError if one may not be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    for name in names:
        may_write(folder / name, overwrite)
