"""The progress bar of a job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from livestyle.jobs.progress import Progress


@contextmanager
def progress_bar(quiet: bool) -> "Iterator[Callable[[Progress], None]]":
    """A progress callback that shows a bar on stderr from its first call on, if stderr is a terminal and not `quiet`."""
    bar: tqdm[Any] | None = None
    stage = ""

    def show(progress: "Progress") -> None:
        nonlocal bar, stage
        if bar is None:
            bar = tqdm(total=progress.total, disable=quiet or None, unit="frame", dynamic_ncols=True, desc=progress.stage)
        elif progress.stage != stage:
            bar.set_description(progress.stage)
        stage = progress.stage
        bar.update(progress.done - bar.n)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
