"""Describe style files by their headers. Their info is not trusted: a style file may come from anybody."""

import json
import math
from typing import Any

from livestyle.errors import StyleError
from livestyle.style_files.file_format import StyleHeader
from livestyle.style_files.gallery import Gallery


def describe_file(gallery: Gallery, header: StyleHeader) -> dict[str, Any]:
    """Describe a style file for people and for JSON: network, files, origin, training. "body" is None if no body is found."""
    try:
        body: str | None = str(gallery.body(header).path)
    except StyleError:
        body = None
    training = training_settings(header)
    return {
        "network": header.architecture,
        "file": str(header.path),
        "bytes": header.path.stat().st_size,
        "body": body,
        **{key: header.info.get(key, "") for key in ("picture", "origin", "licence")},
        "steps": training.pop("steps", None),
        "training": training,
        "thumbnail": header.has_thumbnail,
    }


def list_files(gallery: Gallery) -> list[dict[str, Any]]:
    """Describe every style for every network, for JSON: its info, and keys that replace those of the info."""
    return [
        header.info | {"style": name, "model": model, "file": str(header.path), "training": training_settings(header)}
        for name in gallery.names
        for model, header in sorted(gallery.models(name).items())
    ]


def training_settings(header: StyleHeader) -> dict[str, Any]:
    """Read the training settings from a style file's info: numbers, text, and weights by layer. Other values are left out."""
    try:
        found = json.loads(header.info.get("training", "{}"))
    except (ValueError, RecursionError):  # not written by livestyle, or malicious
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {
        key: value
        for key, value in entries
        if _is_setting(value) or (isinstance(value, dict) and all(_is_setting(weight) for weight in value.values()))
    }


def _is_setting(value: Any) -> bool:
    """Whether a value is text or a finite number; JSON output has no NaN or infinity."""
    return isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))
