"""A WebRTC connection: receives a video, sends paintings. Needs aiortc, the extra `webrtc`.

aiortc has no public way to bound what a hostile or too fast sender can use up, so this module reaches into it in three places:
`_bounded_decoder`, `_EncodedFrames`, and `Peer._listen_at`. tests/server/test_webrtc.py has a test of each.
"""

import asyncio
import math
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import IPv6Address, ip_address
from queue import Empty, Queue
from typing import Any, cast

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, rtcrtpreceiver
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import MediaDescription, SessionDescription
from av.codec.context import CodecContext
from av.video.frame import VideoFrame

from livestyle.errors import InputError, LivestyleError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.server.limits import Limits
from livestyle.server.newest import Newest
from livestyle.sinks.video.pixels import YuvConverter
from livestyle.sources.video.upright import UprightFrames

RunCodec = Callable[..., Coroutine[Any, Any, Any]]
"""Runs a function with its arguments in another thread."""

TIME_BASE = Fraction(1, 90_000)  # of video in RTP (RFC 6184, RFC 7741)
MOST_FPS = 30  # aiortc configures its encoders for this rate
MOST_LINES = 500
"""Lines of an offer; browsers send about 200. aiortc's time for an offer grows with their square."""
MOST_RECEIVED_PIXELS = 4096 * 2304
"""Pixels of a received frame; it is then scaled down to `Limits.frame_pixels`."""
MOST_ENCODED_FRAMES = 30
"""Frames that wait for the decoder of a connection."""
USER_NAME, PASSWORD = re.compile(r"[A-Za-z0-9+/]{4,256}"), re.compile(r"[A-Za-z0-9+/]{22,256}")  # RFC 8839, section 5.4


@dataclass(frozen=True)
class Offer:
    """An SDP offer that was checked."""

    sdp: str
    sends: bool
    """Whether the client offers to send video."""
    receives: bool
    """Whether it offers to receive video."""


