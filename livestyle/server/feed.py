"""The server's own source: a thread reads it, and the sessions take the newest frame."""

import asyncio
from contextlib import suppress
from threading import Thread

from livestyle.errors import InputError
from livestyle.frame import Frame
from livestyle.server.newest import Newest
from livestyle.sources.live import LiveSource
from livestyle.streaming.channel import THREAD_NAME
from livestyle.streaming.pipeline import JOIN_TIMEOUT_SECONDS, read_all


class Feed:
    """Publishes the frames of a live source in the event loop of the thread that makes the feed. Close it after use.

    source: closed by the feed.
    """

    def __init__(self, source: LiveSource) -> None:
        self.frames: Newest[Frame] = Newest()
        self.info = source.info
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._thread = Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """What is wrong with the source at the moment; empty if nothing is."""
        return self._source.state

    def _run(self) -> None:
        error: Exception = InputError("the source has ended")
        try:
            for frame in read_all(self._source, nv12=False):
                self._loop.call_soon_threadsafe(self.frames.publish, frame)
        except Exception as caught:
            error = caught
        with suppress(RuntimeError):  # the loop is closed: the server ended while a read was stuck
            self._loop.call_soon_threadsafe(self.frames.end, error)

    async def close(self) -> None:
        """End the thread. One that is stuck in the source is left behind after a while."""
        self._source.stop()
        await asyncio.to_thread(self._thread.join, JOIN_TIMEOUT_SECONDS)
