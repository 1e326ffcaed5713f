"""Rename, remove and export styles. Bundled styles are never renamed or removed."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from livestyle.errors import OutputError, StyleError
from livestyle.style_files.file_format import (
    STYLE_SUFFIX,
    PredictedStyle,
    StyleHeader,
    check_name,
    load_body,
    load_rows,
    write_body_file,
    write_style_file,
)
from livestyle.style_files.gallery import Gallery, bundled_folder


def rename_style(gallery: Gallery, name: str, new: str) -> dict[Path, Path]:
    """Rename a style's files, for every network; if one of them fails, none is renamed. Returns old path -> new path.

    name: a style's name, or the path of one file. Raises StyleError if the new name is invalid or taken, or all files are
    bundled; OutputError if a file cannot be renamed.
    """
    check_name(new)
    command = f"livestyle styles export {name} --model MODEL -o models/{new}.MODEL{STYLE_SUFFIX}"
    headers = _changeable_files(gallery, name, advice=f"to make your own copy: {command}")
    targets = {header.path: header.path.with_name(new + header.path.name[len(header.name) :]) for header in headers}
    same_folders = Gallery(list({path.parent for path in targets}))
    if new in gallery.names or new in same_folders.names or any(os.path.lexists(target) for target in targets.values()):
        raise StyleError(f"the name {new} is taken; choose another")
    done: dict[Path, Path] = {}
    for path, target in targets.items():
        try:
            path.rename(target)
        except OSError as error:
            for old, renamed in done.items():
                with suppress(OSError):
                    renamed.rename(old)
            raise OutputError(f"cannot rename {path} to {target.name}: {error.strerror}; nothing was renamed") from error
        done[path] = target
    return done


@dataclass(frozen=True)
class Removal:
    """The changes on disk that remove a style. Nothing changes before `apply`."""

    files: list[Path] = field(default_factory=list)
    """The files to delete: the style's own, and bodies that no other style uses."""
    kept: dict[Path, list[str]] = field(default_factory=dict)
    """The files whose body stays -> the styles and predictors that use it; none for a body kept because of its folder."""
    moved_bodies: dict[Path, StyleHeader] = field(default_factory=dict)
    """Bodies that are only in a deleted style file: the path (in `kept`) to which the body is written -> that style file."""

    def apply(self) -> None:
        """Write the moved bodies, then delete the files.

        Raises OutputError if a file cannot be written or deleted, StyleError if a body to move cannot be read.
        """
        for path, header in self.moved_bodies.items():
            write_body_file(path, load_body(header), {})
        for path in self.files:
            try:
                path.unlink()
            except OSError as error:
                raise OutputError(f"cannot delete {path}: {error.strerror}") from error


def plan_removal(gallery: Gallery, name: str) -> Removal:
    """Plan the removal of a style: which files are deleted, and which bodies are kept.

    name: a style's name, for all its files, or the path of one file. Raises StyleError if all files are bundled.
    """
    removal, headers = Removal(), _changeable_files(gallery, name, advice="")
    removal.files.extend(header.path for header in headers)
    removed = {header.path.resolve() for header in headers}
    all_files = Gallery([*gallery.folders, *{header.path.parent for header in headers}]).files
    others = [header for header in all_files if header.path.resolve() not in removed]
    for header in headers:
        if header.path.is_symlink():  # the target of the link stays, and needs its body
            continue
        with suppress(StyleError):  # the body does not exist, so there is nothing to remove
            _plan_body(removal, header, gallery.body(header), others)
    return removal


def _plan_body(removal: Removal, header: StyleHeader, body: StyleHeader, others: list[StyleHeader]) -> None:
    """Plan whether a removed style's body is deleted, kept or moved.

    others: the files that stay. A body in another folder is kept, because styles in folders that the gallery does not search may
    use it.
    """
    same = [other for other in others if other.body_hash == header.body_hash]
    used_by = sorted({other.name for other in same if other.has_rows and not other.has_body})
    used_by += [other.path.name for other in same if other.is_predictor]
    if header.has_body:
        if used_by and not any(other.has_body for other in same):
            kept = header.path.with_name(f"{header.name}-{header.body_hash[:8]}.{header.architecture}-body{STYLE_SUFFIX}")
            removal.kept[kept], removal.moved_bodies[kept] = used_by, header
    elif used_by or body.has_rows or body.path.parent.resolve() != header.path.parent.resolve():
        removal.kept[body.path] = used_by
    else:
        removal.files.append(body.path)


def choose_file(gallery: Gallery, name: str, model: str | None) -> StyleHeader:
    """Choose a style's file for a network; None for its only file. Raises StyleError if there is none, or several with None."""
    models = gallery.models(name)
    available = " and ".join(sorted(models))
    if model is None and len(models) > 1:
        raise StyleError(f"{name} exists for {available}", advice="choose one with --model")
    if model is not None and model not in models:
        raise StyleError(f"{name} exists for {available}, not for {model}")
    return next(iter(models.values())) if model is None else models[model]


def export_style(gallery: Gallery, header: StyleHeader, target: Path) -> None:
    """Write a style into one file that needs no other file: rows, body, info and thumbnail.

    Raises StyleError if the body is not found or a file is damaged, OutputError if the target cannot be written.
    """
    from livestyle.style_files.thumbnail import thumbnail_jpeg  # imports OpenCV

    body, rows, jpeg = load_body(gallery.body(header)), load_rows(header), thumbnail_jpeg(header)
    write_style_file(target, body, rows, header.info, thumbnail=jpeg)


def _changeable_files(gallery: Gallery, name: str, advice: str) -> list[StyleHeader]:
    """Find a style's files that are not bundled, ordered by network.

    Raises StyleError, with the advice, if all are bundled; also if the name is the path of a picture, body or predictor.
    """
    found = sorted(gallery.models(name).values(), key=lambda header: header.architecture)
    if isinstance(found[0], PredictedStyle):
        raise StyleError(f"{found[0].path} is a picture, not a style file; name a style")
    changeable = [header for header in found if header.path.parent.resolve() != bundled_folder().resolve()]
    if not changeable:
        raise StyleError(f"{found[0].path.name} is bundled and cannot be changed", advice=advice)
    for header in changeable:
        if not header.has_rows:
            kind = "predictor" if header.is_predictor else "body"
            raise StyleError(f"{header.path} is a {kind} without a style; name a style")
    return changeable
