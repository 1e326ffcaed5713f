"""livestyle image"""

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livestyle.cli.command import Command
from livestyle.cli.options import (
    look_options,
    may_write,
    open_stylizer,
    overwrite_options,
    print_json,
    print_line,
    report_options,
    size_option,
    style_option,
    tell,
    with_option,
)
from livestyle.errors import InputError, LivestyleError, OutputError, TooLargeError
from livestyle.output_file import refuse_same_file
from livestyle.size import Size, fit_size

if TYPE_CHECKING:
    from livestyle.frame import Image
    from livestyle.pictures.reading import Picture
    from livestyle.stylizer import Stylizer

Job = tuple[Path, Path]  # a photo, and the file for its painting

STDIO = Path("-")
DEFAULT_FOLDER = Path("generated")
FINE_STROKES = 2400  # pixels of the shorter side, from which on --stroke-size is advised
SHEET_SIZE = (4 * 360, 360)  # of a photo on a sheet, unless --size is given: fitted inside, in pixels


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
@click.option("--all-styles", is_flag=True, help="Paint one sheet: a row for each photo, a column for each style.")
@look_options
@size_option
@click.option(
    "--stroke-size",
    type=click.FloatRange(1, 20),
    metavar="TIMES",
    help="Strokes this many times as large, with the detail of the photo kept; 3 suits a phone's photo.",
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
    PNG and WebP; colour profiles are converted to sRGB.
    """
    from livestyle.style_files.blend import parse_blend

    started = time.monotonic()
    summary: dict[str, Any] = {"written": [], "skipped": [], "failed": [], "files": []}
    print_json(summary)  # its lists are filled while it runs
    inputs, output = split_output(list(photos), output)
    sources = list_photos(inputs, Path(output or DEFAULT_FOLDER), recursive)
    if all_styles:
        from livestyle.style_files.gallery import Gallery

        target = sheet_target(output)
        check_stdout([target], as_json)
        check_targets([(path, target) for path, _ in sources], overwrite)
        first = next(iter(Gallery().names), style)
        with open_stylizer(first, model, device, strength, keep_colors, quiet) as stylizer:
            paint_sheet([path for path, _ in sources], target, stylizer, size or SHEET_SIZE, stroke_size or 1, summary, quiet)
    else:
        label = "+".join(Path(name).name.split(".")[0] for name in parse_blend(style))
        jobs = plan(sources, output, label, several=len(sources) > 1 or any(path.is_dir() for path in inputs))
        check_stdout([target for _, target in jobs], as_json)
        skips = skip_existing or (overwrite is False and len(jobs) > 1)
        all_jobs, jobs = jobs, [job for job in jobs if not (skips and os.path.lexists(job[1]))]
        check_targets(jobs, overwrite)
        summary["skipped"] = [str(target) for path, target in all_jobs if (path, target) not in jobs]
        if len(photos) == 2 == len(inputs) and output is None and photos[1].is_file() and not photos[0].is_dir():
            tell([f"{photos[1]} exists, so it is painted as a second photo; to write to it, use -o {photos[1]}"], quiet)
        if jobs:
            with open_stylizer(style, model, device, strength, keep_colors, quiet) as stylizer:
                paint_each(jobs, stylizer, size, stroke_size, summary, quiet)
    if jobs_done := summary["written"]:
        tell(stylizer.engine.notes, quiet)
    summary["seconds"] = round(time.monotonic() - started, 3)
    print_json(summary)
    if not quiet and not as_json and str(STDIO) not in jobs_done:
        print_line(summary_line(summary), err=True)
    if summary["failed"] and not summary["written"]:
        return 2
    return 1 if summary["failed"] or any(file["damage"] for file in summary["files"]) else 0


def split_output(photos: list[Path], output: str | None) -> tuple[list[Path], str | None]:
    """The photos, and the output: -o, or the second of two names. A photo that exists is not taken for an output."""
    from livestyle.pictures.writing import WRITTEN_SUFFIXES

    if output == "":
        raise OutputError("-o is empty; name a file or a folder")
    if output is None and len(photos) == 2 and photos[0] == STDIO:
        return photos[:1], str(photos[1])
    if output is None and len(photos) == 2 and photos[1] != STDIO and not os.path.lexists(photos[1]):
        if photos[1].suffix.lower() in WRITTEN_SUFFIXES:
            return photos[:1], str(photos[1])
        if photos[0].exists():
            raise InputError(f"there is no photo {photos[1]}; to paint into a folder of that name, use -o {photos[1]}/")
    return photos, output


def list_photos(inputs: list[Path], output: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """Every photo, with its path inside the folder that was named. What is in the output folder is no photo."""
    from livestyle.pictures.reading import find_pictures

    found: list[tuple[Path, Path]] = []
    for path in inputs:
        if path == STDIO:
            found.append((path, Path("stdin.jpg")))
        elif not path.is_dir():
            found.append((path, Path(path.name)))
        else:
            inside = find_pictures([path], recursive)
            if recursive and path.resolve() in output.resolve().parents:
                inside = [entry for entry in inside if output.resolve() not in entry.resolve().parents]
            found += [(entry, entry.relative_to(path)) for entry in inside]
    if not found:
        raise InputError(f"there are no photos but those in the output folder {output}")
    return found


def plan(sources: list[tuple[Path, Path]], output: str | None, label: str, several: bool) -> list[Job]:
    """Where each photo's painting goes. several: also where a folder holds one photo.

    Raises OutputError for an output that does not fit the photos.
    """
    from livestyle.pictures.writing import WRITTEN_SUFFIXES

    if output is not None and output != str(STDIO):
        is_folder = output.endswith(("/", os.sep)) or Path(output).is_dir()
        is_picture = Path(output).suffix.lower() in WRITTEN_SUFFIXES and not is_folder
        if is_picture and len(sources) > 1:
            raise OutputError(
                f"{output} is one file for {len(sources)} photos; name a folder with -o, or use --all-styles for a sheet"
            )
        if is_picture or (Path(output).suffix and not is_folder and not several):
            return [(sources[0][0], Path(output))]
    jobs = [(path, choose_target(path, inside, output, label)) for path, inside in sources]
    sources_of: dict[Path, Path] = {}
    for path, target in jobs:
        if target in sources_of and target == STDIO:
            raise OutputError("several photos cannot all go to stdout; name a folder with -o")
        if target in sources_of:
            raise OutputError(
                f"{sources_of[target]} and {path} would both be written to {target}; give them different names, "
                "or paint them one by one"
            )
        sources_of[target] = path
    return jobs


def choose_target(path: Path, inside: Path, folder: str | None, label: str) -> Path:
    """inside: the photo's path inside the folder that was named, or the file's name."""
    from livestyle.pictures.writing import WRITTEN_SUFFIXES

    if folder is None:
        return STDIO if path == STDIO else DEFAULT_FOLDER / inside.parent / f"res_{label}_{inside.stem}.jpg"
    if folder == str(STDIO):
        return STDIO
    if inside.suffix.lower() not in WRITTEN_SUFFIXES:  # read, but not written
        inside = inside.with_suffix(".png" if inside.suffix.lower() == ".gif" else ".jpg")
    return Path(folder) / inside


def sheet_target(output: str | None) -> Path:
    if output is None:
        return DEFAULT_FOLDER / "sheet.jpg"
    return Path(output) / "sheet.jpg" if output.endswith(("/", os.sep)) or Path(output).is_dir() else Path(output)


def check_stdout(targets: list[Path], as_json: bool) -> None:
    """Raises OutputError if a picture is to be written to a stdout that cannot take it."""
    if STDIO not in targets:
        return
    if as_json:
        raise OutputError("--json and the picture would both be written to stdout; name a file with -o")
    if sys.stdout is None:
        raise OutputError("cannot write to stdout: it is closed")
    if sys.stdout.isatty():
        raise OutputError("stdout is a terminal; name a file with -o, or redirect: > painted.jpg")


def check_targets(jobs: list[Job], overwrite: bool | None) -> None:
    """Refuse all that can be refused before a network is loaded, and create the folders. Raises OutputError."""
    from livestyle.pictures.writing import check_format

    targets = list(dict.fromkeys(target for _, target in jobs if target != STDIO))
    inputs = {identity(path): path for path, _ in jobs if path.is_file()}
    for target in targets:
        try:
            check_format(target.suffix)
        except OutputError as error:
            raise OutputError(f"cannot write {target}: {error}") from error
        if target.is_file() and (source := inputs.get(identity(target))):
            refuse_same_file(source, target)
    existing = [target for target in targets if target.exists()]
    if len(existing) > 1 and not overwrite:
        says = f"{len(existing)} of {len(jobs)} outputs exist, for example {existing[0]}"
        if overwrite is False or not sys.stdin.isatty() or not click.confirm(f"{says}. Overwrite them?", err=True):
            raise OutputError(f"{says}; use -y to overwrite them, or --skip-existing")
    elif existing:
        may_write(existing[0], overwrite)
    for folder in dict.fromkeys(target.parent for target in targets):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise OutputError(f"cannot write into the folder {folder}: it is not writable")


def identity(path: Path) -> tuple[int, int]:
    """The same for two names of one file."""
    status = path.stat()
    return status.st_dev, status.st_ino


def read(path: Path) -> "Picture":
    """A file, or stdin."""
    from livestyle.pictures.reading import read_picture, read_stream

    if path != STDIO:
        return read_picture(path, salvage=True)
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("there is no picture on stdin; pipe one: livestyle image - < photo.jpg")
    return read_stream(sys.stdin.buffer, "stdin", salvage=True)


def write(target: Path, painted: "Image", alpha: "Image | None", exif: bytes) -> None:
    """To a file, or to stdout as JPEG, or with transparency as PNG. Raises OutputError."""
    from livestyle.pictures.writing import encode_picture, write_picture

    if target != STDIO:
        write_picture(target, painted, alpha, exif)
        return
    data = encode_picture(painted, ".jpg" if alpha is None else ".png", alpha, exif=exif)
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever read it has gone
        raise
    except OSError as error:
        raise OutputError(f"cannot write to stdout: {error.strerror}") from error


def paint_each(
    jobs: list[Job], stylizer: "Stylizer", size: Size | None, stroke_size: float | None, summary: dict[str, Any], quiet: bool
) -> None:
    """Paint and write one after another, into the summary. Of several, one that fails does not keep the others from it."""
    from tqdm import tqdm

    short_side = 0  # the largest of the photos' shorter sides
    with tqdm(total=len(jobs), disable=quiet or len(jobs) == 1 or None, unit="photo", dynamic_ncols=True, file=sys.stderr) as bar:
        for path, target in jobs:
            try:
                file = paint_one(path, target, stylizer, size, stroke_size or 1)
            except (InputError, OutputError, TooLargeError) as error:
                summary["failed"].append(failure(path, error))
                if len(jobs) == 1:
                    raise
                bar.clear()
                print_line(f"livestyle: {failure(path, error)}", err=True)
            except KeyboardInterrupt:
                done = len(summary["written"])
                raise KeyboardInterrupt(f"interrupted; {done} of {len(jobs)} photos are painted") from None
            else:
                summary["written"].append(str(target))
                summary["files"].append(file)
                bar.clear()
                report(file, quiet)
                short_side = max(short_side, min(file["width"], file["height"]))
            bar.update()
    if stroke_size is None and short_side >= FINE_STROKES:
        tell([f"the strokes are fine on photos this large; --stroke-size {round(short_side / 1000)} makes them larger"], quiet)
    if not summary["written"]:
        summary["error"] = "none of the photos could be painted"
        print_line(f"livestyle: {summary['error']}", err=True)


def paint_one(path: Path, target: Path, stylizer: "Stylizer", size: Size | None, stroke_size: float) -> dict[str, Any]:
    """Read, paint and write one photo; what the summary says of it."""
    from livestyle.pictures import reading as pictures
    from livestyle.pictures import strokes
    from livestyle.pictures.writing import WITH_ALPHA, check_format

    try:
        picture = read(path)
        width, height = fit_size(picture.image.shape[1], picture.image.shape[0], size)
        bytes_per_pixel = strokes.BYTES_PER_PIXEL if stroke_size > 1 else pictures.BYTES_PER_PIXEL
        pictures.check_size(width, height, f"{path}, as it would be painted,", bytes_per_pixel)
        if target != STDIO:
            check_format(target.suffix, width, height)
        painted = strokes.paint_larger(stylizer, pictures.resize(picture.image, width, height), stroke_size)
        alpha = None if picture.alpha is None else pictures.resize(picture.alpha, width, height)
        write(target, painted, alpha, picture.exif)
    except MemoryError as error:
        raise TooLargeError(f"{path} takes more memory than there is; use a smaller --size") from error
    notes = list(picture.notes)
    if alpha is not None and target != STDIO and target.suffix.lower() not in WITH_ALPHA and alpha.min() < 255:
        notes.append(f"{target} has no transparency, and is black there; use {target.with_suffix('.png')}")
    return {
        **{"input": str(path), "output": str(target), "width": width, "height": height},
        **{"notes": notes, "damage": picture.damage},
    }


def failure(path: Path, error: LivestyleError) -> str:
    """What went wrong, with the photo's name: what engines say of memory lacks it."""
    says = with_option(error)
    return says if str(path) in says else f"{path}: {says}"


def report(file: dict[str, Any], quiet: bool) -> None:
    """A photo's notes and damage, on stderr."""
    tell(file["notes"], quiet)
    for line in file["damage"]:
        print_line(f"damaged: {file['input']}: {line}", err=True)


def summary_line(summary: dict[str, Any]) -> str:
    """a.jpg, b.jpg in 1.2 s; 3 skipped, 1 failed"""
    written, skipped, failed = summary["written"], len(summary["skipped"]), len(summary["failed"])
    names = f"{', '.join(written[:3])}{f' ... ({len(written)} files)' if len(written) > 3 else ''}"
    line = f"{names} in {summary['seconds']:.1f} s" if written else "nothing painted"
    rest = [f"{skipped} skipped, as their outputs exist"] * bool(skipped) + [f"{failed} failed"] * bool(failed)
    return "; ".join([line, *rest])


def paint_sheet(
    paths: list[Path],
    target: Path,
    stylizer: "Stylizer",
    size: Size,
    stroke_size: float,
    summary: dict[str, Any],
    quiet: bool,
) -> None:
    """Every photo in every style, on one sheet, into the summary."""
    from tqdm import tqdm

    from livestyle.pictures.contact_sheet import make_sheet
    from livestyle.pictures.reading import check_size, resize
    from livestyle.pictures.strokes import paint_larger
    from livestyle.pictures.writing import check_format

    check_format(".jpg" if target == STDIO else target.suffix, 1, len(paths) * size[1])
    names = stylizer.load_all()
    rows, damage, notes = [], [], []
    with tqdm(total=len(paths), disable=quiet or len(paths) == 1 or None, unit="photo", dynamic_ncols=True) as bar:
        for path in paths:
            bar.update()
            try:
                picture = read(path)
                width, height = fit_size(picture.image.shape[1], picture.image.shape[0], size)
                check_size(width * (len(names) + 1), height * len(paths), "the sheet")
                photo = resize(picture.image, width, height)
                paintings = []
                for name in names:
                    paint = partial(stylizer, look=stylizer.look(name))
                    paintings.append(paint_larger(paint, photo, stroke_size))
            except (InputError, TooLargeError) as error:
                summary["failed"].append(failure(path, error))
                bar.clear()
                print_line(f"livestyle: {failure(path, error)}", err=True)
                continue
            notes += picture.notes
            damage += [f"{path}: {line}" for line in picture.damage]
            rows.append((path.name, [photo, *paintings]))
    if not rows:
        raise LivestyleError("none of the photos could be painted")
    sheet = make_sheet(["", *names], rows)
    write(target, sheet, None, b"")
    summary["written"].append(str(target))
    height, width = sheet.shape[:2]
    summary["files"].append({"output": str(target), "width": width, "height": height, "notes": notes, "damage": damage})
    tell(notes, quiet)
    for line in damage:
        print_line(f"damaged: {line}", err=True)