def checked_offer(text: str) -> Offer:
    """Check an SDP offer, and remove its ICE candidates. Raises InputError if it is malformed or offers no video.

    Without candidates, this server sends packets only to addresses from which a connectivity check with the password of its
    answer has arrived (peer-reflexive candidates, RFC 8445, section 7.3.1.3): a client cannot make it send packets to other
    machines or look up names. Clients can reach the server, so their checks always arrive.
    """
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise InputError(f"the offer has more than {MOST_LINES} lines")
    kept = [line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates"))]
    sdp = "\r\n".join(kept) + "\r\n"
    try:
        description = SessionDescription.parse(sdp)
    except Exception as error:  # aiortc's parser raises all kinds of errors
        raise InputError("the offer is not an SDP session description of WebRTC") from error
    media = description.media
    kinds = sorted(each.kind for each in media)
    if kinds not in (["video"], ["audio", "video"]):
        raise InputError("the offer must have one video; one audio is ignored, data channels are not supported")
    if any(not _is_complete(each) for each in media):
        raise InputError("the offer lacks ICE credentials, a DTLS fingerprint, or rtcp-mux")
    mids = [each.rtp.muxId for each in media]
    bundles = [group.items for group in description.group if group.semantic == "BUNDLE"]
    if len(media) > 1 and (len(set(mids)) < len(mids) or len(bundles) != 1 or sorted(map(str, bundles[0])) != sorted(mids)):
        raise InputError("the offer must bundle video and audio")
    if sum(len(codec.rtcpFeedback) for each in media for codec in each.rtp.codecs) > MOST_LINES:
        raise InputError("the offer has too many codecs")
    direction = next(each.direction for each in media if each.kind == "video")
    if direction not in ("sendonly", "recvonly", "sendrecv"):
        raise InputError("the offered video is not sendonly, recvonly or sendrecv")
    return Offer(sdp, sends=direction != "recvonly", receives=direction != "sendonly")


def _is_complete(media: MediaDescription) -> bool:
    ice, dtls = media.ice, media.dtls
    return bool(
        ice is not None
        and USER_NAME.fullmatch(ice.usernameFragment or "")
        and PASSWORD.fullmatch(ice.password or "")
        and not media.ice_candidates
        and dtls is not None
        and dtls.fingerprints
        and media.rtcp_mux
    )


class Peer:
    """One connection. Call `answer`, then `run`; close it after use.

    run_codec: runs functions that take milliseconds.
    """

    def __init__(self, limits: Limits, run_codec: RunCodec) -> None:
        self._limits, self._run_codec = limits, run_codec
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # aiortc's default is a public STUN server
        self._connected, self._ended = asyncio.Event(), asyncio.Event()
        self._connection.on("connectionstatechange", self._note_state)

    def _note_state(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self._connected.set()
        elif state in ("failed", "closed"):
            self._ended.set()

    async def answer(self, offer: Offer, address: str, receives: bool, paintings: AsyncIterator[Image] | None) -> str:
        """Accept an offer, and return the SDP answer.

        address: of this machine; the connection uses only this one. receives: whether to receive the client's video.
        paintings: what to send; None for nothing. Raises InputError if the offer cannot be accepted.
        """
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            for transceiver in self._connection.getTransceivers():
                _listen_at(address, transceiver.receiver.transport.transport._connection)
                if transceiver.kind == "audio":
                    transceiver.direction = "inactive"
                    continue
                if paintings is not None:
                    track = _PaintingTrack(paintings, self._run_codec)
                    track.add_listener("ended", self._ended.set)
                    self._connection.addTrack(track)
                transceiver.direction = "recvonly" if paintings is None else "sendrecv" if receives else "sendonly"
                setattr(transceiver.receiver, DECODER_QUEUE, _EncodedFrames())
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # aiortc raises all kinds of errors for offers that it does not expect
            raise InputError("the offer cannot be accepted; it needs a video as VP8 or H.264") from error
        return str(self._connection.localDescription.sdp)

    async def run(self, work: Coroutine[Any, Any, None] | None = None) -> None:
        """Wait until the connection has ended, or `work` has. Raises TimeoutError if it is not established in time.

        work: what to do while the connection exists.
        """
        tasks = [asyncio.create_task(self._until_ended())]
        if work is not None:
            tasks.append(asyncio.create_task(work))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_ended(self) -> None:
        async with asyncio.timeout(self._limits.connect_seconds):
            await self._connected.wait()
        await self._ended.wait()

    async def photos(self) -> AsyncGenerator[Frame, None]:
        """Yield the client's newest frame, (H, W, 3) uint8 RGB, each time; frames that arrive meanwhile are dropped.

        Raises TimeoutError if no frame arrives for a while, InputError if the client ends its video.
        """
        newest: Newest[tuple[VideoFrame, float]] = Newest()
        receiving = asyncio.create_task(self._receive(newest))
        to_photo, received = _ToPhoto(self._limits.frame_pixels), None
        seconds = self._limits.connect_seconds
        try:
            await self._connected.wait()
            while True:
                async with asyncio.timeout(seconds):
                    received = await newest.after(received)
                seconds = self._limits.silent_seconds
                photo = await self._run_codec(to_photo, received[0])
                yield Frame(photo, Fraction(0), captured_at=received[1])
        finally:
            receiving.cancel()

    async def _receive(self, newest: Newest[tuple[VideoFrame, float]]) -> None:
        """Publish frames as they are decoded: aiortc would keep all of them."""
        track = next(each.receiver.track for each in self._connection.getTransceivers() if each.kind == "video")
        with suppress(MediaStreamError):
            while True:
                newest.publish((cast(VideoFrame, await track.recv()), time.monotonic()))
        newest.end(InputError("the client has ended its video"))

    async def close(self) -> None:
        """End the connection and its threads. Idempotent."""
        await self._connection.close()


def _listen_at(address: str, ice: Any) -> None:
    """Give an ICE connection one candidate, at this address. aioice would listen at all addresses except the loopback ones."""
    ip = ip_address(address)
    host = str(ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else str(ip)
    gather = type(ice).get_component_candidates

    async def gather_one(component: int, addresses: list[str]) -> Any:
        return await gather(ice, component, [host])

    ice.get_component_candidates = gather_one


class _ToPhoto:
    """Converts received frames to (H, W, 3) uint8 RGB of at most so many pixels."""

    def __init__(self, most_pixels: int) -> None:
        self._most_pixels = most_pixels
        self._size = (0, 0)
        self._upright: UprightFrames

    def __call__(self, received: VideoFrame) -> Image:
        if (received.width, received.height) != self._size:  # browsers change it when the link's speed changes
            self._size = received.width, received.height
            self._upright = UprightFrames(received, self._fit, pixel_aspect=Fraction(1), color_trc=1, time_base=TIME_BASE)
        return self._upright.image(received, nv12=False)

    def _fit(self, width: int, height: int) -> tuple[int, int]:
        if width * height <= self._most_pixels:
            return width, height
        fitting = max(1, math.isqrt(self._most_pixels * width // height))
        return fitting, max(1, height * fitting // width)


class _PaintingTrack(MediaStreamTrack):
    """The track that sends paintings. It takes one only when the encoder is ready for it."""

    kind = "video"

    def __init__(self, paintings: AsyncIterator[Image], run_codec: RunCodec) -> None:
        super().__init__()
        self._paintings, self._run_codec = paintings, run_codec
        self._began_at = self._next_at = time.monotonic()
        self._shape: tuple[int, ...] = ()
        self._to_yuv: YuvConverter

    async def recv(self) -> VideoFrame:
        """Return the next painting. Raises MediaStreamError if there are no more."""
        await asyncio.sleep(self._next_at - time.monotonic())
        try:
            painting = await anext(self._paintings)
        except (LivestyleError, StopAsyncIteration) as error:
            raise MediaStreamError from error
        now = time.monotonic()
        self._next_at = now + 1 / MOST_FPS
        frame: VideoFrame = await self._run_codec(self._convert, painting, round((now - self._began_at) / TIME_BASE))
        return frame

    def _convert(self, painting: Image, ticks: int) -> VideoFrame:
        if painting.shape != self._shape:
            self._shape = painting.shape
            height, width, _ = painting.shape
            self._to_yuv = YuvConverter("yuv420p", StreamInfo(width, height), TIME_BASE)
        return self._to_yuv(Frame(painting, Fraction(0)), ticks)


DECODER_QUEUE = "_RTCRtpReceiver__decoder_queue"
"""Private attribute of aiortc's receiver: the queue between the network and the decoder's thread."""


class _EncodedFrames(Queue[Any]):
    """A queue for aiortc's decoder that stays short; aiortc's own grows without end if the sender is too fast for the decoder.

    When it is full, all frames in it are dropped: the picture is damaged until the next key frame. None, which ends the decoder,
    does not wait for the frames before it: aiortc joins the thread in the event loop.
    """

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an encoded frame, or None."""
        if item is None or self.qsize() >= MOST_ENCODED_FRAMES:
            with suppress(Empty):
                while True:
                    self.get_nowait()
        super().put(item, block, timeout)


def _bounded_decoder(codec: RTCRtpCodecParameters) -> Decoder:
    """A decoder that refuses frames with too many pixels before it allocates memory for them."""
    decoder: Any = get_decoder(codec)
    name = {"video/vp8": "vp8", "video/h264": "h264"}[codec.mimeType.lower()]
    decoder.codec = CodecContext.create(name, "r")  # aiortc's libvpx has no such limit
    decoder.codec.options = {"max_pixels": str(MOST_RECEIVED_PIXELS)}
    return decoder  # type: ignore[no-any-return]


rtcrtpreceiver.get_decoder = _bounded_decoder  # type: ignore[attr-defined]
