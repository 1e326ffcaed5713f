"""The command `livestyle image`."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    add_to_summary,
    look_options,
    open_stylizer,
    overwrite_options,
    print_line,
    print_notes,
    report_options,
    size_option,
    style_option,
    with_advice,
)
from livestyle.cli.photos import (
    DEFAULT_FOLDER,
    STDIO,
    check_stdout,
    confirm_targets,
    list_photos,
    plan,
    read,
    sheet_target,
    split_output,
    write_to_stdout,
)
from livestyle.errors import LivestyleError
from livestyle.size import Size

if TYPE_CHECKING:
    from livestyle.jobs.pictures import PictureJob, PictureResult
    from livestyle.stylizer import Stylizer

LARGE_PAINTING_SIDE = 2400
"""Pixels. A note suggests --stroke-size for paintings whose shorter side is at least this long."""


@click.command(
    cls=Command,
    examples=[
        "livestyle image photo.jpg painted.jpg --style scream",
        "livestyle image photos/ -o painted/ --stroke-size 3 --skip-existing",
    ],
)
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO... [OUTPUT]", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="FILE|FOLDER/|-", help="Output file for one photo, folder for several, or - for stdout.")
@style_option
@click.option("--all-styles", is_flag=True, help="Paint one contact sheet: a row for each photo, a column for each style.")
@look_options
@size_option
@click.option(
    "--stroke-size",
    type=click.FloatRange(1, 20),
    metavar="TIMES",
    help="Paint strokes this many times as large, and keep the photo's detail; 3 suits photos from a phone.",
)
@click.option("-r", "--recursive", is_flag=True, help="Paint the photos in subfolders too.")
@click.option("--skip-existing", is_flag=True, help="Skip photos whose output exists.")
@overwrite_options
@report_options
def image(
    photos: tuple[Path, ...],
    output: str | None,
    style: str,
    all_styles: bool,
    model: str,
    device: str,
    strength: float,
    keep_colors: bool,
    size: Size | None,
    stroke_size: float | None,
    recursive: bool,
    skip_existing: bool,
    overwrite: bool | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Paint photos: PHOTO OUTPUT, or several photos or folders with -o FOLDER. PHOTO can be - for stdin.

    Without an output, photos are painted to generated/res_[style]_[photo].jpg. Date, camera and place (EXIF) are kept in JPEG,
    PNG and WebP; colours are converted to sRGB.
    """
    from livestyle.style_files.blend import parse_blend

    started = time.monotonic()
    summary: dict[str, Any] = {"written": [], "skipped": [], "failed": [], "files": []}
    add_to_summary(summary)  # the lists are filled during the run
    inputs, output = split_output(list(photos), output)
    sources = list_photos(inputs, Path(output or DEFAULT_FOLDER), recursive)
    if all_styles:
        from livestyle.style_files.gallery import Gallery

        target = sheet_target(output)
        check_stdout([target], as_json)
        confirm_targets([(path, target) for path, _ in sources], overwrite)
        first = next(iter(Gallery().names), style)
        with open_stylizer(first, model, device, strength, keep_colors, quiet) as stylizer:
            paint_sheet_file([path for path, _ in sources], target, stylizer, size, stroke_size or 1, summary, quiet)
    else:
        from livestyle.jobs.pictures import PictureJob

        label = "+".join(Path(name).name.split(".")[0] for name in parse_blend(style))
        pairs = plan(sources, output, label, several=len(sources) > 1 or any(path.is_dir() for path in inputs))
        check_stdout([target for _, target in pairs], as_json)
        if skip_existing or (overwrite is False and len(pairs) > 1):
            summary["skipped"] = [str(target) for _, target in pairs if os.path.lexists(target)]
            pairs = [(path, target) for path, target in pairs if not os.path.lexists(target)]
        confirm_targets(pairs, overwrite)
        jobs = [
            PictureJob(
                source=path,
                target=target,
                style=style,
                strength=strength,
                keep_colors=keep_colors,
                size=size,
                stroke_size=stroke_size or 1,
                overwrite=bool(overwrite) or target.exists(),  # for an existing target, confirm_targets has asked
            )
            for path, target in pairs
        ]
        if len(photos) == 2 == len(inputs) and output is None and photos[1].is_file() and not photos[0].is_dir():
            print_notes([f"{photos[1]} exists, so it is painted as a second photo; to write to it, use -o {photos[1]}"], quiet)
        if jobs:
            with open_stylizer(style, model, device, strength, keep_colors, quiet) as stylizer:
                short_side = paint_each(jobs, stylizer, summary, quiet)
            if stroke_size is None and short_side >= LARGE_PAINTING_SIDE:
                larger = round(short_side / 1000)
                print_notes([f"the strokes are fine on photos this large; --stroke-size {larger} makes them larger"], quiet)
    if written := summary["written"]:
        print_notes(stylizer.engine.notes, quiet)
    summary["seconds"] = round(time.monotonic() - started, 3)
    add_to_summary(summary)
    if not quiet and not as_json and str(STDIO) not in written:
        print_line(summary_line(summary), err=True)
    if summary["failed"] and not written:
        return 2
    return 1 if summary["failed"] or any(file["damage"] for file in summary["files"]) else 0


