"""Paint picture files."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path

from livestyle.errors import InputError, LivestyleError, OutputError, TooLargeError
from livestyle.frame import Image
from livestyle.jobs.progress import Progress, ProgressCallback
from livestyle.output_file import make_folders, refuse_same_file
from livestyle.pictures import limits, strokes
from livestyle.pictures.contact_sheet import make_sheet
from livestyle.pictures.finding import find_pictures
from livestyle.pictures.pixels import resize
from livestyle.pictures.reading import Picture, read_picture
from livestyle.pictures.writing import WITH_ALPHA, WRITTEN_SUFFIXES, check_format, write_picture
from livestyle.size import Size, as_size, fit_size
from livestyle.stylizer import Blend, Stylizer

SHEET_SIZE = (4 * 360, 360)
"""Width and height, in pixels, of the box that each photo on a contact sheet is scaled to fit."""


@dataclass(frozen=True)
class PictureJob:
    """Paint one picture file into another. Picklable, so that another process or machine can run it.

    The model and the device belong to the Stylizer that runs the job. Raises LivestyleError for a `stroke_size` below 1.
    """

    source: Path
    target: Path
    """The file to write: .jpg, .jpeg, .png, .webp, .bmp, .tif or .tiff."""
    style: Blend = "wave"
    strength: float = 1.0
    """Strength of the style, from 0, the photo, to 1, the painting."""
    keep_colors: bool = False
    """Keep the photo's colours; only the lightness is painted."""
    size: Size | None = None
    """The box, in pixels, that the picture is scaled to fit; see `livestyle.size`. None: the size of the source."""
    stroke_size: float = 1.0
    """How many times as large the strokes are, 1 or above. The detail of the photo is kept."""
    overwrite: bool = False
    """Whether the target may be replaced if it exists."""

    def __post_init__(self) -> None:
        if not self.stroke_size >= 1:  # also for NaN
            raise LivestyleError(f"stroke_size must be 1 or above, not {self.stroke_size!r}")


