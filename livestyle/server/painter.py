"""Paint the frames of several sessions on one engine, in batches and in fair turns.

    session ─▶ waiting frames ─▶ one thread: batches ─▶ engine ─▶ futures of the sessions
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread

from livestyle.engines.base import Engine
from livestyle.errors import LivestyleError
from livestyle.frame import Image
from livestyle.look import Look, Mix, bodies
from livestyle.streaming.channel import THREAD_NAME
from livestyle.streaming.mixing import submit


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A frame that waits to be painted, and the future of its painting."""

    photo: Image
    look: Look | Mix
    future: "Future[Image]" = field(default_factory=Future)

    @property
    def kind(self) -> tuple[object, ...]:
        """Frames of one kind can be painted in one batch."""
        return self.photo.shape, isinstance(self.look, Mix), bodies(self.look)


class SharedPainter:
    """Paints frames in the order in which they arrive; frames of the same size and body together, in one batch.

    Each session has at most one frame waiting, so the turns are fair: nobody's second frame is painted before another's first.
    Close the painter before the engine.
    """

    def __init__(self, engine: Engine) -> None:
        self.batches = 0
        """Number of batches painted."""
        self.frames = 0
        """Number of frames painted."""
        self._engine = engine
        self._waiting: list[_Waiting] = []
        self._changed = Condition()  # guards _waiting and _closed
        self._closed = False
        self._thread = Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def paint(self, photo: Image, look: Look | Mix) -> "Future[Image]":
        """Return the future of a painting of (H, W, 3) uint8 RGB. A frame whose future is cancelled is not painted.

        Raises LivestyleError if the painter is closed.
        """
        waiting = _Waiting(photo, look)
        with self._changed:
            if self._closed:
                raise LivestyleError("the server is ending")
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.future

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                paintings = submit(self._engine, [(each.photo, each.look) for each in batch]).result()
            except Exception as error:  # belongs to the sessions of this batch; the others go on
                for each in batch:
                    each.future.set_exception(error)
            else:
                self.batches += 1
                self.frames += len(batch)
                for each, painting in zip(batch, paintings, strict=True):
                    each.future.set_result(painting)

    def _next_batch(self) -> Sequence[_Waiting] | None:
        """Wait for frames. Return a batch of the oldest frame's kind, of a size that the engine prefers; None once closed."""
        with self._changed:
            while True:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return None
                kind = self._waiting[0].kind
                same = [each for each in self._waiting if each.kind == kind]
                taken = same[: max(size for size in self._engine.batches if size <= len(same))]
                self._waiting = [each for each in self._waiting if each not in taken]
                if batch := [each for each in taken if each.future.set_running_or_notify_cancel()]:
                    return batch

    def close(self) -> None:
        """Cancel the frames that wait, and join the thread. Idempotent."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify()
        for each in waiting:
            each.future.cancel()
        self._thread.join()
