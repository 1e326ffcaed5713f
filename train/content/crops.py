"""Content pictures: random crops from a folder of pictures, a video, or pictures drawn by code."""

import os
import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from livestyle.errors import LivestyleError, TrainingError
from livestyle.pictures.formats import READ_SUFFIXES
from livestyle.pictures.reading import read_picture
from livestyle.train.content import drawn

MAX_VIDEO_FRAMES = 400  # at most, evenly spaced over the video
MAX_DRAWS = 10  # if so many random crops are of one colour, the picture counts as being of one colour
MIN_DEVIATION = 1.0  # minimum standard deviation of a crop in at least one channel, grey levels
MAX_ASPECT = 20  # long side / short side; a longer strip, with its short side enlarged to that of a crop, would fill the memory


def try_read_picture(path: Path) -> np.ndarray | None:
    """Read a picture -> (H, W, 3) uint8 RGB, rotated by its EXIF orientation.

    None if it cannot be read, is damaged, or does not fit into memory.
    """
    try:
        return read_picture(path).image
    except (LivestyleError, OSError, MemoryError):
        return None


def resize_short_side(picture: np.ndarray, short: int) -> np.ndarray:
    """Resize a picture to a short side of `short` pixels, aspect ratio kept. (H, W, 3) uint8 -> (h, w, 3) uint8."""
    factor = short / min(picture.shape[:2])
    size = max(round(picture.shape[1] * factor), short), max(round(picture.shape[0] * factor), short)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def crop_centre(picture: np.ndarray, size: int) -> np.ndarray:
    """Crop a picture to its centre square. (H, W, 3) -> (size, size, 3)."""
    top, left = (picture.shape[0] - size) // 2, (picture.shape[1] - size) // 2
    return picture[top : top + size, left : left + size]


