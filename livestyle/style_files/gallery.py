"""Find style files, body files and predictor files on disk, and resolve the names of styles."""

import difflib
import filecmp
import importlib.resources
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import platformdirs

from livestyle.errors import StyleError
from livestyle.output_file import is_partial
from livestyle.style_files.blend import has_suffix
from livestyle.style_files.file_format import STYLE_SUFFIX, PredictedStyle, StyleHeader, check_name, read_header


def bundled_folder() -> Path:
    """The folder of the styles that are installed with the program."""
    return Path(str(importlib.resources.files("livestyle.models")))


def user_folder() -> Path:
    """The folder of the user's own styles; ./models if the user has no home directory, as with `docker run --user`."""
    try:
        folder = platformdirs.user_data_path("livestyle") / "models"
    except (OSError, RuntimeError, KeyError):
        return Path("models")
    return folder if folder.is_absolute() else Path("models")  # without a home directory, "~" is not expanded


def default_folders() -> list[Path]:
    """The folders that are searched, in order of precedence: ./models, the user's data folder, the bundled folder.

    In a checkout with an editable install, ./models is the bundled folder; it is then searched once, last.
    """
    folders = list(dict.fromkeys([Path("models"), user_folder(), bundled_folder()]))
    bundled = os.path.realpath(folders[-1])
    return [*(folder for folder in folders[:-1] if os.path.realpath(folder) != bundled), folders[-1]]


