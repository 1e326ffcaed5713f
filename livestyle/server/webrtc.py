"""WebRTC over HTTP: WHIP (RFC 9725) for those who send video to be painted, WHEP (draft-ietf-wish-whep) for those who watch.

    POST offer ─▶ 201 answer, Location ─▶ a task for each connection, until the connection ends or DELETE Location
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from livestyle.errors import InputError, LivestyleError
from livestyle.frame import Image
from livestyle.server.api import look_of, read_body, session_of
from livestyle.server.limits import Rate
from livestyle.server.service import BusyError, Service
from livestyle.server.session import Session

if TYPE_CHECKING:
    from livestyle.server.peer import Offer, Peer

SDP = "application/sdp"
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class WebRtc:
    """The WHIP and WHEP endpoints of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def publish(self, request: Request) -> Response:
        """Paint a client's video in a session. Send the paintings back if it offers to receive video too (WHIP).

        Query: session (the ID of a viewer's session, or one for a new session; without it a random one). For a new session also
        style, strength, keep_colors.
        """
        session_id = request.query_params.get("session")
        if session_id is not None and not SESSION_ID.fullmatch(session_id):
            raise InputError("session is a name of 1 to 64 letters, digits, - and _")
        look = look_of(self._service, request)
        async with AsyncExitStack() as stack:
            peer, offer = await self._open(request, stack)
            if not offer.sends:
                raise InputError("the client must offer to send video; to watch, use /whep")
            session = self._service.sessions.get(session_id or "")
            if session is None:
                session = stack.enter_context(self._service.session(look, session_id))
            stack.enter_context(publisher_of(session))
            paintings = followed(session) if offer.receives else None
            answer = await peer.answer(offer, _address(request), True, paintings)
            return await self._start(f"/whip/{session.id}", answer, peer, stack.pop_all(), self._paint(peer, session))

    async def watch(self, request: Request) -> Response:
        """Send the paintings of a session, or those of the server's source, to a client (WHEP).

        Query: session (its ID), or style, strength, keep_colors.
        """
        query, service = request.query_params, self._service
        async with AsyncExitStack() as stack:
            if "session" in query:
                paintings = followed(session_of(service, query["session"]))
            elif service.feed is None:
                raise InputError("this server has no source of its own; name a session to watch: ?session=ID")
            else:
                paintings = self._painted_feed(stack.enter_context(service.session(look_of(service, request))))
            peer, offer = await self._open(request, stack)
            if not offer.receives:
                raise InputError("the client must offer to receive video; to send, use /whip")
            answer = await peer.answer(offer, _address(request), False, paintings)
            return await self._start(f"/whep/{secrets.token_urlsafe(16)}", answer, peer, stack.pop_all())

    async def end(self, request: Request) -> Response:
        """End a connection that `publish` or `watch` began."""
        task = self._service.peers.get(request.scope["path"])
        if task is None:
            raise HTTPException(404, "there is no such connection; it has ended")
        task.cancel()
        await asyncio.wait([task])
        return Response()  # status 200: OBS takes 204 for an error

    async def _open(self, request: Request, stack: AsyncExitStack) -> "tuple[Peer, Offer]":
        """Read and check the offer of a request, and open a peer for it that the stack closes."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != SDP:
            raise HTTPException(415, f"the body must be an SDP offer with Content-Type: {SDP}")
        data = await read_body(request, self._service, self._service.limits.offer_bytes)
        try:
            await asyncio.to_thread(import_module, "livestyle.server.peer")  # takes most of a second
            from livestyle.server.peer import Peer, checked_offer
        except ModuleNotFoundError as error:
            raise HTTPException(501, f"WebRTC needs {error.name}; run: pip install 'livestyle[webrtc]'") from error
        offer = checked_offer(data.decode(errors="replace"))
        self._check_room()
        peer = Peer(self._service.limits, self._service.run_codec)
        stack.push_async_callback(peer.close)
        return peer, offer

    def _check_room(self) -> None:
        limits, peers = self._service.limits, self._service.peers
        if len(peers) >= limits.viewers:
            raise BusyError(f"{len(peers)} of {limits.viewers} WebRTC connections are in use; try again later")

    async def _start(
        self, path: str, answer: str, peer: "Peer", stack: AsyncExitStack, work: Coroutine[Any, Any, None] | None = None
    ) -> Response:
        """Serve the peer in a task until it ends, then close the stack. Return the response to its offer."""
        peers = self._service.peers
        peers[path] = task = asyncio.create_task(serve_peer(peer, stack, work))
        task.add_done_callback(lambda task: peers.pop(path))
        await asyncio.sleep(0)  # if it was cancelled before its first step, it would not close the stack
        return Response(answer, 201, {"location": path}, SDP)

    async def _paint(self, peer: "Peer", session: Session) -> None:
        """Paint a client's video, until the client ends it or the session ends."""
        sizes = Rate(self._service.limits.sizes_per_minute, 60)
        shape: tuple[int, ...] = ()
        async with aclosing(peer.photos()) as photos:
            async for frame in photos:
                if session.id not in self._service.sessions:
                    return
                if frame.image.shape != shape:  # the engine prepares itself for each size
                    if not sizes.allows():
                        continue
                    shape = frame.image.shape
                await session.paint(frame.image)
                self._service.count(session, frame)

    async def _painted_feed(self, session: Session) -> AsyncIterator[Image]:
        assert self._service.feed is not None
        frame = None
        while True:
            frame = await self._service.feed.frames.after(frame)
            painting = await session.paint(frame.image)
            self._service.count(session, frame)
            yield painting


@contextmanager
def publisher_of(session: Session) -> Iterator[None]:
    """The only publisher of a session, for as long as the block runs. Raises HTTPException if there is another."""
    if session.has_publisher:
        raise HTTPException(409, f"another connection sends video to session {session.id}")
    session.has_publisher = True
    try:
        yield
    finally:
        session.has_publisher = False


async def followed(session: Session) -> AsyncIterator[Image]:
    """Yield the newest painting of a session each time. Raises InputError once the session has ended."""
    painting = None
    while True:
        painting = await session.painted.after(painting)
        yield painting


async def serve_peer(peer: "Peer", stack: AsyncExitStack, work: Coroutine[Any, Any, None] | None) -> None:
    """Run the peer until it has ended, or is cancelled. Then close the stack, even if it is cancelled once more."""
    try:
        with suppress(LivestyleError, TimeoutError):  # the client or the session has ended
            await peer.run(work)
    finally:
        closing = asyncio.create_task(stack.aclose())
        while not closing.done():
            with suppress(asyncio.CancelledError):  # aiortc fails if its close is interrupted
                await asyncio.wait([closing])
        await closing


def _address(request: Request) -> str:
    """The address of this machine to which the client is connected."""
    return str(request.scope["server"][0])
