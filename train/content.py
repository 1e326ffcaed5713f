"""The content pictures: random crops of a folder of pictures, or of a video."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from livestyle.errors import TrainingError

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
VIDEO_FRAMES = 400  # kept of a video, spread over its length


def read_picture(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB, turned as its EXIF says; None if it cannot be read."""
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)  # fromfile: names in any alphabet
    except (OSError, cv2.error):
        return None
    return None if picture is None else np.ascontiguousarray(picture[:, :, ::-1])


def resize_short_side(picture: np.ndarray, short: int) -> np.ndarray:
    """Resize so that the shorter side is `short` pixels, aspect kept. (H, W, 3) uint8 -> (h, w, 3) uint8."""
    factor = short / min(picture.shape[:2])
    size = max(round(picture.shape[1] * factor), short), max(round(picture.shape[0] * factor), short)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def to_tensor(picture: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) fp32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 255


class ContentCrops(Dataset[tuple[Tensor, int]]):
    """Crop number i, (3, size, size) in [0, 1], and how many unreadable pictures were passed over for it.

    What crop i shows depends on the seed and on i alone: a run that goes on later sees what a run
    never stopped would have seen. Each epoch shows every picture once, in a new order.
    """

    def __init__(self, content: Path, size: int, zoom: float, seed: int) -> None:
        self.size, self.zoom, self.seed = size, zoom, seed
        self.pictures: list[Path] | list[np.ndarray]
        if content.is_dir():
            self.pictures = sorted(path for path in content.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
        elif content.is_file():
            self.pictures = _video_frames(content)
        else:
            raise TrainingError(
                f"no content pictures: {content} does not exist; name a folder of photos or a video with --content "
                "(any will do; the original used COCO's train2014)"
            )
        if not self.pictures:
            raise TrainingError(f"no content pictures in {content}; ten or more photos are needed ({', '.join(sorted(PICTURES))})")

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        epoch, position = divmod(index, len(self.pictures))
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.pictures))
        for skipped in range(len(self.pictures)):
            picture = self._read(order[(position + skipped) % len(order)])
            if picture is not None:
                return to_tensor(self._crop(picture, np.random.default_rng((self.seed, index, 1)))), skipped
        raise TrainingError("none of the content pictures can be read")

    def _read(self, number: int) -> np.ndarray | None:
        picture = self.pictures[number]
        return read_picture(picture) if isinstance(picture, Path) else picture

    def _crop(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As the original when zoom is 1: short side to size, then the middle. Else at random, half of them mirrored."""
        size = self.size
        if self.zoom <= 1:
            picture = resize_short_side(picture, size)
            top, left = (picture.shape[0] - size) // 2, (picture.shape[1] - size) // 2
            return picture[top : top + size, left : left + size]
        picture = resize_short_side(picture, round(size * rng.uniform(1, self.zoom)))
        top, left = (int(rng.integers(side - size + 1)) for side in picture.shape[:2])
        picture = picture[top : top + size, left : left + size]
        return picture[:, ::-1] if rng.random() < 0.5 else picture


def _video_frames(path: Path) -> list[np.ndarray]:
    """Up to VIDEO_FRAMES frames, evenly thinned: every second one is dropped whenever there are too many."""
    capture = cv2.VideoCapture(str(path))
    frames: list[np.ndarray] = []
    step, number = 1, 0
    try:
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            if number % step == 0:
                frames.append(np.ascontiguousarray(frame[:, :, ::-1]))
            if len(frames) > VIDEO_FRAMES:
                frames, step = frames[::2], step * 2
            number += 1
    finally:
        capture.release()
    if not frames:
        raise TrainingError(f"{path} is neither a folder of pictures nor a video that can be read")
    return frames
