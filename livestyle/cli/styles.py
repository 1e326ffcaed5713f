"""The command `livestyle styles` and its subcommands show, rename, remove and export."""

import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livestyle.cli.command import Group
from livestyle.cli.options import (
    MODELS,
    add_to_summary,
    complete_style,
    may_write,
    overwrite_options,
    print_line,
    print_notes,
)
from livestyle.errors import OutputError, StyleError, printable
from livestyle.output_file import refuse_same_file

if TYPE_CHECKING:
    from livestyle.style_files.file_format import StyleHeader

MAX_VALUE = 300  # characters that are shown of a value from a style file
MAX_TITLE = 80  # characters that are shown of a title in the list

style_argument = click.argument("style", metavar="STYLE", shell_complete=complete_style)
json_option = click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON on stdout.")
debug_option = click.option("--debug", is_flag=True, help="Show the traceback of an error.")


@click.group(cls=Group, invoke_without_command=True, examples=["livestyle styles", "livestyle styles show wave"])
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON on stdout.")
@debug_option
@click.pass_context
def styles(context: click.Context, as_json: bool, debug: bool) -> None:
    """List the styles: name, networks and title of each.

    Styles are read from ./models, your own data folder (Linux: ~/.local/share/livestyle/models, macOS:
    ~/Library/Application Support/livestyle/models, Windows: %LOCALAPPDATA%\\livestyle\\livestyle\\models) and the bundled
    ones. If several have the same name and network, the one in the first of these folders is used.
    """
    from livestyle.style_files.description import list_files
    from livestyle.style_files.gallery import Gallery

    if context.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError(f"write --json after {context.invoked_subcommand}")
        return
    gallery = Gallery()
    notes = gallery.notes + gallery.shadowed(gallery.names)
    if as_json:
        folders = [str(folder) for folder in gallery.folders]
        add_to_summary({"styles": list_files(gallery), "folders": folders, "notes": notes})
        return
    print_notes(notes, quiet=False)
    width = max((len(printable(name)) for name in gallery.names), default=0)
    for name in gallery.names:
        models = dict(sorted(gallery.models(name).items()))
        titles = dict.fromkeys(header.info.get("origin") or header.info.get("picture", "") for header in models.values())
        title = in_one_line(" / ".join(filter(None, titles)), MAX_TITLE)
        print_line(f"{printable(name):{width}}  {' '.join(models):9}  {title}".rstrip())


@styles.command(
    examples=[
        "livestyle styles show wave",
        "livestyle styles show autumn -o thumbnail.jpg",
    ]
)
@style_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the thumbnail of the style picture to this file.")
@overwrite_options
@json_option
@debug_option
def show(style: str, output: Path | None, overwrite: bool | None, as_json: bool, debug: bool) -> None:
    """Show the details of a style.

    Networks, files, picture, licence, and how it was trained. STYLE is a name, a style file, or a picture of a painting.
    """
    from livestyle.style_files.description import describe_file
    from livestyle.style_files.gallery import Gallery

    gallery = Gallery()
    models = dict(sorted(gallery.models(style).items()))
    if output is not None:
        write_thumbnail(list(models.values()), output, overwrite)
    name = next(iter(models.values())).name
    files = [describe_file(gallery, header) for header in models.values()]
    if as_json:
        add_to_summary({"style": name, "networks": list(models), "files": files, "thumbnail": str(output) if output else None})
        return
    print_line(f"{printable(name)}, for {' and '.join(models)}")
    for file in files:
        print_line("")
        for key, value in file.items():
            if line := format_value(key, value):
                print_line(f"{'size' if key == 'bytes' else key:9}  {line}")


@styles.command(
    examples=[
        "livestyle styles rename autumn october",
        "livestyle styles rename models/wave.full.safetensors sea",
    ]
)
@click.argument("old", shell_complete=complete_style)
@click.argument("new")
@json_option
@debug_option
def rename(old: str, new: str, as_json: bool, debug: bool) -> None:
    """Rename a style, for every network.

    OLD is a name or a file. Bundled styles cannot be renamed.
    """
    from livestyle.style_files.gallery import Gallery
    from livestyle.style_files.management import rename_style

    renamed = rename_style(Gallery(), old, new)
    if as_json:
        add_to_summary({"renamed": {str(path): str(target) for path, target in renamed.items()}})
        return
    for path, target in renamed.items():
        print_line(f"{path} is now {target}", err=True)
    print_notes(remaining_files(old), quiet=False)


