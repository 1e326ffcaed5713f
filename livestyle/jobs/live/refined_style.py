"""The style file of a picture whose rows are refined during live runs."""

import hashlib
from dataclasses import replace
from itertools import count
from pathlib import Path

from livestyle.errors import InputError, StyleError
from livestyle.frame import FloatArray
from livestyle.look import Look
from livestyle.pictures.reading import decode_picture
from livestyle.style_files.description import training_settings
from livestyle.style_files.file_format import (
    STYLE_SUFFIX,
    body_hash,
    load_rows,
    name_of_picture,
    write_style_file,
)
from livestyle.style_files.gallery import Gallery, user_folder
from livestyle.style_files.thumbnail import make_thumbnail

PICTURE_HASH = "picture_sha256"
"""Key of the style file's info. By it, a later run finds the rows that an earlier run has refined."""
SHARE = "refined"
"""Key of the training settings in the info: the share of the training that was done, 0 to 1."""


class RefinedStyle:
    """A picture's style and its file in the folder of the user's own styles.

    look: the picture's style, as predicted. If an earlier run has refined it, its rows are used and its file is replaced.

    Raises InputError if the picture cannot be read, StyleError if the file of an earlier run is damaged.
    """

    def __init__(self, picture: Path, look: Look, gallery: Gallery) -> None:
        try:
            data = picture.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {picture}: {error.strerror}") from error
        self._picture, self._hash = picture, hashlib.sha256(data).hexdigest()
        self._thumbnail = make_thumbnail(decode_picture(data, str(picture)).image)
        body, model = body_hash(look.body.parameters), look.body.architecture.name
        files = [header for header in gallery.files if header.body_hash == body]
        self._body_file = next(header.path for header in files if header.has_body)
        earlier = next((header for header in files if header.info.get(PICTURE_HASH) == self._hash), None)
        self.look = look if earlier is None else replace(look, rows=load_rows(earlier))
        """The look with the rows to start from."""
        self.is_complete = earlier is not None and training_settings(earlier).get(SHARE) == 1
        """Whether an earlier run has completed the training."""
        self.path = _free_path(picture, model, gallery) if earlier is None else earlier.path
        """The style file that `save` writes."""

    @property
    def name(self) -> str:
        """The name by which the saved style can be selected."""
        return self.path.name.split(".")[0]

    @property
    def settings(self) -> dict[str, object]:
        """The conf file keys for the training."""
        styles = {self.name: {"picture": str(self._picture.absolute())}}
        return {"styles": styles, "start": str(self._body_file.absolute()), "model": self.look.body.architecture.name}

    def save(self, rows: FloatArray, share: float) -> None:
        """Write refined rows, (2, K), to the style file. share: of the training, 0 to 1. Raises OutputError."""
        info = {"picture": self._picture.name, PICTURE_HASH: self._hash, "training": {"finetune": "rows", SHARE: share}}
        write_style_file(self.path, self.look.body, rows, info, thumbnail=self._thumbnail)


def picture_of(look: Look, gallery: Gallery) -> Path:
    """The picture that a look's rows were predicted from. Raises StyleError if they were not."""
    predicted = gallery.predicted.get(look.name)
    if not predicted:
        raise StyleError(f"{look.name} cannot be refined, as it is not a picture; name the picture of a painting as the style")
    return predicted[0].path


def _free_path(picture: Path, model: str, gallery: Gallery) -> Path:
    """The path for a new style, named after the picture, or with a number if the gallery has a style of that name."""
    name = name_of_picture(picture)
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return user_folder() / f"{next(name for name in names if name not in gallery.names)}.{model}{STYLE_SUFFIX}"
