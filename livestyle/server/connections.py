"""Accept connections, with limits that uvicorn lacks: on their number, and on the time in which a client sends and receives."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from livestyle.server.limits import Limits

LEAST_PROGRESS = 64 * 2**10  # bytes that a client must receive within `Limits.send_seconds`, if that many wait
MOST_FRAGMENTS = 1000  # of one WebSocket message; they may be empty, so that the limit on its bytes is not enough


class Connections:
    """The open connections of a server, counted for each address."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._counts: Counter[str] = Counter()

    async def accept(
        self, listener: socket.socket, make_protocol: Callable[[str], asyncio.Protocol], context: ssl.SSLContext | None
    ) -> None:
        """Accept connections until the task is cancelled. Those above the limits are closed at once.

        make_protocol: makes the protocol for a connection from an address, which it releases at the end. context: for HTTPS.
        """
        loop, opening = asyncio.get_running_loop(), set()
        listener.setblocking(False)
        while True:
            try:
                connection, (address, *_) = await loop.sock_accept(listener)
            except OSError:  # too many open files
                await asyncio.sleep(1)
                continue
            if self._counts.total() >= self.limits.connections or self._counts[address] >= self.limits.connections_per_address:
                connection.close()
                continue
            self._counts[address] += 1
            task = asyncio.create_task(self._open(connection, address, partial(make_protocol, address), context))
            opening.add(task)
            task.add_done_callback(opening.discard)

    async def _open(
        self,
        connection: socket.socket,
        address: str,
        make_protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None,
    ) -> None:
        handshake_seconds = None if context is None else self.limits.request_seconds
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                make_protocol, connection, ssl=context, ssl_handshake_timeout=handshake_seconds
            )
        except OSError:  # the client has left, or does not trust the certificate; asyncio closes the connection
            self.release(address)

    def release(self, address: str) -> None:
        """Count a connection no longer."""
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]  # so that the number of entries is bounded


class _Receiver:
    """Aborts a connection whose client does not receive what waits for it. Every method is called in the event loop."""

    def __init__(self, transport: asyncio.Transport, seconds: int) -> None:
        self._transport, self._seconds = transport, seconds
        self._is_paused = False
        self._waiting: int | None = None  # bytes at the last check, if the client was slow then
        self._check()

    def _check(self) -> None:
        """Abort, if the client was slow at the last check, and has received too little since."""
        is_slow = self._is_paused or self._transport.is_closing()
        try:
            waiting = self._transport.get_write_buffer_size()
        except AttributeError:  # a TLS transport in Python 3.11 that was closed twice; asyncio aborts it after 30 s
            return
        if is_slow and self._waiting is not None and waiting > self._waiting - LEAST_PROGRESS:
            self._transport.abort()
        self._waiting = waiting if is_slow else None
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._check)

    def pause(self) -> None:
        """More waits than the transport's buffer should hold."""
        self._is_paused = True

    def resume(self) -> None:
        """Little waits."""
        self._is_paused, self._waiting = False, None

    def end(self) -> None:
        """Check no more."""
        self._timer.cancel()


def bounded_protocols(connections: Connections) -> tuple[Callable[..., H11Protocol], type[WebSocketsSansIOProtocol]]:
    """uvicorn's protocols for HTTP and for WebSockets, for connections that `Connections.accept` accepts.

    A connection is aborted if the headers of a request, or the rest of a body that nobody reads, do not arrive in time, and if
    the client does not receive what is sent to it.
    """
    limits = connections.limits

    class BoundedHttp(H11Protocol):
        def __init__(self, *arguments: Any, address: str, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self._address = address
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._receiver = _Receiver(transport, limits.send_seconds)
            self._watch()

        def data_received(self, data: bytes) -> None:
            try:
                super().data_received(data)
            except h11.LocalProtocolError:  # uvicorn refuses a broken request during a response
                self.transport.abort()
            if self.transport.get_protocol() is self:  # not after the upgrade to a WebSocket
                self._watch()

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._end()
            self.ws_protocol_class = partial(BoundedWebSocket, address=self._address)  # type: ignore[assignment]
            super().handle_websocket_upgrade(event)

        def connection_lost(self, error: Exception | None) -> None:
            self._end()
            connections.release(self._address)
            super().connection_lost(error)

        def pause_writing(self) -> None:
            self._receiver.pause()
            super().pause_writing()

        def resume_writing(self) -> None:
            self._receiver.resume()
            super().resume_writing()

        def _watch(self) -> None:
            """Abort the connection after a while, unless the headers of a request have arrived."""
            is_answered = self.cycle is None or self.cycle.response_complete
            waits = self.conn.their_state is h11.IDLE or (self.conn.their_state is h11.SEND_BODY and is_answered)
            if waits and self._timer is None:
                self._timer = self.loop.call_later(limits.request_seconds, self.transport.abort)
            elif not waits:
                self._stop_timer()

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _end(self) -> None:
            self._stop_timer()
            self._receiver.end()

    class BoundedWebSocket(WebSocketsSansIOProtocol):
        def __init__(self, *arguments: Any, address: str, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self._address = address
            self.close_timeout = limits.send_seconds  # for the client's answer to a close frame

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._receiver = _Receiver(self.transport, limits.send_seconds)

        def connection_lost(self, error: Exception | None) -> None:
            self._receiver.end()
            connections.release(self._address)
            super().connection_lost(error)
            self.read_paused = False  # or `receive` would resume reading, which fails for TLS in Python 3.11

        def pause_writing(self) -> None:
            self._receiver.pause()
            super().pause_writing()

        def resume_writing(self) -> None:
            self._receiver.resume()
            super().resume_writing()

        def handle_ping(self) -> None:
            if self.writable.is_set():
                super().handle_ping()
            else:
                self.conn.data_to_send()  # the client sends pings and does not receive the answers: they are dropped

        def handle_cont(self, event: object) -> None:
            super().handle_cont(event)  # type: ignore[arg-type]
            if len(self.frames) > MOST_FRAGMENTS:
                self.transport.abort()

    return BoundedHttp, BoundedWebSocket