def run_with_stdio(job: "PictureJob", stylizer: "Stylizer") -> "PictureResult":
    """Run a job like `run_picture`, with - for stdin and stdout. Stdout gets a JPEG, or a PNG if the picture has transparency."""
    from livestyle.jobs.pictures import PictureResult, paint_picture, run_picture, write_painting
    from livestyle.pictures.writing import encode_picture

    if STDIO not in (job.source, job.target):
        return run_picture(job, stylizer)
    picture = read(job.source)
    if job.target != STDIO:
        return write_painting(job, paint_picture(picture, job, stylizer))
    suffix = ".jpg" if picture.alpha is None else ".png"
    painting = paint_picture(picture, job, stylizer, suffix)
    write_to_stdout(encode_picture(painting.image, suffix, painting.alpha, exif=painting.exif))
    height, width = painting.image.shape[:2]
    return PictureResult(job.source, job.target, width, height, tuple(painting.notes), tuple(painting.damage))


def paint_each(jobs: "list[PictureJob]", stylizer: "Stylizer", summary: dict[str, Any], quiet: bool) -> int:
    """Paint photos one after another, and add each to the summary.

    If there are several, one that fails does not stop the others; if there is one, its error is raised.
    Returns the largest of the paintings' shorter sides, in pixels; 0 if there is no painting.
    """
    from tqdm import tqdm

    from livestyle.jobs.pictures import run_pictures

    short_side = 0
    with tqdm(total=len(jobs), disable=quiet or len(jobs) == 1 or None, unit="photo", dynamic_ncols=True, file=sys.stderr) as bar:
        try:
            for result in run_pictures(jobs, stylizer, run_with_stdio):
                bar.clear()
                if result.error is None:
                    add_painting(result, summary, quiet)
                    short_side = max(short_side, min(result.width, result.height))
                else:
                    add_failure(result.source, result.error, summary, is_printed=len(jobs) > 1)
                    if len(jobs) == 1:
                        raise result.error
                bar.update()
        except KeyboardInterrupt:
            done = len(summary["written"])
            raise KeyboardInterrupt(f"interrupted; {done} of {len(jobs)} photos are painted") from None
    if not summary["written"]:
        summary["error"] = "none of the photos could be painted"
        print_line(f"livestyle: {summary['error']}", err=True)
    return short_side


def add_painting(result: "PictureResult", summary: dict[str, Any], quiet: bool) -> None:
    """Print a painted photo's notes and damage, and add it to the summary."""
    file = {name: getattr(result, name) for name in ("width", "height")}
    file |= {name: list(getattr(result, name)) for name in ("notes", "damage")}
    summary["written"].append(str(result.target))
    summary["files"].append({"input": str(result.source), "output": str(result.target), **file})
    print_notes(result.notes, quiet)
    for line in result.damage:
        print_line(f"damaged: {result.source}: {line}", err=True)


def add_failure(path: Path, error: LivestyleError, summary: dict[str, Any], is_printed: bool = True) -> None:
    """Add a photo's error to the summary, and print it if `is_printed`. The path is put in front if the message lacks it."""
    message = with_advice(error)
    message = message if str(path) in message else f"{path}: {message}"
    summary["failed"].append(message)
    if is_printed:
        print_line(f"livestyle: {message}", err=True)


def summary_line(summary: dict[str, Any]) -> str:
    """The summary as a line such as "a.jpg, b.jpg in 1.2 s; 3 skipped, as their outputs exist; 1 failed"."""
    written, skipped, failed = summary["written"], len(summary["skipped"]), len(summary["failed"])
    names = f"{', '.join(written[:3])}{f' ... ({len(written)} files)' if len(written) > 3 else ''}"
    line = f"{names} in {summary['seconds']:.1f} s" if written else "nothing painted"
    rest = [f"{skipped} skipped, as their outputs exist"] * bool(skipped) + [f"{failed} failed"] * bool(failed)
    return "; ".join([line, *rest])


def paint_sheet_file(
    paths: list[Path],
    target: Path,
    stylizer: "Stylizer",
    size: Size | None,
    stroke_size: float,
    summary: dict[str, Any],
    quiet: bool,
) -> None:
    """Paint every photo in every style on one contact sheet, write it, and add it to the summary."""
    from tqdm import tqdm

    from livestyle.jobs.pictures import SHEET_SIZE, paint_sheet
    from livestyle.pictures.writing import encode_picture, write_picture

    def failed(path: Path, error: LivestyleError) -> None:
        bar.clear()
        add_failure(path, error, summary)

    suffix = ".jpg" if target == STDIO else target.suffix
    with tqdm(total=len(paths), disable=quiet or len(paths) == 1 or None, unit="photo", dynamic_ncols=True) as bar:
        sheet = paint_sheet(
            paths,
            stylizer,
            suffix,
            size or SHEET_SIZE,
            stroke_size,
            read=read,
            failed=failed,
            progress=lambda progress: bar.update(progress.done - bar.n),
        )
    if target == STDIO:
        write_to_stdout(encode_picture(sheet.image, suffix))
    else:
        write_picture(target, sheet.image)
    height, width = sheet.image.shape[:2]
    summary["written"].append(str(target))
    summary["files"].append(
        {"output": str(target), "width": width, "height": height, "notes": list(sheet.notes), "damage": list(sheet.damage)}
    )
    print_notes(sheet.notes, quiet)
    for line in sheet.damage:
        print_line(f"damaged: {line}", err=True)
