"""What a person does with the styles that are there: rename, remove, hand on. The bundled ones stay as they are."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from livestyle.errors import OutputError, StyleError
from livestyle.style_files import file_format
from livestyle.style_files.file_format import Header
from livestyle.style_files.gallery import STYLE_SUFFIX, Gallery, bundled_folder


def rename_style(gallery: Gallery, name: str, new: str) -> dict[Path, Path]:
    """Rename a style's own files, for every network or, when one of them fails, for none. Returns old path -> new path.

    name: a style's name, or a path to one file. Raises StyleError for a name that cannot be or is taken, or if
    only bundled files have it; OutputError if a file cannot be renamed.
    """
    file_format.check_name(new)
    command = f"livestyle styles export {name} --model MODEL -o models/{new}.MODEL{STYLE_SUFFIX}"
    headers = _own(gallery, name, advice=f"to make your own copy: {command}")
    targets = {header.path: header.path.with_name(new + header.path.name[len(header.name) :]) for header in headers}
    beside = Gallery(list({path.parent for path in targets}))
    if new in gallery.names or new in beside.names or any(os.path.lexists(target) for target in targets.values()):
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
    """What removing a style takes away and what it leaves, before it is done."""

    files: list[Path] = field(default_factory=list)
    """To be deleted: the style's own, and bodies that no other style needs."""
    kept: dict[Path, list[str]] = field(default_factory=dict)
    """Bodies that stay -> the names of the styles that need them."""
    bodies: dict[Path, Header] = field(default_factory=dict)
    """Those of `kept` that are to be written: their only copy lies in a style file that goes -> that file."""

    def do(self) -> None:
        """Delete the files. Raises OutputError."""
        for path, header in self.bodies.items():
            file_format.save(path, file_format.load_body(header), None, {}, with_body=True)
        for path in self.files:
            try:
                path.unlink()
            except OSError as error:
                raise OutputError(f"cannot delete {path}: {error.strerror}") from error


def plan_removal(gallery: Gallery, name: str) -> Removal:
    """What goes and what stays if the style, or the one file that a path names, is removed.

    Raises StyleError if only bundled files have the name.
    """
    removal, headers = Removal(), _own(gallery, name, advice="")
    removal.files.extend(header.path for header in headers)
    going = {header.path.resolve() for header in headers}
    everywhere = Gallery([*gallery.folders, *{header.path.parent for header in headers}])
    others = [header for header in everywhere.files if header.path.resolve() not in going]
    for header in headers:
        if header.path.is_symlink():  # what it points to stays, and needs its body
            continue
        with suppress(StyleError):  # a body that is not there need not be taken away
            _plan_body(removal, header, gallery.body(header), others)
    return removal


def _plan_body(removal: Removal, header: Header, body: Header, others: list[Header]) -> None:
    """What becomes of a style's body. One in another folder may serve styles that nobody has looked for: it stays."""
    same = [other for other in others if other.body_hash == header.body_hash]
    needed_by = sorted({other.name for other in same if other.has_rows and not other.has_body})
    if header.has_body:
        if needed_by and not any(other.has_body for other in same):
            kept = header.path.with_name(f"{header.name}-{header.body_hash[:8]}.{header.architecture}-body{STYLE_SUFFIX}")
            removal.kept[kept], removal.bodies[kept] = needed_by, header
    elif needed_by or body.has_rows or body.path.parent.resolve() != header.path.parent.resolve():
        removal.kept[body.path] = needed_by
    else:
        removal.files.append(body.path)


def export_style(gallery: Gallery, header: Header, target: Path) -> None:
    """Write rows and body, what is known of them and the thumbnail, into one file that needs no other.

    Raises StyleError if the body is not there or a file is broken, OutputError if the target cannot be written.
    """
    rows, body = file_format.load_style(header).rows, file_format.load_body(gallery.body(header))
    file_format.save(target, body, rows, header.info, with_body=True, thumbnail=file_format.load_thumbnail(header))


def _own(gallery: Gallery, name: str, advice: str) -> list[Header]:
    """A style's files that are not bundled, in the order of their networks. Raises StyleError, with the advice, if all are."""
    found = sorted(gallery.models(name).values(), key=lambda header: header.architecture)
    own = [header for header in found if header.path.parent.resolve() != bundled_folder().resolve()]
    if not own:
        raise StyleError(f"{found[0].path.name} is bundled and cannot be changed", advice=advice)
    for header in own:
        if not header.has_rows:
            raise StyleError(f"{header.path} is a body without a style; name a style")
    return own
