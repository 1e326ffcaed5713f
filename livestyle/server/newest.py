"""The newest item of a stream, for any number of asynchronous readers."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Holds the newest item of a stream. Readers wait for a newer one, and miss those that they are too slow for.

    Use it only in the thread of the event loop.
    """

    def __init__(self) -> None:
        self.item: T | None = None
        self._error: Exception | None = None
        self._arrived = asyncio.Event()

    def publish(self, item: T) -> None:
        """Replace the item, and wake the readers."""
        self.item = item
        self._wake()

    def end(self, error: Exception) -> None:
        """Raise an error in all readers from now on."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()

    async def after(self, last: T | None) -> T:
        """Wait for another item than `last`, and return it. Raises the error that ended the stream."""
        while self._error is None:
            if self.item is not None and self.item is not last:
                return self.item
            await self._arrived.wait()
        raise self._error
