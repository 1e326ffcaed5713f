"""The styles found on disk, and the words in which a person asks for them."""

import difflib
import filecmp
import importlib.resources
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import platformdirs

from livestyle.errors import StyleError
from livestyle.output_file import is_partial
from livestyle.style_files.file_format import Header, read_header

STYLE_SUFFIX = ".safetensors"


def bundled_folder() -> Path:
    """The styles that came with the program."""
    return Path(str(importlib.resources.files("livestyle.models")))


def user_folder() -> Path:
    """The user's own styles, found from everywhere; ./models where the user has no home (`docker --user`)."""
    try:
        folder = platformdirs.user_data_path("livestyle") / "models"
    except (OSError, RuntimeError, KeyError):
        return Path("models")
    return folder if folder.is_absolute() else Path("models")  # "~" stays as it is without a home


def default_folders() -> list[Path]:
    """Where styles are looked for, first come first served: ./models, the user's data folder, the bundled ones.

    In a checkout of the program that is installed from there, ./models are the bundled ones, and come last.
    """
    folders = list(dict.fromkeys([Path("models"), user_folder(), bundled_folder()]))
    bundled = os.path.realpath(folders[-1])
    return [*(folder for folder in folders[:-1] if os.path.realpath(folder) != bundled), folders[-1]]


def parse_blend(words: str | os.PathLike[str] | Mapping[str, float]) -> dict[str, float]:
    """`wave`, `wave:.7,udnie:.3`, a path or a mapping -> style: weight, the weights adding up to one.

    Raises StyleError if a weight is not a number above zero.
    """
    if isinstance(words, os.PathLike):
        words = {str(words): 1.0}
    entries: list[tuple[str, str | float]] = []
    if isinstance(words, str):
        for part in words.split(","):
            name, colon, weight = part.rpartition(":")
            # a path may hold a colon (C:\...), and then the rest of it follows, not a number
            rest_of_path = "/" in weight or "\\" in weight or weight.endswith(STYLE_SUFFIX)
            entries.append((name, weight) if colon and not rest_of_path else (part, 1.0))
    elif isinstance(words, Mapping) and all(isinstance(name, str) for name in words):
        entries += words.items()
    else:
        raise StyleError(f"cannot read the style {words!r:.100}; give a name, a path, or a blend such as wave:.7,udnie:.3")
    blend: dict[str, float] = {}
    for name, share in entries:
        try:
            number = float(share)
        except (TypeError, ValueError):
            number = 0.0
        if not 0 < number < 1e6 or not name.strip():
            raise StyleError(f"cannot read the style {words!r}; write a name, or a blend such as wave:.7,udnie:.3")
        blend[name.strip()] = blend.get(name.strip(), 0.0) + number
    total = sum(blend.values())
    if not blend:
        raise StyleError("no style named; write a name, or a blend such as wave:.7,udnie:.3")
    return {name: number / total for name, number in blend.items()}


def _meant_as_path(name: str) -> Path | None:
    try:
        path = Path(name).expanduser()
        return path if path.suffix == STYLE_SUFFIX or len(path.parts) > 1 or path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # longer than a file's name may be, or in the home of nobody
        return None


def _key(header: Header) -> tuple[str, str]:
    return header.name, header.architecture


def _same_bytes(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:  # gone meanwhile
        return False


class Gallery:
    """Every style and body in the given folders. What cannot be read is skipped, with a line in `notes`.

    A style may be there for several networks; a file of the same name and network in a later folder is shadowed.
    """

    def __init__(self, folders: list[Path] | None = None) -> None:
        self.folders = default_folders() if folders is None else folders
        self.notes: list[str] = []
        self.files: list[Header] = []  # all that can be read, shadowed ones too
        self._styles: dict[str, dict[str, Header]] = {}  # name -> architecture -> header
        self._bodies: dict[str, Header] = {}  # hash -> header
        seen: set[str] = set()
        for folder in self.folders:
            for path in self._list(folder):
                real_path = os.path.realpath(path)  # not Path.resolve, which raises where links form a loop
                if real_path in seen:
                    continue  # the same folder twice
                seen.add(real_path)
                try:
                    self.add(read_header(path))
                except StyleError as error:
                    self.notes.append(f"skipped: {error}")

    def _list(self, folder: Path) -> list[Path]:
        """The folder's style files, in alphabetical order; none where there is no such folder."""
        try:
            paths = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:  # a loop of links, or a home that may not be entered (`docker --user`)
            self.notes.append(f"skipped: cannot read the folder {folder}: {error.strerror}")
            return []
        named = (path for path in paths if path.name.endswith(STYLE_SUFFIX) and not path.name.startswith("."))
        return [path for path in named if not is_partial(path)]

    def add(self, header: Header) -> None:
        """Take a style or body in. A style does not take the place of one of its name and network that is there already."""
        self.files.append(header)
        if header.has_body:
            self._bodies.setdefault(header.body_hash, header)
        if header.has_rows:
            self._styles.setdefault(header.name, {}).setdefault(header.architecture, header)

    def shadowed(self, names: Iterable[str], model: str | None = None) -> list[str]:
        """A note, if files for these styles and this network, or any, are not used, and differ from those that are."""
        hidden: dict[Header, list[Path]] = {}
        for name in names:
            for header in self._styles.get(name, {}).values():
                same = [other for other in self.files if other.has_rows and _key(other) == _key(header)]
                others = [other.path for other in same if not _same_bytes(header.path, other.path)]
                if others and model in (None, header.architecture):
                    hidden[header] = others
        if not hidden:
            return []
        used = " and ".join(dict.fromkeys(str(header.path.parent) for header in hidden))
        unused = " and ".join(dict.fromkeys(str(path.parent) for others in hidden.values() for path in others))
        names = ", ".join(dict.fromkeys(header.name for header in hidden))
        return [f"{names}: from {used}; other files of {'this name' if len(hidden) == 1 else 'these names'} are in {unused}"]

    @cached_property
    def names(self) -> list[str]:
        """All styles, in alphabetical order."""
        return sorted(self._styles)

    def models(self, name: str) -> dict[str, Header]:
        """The networks for which a style is there: architecture -> its file.

        name: a style's name, or a path to a style file. Raises StyleError, with the nearest names.
        """
        if name in self._styles:
            return self._styles[name]
        if path := _meant_as_path(name):
            header = read_header(path)
            if not header.has_body and header.body_hash not in self._bodies:
                beside = Gallery([path.parent])
                self._bodies = beside._bodies | self._bodies
            return {header.architecture: header}
        near = difflib.get_close_matches(name, self._styles, n=3, cutoff=0.6)
        known = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(self.names) or 'none'}"
        raise StyleError(f"no style named {name!r}; {known}")

    def body(self, header: Header) -> Header:
        """The file that holds a style's body. Raises StyleError if it is not there."""
        found = header if header.has_body else self._bodies.get(header.body_hash)
        if found is None:
            raise StyleError(
                f"{header.path} needs a body ({header.architecture} {header.body_hash[:12]}) that is not in "
                f"{', '.join(str(folder) for folder in self.folders)}; put its file there too"
            )
        return found
