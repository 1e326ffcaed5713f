"""Train the rows of one style in a process of its own, and send them to the process that started it.

    python -m livestyle.train.refine SETTINGS < ROWS > RECORDS

SETTINGS: conf file keys as a JSON object, which replace those of the bundled minute.yml. ROWS: the rows to start from, (2, K) as
little-endian fp32. After each step the process writes a record: the share of the training that is done, and the rows, 1 + 2 K
values in the same format. The process ends with the training, or when its output is closed. After an error it prints one line on
stderr, and the exit code is 1. It writes no files and starts no processes, so it can be killed at any time.
"""

import ctypes
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from livestyle.errors import TrainingError, printable
from livestyle.frame import FloatArray
from livestyle.machine import cores

CONF = Path("minute.yml")
PR_SET_PDEATHSIG = 1
"""An option of Linux's prctl()."""
AVERAGED_STEPS = 10
"""A step may change the rows by 5 %, in varying directions; the moving average changes by a tenth of that, and its loss falls."""


def refine(settings: dict[str, object], rows: FloatArray) -> Iterator[tuple[float, FloatArray]]:
    """Train from these rows, (2, K), as `livestyle train` does with CONF, but without a time limit and on the CPU.

    settings: conf file keys that replace those of CONF.
    Yields (share of the steps that are done, moving average of the rows) after each step. Raises TrainingError.
    """
    import torch

    from livestyle.train.config import read_config
    from livestyle.train.processes import Processes
    from livestyle.train.schedule import learning_rate_factor
    from livestyle.train.setup import prepare
    from livestyle.train.step import training_step

    config = read_config(CONF, settings)
    setup = prepare(config, Processes(torch.device("cpu")), resume=False)
    trained = setup.painter.rows  # (1, 2, K)
    if trained.shape[1:] != rows.shape:
        raise TrainingError(f"the rows to start from are {rows.shape}, not {tuple(trained.shape[1:])}")
    with torch.no_grad():
        trained.copy_(torch.tensor(rows))  # not from_numpy: the array may be read-only
    mean = rows
    for done, (first_crop, batch) in enumerate(zip(setup.batch_starts, setup.load_batches(workers=0), strict=True)):
        factor = learning_rate_factor(config, done / setup.total_steps)
        losses = training_step(setup, setup.painter, batch, first_crop, factor)
        if not math.isfinite(float(losses["total"].detach())):
            raise TrainingError(f"the losses are no longer finite at step {done + 1}")
        mean = mean + (trained[0].detach().numpy() - mean) / np.float32(AVERAGED_STEPS)
        yield (done + 1) / setup.total_steps, mean


def main() -> int:
    """Run the program that the module's docstring describes. Returns the exit code."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all of its processes; the parent handles it
    records = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print must not get among the records
    try:
        settings = json.loads(sys.argv[1])
        rows = np.frombuffer(sys.stdin.buffer.read(), "<f4").reshape(2, -1)  # (2, K)
        _limit_threads()
        for share, refined in refine(settings, rows):
            try:
                records.write(np.array([share, *refined.flat], "<f4").tobytes())
            except OSError:  # the parent has ended
                return 0
    except Exception as error:
        print(printable(str(error) if isinstance(error, TrainingError) else repr(error)), file=sys.stderr)
        return 1
    return 0


def _end_with_parent() -> None:
    """On Linux, let the kernel kill this process when its parent ends: the parent may have paused it.

    The parent is the thread that started this process, not its process: a live session starts and ends it in the same thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_threads() -> None:
    """Leave most cores to the process that paints."""
    import cv2
    import torch

    torch.set_num_threads(max(1, cores() // 4))
    cv2.setNumThreads(0)


if __name__ == "__main__":
    sys.exit(main())