@dataclass(frozen=True)
class PictureResult:
    """A painted picture file, or the error that prevented it."""

    source: Path
    target: Path
    width: int = 0
    """Width of the painting in pixels; 0 if there is none; likewise the height."""
    height: int = 0
    notes: tuple[str, ...] = ()
    """Informational notes; no data was lost."""
    damage: tuple[str, ...] = ()
    """Parts of the source that could not be read."""
    error: LivestyleError | None = None
    """Why the picture could not be painted: an InputError, OutputError or TooLargeError. None if it was painted."""


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: a row for each photo, a column for each style."""

    image: Image
    """The pixels, (H, W, 3) uint8 RGB."""
    notes: tuple[str, ...]
    damage: tuple[str, ...]
    """Parts of the sources that could not be read."""


def paint_pictures(
    sources: str | PathLike[str] | Iterable[str | PathLike[str]],
    target: str | PathLike[str],
    style: Blend = "wave",
    *,
    model: str = "auto",
    device: str = "auto",
    strength: float = 1.0,
    keep_colors: bool = False,
    size: Size | int | None = None,
    stroke_size: float = 1.0,
    recursive: bool = False,
    overwrite: bool = False,
    stylizer: Stylizer | None = None,
    progress: ProgressCallback | None = None,
) -> list[PictureResult]:
    """Paint picture files, as the command `livestyle image` does. Returns a result for each, in the order of painting.

    sources: a picture file, a folder, or several of them.
    target: a file for one picture; a folder, created if missing, for several. A name that ends with / is a folder. In
        a folder, a picture keeps its name, with another suffix if its format cannot be written.
    style, strength, keep_colors: see `Stylizer`, also for blends of styles.
    size: scale to fit (width, height), or to a height, in pixels, with the aspect ratio kept; None keeps the size.
    stroke_size: see PictureJob.
    recursive: also paint the pictures in subfolders. The same subfolders are created in the target folder.
    overwrite: replace existing targets; without it an existing target raises OutputError before anything is painted.
    model, device: see `Stylizer`. stylizer: an open Stylizer to use instead of them; it stays open.
    progress: called with a `Progress` before the first picture and after each.

    A picture that cannot be read, painted or written does not stop the others: `PictureResult.error` states why. Ctrl-C, or an
    exception that `progress` raises, ends the work; completed paintings stay, and no incomplete file is left.

    Raises InputError if there are no pictures in a folder, OutputError if a target cannot be used, StyleError, DeviceError, and
    LivestyleError if a number is out of range.
    """
    paths = [Path(path) for path in ([sources] if isinstance(sources, (str, PathLike)) else sources)]
    if not paths:
        return []
    folder_or_file = os.fspath(target)
    photos = find_photos(paths, Path(folder_or_file), recursive)
    pairs = choose_targets(photos, folder_or_file, several=len(paths) > 1 or any(path.is_dir() for path in paths))
    box = as_size(size)
    jobs = [PictureJob(path, file, style, strength, keep_colors, box, stroke_size, overwrite) for path, file in pairs]
    refuse_shared_targets(pairs)
    check_targets(pairs)
    existing = [file for _, file in pairs if file.exists()]
    if existing and not overwrite:
        raise OutputError(f"{len(existing)} of {len(pairs)} targets exist, for example {existing[0]}; pass overwrite=True")
    make_folders(file for _, file in pairs)
    report = progress or (lambda _progress: None)
    results: list[PictureResult] = []
    with nullcontext(stylizer) if stylizer is not None else Stylizer(style, model, device, strength=strength) as painter:
        report(Progress(0, len(jobs), "painting"))
        for result in run_pictures(jobs, painter):
            results.append(result)
            report(Progress(len(results), len(jobs), "painting"))
    return results


def run_picture(job: PictureJob, stylizer: Stylizer) -> PictureResult:
    """Paint one picture with the stylizer, which stays open. The target is written completely or not at all.

    A picture that is damaged in part is painted; the result's `damage` states what is missing.
    Raises InputError, OutputError (also for an existing target without `overwrite`), StyleError, TooLargeError.
    """
    refuse_same_file(job.source, job.target)
    if job.target.exists() and not job.overwrite:
        raise OutputError(f"{job.target} exists; to replace it, pass overwrite=True")
    return write_painting(job, paint_picture(_read(job.source), job, stylizer))


def run_pictures(
    jobs: Iterable[PictureJob],
    stylizer: Stylizer,
    run: Callable[[PictureJob, Stylizer], PictureResult] = run_picture,
) -> Iterator[PictureResult]:
    """Run jobs one after another, each by `run`, and yield their results.

    A picture that cannot be read, painted or written does not stop the others: its result has the error.
    """
    for job in jobs:
        try:
            result = run(job, stylizer)
        except (InputError, OutputError, TooLargeError) as error:
            result = PictureResult(job.source, job.target, error=error)
        except MemoryError:
            too_large = TooLargeError(f"{job.source} needs more memory than is available", advice="use a smaller --size")
            result = PictureResult(job.source, job.target, error=too_large)
        yield result


def paint_picture(picture: Picture, job: PictureJob, stylizer: Stylizer, suffix: str | None = None) -> Picture:
    """The painting of a decoded picture, with its transparency and its EXIF.

    suffix: suffix of the format that the painting will be written in, such as ".png"; None for the target's.
    Raises OutputError, before anything is painted, if the format cannot hold the size; StyleError, TooLargeError.
    """
    width, height = fit_size(picture.image.shape[1], picture.image.shape[0], job.size)
    bytes_per_pixel = strokes.BYTES_PER_PIXEL if job.stroke_size > 1 else limits.BYTES_PER_PIXEL
    limits.check_size(width, height, f"{job.source}, as it would be painted,", bytes_per_pixel)
    check_format(job.target.suffix if suffix is None else suffix, width, height)
    look = stylizer.look(job.style, strength=job.strength, keep_colors=job.keep_colors)
    photo = resize(picture.image, width, height)
    painted = strokes.paint_larger(partial(stylizer, look=look), photo, job.stroke_size)
    alpha = None if picture.alpha is None else resize(picture.alpha, width, height)
    return replace(picture, image=painted, alpha=alpha)


def write_painting(job: PictureJob, painting: Picture) -> PictureResult:
    """Write a painting to the job's target. Raises OutputError."""
    write_picture(job.target, painting.image, painting.alpha, painting.exif, replace=job.overwrite)
    notes = list(painting.notes)
    alpha = painting.alpha
    if alpha is not None and job.target.suffix.lower() not in WITH_ALPHA and alpha.min() < 255:
        png = job.target.with_suffix(".png")
        notes.append(f"{job.target} has no transparency: clear parts are black; to keep them, use {png}")
    height, width = painting.image.shape[:2]
    return PictureResult(job.source, job.target, width, height, tuple(notes), tuple(painting.damage))


def _read(path: Path) -> Picture:
    return read_picture(path, salvage=True)


