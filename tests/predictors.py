"""Untrained predictors and small paintings, for tests."""

import shutil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.frame import Image
from livestyle.networks import ARCHITECTURES
from livestyle.prediction.predictor import tensor_shapes
from livestyle.style_files.file_format import FORMAT, StyleHeader, write_safetensors
from livestyle.style_files.gallery import Gallery


def painting(seed: int = 0, width: int = 90, height: int = 60) -> Image:
    """Draw smooth random spots, (H, W, 3) uint8 RGB."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def random_tensors(architecture: str, seed: int = 0) -> dict[str, NDArray[np.float16]]:
    """Tensors of a predictor, half precision. Rows for different pictures differ, and are near those of plain instance norm."""
    rng = np.random.default_rng(seed)
    length = ARCHITECTURES[architecture].row_length
    tensors = {name: rng.normal(0, 0.05, shape).astype(np.float16) for name, shape in tensor_shapes(length).items()}
    tensors["scale"] = np.ones_like(tensors["scale"])
    tensors["rows.bias"][:length] += 1  # scales
    return tensors


def write_predictor(path: Path, body: StyleHeader, seed: int = 0) -> Path:
    """Write an untrained predictor for the body of a file. Returns its path."""
    metadata = {"format": FORMAT, "architecture": body.architecture, "body": body.body_hash, "training": '{"steps": 7}'}
    write_safetensors(path, random_tensors(body.architecture, seed), metadata)
    return path


def copy_with_predictors(styles: Path, folder: Path) -> Path:
    """Copy a folder of style files, and add a predictor for the bodies of ash, for both networks. Returns the folder."""
    shutil.copytree(styles, folder)
    for model, header in Gallery([folder]).models("ash").items():
        write_predictor(folder / f"trees.{model}-predictor.safetensors", header)
    return folder
