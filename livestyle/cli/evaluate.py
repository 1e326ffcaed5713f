"""livestyle evaluate"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    MODELS,
    SizeType,
    complete_style,
    loss_options,
    may_write,
    open_stylizer,
    overwrite_options,
    print_json,
    print_line,
    report_options,
    tell,
    torch_device,
)
from livestyle.errors import InputError, LivestyleError, OutputError, TrainingError
from livestyle.size import Size, fit_size

if TYPE_CHECKING:
    from livestyle.frame import Image
    from livestyle.stylizer import Stylizer
    from livestyle.train.measure.evaluate import Reading, Subject
    from livestyle.train.measure.steadiness import Clip, Steadiness
    from livestyle.train.measure.yardstick import Yardstick

Row = tuple[str, list["Image"]]  # a photo's name; the photo and its paintings
CLIP_FRAMES, CLIP_HEIGHT = 12, 360  # of what steadiness is measured on
SHEET_PHOTOS = 10  # at most on a sheet, whose pictures are as large as they were painted: it is for looking at strokes


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
    "-s", "--style", "names", multiple=True, shell_complete=complete_style, help="A style; may be repeated. Default: all."
)
@click.option("--model", type=click.Choice(MODELS), default="auto", show_default=True, help="The network.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|openvino|cuda|cuda:N|mps", help="Where to paint.")
@click.option("--height", "heights", multiple=True, type=click.IntRange(16, 4320), help="Paint at this height; may be repeated.")
@click.option("--size", "sizes", multiple=True, type=SizeType(), help="Paint at this size, aspect not kept; may be repeated.")
@loss_options
@click.option("--iterations", is_flag=True, help="Also count the L-BFGS iterations that reach the same total loss.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Maximum of these iterations.")
@click.option("--steady", is_flag=True, help="Also measure warping error and flicker.")
@click.option(
    "--clip", "clips", multiple=True, type=click.Path(path_type=Path), help="Measure them on this video too; may be repeated."
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
    """Paint PHOTOS, files or folders, in each style, and print the style and content loss.

    The total loss of --iterations has the weights that a style was trained with, unless others are given.
    After Ctrl-C or an error, the tables cover the photos that are done.
    """
    from tqdm import tqdm

    from livestyle.output_file import write_whole
    from livestyle.pictures.finding import find_pictures
    from livestyle.pictures.reading import read_picture
    from livestyle.train.measure.evaluate import iterations_table, losses_table, steadiness_table
    from livestyle.train.measure.steadiness import measure
    from livestyle.train.measure.yardstick import DEFAULT_LOSS_MODEL, open_yardstick

    asked: list[Size | None] = [*((None, height) for height in heights), *sizes]
    asked = list(dict.fromkeys(asked or [None]))
    sheets = {size: f"sheet{'' if len(asked) == 1 else '_' + label(size)}.jpg" for size in asked}
    if output is not None:
        prepare(output, ["table.txt", "table.json", *sheets.values()], overwrite)
    paths = list(dict.fromkeys(find_pictures(list(photos))))
    style_images = read_style_pictures(pictures, names, quiet)
    yardstick = open_yardstick(loss_model, loss_model_file, torch_device(device))
    paths, skipped = usable_photos(paths, asked, yardstick, iterations)
    tell([f"skipped: {note}" for note in skipped], quiet)
    moving = steadiness_clips(paths[0], clips) if steady or clips else []

    readings: list[Reading] = []
    steadiness: dict[str, list[Steadiness]] = {}
    rows: dict[Size | None, list[Row]] = {size: [] for size in asked}
    ended: KeyboardInterrupt | LivestyleError | None = None
    with open_stylizer(next(iter(style_images)), model, device, 1.0, False, quiet, also=style_images) as stylizer:
        subjects = [subject(yardstick, stylizer, name, image, weights) for name, image in style_images.items()]
        total = len(asked) * len(paths) * len(subjects)
        with tqdm(total=total, unit="picture", disable=quiet, dynamic_ncols=True) as bar:
            try:
                for size, path in itertools.product(asked, paths):  # read again, as a folder of photos may fill the memory
                    photo = path.name, resized(read_picture(path).image, size)
                    row, found = paint(yardstick, stylizer, subjects, photo, size, limit if iterations else None)
                    readings += found
                    rows[size] += [(path.name, row)] if len(rows[size]) < SHEET_PHOTOS else []
                    bar.update(len(found))
                for name in style_images if moving else ():
                    paint_clip = partial(stylizer, look=stylizer.look(name))
                    steadiness[name] = [measure(paint_clip, clip) for clip in moving]
            except KeyboardInterrupt:
                if not readings:
                    raise
                ended = KeyboardInterrupt(f"stopped after {len(readings)} of {total} pictures, which the tables cover")
            except LivestyleError as error:
                if not readings:
                    raise
                ended = error
        tell(stylizer.engine.notes, quiet)
    tables = [losses_table(readings, loss_model or DEFAULT_LOSS_MODEL)]
    tables += [iterations_table(readings, subjects, limit)] if iterations else []
    tables += [steadiness_table(steadiness)] if steadiness else []
    text = "\n\n".join(map(str, tables))
    report: dict[str, Any] = {
        "tables": [table.as_dict() for table in tables],
        "readings": [asdict(reading) for reading in readings],
    }
    report["skipped"] = skipped
    if as_json:
        print_json(report)
    else:
        for line in text.split("\n"):
            print_line(line)
    if output is not None:
        write_whole(output / "table.txt", f"{text}\n".encode())
        write_whole(output / "table.json", f"{json.dumps(report, ensure_ascii=False, indent=1)}\n".encode())
        for size in (size for size in asked if rows[size]):
            write_sheet(output / sheets[size], style_images, rows[size])
    if ended is not None:
        raise ended
    return 1 if skipped else 0


def label(size: Size | None) -> str:
    """480, 712x476, or own."""
    if size is None:
        return "own"
    return str(size[1]) if size[0] is None else f"{size[0]}x{size[1]}"


def usable_photos(
    paths: Sequence[Path], sizes: "Sequence[Size | None]", yardstick: "Yardstick", optimised: bool
) -> tuple[list[Path], list[str]]:
    """The photos that can be measured, and a line on each other. Raises what `check_photo` raises if there is none."""
    usable: list[Path] = []
    errors: list[LivestyleError] = []
    for path in paths:
        try:
            check_photo(path, sizes, yardstick, optimised)
            usable.append(path)
        except LivestyleError as error:
            errors.append(error)
    if not usable:
        raise errors[0]
    return usable, [str(error) for error in errors]


def check_photo(path: Path, sizes: "Sequence[Size | None]", yardstick: "Yardstick", optimised: bool) -> None:
    """Raises InputError, TrainingError or TooLargeError before anything is measured."""
    from livestyle.pictures.reading import read_picture
    from livestyle.train.measure.optimize import check_memory
    from livestyle.train.measure.yardstick import LEAST_SIDE, check_picture

    image = read_picture(path).image
    check_picture(image, str(path))
    for width, height in (painted_size(image, size) for size in sizes):
        if min(width, height) < LEAST_SIDE:
            raise TrainingError(f"{path} would be painted at {width}x{height}; it takes {LEAST_SIDE} pixels each way")
        check_memory(yardstick, height, width, optimised)


def resized(image: "Image", size: Size | None) -> "Image":
    """To its painted size."""
    from livestyle.pictures.pixels import resize

    return resize(image, *painted_size(image, size))


def painted_size(image: "Image", size: Size | None) -> tuple[int, int]:
    """(width, height): exactly WxH, or of a height, aspect kept, or the image's own."""
    if size is not None and size[0] is not None:
        return size[0], size[1]
    return fit_size(image.shape[1], image.shape[0], size)


