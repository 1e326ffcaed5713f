"""Limits on connections, which uvicorn lacks: their number for each address, and the time until a request has arrived."""

import asyncio
from collections import Counter

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from livestyle.server.limits import Limits


def bounded_protocols(limits: Limits) -> tuple[type[H11Protocol], type[WebSocketsSansIOProtocol]]:
    """The protocols of a server for HTTP and for WebSockets. They share their counts of connections.

    A connection above the limits is closed at once, as is one whose request headers do not arrive in time.
    """
    counts: Counter[str] = Counter()  # address -> its open connections

    class BoundedHttp(H11Protocol):
        _address: str | None = None
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            address = _address_of(transport)
            if counts.total() >= limits.connections or counts[address] >= limits.connections_per_address:
                transport.abort()
                return
            self._address = address
            counts[address] += 1
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._end()  # BoundedWebSocket counts it
            super().handle_websocket_upgrade(event)

        def connection_lost(self, error: Exception | None) -> None:
            self._end()
            super().connection_lost(error)

        def _watch(self) -> None:
            """Abort the connection after a while, unless the headers of a request have arrived."""
            waits = self.conn.their_state is h11.IDLE and self._address is not None
            if waits and self._timer is None:
                self._timer = self.loop.call_later(limits.request_seconds, self.transport.abort)
            elif not waits and self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _end(self) -> None:
            if self._address is not None:
                _release(counts, self._address)
                self._address = None
            self._watch()

    class BoundedWebSocket(WebSocketsSansIOProtocol):
        _address: str | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._address = _address_of(transport)
            counts[self._address] += 1

        def connection_lost(self, error: Exception | None) -> None:
            if self._address is not None:
                _release(counts, self._address)
                self._address = None
            super().connection_lost(error)

    return BoundedHttp, BoundedWebSocket


def _address_of(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


def _release(counts: Counter[str], address: str) -> None:
    counts[address] -= 1
    if not counts[address]:
        del counts[address]  # so that the number of entries is bounded
