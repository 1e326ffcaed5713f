"""Find picture files in folders."""

import os
from collections.abc import Iterable
from pathlib import Path

from livestyle.errors import InputError
from livestyle.output_file import is_partial
from livestyle.pictures.formats import HEIC_SUFFIXES, READ_SUFFIXES


def find_pictures(paths: list[Path], recursive: bool = False) -> list[Path]:
    """Replace each folder among the paths by the pictures in it, in alphabetical order. Other paths stay, whatever they are.

    Hidden files and partial files are skipped.

    recursive: include pictures in subfolders; hidden subfolders are skipped, and links to folders are not followed.

    Raises InputError for a folder that cannot be read or has no pictures.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        try:
            entries = _walk(path) if recursive else path.iterdir()
            inside = sorted(entry for entry in entries if _is_picture_name(entry.name) and entry.is_file())
        except OSError as error:
            raise InputError(f"cannot read the folder {path}: {error.strerror}") from error
        if not inside:
            raise InputError(f"no pictures in the folder {path} ({', '.join(READ_SUFFIXES)})")
        found += inside
    return found


def _walk(folder: Path) -> Iterable[Path]:
    """Yield all files in a folder and in its subfolders, except hidden subfolders."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent) / name for name in names)


def _is_picture_name(name: str) -> bool:
    """Whether a file of this name is a picture to paint.

    False for partial files and hidden ones, such as the ._NAME that macOS writes next to a file on foreign file systems.
    """
    return name.lower().endswith((*READ_SUFFIXES, *HEIC_SUFFIXES)) and not name.startswith(".") and not is_partial(Path(name))
