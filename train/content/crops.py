"""The content pictures: crops of a folder of pictures, of a video, or of drawn scenes."""

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
from livestyle.pictures import reading as pictures
from livestyle.pictures.reading import READ_SUFFIXES
from livestyle.train.content import drawn

VIDEO_FRAMES = 400  # at most kept of a video, spread over its length
DRAWS = 10  # of a crop, before the picture counts as flat
FLAT = 1.0  # grey levels of standard deviation
NARROW = 20  # times as long as wide: enlarged until it is as wide as a crop, a strip fills the memory


def read_picture(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB, turned as its EXIF says; None if it cannot be read, is damaged, or is larger than the memory."""
    try:
        return pictures.read_picture(path).image
    except (LivestyleError, OSError, MemoryError):
        return None


def resize_short_side(picture: np.ndarray, short: int) -> np.ndarray:
    """Resize so that the shorter side is `short` pixels, aspect kept. (H, W, 3) uint8 -> (h, w, 3) uint8."""
    factor = short / min(picture.shape[:2])
    size = max(round(picture.shape[1] * factor), short), max(round(picture.shape[0] * factor), short)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def crop_middle(picture: np.ndarray, size: int) -> np.ndarray:
    """The square of `size` pixels in the middle. (H, W, 3) -> (size, size, 3)."""
    top, left = (picture.shape[0] - size) // 2, (picture.shape[1] - size) // 2
    return picture[top : top + size, left : left + size]


def to_tensor(picture: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) fp32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 255


def to_image(picture: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()


class ContentCrops(Dataset[tuple[Tensor, set[int]]]):
    """Crop number i, (3, size, size) in [0, 1], and the numbers of the pictures that were skipped for it: they cannot be
    read, are of one colour, or are strips.

    What crop i shows depends on the seed and on i alone: a run that goes on later sees what a run
    never stopped would have seen. Each epoch shows every picture once, in a new order.
    """

    def __init__(self, content: Path, size: int, zoom: float, seed: int) -> None:
        self.size, self.zoom, self.seed = size, zoom, seed
        self.notes: list[str] = []
        """What there is to say of a video."""
        self.pictures: Sequence[Path | np.ndarray]
        if drawn.is_drawn(content):
            self.pictures = drawn.content(content)
        elif os.path.isdir(content):  # noqa: PTH112 (Path.is_dir raises in folders that are closed)
            self.pictures = sorted(path for path in content.rglob("*") if path.suffix.lower() in READ_SUFFIXES and _is_file(path))
        else:
            self.pictures = _video_frames(content, round(size * zoom), self.notes)
        if not self.pictures:
            raise TrainingError(
                f"no content pictures in {content} ({', '.join(READ_SUFFIXES)}); name a folder that holds "
                "ten or more photos, or a video, with --content"
            )

    def __len__(self) -> int:
        return len(self.pictures)

    def name(self, number: int) -> str:
        """Of picture `number`."""
        entry = self.pictures[number]
        return str(entry) if isinstance(entry, Path) else f"picture {number + 1}"

    def __getitem__(self, index: int) -> tuple[Tensor, set[int]]:
        epoch, position = divmod(index, len(self))
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self))
        unusable: set[int] = set()
        for number in np.roll(order, -position).tolist():
            entry = self.pictures[number]
            picture = read_picture(entry) if isinstance(entry, Path) else entry
            rng = np.random.default_rng((self.seed, index, 1))
            crop = None if picture is None or _is_strip(picture) else self._crop_with_contents(picture, rng)
            if crop is not None:
                return to_tensor(crop), unusable
            unusable.add(number)
        raise TrainingError(
            f"none of the {len(self)} content pictures can be read and holds more than one colour; name others with --content"
        )

    def _crop_with_contents(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """A crop of more than one colour, if there is one.

        A flat one teaches nothing, and harms: every instance norm multiplies its gradients by 300 (1 / sqrt(eps)), which
        fill the optimizers' memory with 1e20 for hundreds of steps.
        """
        crops = (self._crop(picture, rng) for _ in range(DRAWS))
        return next((crop for crop in crops if crop.std((0, 1)).max() >= FLAT), None)

    def _crop(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As the original when zoom is 1: short side to size, then the middle. Else at random, half of them mirrored."""
        size = self.size
        if self.zoom == 1:
            return crop_middle(resize_short_side(picture, size), size)
        picture = resize_short_side(picture, round(size * rng.uniform(1, self.zoom)))
        top, left = (int(rng.integers(side - size + 1)) for side in picture.shape[:2])
        picture = picture[top : top + size, left : left + size]
        return picture[:, ::-1] if rng.random() < 0.5 else picture


def collate(crops: list[tuple[Tensor, set[int]]]) -> tuple[Tensor, set[int]]:
    """Crops -> (N, 3, size, size), and all the pictures passed over."""
    return torch.stack([crop for crop, _ in crops]), set().union(*(unusable for _, unusable in crops))


def start_worker(_: int) -> None:
    """A loader's process: Ctrl-C is for the process that trains, and two thread pools would fight for the cores.

    A closed terminal, `timeout` and systemd send their signals to it too. The second SIGTERM ends it: PyTorch sends two
    to one that does not end by itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    cv2.setNumThreads(0)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises in folders that are closed)


def _is_strip(picture: np.ndarray) -> bool:
    return bool(max(picture.shape[:2]) > NARROW * min(picture.shape[:2]))


def _video_frames(path: Path, short: int, notes: list[str]) -> list[np.ndarray]:
    """Up to VIDEO_FRAMES frames, short side at most `short`, evenly thinned: every second one goes whenever there are too many.

    notes: gets what is said of the file.
    """
    from livestyle.sources.video.file import (  # imports av, after cv2: the other way round, windows hang on Linux
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
                    if len(frames) > VIDEO_FRAMES:
                        frames, step = frames[::2], step * 2
                number += 1
            notes += [f"{path}: {note}" for note in video.notes + video.damage]
    except LivestyleError as error:
        if not frames:  # else frames read before damage count
            raise TrainingError(f"{path} is neither a folder of pictures nor a video that can be read: {error}") from error
        notes.append(f"{path}: {error}")
    return frames