class Gallery:
    """Every style, body and predictor in the given folders, by default `default_folders()`.

    A style may exist for several networks, with one file for each. Of two files with the same name and network, the one in the
    earlier folder is used; the other one is shadowed. Files that cannot be read are skipped, with a line in `notes`.

    If there is a predictor, the picture of a painting is a style too: see `files_of`.
    """

    def __init__(self, folders: list[Path] | None = None) -> None:
        self.folders = default_folders() if folders is None else folders
        self.notes: list[str] = []
        """One line for each file or folder that was skipped."""
        self.files: list[StyleHeader] = []
        """All readable files, including shadowed ones."""
        self._styles: dict[str, dict[str, StyleHeader]] = {}  # name -> architecture -> header
        self._bodies: dict[str, StyleHeader] = {}  # hash -> header
        self._predictors: dict[str, StyleHeader] = {}  # hash of the body -> header
        self.predicted: dict[str, list[PredictedStyle]] = {}
        """The styles that were predicted from pictures so far: name -> one for each body that has a predictor."""
        seen: set[str] = set()
        for folder in self.folders:
            for path in self._list(folder):
                real_path = os.path.realpath(path)  # not Path.resolve, which raises if links form a loop
                if real_path in seen:
                    continue  # the same file, through a link or a folder that is given twice
                seen.add(real_path)
                try:
                    self.add(read_header(path))
                except StyleError as error:
                    self.notes.append(f"skipped: {error}")

    def _list(self, folder: Path) -> list[Path]:
        """The folder's style files, in alphabetical order; empty if the folder does not exist."""
        try:
            paths = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:  # a loop of links, or a home directory without permission (`docker run --user`)
            self.notes.append(f"skipped: cannot read the folder {folder}: {error.strerror}")
            return []
        named = (path for path in paths if path.name.endswith(STYLE_SUFFIX) and not path.name.startswith("."))
        return [path for path in named if not is_partial(path)]

    def add(self, header: StyleHeader) -> None:
        """Add a style, body or predictor. If there is a style of the same name and network already, the new one is shadowed."""
        self.files.append(header)
        if header.is_predictor:
            self._predictors.setdefault(header.body_hash, header)
        if header.has_body:
            self._bodies.setdefault(header.body_hash, header)
        if header.has_rows:
            self._styles.setdefault(header.name, {}).setdefault(header.architecture, header)

    def shadowed(self, names: Iterable[str], model: str | None = None) -> list[str]:
        """Return a list with one note if files of these styles are shadowed by files with other content; else an empty list.

        model: the network that is used; None for all networks.
        """
        shadowing: dict[StyleHeader, list[Path]] = {}
        for name in names:
            for header in self._styles.get(name, {}).values():
                same = [other for other in self.files if other.has_rows and _key(other) == _key(header)]
                others = [other.path for other in same if not _same_bytes(header.path, other.path)]
                if others and model in (None, header.architecture):
                    shadowing[header] = others
        if not shadowing:
            return []
        used = " and ".join(dict.fromkeys(str(header.path.parent) for header in shadowing))
        unused = " and ".join(dict.fromkeys(str(path.parent) for others in shadowing.values() for path in others))
        names = ", ".join(dict.fromkeys(header.name for header in shadowing))
        return [f"{names}: from {used}; other files of {'this name' if len(shadowing) == 1 else 'these names'} are in {unused}"]

    @cached_property
    def names(self) -> list[str]:
        """The names of all styles, in alphabetical order."""
        return sorted(self._styles)

    def models(self, name: str) -> dict[str, StyleHeader]:
        """Return the files of a style: architecture -> header. See `files_of`."""
        return {header.architecture: header for header in reversed(self.files_of(name))}

    def files_of(self, name: str) -> list[StyleHeader]:
        """Return the files of a style: at most one per network; of a picture, a PredictedStyle for each body with a predictor.

        name: a style's name, the path of a style file, or the path of a picture of a painting. The picture is read at each call;
        a name in `predicted` stands for the picture as it was.
        Raises StyleError, with similar names, if there is no such style; also if the picture cannot be used.
        """
        if name in self._styles:
            return list(self._styles[name].values())
        path = _as_path(name)
        if path is not None and _is_picture(path):
            return [*self._predict(path)]
        if name in self.predicted:
            return [*self.predicted[name]]
        if path is not None:
            header = read_header(path)
            if not header.has_body and header.body_hash not in self._bodies:
                same_folder = Gallery([path.parent])
                self._bodies = same_folder._bodies | self._bodies
            return [header]
        near = difflib.get_close_matches(name, self._styles, n=3, cutoff=0.6)
        known = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(self.names) or 'none'}"
        raise StyleError(f"no style named {name!r}; {known}")

    @property
    def predictors(self) -> list[StyleHeader]:
        """The predictors whose body is there too."""
        return [header for header in self._predictors.values() if header.body_hash in self._bodies]

    def _predict(self, path: Path) -> list[PredictedStyle]:
        """Predict a style from a picture for each body that has a predictor. Raises StyleError."""
        from livestyle.style_files.from_picture import predict_styles  # imports OpenCV

        predictors = self.predictors
        if not predictors:
            folders = ", ".join(str(folder) for folder in self.folders)
            raise StyleError(
                f"cannot predict a style from {path}: no network in {folders} has a predictor; train a style from the picture "
                "instead: livestyle train"
            )
        name = self._name_for(path)
        self.predicted[name] = predict_styles(path, name, predictors)
        return self.predicted[name]

    def _name_for(self, picture: Path) -> str:
        """The name of the style of a picture: its stem; its path if the stem cannot be a name, or another style has it."""
        others = self.predicted.get(picture.stem, ())
        if picture.stem in self._styles or any(other.path != picture for other in others):
            return str(picture)
        try:
            check_name(picture.stem)
        except StyleError:
            return str(picture)
        return picture.stem

    def body(self, header: StyleHeader) -> StyleHeader:
        """Return the header of the file that contains a style's body. Raises StyleError if there is none."""
        found = header if header.has_body else self._bodies.get(header.body_hash)
        if found is None:
            raise StyleError(
                f"{header.path} needs a body ({header.architecture} {header.body_hash[:12]}) that is not in "
                f"{', '.join(str(folder) for folder in self.folders)}; copy its file there"
            )
        return found


def _as_path(name: str) -> Path | None:
    """Interpret a user's name for a style as a path, with ~ expanded; None if it is not a path."""
    try:
        path = Path(name).expanduser()
        return path if has_suffix(name) or len(path.parts) > 1 or path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long for a file name, or in the home directory of an unknown user
        return None


def _is_picture(path: Path) -> bool:
    """Whether a path is that of a picture: by its suffix, else by the file's first bytes."""
    if has_suffix(path.name):
        return path.suffix != STYLE_SUFFIX
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(9)
    except (OSError, ValueError):
        return False
    return len(start) == 9 and start[8:] != b"{"  # safetensors: the length of the header, 8 bytes, and then JSON


def _key(header: StyleHeader) -> tuple[str, str]:
    return header.name, header.architecture


def _same_bytes(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:  # deleted in the meantime
        return False
