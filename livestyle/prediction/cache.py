"""A cache of predicted rows on disk: one small file per picture and predictor, in the user's cache folder.

A file contains the SHA-256 of its values and then the values, so a damaged file is noticed. A cache that cannot be read or
written is never an error: rows are then predicted again.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import platformdirs

from livestyle.errors import OutputError
from livestyle.frame import FloatArray
from livestyle.output_file import write_whole

MOST_FILES = 500  # of about 12 kB; the oldest are deleted
SUFFIX = ".rows"
VERSION = b"1"  # part of every key: increase it if statistics.py or predictor.py computes other values


def cache_folder() -> Path | None:
    """The folder of the cached rows; None if the user has no home directory, as with `docker run --user`."""
    try:
        folder = platformdirs.user_cache_path("livestyle") / "predicted"
    except (OSError, RuntimeError, KeyError):
        return None
    return folder if folder.is_absolute() else None  # without a home directory, "~" is not expanded


def cache_key(picture: bytes, predictor: bytes) -> str:
    """The key of rows: a digest of the whole files of the picture and of the predictor."""
    parts = (VERSION, hashlib.sha256(picture).digest(), hashlib.sha256(predictor).digest())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read_rows(folder: Path | None, key: str, row_length: int) -> FloatArray | None:
    """Read rows from the cache, (2, K); None if they are not there, or their file is damaged."""
    if folder is None:
        return None
    values_bytes = 2 * row_length * 4
    try:
        with (folder / f"{key}{SUFFIX}").open("rb") as file:
            data = file.read(32 + values_bytes + 1)
    except OSError:
        return None
    digest, values = data[:32], data[32:]
    if len(values) != values_bytes or hashlib.sha256(values).digest() != digest:
        return None
    rows = np.frombuffer(values, "<f4").astype(np.float32).reshape(2, row_length)
    return rows if np.isfinite(rows).all() else None


def write_rows(folder: Path | None, key: str, rows: FloatArray) -> None:
    """Write rows, (2, K), to the cache, and delete the oldest files above MOST_FILES."""
    if folder is None:
        return
    values = rows.astype("<f4").tobytes()
    with suppress(OSError, OutputError):  # a full disk, another user's folder, or a second process that writes the same rows
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{key}{SUFFIX}", hashlib.sha256(values).digest() + values)
        files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[MOST_FILES:]:
            path.unlink(missing_ok=True)
