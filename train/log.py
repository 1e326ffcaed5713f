"""What a run leaves to look at in its folder: log.txt, sample.jpg, and TensorBoard's events."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from torch import Tensor

from livestyle.errors import OutputError
from livestyle.output_file import lock


class Log(Protocol):
    """Takes what there is to see of a run."""

    def losses(self, step: int, means: Mapping[str, float]) -> None:
        """Means over the last steps, by name."""

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None:
        """The photo and what each style makes of it, (1 + S, 3, H, W) in [0, 1], and what they measure, by name."""

    def close(self) -> None: ...


class NoLog:
    """For the processes that only help, and for the events where TensorBoard is not installed."""

    def losses(self, step: int, means: Mapping[str, float]) -> None: ...

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoardLog:
    """Events for `tensorboard --logdir FOLDER`."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def losses(self, step: int, means: Mapping[str, float]) -> None:
        for name, mean in means.items():
            self.writer.add_scalar(name.replace("_weight", "_weighted"), mean, step)

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None:
        self.writer.add_images("sample", pictures, step)
        for name, measure in measures.items():
            self.writer.add_scalar(name, measure, step)

    def close(self) -> None:
        self.writer.close()


class FolderLog:
    """log.txt, a line each time, and sample.jpg, the newest pictures side by side; the same to `events`.

    Raises OutputError if the folder cannot be written, or another run has its log there.
    """

    def __init__(self, folder: Path, events: Log) -> None:
        self.folder, self.events = folder, events
        try:
            self.text = (folder / "log.txt").open("a", encoding="utf-8", buffering=1)  # by the line
        except OSError as error:
            raise OutputError(f"cannot write into {folder}: {error.strerror}; name another place with --model-path") from error
        try:
            lock(self.text.fileno())  # until it is closed
        except (BlockingIOError, PermissionError) as error:
            self.text.close()
            raise OutputError(f"another training is running in {folder}; wait for it, or take another --name") from error
        except OSError:  # not every file system has locks
            pass

    def losses(self, step: int, means: Mapping[str, float]) -> None:
        self.text.write(f"step {step} " + " ".join(f"{name} {mean:.5g}" for name, mean in means.items()) + "\n")
        self.events.losses(step, means)

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None:
        partial = self.folder / ".sample.partial.jpg"
        _, data = cv2.imencode(".jpg", _row(pictures))
        try:
            partial.write_bytes(data.tobytes())
            os.replace(partial, self.folder / "sample.jpg")
        except OSError as error:
            raise OutputError(f"cannot write {self.folder / 'sample.jpg'}: {error.strerror}") from error
        self.events.sample(step, pictures, measures)

    def close(self) -> None:
        self.text.close()
        self.events.close()


class ForgivingLog:
    """Passes all on to another log, until that cannot be written: a full disk ends the log, not the training."""

    def __init__(self, log: Log, warn: Callable[[str], None]) -> None:
        self.log, self.warn = log, warn

    def losses(self, step: int, means: Mapping[str, float]) -> None:
        self._try(lambda: self.log.losses(step, means))

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None:
        self._try(lambda: self.log.sample(step, pictures, measures))

    def close(self) -> None:
        self._try(self.log.close)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except (OSError, OutputError) as error:
            self.log = NoLog()
            self.warn(f"the log ends here: {error}")


class WindowLog:
    """Shows the samples in a window, and passes all on to another log."""

    TITLE = "livestyle train: Ctrl-C in the terminal stops, and keeps the best so far"

    def __init__(self, log: Log) -> None:
        self.log = log

    def losses(self, step: int, means: Mapping[str, float]) -> None:
        self.log.losses(step, means)

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None:
        try:
            cv2.imshow(self.TITLE, _row(pictures))
            cv2.waitKey(1)
        except cv2.error as error:
            raise OutputError("no window can be opened here; use --preview file, which renews the run's sample.jpg") from error
        self.log.sample(step, pictures, measures)

    def close(self) -> None:
        self.log.close()
        with suppress(cv2.error):  # never opened
            cv2.destroyWindow(self.TITLE)


def _row(pictures: Tensor) -> np.ndarray:
    """(N, 3, H, W) in [0, 1] -> side by side, (H, N W, 3) uint8 BGR."""
    row = (pictures.clamp(0, 1) * 255).round().byte().permute(2, 0, 3, 1).flatten(1, 2).numpy()
    return np.ascontiguousarray(row[:, :, ::-1])


def open_log(folder: Path, first_step: int, window: bool, warn: Callable[[str], None]) -> Log:
    """The run's log, with TensorBoard's events if it is installed; what they hold of later steps is hidden. window: shown too.

    Raises OutputError if the folder cannot be written now; later, `warn` gets a line.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}; name another place with --model-path") from error
    files = FolderLog(folder, NoLog())
    try:
        from torch.utils.tensorboard import SummaryWriter  # slow to import
    except ImportError:  # an extra
        pass
    else:
        files.events = TensorBoardLog(SummaryWriter(str(folder), purge_step=first_step + 1))
    log = ForgivingLog(files, warn)
    return WindowLog(log) if window else log
