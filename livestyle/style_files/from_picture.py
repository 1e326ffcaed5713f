"""Styles that are predicted from a picture of a painting, without training."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from livestyle.errors import InputError, StyleError, TooLargeError
from livestyle.frame import FloatArray, Image
from livestyle.networks import ARCHITECTURES
from livestyle.pictures.limits import check_file_size
from livestyle.pictures.reading import decode_picture
from livestyle.prediction.cache import cache_folder, cache_key, read_rows, write_rows
from livestyle.prediction.statistics import style_statistics
from livestyle.style_files.file_format import PredictedStyle, StyleHeader, load_predictor


def predict_styles(path: Path, name: str, predictors: Iterable[StyleHeader]) -> list[PredictedStyle]:
    """Predict a style from a picture file, once with each predictor. Takes half a second, or no time if it is in the cache.

    name: the name of the style. Raises StyleError if the picture or a predictor cannot be used.
    """
    data = _read(path)
    styles: list[PredictedStyle] = []
    statistics: FloatArray | None = None
    for predictor in predictors:
        row_length = ARCHITECTURES[predictor.architecture].row_length
        key = cache_key(data, _read(predictor.path))
        rows = read_rows(cache_folder(), key, row_length)
        if rows is None:
            if statistics is None:
                statistics = _measure(path, data)
            rows = _predict(predictor, statistics)
            write_rows(cache_folder(), key, rows)
        info = {"picture": path.name, "origin": f"predicted from {path}", "predictor": str(predictor.path)}
        architecture, body_hash = predictor.architecture, predictor.body_hash
        styles.append(PredictedStyle(path, architecture, body_hash, True, False, info, True, style_name=name, rows=rows))
    return styles


def predict_rows(picture: Image, name: str, predictor: StyleHeader) -> FloatArray:
    """Predict rows, (2, K) fp32, from the picture of a painting, (H, W, 3) uint8 RGB. Takes half a second; nothing is cached.

    name: for messages. Raises StyleError if the picture is too small, or if the predictor cannot be used.
    """
    return _predict(predictor, style_statistics(picture, name))


def _predict(predictor: StyleHeader, statistics: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        rows = load_predictor(predictor)(statistics)
    if not np.isfinite(rows).all():
        raise StyleError(f"{predictor.path} predicts values that are not finite; the file is damaged")
    return rows


def _measure(path: Path, data: bytes) -> FloatArray:
    try:
        return style_statistics(decode_picture(data, str(path)).image, str(path))
    except (InputError, TooLargeError) as error:
        raise StyleError(str(error)) from error


def _read(path: Path) -> bytes:
    """Read a whole file. Raises StyleError if that is impossible, or it is too large."""
    try:
        if not path.is_file() and path.exists():  # a folder; or a pipe or device, from which reading may never end
            raise StyleError(f"{path} is not a file; name the picture of a painting")
        check_file_size(path.stat().st_size, str(path))
        return path.read_bytes()
    except OSError as error:
        raise StyleError(f"cannot read {path}: {error.strerror}") from error
    except TooLargeError as error:
        raise StyleError(str(error)) from error
