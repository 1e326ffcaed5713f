"""Parse blends of styles, as users write them."""

import os
from collections.abc import Mapping
from pathlib import Path

from livestyle.errors import StyleError
from livestyle.style_files.file_format import STYLE_SUFFIX

EXAMPLE = "a name, or a blend such as wave:.7,udnie:.3"


def has_suffix(text: str) -> bool:
    """Whether a text ends in the suffix of a style file or of a picture."""
    from livestyle.pictures.formats import HEIC_SUFFIXES, READ_SUFFIXES  # imports Pillow

    return text.endswith(STYLE_SUFFIX) or text.lower().endswith((*READ_SUFFIXES, *HEIC_SUFFIXES, ".gif"))


def parse_blend(style: str | os.PathLike[str] | Mapping[str, float]) -> dict[str, float]:
    """Parse `wave`, `wave:.7,udnie:.3`, a path or a mapping. Returns style -> weight; the weights are normalised to a sum of 1.

    Commas and colons separate, except in the path of a file that exists and is the only style. To blend such a file, use a
    mapping, or rename it.

    Raises StyleError if a weight is not a number above 0 and below 1e6, or no style is named.
    """
    if isinstance(style, os.PathLike):
        style = {str(style): 1.0}
    entries: list[tuple[str, str | float]] = []
    if isinstance(style, str) and has_suffix(style) and _is_file(style):
        entries.append((style, 1.0))
    elif isinstance(style, str):
        for part in style.split(","):
            name, colon, weight = part.rpartition(":")
            # a colon may also be part of a path (C:\...); then the rest of the path follows it, not a number
            rest_of_path = "/" in weight or "\\" in weight or has_suffix(weight)
            entries.append((name, weight) if colon and not rest_of_path else (part, 1.0))
    elif isinstance(style, Mapping) and all(isinstance(name, str) for name in style):
        entries += style.items()
    else:
        raise StyleError(f"cannot read the style {style!r:.100}; give a name, a path, or a blend such as wave:.7,udnie:.3")
    blend: dict[str, float] = {}
    for name, share in entries:
        try:
            number = float(share)
        except (TypeError, ValueError):
            number = 0.0
        if not 0 < number < 1e6 or not name.strip():
            raise StyleError(f"cannot read the style {style!r}; write {EXAMPLE}")
        blend[name.strip()] = blend.get(name.strip(), 0.0) + number
    total = sum(blend.values())
    if not blend:
        raise StyleError(f"no style named; write {EXAMPLE}")
    return {name: number / total for name, number in blend.items()}


def _is_file(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):  # too long for a file name, or in the home directory of an unknown user
        return False
