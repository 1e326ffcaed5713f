"""Describe style files from their headers. The info of a style file is not trusted: it may come from anybody."""

import json
import math
from typing import Any

from livestyle.errors import StyleError
from livestyle.style_files.file_format import StyleHeader
from livestyle.style_files.gallery import Gallery


def describe_file(gallery: Gallery, header: StyleHeader) -> dict[str, Any]:
    """Network, files, origin and training of a style file, for people and for JSON. "body" is None if no body is found."""
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
    """Info of every style for every network, for JSON. Keys of the file's info do not replace ours."""
    return [
        header.info | {"style": name, "model": model, "file": str(header.path), "training": training_settings(header)}
        for name in gallery.names
        for model, header in sorted(gallery.models(name).items())
    ]


def training_settings(header: StyleHeader) -> dict[str, Any]:
    """The training settings in a style file's info: numbers, text, and layers with weights. All other values are left out."""
    try:
        found = json.loads(header.info.get("training", "{}"))
    except (ValueError, RecursionError):  # not written by this trainer, or malicious
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