def read_style_pictures(folder: Path, names: Sequence[str], quiet: bool) -> "dict[str, Image]":
    """Style -> its picture, (H, W, 3) uint8. No names: all styles that have one in the folder. Raises InputError."""
    from livestyle.pictures.formats import READ_SUFFIXES
    from livestyle.pictures.reading import read_picture
    from livestyle.style_files.gallery import Gallery
    from livestyle.train.measure.yardstick import check_picture

    if not folder.is_dir():
        raise InputError(f"--pictures {folder} is not a folder; name the one that holds the style pictures, wave.jpg ...")
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}") from error
    found: dict[str, Image] = {}
    for name in names or Gallery().names:
        stem = Path(name).name.split(".")[0]
        path = next((path for path in files if path.stem == stem and path.suffix.lower() in READ_SUFFIXES), None)
        if path is not None:
            found[name] = read_picture(path).image
            check_picture(found[name], str(path))
        elif names:
            suffixes = ", ".join(READ_SUFFIXES[1:])
            raise InputError(f"no picture of the style {stem} in {folder}; put {stem}.jpg there (or {suffixes})")
        else:
            tell([f"{stem} is left out: {folder} has no picture of it"], quiet)
    if not found:
        raise InputError(f"no picture of any style in {folder}; put wave.jpg and so on there")
    return found