def to_tensor(picture: np.ndarray) -> Tensor:
    """Convert a picture, (H, W, 3) uint8 -> (3, H, W) fp32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 255


def to_image(picture: Tensor) -> np.ndarray:
    """Convert a tensor, (3, H, W) in [0, 1] -> (H, W, 3) uint8. Other values are clipped."""
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()


class ContentCrops(Dataset[tuple[Tensor, set[int]]]):
    """An unlimited sequence of crops; its length is that of an epoch, the number of pictures.

    Item i is crop number i, (3, size, size) in [0, 1], and the set of the numbers of pictures that were skipped for it, because
    they cannot be read, are of one colour, or are strips. A crop depends only on the seed and its number, so a resumed run has
    the same crops as an uninterrupted one. Each epoch uses every picture once, in a new order.
    content: a folder, searched recursively; a video; or a name from drawn.py. zoom: see `Config.zoom`.
    Raises TrainingError if there are no pictures; an item raises it if no picture can be used.
    """

    def __init__(self, content: Path, size: int, zoom: float, seed: int) -> None:
        self.size, self.zoom, self.seed = size, zoom, seed
        self.notes: list[str] = []
        """Notes from reading a video, one line each."""
        self.pictures: Sequence[Path | np.ndarray]
        if drawn.is_drawn(content):
            self.pictures = drawn.draw_content(content)
        elif os.path.isdir(content):  # noqa: PTH112 (Path.is_dir raises in folders without permission)
            self.pictures = sorted(path for path in content.rglob("*") if path.suffix.lower() in READ_SUFFIXES and _is_file(path))
        else:
            self.pictures = _video_frames(content, round(size * zoom), self.notes)
        if not self.pictures:
            raise TrainingError(
                f"no content pictures in {content} ({', '.join(READ_SUFFIXES)}); name a folder with "
                "ten or more photos, or a video, with --content"
            )

    def __len__(self) -> int:
        return len(self.pictures)

    def name(self, number: int) -> str:
        """A picture's name for messages: its path, or its number."""
        entry = self.pictures[number]
        return str(entry) if isinstance(entry, Path) else f"picture {number + 1}"

    def __getitem__(self, index: int) -> tuple[Tensor, set[int]]:
        epoch, position = divmod(index, len(self))
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self))
        skipped: set[int] = set()
        for number in np.roll(order, -position).tolist():
            entry = self.pictures[number]
            picture = try_read_picture(entry) if isinstance(entry, Path) else entry
            rng = np.random.default_rng((self.seed, index, 1))
            crop = None if picture is None or _is_strip(picture) else self._crop_with_detail(picture, rng)
            if crop is not None:
                return to_tensor(crop), skipped
            skipped.add(number)
        raise TrainingError(
            f"none of the {len(self)} content pictures can be read and has more than one colour; name others with --content"
        )

    def _crop_with_detail(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """Take a random crop with more than one colour; None if MAX_DRAWS crops have only one.

        A crop of one colour harms training: every instance norm multiplies its gradients by 300 (1 / sqrt(eps)), which fills the
        optimizers' state with values of 1e20 for hundreds of steps.
        """
        crops = (self._crop(picture, rng) for _ in range(MAX_DRAWS))
        return next((crop for crop in crops if crop.std((0, 1)).max() >= MIN_DEVIATION), None)

    def _crop(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Take a random crop, mirrored or not. With zoom 1, take the centre square, not mirrored, as in the original program."""
        size = self.size
        if self.zoom == 1:
            return crop_centre(resize_short_side(picture, size), size)
        picture = resize_short_side(picture, round(size * rng.uniform(1, self.zoom)))
        top, left = (int(rng.integers(side - size + 1)) for side in picture.shape[:2])
        picture = picture[top : top + size, left : left + size]
        return picture[:, ::-1] if rng.random() < 0.5 else picture


def collate(crops: list[tuple[Tensor, set[int]]]) -> tuple[Tensor, set[int]]:
    """Collate items of ContentCrops into a batch: their crops, (N, 3, size, size), and the numbers of all skipped pictures."""
    return torch.stack([crop for crop, _ in crops]), set().union(*(skipped for _, skipped in crops))


def init_worker(_: int) -> None:
    """Initialise a worker process of the DataLoader: ignore signals, and use one thread.

    OpenCV's threads would compete with PyTorch's for the cores. A closed terminal, `timeout` and systemd send their signals to
    all processes of a group; only the training process handles them. The second SIGTERM ends the worker: PyTorch sends two to a
    worker that does not end by itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    cv2.setNumThreads(0)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises in folders without permission)


def _is_strip(picture: np.ndarray) -> bool:
    return bool(max(picture.shape[:2]) > MAX_ASPECT * min(picture.shape[:2]))


def _video_frames(path: Path, short: int, notes: list[str]) -> list[np.ndarray]:
    """Read up to MAX_VIDEO_FRAMES evenly spaced frames, (h, w, 3) uint8 RGB, with a short side of at most `short` pixels.

    As the number of frames is not known in advance, every second frame is dropped when there are too many. Notes on the file are
    appended to `notes`. Raises TrainingError if no frame can be read.
    """
    from livestyle.sources.video.file import (  # imports av, which must come after cv2, or windows hang on Linux
        VideoFile,
        open_video,
    )

    def size(width: int, height: int) -> tuple[int, int]:
        factor = min(1.0, short / min(width, height))
        return max(1, round(width * factor)), max(1, round(height * factor))

    frames: list[np.ndarray] = []
    step, number = 1, 0
    try:
        with closing(open_video(path, size=size)) as video:
            while True:
                if number % step and isinstance(video, VideoFile):
                    if not video.skip():
                        break
                elif (frame := video.read()) is None:
                    break
                elif number % step == 0:
                    frames.append(frame.image)
                    if len(frames) > MAX_VIDEO_FRAMES:
                        frames, step = frames[::2], step * 2
                number += 1
            notes += [f"{path}: {note}" for note in video.notes + video.damage]
    except LivestyleError as error:
        if not frames:  # otherwise the frames before the damage are used
            raise TrainingError(f"{path} is neither a folder of pictures nor a video that can be read: {error}") from error
        notes.append(f"{path}: {error}")
    return frames
