"""The photos and outputs that are named on the command line, where - is stdin or stdout."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from livestyle.cli.options import may_write, writing_to_stdout
from livestyle.errors import InputError, OutputError
from livestyle.output_file import make_folders

if TYPE_CHECKING:
    from livestyle.pictures.reading import Picture

STDIO = Path("-")
DEFAULT_FOLDER = Path("generated")


def split_output(photos: list[Path], output: str | None) -> tuple[list[Path], str | None]:
    """The photos, and the output: the value of -o, or the second of two names unless it exists. None: no output is named.

    Raises OutputError if -o is empty, InputError if the second name is neither a photo nor an output.
    """
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
    """Find the photos among the inputs; see `jobs.pictures.find_photos`. Stdin, if named, is called stdin.jpg."""
    from livestyle.jobs.pictures import find_photos

    found = find_photos(inputs, output, recursive)
    return [(path, Path("stdin.jpg") if path == STDIO else inside) for path, inside in found]


def plan(sources: list[tuple[Path, Path]], output: str | None, label: str, several: bool) -> list[tuple[Path, Path]]:
    """Each photo, paired with the file for its painting, or STDIO; see choose_targets in livestyle.jobs.pictures.

    label: the style, for the file names in the default folder. Raises OutputError if the output does not fit the photos.
    """
    from livestyle.jobs.pictures import choose_targets, refuse_shared_targets

    if output is None:
        named = [(path, inside.parent / f"res_{label}_{inside.stem}.jpg") for path, inside in sources]
        pairs = [(path, STDIO if path == STDIO else DEFAULT_FOLDER / name) for path, name in named]
    elif output == str(STDIO):
        pairs = [(path, STDIO) for path, _ in sources]
    else:
        pairs = choose_targets(sources, output, several)
    if [target for _, target in pairs].count(STDIO) > 1:
        raise OutputError("several photos cannot all go to stdout; name a folder with -o")
    refuse_shared_targets(pairs)
    return pairs


def sheet_target(output: str | None) -> Path:
    """The file for the contact sheet."""
    if output is None:
        return DEFAULT_FOLDER / "sheet.jpg"
    return Path(output) / "sheet.jpg" if output.endswith(("/", os.sep)) or Path(output).is_dir() else Path(output)


def check_stdout(targets: list[Path], as_json: bool) -> None:
    """Raise OutputError if STDIO is a target and stdout is closed, a terminal, or needed for --json."""
    if STDIO not in targets:
        return
    if as_json:
        raise OutputError("--json and the picture would both be written to stdout; name a file with -o")
    if sys.stdout is None:
        raise OutputError("cannot write to stdout: it is closed")
    if sys.stdout.isatty():
        raise OutputError("stdout is a terminal; name a file with -o, or redirect: > painted.jpg")


def confirm_targets(pairs: list[tuple[Path, Path]], overwrite: bool | None) -> None:
    """Validate the targets, ask whether existing files may be overwritten, and create the folders.

    Raises OutputError if a target cannot be written or must not be overwritten.
    """
    from livestyle.jobs.pictures import check_targets

    to_files = [(path, target) for path, target in pairs if target != STDIO]
    check_targets(to_files)
    targets = list(dict.fromkeys(target for _, target in to_files))
    existing = [target for target in targets if target.exists()]
    if len(existing) > 1 and not overwrite:
        count = f"{len(existing)} of {len(pairs)} outputs exist, for example {existing[0]}"
        if overwrite is False or not sys.stdin.isatty() or not click.confirm(f"{count}. Overwrite them?", err=True):
            raise OutputError(f"{count}; use -y to overwrite them, or --skip-existing")
    elif existing:
        may_write(existing[0], overwrite)
    make_folders(targets)


def read(path: Path) -> "Picture":
    """Decode a picture from a file, or from stdin for STDIO. Raises InputError, TooLargeError."""
    from livestyle.pictures.reading import read_picture, read_stream

    if path != STDIO:
        return read_picture(path, salvage=True)
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("there is no picture on stdin; pipe one: livestyle image - < photo.jpg")
    return read_stream(sys.stdin.buffer, "stdin", salvage=True)


def write_to_stdout(data: bytes) -> None:
    """Write bytes to stdout. Raises OutputError, or BrokenPipeError if the reader has closed the pipe."""
    with writing_to_stdout():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