@styles.command(
    examples=[
        "livestyle styles remove autumn",
        "livestyle styles remove autumn -y",
    ]
)
@style_argument
@click.option("-y", "yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@debug_option
def remove(style: str, yes: bool, as_json: bool, debug: bool) -> None:
    """Delete a style, for every network.

    STYLE is a name or a file. A body that no other style uses is deleted too. Bundled styles cannot be deleted.
    """
    from livestyle.style_files.gallery import Gallery
    from livestyle.style_files.management import plan_removal

    removal = plan_removal(Gallery(), style)
    files = ", ".join(str(path) for path in removal.files)
    if not yes and not (sys.stdin.isatty() and click.confirm(f"Delete {printable(files)}?", err=True)):
        raise OutputError(f"nothing was deleted; use -y to delete {files}")
    removal.apply()
    if as_json:
        kept = {str(path): needed_by for path, needed_by in removal.kept.items()}
        add_to_summary({"deleted": [str(path) for path in removal.files], "kept": kept})
        return
    print_line(f"deleted {files}", err=True)
    for path, needed_by in removal.kept.items():
        reason = f", used by {', '.join(needed_by)}" if needed_by else ""
        print_line(f"kept the body {path}{reason}", err=True)
    print_notes(remaining_files(style), quiet=False)


@styles.command(
    examples=[
        "livestyle styles export autumn",
        "livestyle styles export wave --model lite -o models/sea.lite.safetensors",
    ]
)
@style_argument
@click.option("-o", "--output", type=click.Path(), help="A file or a folder; default: STYLE.MODEL.safetensors, here.")
@click.option("--model", type=click.Choice(MODELS), default="auto", show_default=True, help="The network.")
@overwrite_options
@json_option
@debug_option
def export(style: str, output: str | None, model: str, overwrite: bool | None, as_json: bool, debug: bool) -> None:
    """Write a style to a single file, for sharing or backup.

    STYLE is a name, a style file, or a picture of a painting, whose style is predicted. The file includes the body and
    needs no other file.
    """
    from livestyle.style_files.file_format import STYLE_SUFFIX, check_name
    from livestyle.style_files.gallery import Gallery
    from livestyle.style_files.management import choose_file, export_style

    gallery = Gallery()
    header = choose_file(gallery, style, None if model == "auto" else model)
    target = Path(os.path.expanduser(output or ""))  # noqa: PTH111 (Path.expanduser raises if there is no such user)
    if target.is_dir() or (output or "").endswith("/"):
        target = target / f"{header.path.name.split('.')[0]}.{header.architecture}{STYLE_SUFFIX}"
    if target.suffix != STYLE_SUFFIX:
        raise OutputError(f"cannot write {target}: the name of a style file ends in {STYLE_SUFFIX}")
    check_name(target.name.split(".")[0])  # the style's name in the new file
    for source in (header.path, gallery.body(header).path):
        refuse_same_file(source, target)
    may_write(target, overwrite)
    export_style(gallery, header, target)
    if as_json:
        add_to_summary({"written": str(target), "model": header.architecture, "bytes": target.stat().st_size})
        return
    print_line(f"{target}, {target.stat().st_size / 1000:.0f} kB", err=True)


def format_value(key: str, value: Any) -> str:
    """Format a value of `describe_file` as text; empty if there is nothing to show."""
    if key == "bytes":
        return f"{value / 1000:.1f} kB"
    if key == "body" and value is None:
        return "not found; copy its file into this folder"
    if key == "training":
        line = in_one_line(", ".join(f"{name} {format_setting(setting)}" for name, setting in value.items()), 5 * MAX_VALUE)
        indent = " " * 11
        wrapped = textwrap.fill(line, 110, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        return wrapped.removeprefix(indent)  # the key is printed there
    if key == "thumbnail":
        return "yes; -o writes it" if value else "none"
    return "" if value is None else in_one_line(str(value))


def format_setting(setting: Any) -> str:
    """Format a training setting: 1.0 as 1, and {conv1_2: 1.0, conv2_2: 0.5} as (conv1_2 1, conv2_2 0.5)."""
    if isinstance(setting, dict):
        return f"({', '.join(f'{name} {format_setting(value)}' for name, value in setting.items())})"
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def in_one_line(text: str, length: int = MAX_VALUE) -> str:
    """Put text from a style file into one line of at most `length` characters, with spaces for control characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: length + 1])
    return line if len(line) <= length else f"{line[: length - 4]} ..."


def write_thumbnail(headers: "list[StyleHeader]", output: Path, overwrite: bool | None) -> None:
    """Write the first thumbnail of a style's files. Raises StyleError if there is none, OutputError if it cannot be written."""
    from livestyle.pictures.writing import write_picture
    from livestyle.style_files.thumbnail import load_thumbnail

    header = next((header for header in headers if header.has_thumbnail), None)
    picture = load_thumbnail(header) if header else None
    if picture is None:
        raise StyleError(f"{headers[0].path} has no thumbnail; newly trained styles have one")
    may_write(output, overwrite)
    write_picture(output, picture)


def remaining_files(name: str) -> list[str]:
    """Notes on files that still have a style's name: bundled files, or files that were shadowed before."""
    from livestyle.style_files.gallery import Gallery

    gallery = Gallery()
    models = gallery.models(name) if name in gallery.names else {}
    return [f"{name} ({model}) still exists: {header.path}" for model, header in sorted(models.items())]