def paint_sheet(
    sources: Sequence[Path],
    stylizer: Stylizer,
    suffix: str,
    size: Size = SHEET_SIZE,
    stroke_size: float = 1.0,
    read: Callable[[Path], Picture] = _read,
    failed: Callable[[Path, LivestyleError], object] = lambda path, error: None,
    progress: ProgressCallback | None = None,
) -> Sheet:
    """Paint every photo in every style, on one contact sheet.

    suffix: suffix of the format that the sheet will be written in, such as ".jpg".
    size: the box, in pixels, that each photo is scaled to fit.
    read: reads one photo.
    failed: called with the path and the error of each photo that cannot be read or painted; it is left out.
    progress: called with a `Progress` before the first photo and after each.

    Raises LivestyleError if no photo could be painted, OutputError if the format cannot hold the sheet.
    """
    report = progress or (lambda _progress: None)
    check_format(suffix, 1, len(sources) * size[1])
    names = stylizer.load_all()
    looks = [stylizer.look(name) for name in names]
    rows, damage, notes = [], [], []
    report(Progress(0, len(sources), "painting"))
    for number, path in enumerate(sources, 1):
        try:
            picture = read(path)
            width, height = fit_size(picture.image.shape[1], picture.image.shape[0], size)
            limits.check_size(width * (len(names) + 1), height * len(sources), "the sheet")
            photo = resize(picture.image, width, height)
            paintings = [strokes.paint_larger(partial(stylizer, look=look), photo, stroke_size) for look in looks]
        except (InputError, TooLargeError) as error:
            failed(path, error)
        else:
            notes += picture.notes
            damage += [f"{path}: {line}" for line in picture.damage]
            rows.append((path.name, [photo, *paintings]))
        report(Progress(number, len(sources), "painting"))
    if not rows:
        raise LivestyleError("none of the photos could be painted")
    return Sheet(make_sheet(["", *names], rows), tuple(notes), tuple(damage))


def find_photos(sources: Sequence[Path], output: Path, recursive: bool = False) -> list[tuple[Path, Path]]:
    """The picture files among these files and folders, each with its path relative to the folder that it was found in.

    output: the output folder. Its pictures are left out if `recursive` reaches it: they are paintings of an earlier run.
    recursive: also search subfolders.

    Raises InputError if a folder has no pictures.
    """
    found: list[tuple[Path, Path]] = []
    for path in sources:
        if not path.is_dir():
            found.append((path, Path(path.name)))
            continue
        inside = find_pictures([path], recursive)
        if recursive and path.resolve() in output.resolve().parents:
            inside = [entry for entry in inside if output.resolve() not in entry.resolve().parents]
        found += [(entry, entry.relative_to(path)) for entry in inside]
    if not found:
        raise InputError(f"there are no photos except those in the output folder {output}")
    return found


def choose_targets(photos: Sequence[tuple[Path, Path]], output: str, several: bool) -> list[tuple[Path, Path]]:
    """Each photo, paired with the file for its painting.

    photos: what find_photos returned.
    output: a file for one photo, or a folder. An existing folder, a name that ends with / and a name without a suffix are
        folders; a name with the suffix of a picture that can be written is a file.
    several: whether a folder or more than one photo was given. If so, an output with any other suffix is a folder; if not, a
        file.

    Raises OutputError if the output is one file and there are several photos.
    """
    is_folder = output.endswith(("/", os.sep)) or Path(output).is_dir()
    is_picture = Path(output).suffix.lower() in WRITTEN_SUFFIXES and not is_folder
    if is_picture and len(photos) > 1:
        raise OutputError(
            f"{output} is one file for {len(photos)} photos, which need a folder",
            advice="name a folder with -o, or use --all-styles for a sheet",
        )
    if is_picture or (Path(output).suffix and not is_folder and not several):
        return [(path, Path(output)) for path, _ in photos]
    return [(path, Path(output) / _written_name(inside)) for path, inside in photos]


def _written_name(path: Path) -> Path:
    """The path, its suffix replaced if no picture can be written with it: .gif by .png, any other by .jpg."""
    suffix = path.suffix.lower()
    return path if suffix in WRITTEN_SUFFIXES else path.with_suffix(".png" if suffix == ".gif" else ".jpg")


def refuse_shared_targets(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Raise OutputError if the paintings of two photos would be written to one file."""
    source_of: dict[Path, Path] = {}
    for path, target in pairs:
        if target in source_of:
            raise OutputError(
                f"{source_of[target]} and {path} would both be written to {target}; give them different names, "
                "or paint them one by one"
            )
        source_of[target] = path


def check_targets(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Raise OutputError for a target that is one of the sources, or whose format cannot be written."""
    sources = {_identity(path): path for path, _ in pairs if path.is_file()}
    for target in dict.fromkeys(target for _, target in pairs):
        try:
            check_format(target.suffix)
        except OutputError as error:
            raise OutputError(f"cannot write {target}: {error}") from error
        if target.is_file() and (source := sources.get(_identity(target))):
            refuse_same_file(source, target)


def _identity(path: Path) -> tuple[int, int]:
    """Device and inode numbers: equal for two names of one file."""
    status = path.stat()
    return status.st_dev, status.st_ino
