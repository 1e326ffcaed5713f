"""The logs of a run: log.txt, sample.jpg and TensorBoard events in its folder, and a window."""

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
    """A destination for the losses and sample pictures of a run."""

    def losses(self, step: int, means: Mapping[str, float]) -> None:
        """Log means over the last steps, by name."""

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None:
        """Log a sample and its measures, by name.

        pictures: the sample photo, then its painting in each style, (1 + S, 3, H, W) in [0, 1].
        """

    def close(self) -> None: ...


class NoLog:
    """Discards everything. For all processes except the first, and instead of TensorBoardLog if TensorBoard is not installed."""

    def losses(self, step: int, means: Mapping[str, float]) -> None: ...

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoardLog:
    """Writes events for `tensorboard --logdir FOLDER`."""

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
    """Appends the losses to log.txt, replaces sample.jpg with the newest pictures side by side, and passes both on to `events`.

    Raises OutputError if the folder cannot be written, or another training runs there.
    """

    def __init__(self, folder: Path, events: Log) -> None:
        self.folder, self.events = folder, events
        try:
            self.text = (folder / "log.txt").open("a", encoding="utf-8", buffering=1)  # line buffered
        except OSError as error:
            raise OutputError(f"cannot write into {folder}: {error.strerror}; name another place with --model-path") from error
        try:
            lock(self.text.fileno())  # released when the file is closed
        except (BlockingIOError, PermissionError) as error:
            self.text.close()
            raise OutputError(f"another training is running in {folder}; wait for it, or take another --name") from error
        except OSError:  # some file systems do not support locks
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


class FailSafeLog:
    """Passes everything on to another log until writing fails, then warns and discards the rest.

    A full disk thus ends the log but not the training.
    """

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
    """Shows the samples in a window, and passes everything on to another log."""

    TITLE = "livestyle train: Ctrl-C in the terminal stops and keeps the best result"

    def __init__(self, log: Log) -> None:
        self.log = log

    def losses(self, step: int, means: Mapping[str, float]) -> None:
        self.log.losses(step, means)

    def sample(self, step: int, pictures: Tensor, measures: Mapping[str, float]) -> None:
        try:
            cv2.imshow(self.TITLE, _row(pictures))
            cv2.waitKey(1)
        except cv2.error as error:
            raise OutputError("no window can be opened here; use --preview file, which updates the run's sample.jpg") from error
        self.log.sample(step, pictures, measures)

    def close(self) -> None:
        self.log.close()
        with suppress(cv2.error):  # the window was never opened
            cv2.destroyWindow(self.TITLE)


def _row(pictures: Tensor) -> np.ndarray:
    """Put pictures, (N, 3, H, W) in [0, 1], side by side -> (H, N W, 3) uint8 BGR."""
    row = (pictures.clamp(0, 1) * 255).round().byte().permute(2, 0, 3, 1).flatten(1, 2).numpy()
    return np.ascontiguousarray(row[:, :, ::-1])


def open_log(folder: Path, first_step: int, window: bool, warn: Callable[[str], None]) -> Log:
    """Open the run's log, with TensorBoard events if TensorBoard is installed. window: also show the samples in a window.

    Events of an earlier training that are later than first_step are hidden. Raises OutputError if the folder cannot be written
    now; if writing fails later, `warn` is called with a line.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}; name another place with --model-path") from error
    files = FolderLog(folder, NoLog())
    try:
        from torch.utils.tensorboard import SummaryWriter  # slow to import
    except ImportError:  # an optional dependency
        pass
    else:
        files.events = TensorBoardLog(SummaryWriter(str(folder), purge_step=first_step + 1))
    log = FailSafeLog(files, warn)
    return WindowLog(log) if window else log