def subject(
    yardstick: "Yardstick", stylizer: "Stylizer", name: str, image: "Image", weights: Mapping[str, float | None]
) -> "Subject":
    """A style as it is measured, once the stylizer is seen to have it."""
    from livestyle.train.measure.evaluate import Subject, trained_weights, with_given
    from livestyle.train.measure.yardstick import style_tensor

    model = stylizer.look(name).body.architecture.name
    trained = trained_weights(stylizer.gallery.models(name)[model].info)
    device = next(yardstick.network.parameters()).device
    return Subject(name, yardstick.grams(style_tensor(image).to(device)), with_given(trained, weights))


def paint(
    yardstick: "Yardstick",
    stylizer: "Stylizer",
    subjects: "Sequence[Subject]",
    photo: "tuple[str, Image]",
    size: Size | None,
    limit: int | None,
) -> "tuple[list[Image], list[Reading]]":
    """The photo and what each style makes of it, and the readings."""
    from livestyle.train.measure.evaluate import measured

    name, image = photo
    row, readings = [image], []
    for each in subjects:
        row.append(stylizer(image, stylizer.look(each.name)))
        readings.append(measured(yardstick, each, name, label(size), image, row[-1], limit))
    return row, readings


def steadiness_clips(photo: Path, videos: Sequence[Path]) -> "list[Clip]":
    """What steadiness is measured on: drawn clips, the given videos, and the photo as a noisy sensor sees it."""
    from livestyle.train.measure.steadiness import drawn_clips, read_clip, read_still

    clips: list[Clip] = [*drawn_clips(CLIP_FRAMES, CLIP_HEIGHT * 16 // 9, CLIP_HEIGHT)]
    clips += [read_clip(path, CLIP_FRAMES, CLIP_HEIGHT) for path in videos]
    return [*clips, read_still(photo, CLIP_FRAMES, CLIP_HEIGHT)]


def prepare(folder: Path, names: Sequence[str], overwrite: bool | None) -> None:
    """Everything that can be refused before it is measured. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    for name in names:
        may_write(folder / name, overwrite)


def write_sheet(path: Path, style_images: "Mapping[str, Image]", rows: Sequence[Row]) -> None:
    """The style pictures, and below them a row a photo, a column a style."""
    import numpy as np

    from livestyle.pictures.contact_sheet import PAPER, make_sheet
    from livestyle.pictures.pixels import resize
    from livestyle.pictures.writing import write_picture

    room = rows[0][1][0].shape[1], rows[0][1][0].shape[0]
    top = [resize(image, *fit_size(image.shape[1], image.shape[0], room)) for image in style_images.values()]
    empty = np.full((1, 1, 3), PAPER, np.uint8)
    headings = ["", *(Path(name).name.split(".")[0] for name in style_images)]
    write_picture(path, make_sheet(headings, [("", [empty, *top]), *rows]))
