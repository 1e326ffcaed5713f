"""livestyle image"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livestyle.cli.options import (
    Size,
    fit_size,
    look_options,
    may_write,
    open_stylizer,
    overwrite_options,
    print_json,
    refuse_same_file,
    report_options,
    size_option,
    style_option,
    tell,
)
from livestyle.errors import InputError, LivestyleError, OutputError

if TYPE_CHECKING:
    from livestyle.sources.pictures import Picture
    from livestyle.stylizer import Stylizer

STDIO = Path("-")
SHEET_HEIGHT = 360  # pixels a photo, unless told


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file, a folder for several, - for stdout.")
@style_option
@click.option("--all-styles", is_flag=True, help="One sheet: a row a photo, a column a style.")
@look_options
@size_option
@overwrite_options
@report_options
def image(
    photos: tuple[Path, ...],
    output: Path | None,
    style: str,
    all_styles: bool,
    model: str,
    device: str,
    strength: float,
    keep_colors: bool,
    size: Size | None,
    overwrite: bool | None,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Paint PHOTOS: files, folders, or - for stdin.

    Without -o a photo goes to generated/res_[style]_[photo].jpg.
    """
    from livestyle.gallery import parse_blend
    from livestyle.sources.pictures import find_pictures

    started = time.monotonic()
    paths = [path for photo in photos for path in ([photo] if photo == STDIO else find_pictures([photo]))]
    if all_styles:
        from livestyle.gallery import Gallery

        target = output or Path("generated/sheet.jpg")
        check_target(target, paths, overwrite)
        first = next(iter(Gallery().names), style)
        with open_stylizer(first, model, device, strength, keep_colors, quiet) as stylizer:
            written, failed = paint_sheet(paths, target, stylizer, size or (None, SHEET_HEIGHT))
    else:
        label = "+".join(Path(name).name.split(".")[0] for name in parse_blend(style))
        targets = [choose_target(path, output, len(paths), label) for path in paths]
        if len(set(targets)) < len(targets):
            raise OutputError("several photos would be written to one file; give them different names, or paint them one by one")
        for target in targets:
            if target != STDIO:
                check_target(target, paths, overwrite)
        with open_stylizer(style, model, device, strength, keep_colors, quiet) as stylizer:
            written, failed = paint_each(paths, targets, stylizer, size, quiet)
    tell(stylizer.engine.notes, quiet)
    seconds = time.monotonic() - started
    summary: dict[str, Any] = {"written": [str(path) for path in written], "failed": failed, "seconds": round(seconds, 3)}
    if as_json and STDIO not in written:
        print_json(summary)
    elif not quiet and STDIO not in written:
        click.echo(f"{', '.join(map(str, written[:3]))}{' ...' if len(written) > 3 else ''} in {seconds:.1f} s", err=True)
    return 1 if failed else 0


def choose_target(path: Path, output: Path | None, count: int, label: str) -> Path:
    """Where a photo's painting goes."""
    if output is None:
        return STDIO if path == STDIO else Path("generated") / f"res_{label}_{path.stem}.jpg"
    if count > 1 or output.is_dir() or str(output).endswith("/"):
        if output == STDIO:
            raise OutputError("several photos cannot all go to stdout; name a folder with -o")
        if output.suffix and not output.is_dir() and count > 1:
            raise OutputError(f"{output} is one file for {count} photos; name a folder with -o, or use --all-styles for a sheet")
        return output / (path.name if path != STDIO else "stdin.jpg")
    return output


def check_target(target: Path, sources: list[Path], overwrite: bool | None) -> None:
    """Everything that can be refused before a network is loaded. Raises OutputError."""
    from livestyle.sinks.pictures import SUFFIXES

    if target.suffix.lower() not in SUFFIXES:
        raise OutputError(f"cannot write {target}: pictures are written as {', '.join(SUFFIXES)}")
    for source in sources:
        refuse_same_file(source, target)
    may_write(target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {target.parent}: {error.strerror}") from error


def read(path: Path) -> "Picture":
    """A file, or stdin."""
    from livestyle.sources.pictures import decode_picture, read_picture

    return decode_picture(sys.stdin.buffer.read(), "stdin") if path == STDIO else read_picture(path)


def paint_each(
    paths: list[Path], targets: list[Path], stylizer: "Stylizer", size: Size | None, quiet: bool
) -> tuple[list[Path], list[str]]:
    """Paint and write one after another; a broken photo among several is told, and the others go on."""
    from livestyle.sinks.pictures import encode_picture, write_picture
    from livestyle.sources.pictures import resize

    written: list[Path] = []
    failed: list[str] = []
    for path, target in zip(paths, targets, strict=True):
        try:
            picture = read(path)
            width, height = fit_size(picture.image.shape[1], picture.image.shape[0], size)
            painted = stylizer(resize(picture.image, width, height))
            alpha = None if picture.alpha is None else resize(picture.alpha, width, height)
            if target == STDIO:
                sys.stdout.buffer.write(encode_picture(painted, ".jpg" if alpha is None else ".png", alpha))
                sys.stdout.buffer.flush()
            else:
                write_picture(target, painted, alpha)
        except InputError as error:
            if len(paths) == 1:
                raise
            failed.append(str(error))
            click.echo(f"livestyle: {error}", err=True)
        else:
            written.append(target)
    if not written:
        raise InputError("none of the photos could be read")
    return written, failed


def paint_sheet(paths: list[Path], target: Path, stylizer: "Stylizer", size: Size) -> tuple[list[Path], list[str]]:
    """Every photo in every style, on one sheet."""
    from livestyle.sheet import make_sheet
    from livestyle.sinks.pictures import encode_picture, write_picture
    from livestyle.sources.pictures import resize

    names = stylizer.load_all()
    rows, failed = [], []
    for path in paths:
        try:
            photo = read(path).image
        except InputError as error:
            failed.append(str(error))
            click.echo(f"livestyle: {error}", err=True)
            continue
        photo = resize(photo, *fit_size(photo.shape[1], photo.shape[0], size))
        paintings = []
        for name in names:
            stylizer.style = name
            paintings.append(stylizer(photo))
        rows.append((path.name, [photo, *paintings]))
    if not rows:
        raise LivestyleError("none of the photos could be read")
    sheet = make_sheet(["", *names], rows)
    if target == STDIO:
        sys.stdout.buffer.write(encode_picture(sheet, ".jpg"))
    else:
        write_picture(target, sheet)
    return [target], failed
