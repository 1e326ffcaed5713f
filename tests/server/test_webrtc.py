"""WHIP and WHEP: real WebRTC clients and a real server. Without compression losses, the paintings would be the stylizer's own."""

import asyncio
import base64
import errno
import shutil
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from fractions import Fraction
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import psutil
import pytest
from picture_files import blocks
from server_process import PATIENCE_SECONDS, Reply, Server, Viewer, decoded, difference, start, wait_until

pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription, rtcrtpreceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.codec.context import CodecContext
from av.error import FFmpegError, tag_to_code
from av.video.frame import VideoFrame
from starlette.exceptions import HTTPException
from starlette.requests import Request

from livestyle.errors import InputError
from livestyle.frame import Image
from livestyle.server.limits import Limits
from livestyle.server.peer import (
    DECODER_QUEUE,
    MOST_ENCODED_FRAMES,
    MOST_LINES,
    MOST_RECEIVED_PIXELS,
    Peer,
    _EncodedFrames,
    _ToPhoto,
    checked_offer,
)
from livestyle.server.service import Service
from livestyle.server.webrtc import WebRtc, serve_peer
from livestyle.stylizer import Stylizer

SDP = "application/sdp"
PHOTO = blocks(48)[:, :128]  # (96, 128, 3)
ALIKE = 0.25
"""Largest difference between a received painting and the stylizer's, as a share of that between the photo and its painting."""


@pytest.fixture(scope="module")
def server(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at 127.0.0.1 with a token, whose own source is `film`."""
    job = {"source": str(film), "loop": True, "allowed_hosts": ["paint.example"]}
    server = start(job, tmp_path_factory.mktemp("server"))
    yield server

    async def scenario(client: Callable[..., Client]) -> None:
        both = client("sendrecv", StillVideo(PHOTO))
        await both.connect(server, "/whip")
        await both.receive()
        assert await asyncio.to_thread(server.stop) == 130
        await both.receive_end()

    try:
        run(scenario)
    finally:
        server.stop()
    assert server.stderr() == ""  # clients can write nothing into the log


# clients


class StillVideo(MediaStreamTrack):
    """A track that shows one picture, 20 times a second; only so many times, if `frames` is given."""

    kind = "video"

    def __init__(self, image: Image, frames: int | None = None) -> None:
        super().__init__()
        self._frame = VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        self._sent, self._frames = 0, frames

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(0.05)
        if self._sent == self._frames:
            await asyncio.Event().wait()
        self._sent += 1
        frame = self._frame
        frame.pts, frame.time_base = self._sent * 4500, Fraction(1, 90_000)
        return frame


class Client:
    """A WebRTC client. It offers video in this direction; audio too, in front of it, if `audio` is true, as OBS does."""

    def __init__(self, direction: str, track: MediaStreamTrack | None = None, codec: str = "VP8", audio: bool = False) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._audio = audio
        if audio:
            self.connection.addTransceiver("audio", direction)
        self._video = self.connection.addTransceiver(track or "video", direction)
        codecs = RTCRtpSender.getCapabilities("video").codecs
        self._video.setCodecPreferences([each for each in codecs if each.mimeType == f"video/{codec}"])

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def connect(self, server: Server, path: str) -> str:
        """Connect, and return the Location of the connection. The answer's candidates must be at 127.0.0.1 only."""
        reply = await asyncio.to_thread(post, server, path, await self.offer())
        assert (reply.status, reply.headers["content-type"]) == (201, SDP), reply.body
        answer = reply.body.decode()
        assert {line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate")} == {"127.0.0.1"}
        assert answer.count("a=inactive") == self._audio
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return reply.headers["location"]

    async def receive(self) -> Image:
        """Receive the next frame: (H, W, 3) uint8 RGB."""
        frame = await asyncio.wait_for(self._video.receiver.track.recv(), PATIENCE_SECONDS)
        assert isinstance(frame, VideoFrame)
        return frame.to_ndarray(format="rgb24")

    async def receive_until(self, condition: Callable[[Image], bool]) -> Image:
        """Receive frames until one fulfils a condition: the encoder needs a few to show a picture well."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(image := await self.receive()):
                pass
        return image

    async def receive_end(self) -> None:
        """Receive frames until the server ends the video."""
        with suppress(MediaStreamError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    await self._video.receiver.track.recv()


def post(server: Server, path: str, offer: str | bytes, **headers: str) -> Reply:
    return server.request(path, offer, **{"content_type": SDP, **headers})


def run(scenario: Callable[[Callable[..., Client]], Awaitable[None]]) -> None:
    """Run a scenario with a function that makes clients, and close them."""

    async def whole() -> None:
        clients: list[Client] = []

        def client(*arguments: Any, **options: Any) -> Client:
            clients.append(Client(*arguments, **options))
            return clients[-1]

        try:
            await scenario(client)
        finally:
            for each in clients:
                await each.connection.close()

    asyncio.run(whole())


def painted(stylizer: Stylizer, photo: Image, style: str) -> Callable[[Image], bool]:
    """Whether a received image is the painting of the photo in this style."""
    expected = stylizer(photo, stylizer.look(style))
    most = ALIKE * difference(photo, expected)
    return lambda image: difference(image, expected) < most


def wait_until_free(server: Server) -> None:
    """Wait until the server has no sessions and no UDP sockets, which WebRTC connections have."""
    process = psutil.Process(server.process.pid)
    wait_until(lambda: server.figure("livestyle_viewers") == 0, "the session still exists")
    wait_until(lambda: not process.net_connections("udp"), "the UDP socket is still open")


# painting


def test_published_video_is_painted_for_those_who_watch_it(server: Server, stylizer: Stylizer) -> None:
    async def scenario(client: Callable[..., Client]) -> None:
        publisher, watcher = client("sendonly", StillVideo(PHOTO), audio=True), client("recvonly", audio=True)
        location = await publisher.connect(server, "/whip?session=stage&style=wave")
        assert location == "/whip/stage"
        await watcher.connect(server, "/whep?session=stage")
        await watcher.receive_until(painted(stylizer, PHOTO, "wave"))

        changed = await asyncio.to_thread(server.request, "/api/sessions/stage", '{"style": "scream", "fade": 0}')
        assert changed.json["style"] == "scream"
        await watcher.receive_until(painted(stylizer, PHOTO, "scream"))
        state = await asyncio.to_thread(server.request, "/api/sessions/stage")
        assert state.json["frames"] > 1

        ended = await asyncio.to_thread(server.request, location, method="DELETE")
        assert ended.status == 200
        await watcher.receive_end()
        again = await asyncio.to_thread(server.request, location, method="DELETE")
        assert again.status == 404
        await asyncio.to_thread(wait_until_free, server)

    run(scenario)


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_client_that_sends_and_receives_gets_its_paintings_back(server: Server, stylizer: Stylizer, codec: str) -> None:
    async def scenario(client: Callable[..., Client]) -> None:
        both = client("sendrecv", StillVideo(PHOTO), codec)
        await both.connect(server, "/whip?style=wave")
        await both.receive_until(painted(stylizer, PHOTO, "wave"))

    run(scenario)
    wait_until_free(server)  # the client has closed the connection


def test_source_of_the_server_can_be_watched(server: Server, stylizer: Stylizer, film_picture: Image) -> None:
    async def scenario(client: Callable[..., Client]) -> None:
        watcher = client("recvonly")
        location = await watcher.connect(server, "/whep?style=mosaic")
        await watcher.receive_until(painted(stylizer, film_picture, "mosaic"))
        ended = await asyncio.to_thread(server.request, location, method="DELETE")
        assert ended.status == 200

    run(scenario)
    wait_until_free(server)


# ends and limits


def test_unused_connections_end_and_their_number_is_limited(tmp_path: Path) -> None:
    server = start({"limits": {"viewers": 3, "silent_seconds": 1, "connect_seconds": 2}}, tmp_path)

    async def scenario(client: Callable[..., Client]) -> None:
        silent = client("sendonly", StillVideo(PHOTO, frames=5))
        await silent.connect(server, "/whip?session=stage")
        sends, receives = await client("sendonly", StillVideo(PHOTO)).offer(), await client("recvonly").offer()
        for path, offer, status in (  # whose clients do not go on to connect
            ("/whip?session=stage", sends, 409),
            ("/whip", sends, 201),
            ("/whep?session=stage", receives, 201),
            ("/whip", sends, 503),
            ("/whep?session=stage", receives, 503),
        ):
            reply = await asyncio.to_thread(post, server, path, offer)
            assert reply.status == status, (path, reply.body)
        await asyncio.to_thread(wait_until_free, server)

    try:
        run(scenario)
    finally:
        assert (server.stop(), server.stderr()) == (130, "")


def test_viewer_who_publishes_is_not_idle_and_ends_the_connection_by_leaving(tmp_path: Path) -> None:
    server = start({"limits": {"idle_seconds": 1}}, tmp_path)

    async def scenario(client: Callable[..., Client]) -> None:
        viewer = await asyncio.to_thread(Viewer, server)
        publisher = client("sendonly", StillVideo(PHOTO))
        await publisher.connect(server, f"/whip?session={viewer.session}")
        state = f"/api/sessions/{viewer.session}"
        await asyncio.to_thread(wait_until, lambda: server.request(state).json["frames"] > 30, "the frames are not painted")
        second = await asyncio.to_thread(post, server, f"/whip?session={viewer.session}", await client("sendrecv").offer())
        assert second.status == 409
        assert server.figure("livestyle_viewers") == 1
        viewer.close()
        await asyncio.to_thread(wait_until_free, server)

    try:
        run(scenario)
    finally:
        assert (server.stop(), server.stderr()) == (130, "")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/whip?session=a/b", 400),
        ("/whip?style=nobody", 400),
        ("/whip?strength=2", 400),
        ("/whep?session=nobody", 404),
        ("/whep", 400),
    ],
)
def test_wrong_requests_are_refused(server: Server, offer: str, path: str, status: int) -> None:
    reply = post(server, path, offer)
    assert (reply.status, list(reply.json)) == (status, ["error"])


def test_offers_need_the_token(server: Server, offer: str) -> None:
    assert post(server, "/whip", offer, Authorization="Bearer wrong").status == 401
    assert post(server, "/whep?style=wave", offer, Authorization="Bearer wrong").status == 401
    assert server.request("/whip/stage", method="DELETE", Authorization="Bearer wrong").status == 401


def test_offers_have_a_content_type_and_a_size(server: Server, offer: str) -> None:
    assert post(server, "/whip", offer, content_type="text/plain").status == 415
    assert post(server, "/whip", offer + "\r\n" * 40_000).status == 413


def test_requests_to_end_a_connection_do_not_interrupt_its_end() -> None:
    async def scenario() -> None:
        ending, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def end() -> None:
            ending.set()
            await may_end.wait()
            ended.set()

        stack = AsyncExitStack()
        stack.push_async_callback(end)
        task = asyncio.create_task(serve_peer(Peer(Limits(), asyncio.to_thread), stack, asyncio.sleep(0)))
        await ending.wait()
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        may_end.set()
        await task
        assert ended.is_set()

    asyncio.run(scenario())


# offers


@pytest.fixture(scope="module")
def offer() -> str:
    """The offer of a client that sends VP8 or H.264."""

    async def make() -> str:
        client = Client("sendonly", StillVideo(PHOTO))
        try:
            return await client.offer()
        finally:
            await client.connection.close()

    return asyncio.run(make())


def without(prefix: str) -> Callable[[str], str]:
    """A change of an offer: remove the lines with this prefix."""
    return lambda offer: "".join(line for line in offer.splitlines(keepends=True) if not line.startswith(prefix))


def audio_of(offer: str) -> str:
    return offer.replace("m=video", "m=audio").replace("VP8/90000", "opus/48000/2")


def two_videos(offer: str) -> str:
    return offer + offer[offer.index("m=video") :]


WRONG = {
    "empty": lambda offer: "",
    "not text": lambda offer: "\0\udcff" * 100,
    "JSON": lambda offer: '{"sdp": "v=0"}',
    "no media": lambda offer: offer[: offer.index("m=video")],
    "audio only": audio_of,
    "two videos": two_videos,
    "video and audio apart": lambda offer: offer + audio_of(offer[offer.index("m=video") :]).replace("mid:0", "mid:1"),
    "data channel": lambda offer: offer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:5000\r\n",
    "no fingerprint": without("a=fingerprint"),
    "no DTLS role": without("a=setup"),
    "no ICE user": without("a=ice-ufrag"),
    "short ICE password": lambda offer: without("a=ice-pwd")(offer) + "a=ice-pwd:short\r\n",
    "no rtcp-mux": without("a=rtcp-mux"),
    "no direction": without("a=sendonly"),
    "inactive": lambda offer: offer.replace("sendonly", "inactive"),
    "watches": lambda offer: offer.replace("sendonly", "recvonly"),
    "another codec": lambda offer: offer.replace("VP8/", "VP9/").replace("H264/", "H265/"),
    "wrong payload type": lambda offer: offer.replace("SAVPF 97", "SAVPF 999"),
    "many lines": lambda offer: offer + "a=ssrc:1 cname:x\r\n" * MOST_LINES,
    "many codecs": lambda offer: offer + "a=rtpmap:97 VP8/90000\r\n" * 100 + "a=rtcp-fb:* nack\r\n" * 100,
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_wrong_offers_are_refused(server: Server, offer: str, change: Callable[[str], str]) -> None:
    reply = post(server, "/whip", change(offer).encode(errors="surrogateescape"))
    assert (reply.status, list(reply.json)) == (400, ["error"]), reply.body
    assert "\n" not in reply.json["error"]


def damaged(offer: str, random: np.random.Generator) -> bytes:
    """An offer with six random changes: a byte replaced, bytes removed, bytes repeated."""
    data = bytearray(offer.encode())
    for _ in range(6):
        place = random.integers(len(data))
        match random.integers(3):
            case 0:
                data[place] = random.integers(256)
            case 1:
                del data[place : place + random.integers(1, 30)]
            case _:
                data[place:place] = data[: random.integers(1, 200)]
    return bytes(data)


def test_damaged_offers_are_refused_or_answered(server: Server, offer: str) -> None:
    random = np.random.default_rng(0)
    answered = refused = 0
    for _ in range(80):
        reply = post(server, "/whip", damaged(offer, random))
        if reply.status == 201:
            answered += 1
            assert server.request(reply.headers["location"], method="DELETE").status == 200
        else:
            refused += 1
            assert (reply.status, list(reply.json)) == (400, ["error"])
    assert answered > 0
    assert refused > 20
    wait_until_free(server)


def test_candidates_of_offers_are_ignored(offer: str) -> None:
    named = "a=candidate:1 1 udp 2130706431 host.example 5000 typ host\r\na=end-of-candidates\r\n"
    checked = checked_offer(offer + named)
    assert "candidate" not in checked.sdp
    assert (checked.sends, checked.receives) == (True, False)
    with pytest.raises(InputError, match="lines"):
        checked_offer(offer + "a=x\n" * MOST_LINES)


# what a publisher can use up


def test_peer_replaces_parts_of_aiortc(offer: str) -> None:
    async def answer() -> None:
        client = Client("sendonly")
        assert isinstance(vars(client.connection.getReceivers()[0])[DECODER_QUEUE], Queue)  # aiortc still has it
        peer = Peer(Limits(), asyncio.to_thread)
        try:
            await peer.answer(checked_offer(offer), "::ffff:127.0.0.1", True, None)
            [receiver] = peer._connection.getReceivers()
            assert isinstance(vars(receiver)[DECODER_QUEUE], _EncodedFrames)
            ice = receiver.transport.transport._connection
            assert [candidate.host for candidate in ice.local_candidates] == ["127.0.0.1"]
            assert (ice.stun_server, ice.turn_server) == (None, None)
        finally:
            await peer.close()
            await client.connection.close()

    asyncio.run(answer())


def test_large_frames_are_scaled_down() -> None:
    to_photo = _ToPhoto(40 * 30)
    for size, expected in {(40, 30): (40, 30), (80, 60): (40, 30), (16, 64): (16, 64), (640, 2): (619, 1)}.items():
        assert to_photo(VideoFrame(*size, "yuv420p")).shape == (*reversed(expected), 3)


def key_frame(encoder: str, width: int, height: int) -> bytes:
    """An encoded black picture."""
    context: Any = CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt, context.time_base = width, height, "yuv420p", Fraction(1, 30)
    context.options = {"tune": "zerolatency"} if encoder == "libx264" else {}
    frame = VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def decode(codec: str, data: bytes) -> Any:
    """Decode as the server does."""
    parameters = RTCRtpCodecParameters(mimeType=f"video/{codec}", clockRate=90_000, payloadType=97)
    decoder = rtcrtpreceiver.get_decoder(parameters)  # type: ignore[attr-defined]
    return decoder.decode(JitterFrame(data, 0))


def test_decoders_refuse_frames_with_too_many_pixels() -> None:
    vp8, h264 = key_frame("libvpx", 64, 48), key_frame("libx264", 64, 48)
    assert decode("VP8", vp8)[0].width == 64
    assert decode("H264", h264)[0].width == 64
    most, height = MOST_RECEIVED_PIXELS, 2304
    for width, error in {most // height: tag_to_code(b"INDA"), most // height + 1: errno.EINVAL}.items():
        with pytest.raises(FFmpegError) as caught:
            decode("VP8", vp8[:6] + struct.pack("<HH", width, height) + vp8[10:])
        assert caught.value.errno == error
    with pytest.raises(FFmpegError):
        decode("H264", key_frame("libx264", most // height + 16, height))


def test_queue_of_the_decoder_stays_short() -> None:
    frames = _EncodedFrames()
    for number in range(3 * MOST_ENCODED_FRAMES + 1):
        frames.put(number)
    assert frames.qsize() <= MOST_ENCODED_FRAMES
    assert frames.get() == 3 * MOST_ENCODED_FRAMES
    frames.put(1)
    frames.put(None)
    assert frames.get() is None


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, stylizer: Stylizer, offer: str) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "livestyle.server.peer")

    async def receive() -> Any:
        return {"type": "http.request", "body": offer.encode(), "more_body": False}

    async def publish() -> None:
        service = Service(stylizer, Limits())
        try:
            headers = [(b"content-type", SDP.encode())]
            scope = {"type": "http", "method": "POST", "path": "/whip", "query_string": b"", "headers": headers}
            await WebRtc(service).publish(Request(scope, receive))
        finally:
            await service.close()

    with pytest.raises(HTTPException, match=r"pip install 'livestyle\[webrtc\]'") as caught:
        asyncio.run(publish())
    assert caught.value.status_code == 501


# in a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAINT = """async ([token, pixels, width, height]) => {
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    [canvas.width, canvas.height] = [width, height];
    const image = new ImageData(Uint8ClampedArray.from(atob(pixels), (c) => c.charCodeAt(0)), width, height);
    setInterval(() => context.putImageData(image, 0, 0), 50);

    const { openSession } = await import("/static/webrtc.js");
    let onEnd;
    window.ended = new Promise((resolve) => { onEnd = resolve; });
    const { session, paintings } = await openSession(canvas.captureStream(20), token, { style: "wave" }, onEnd);
    const video = document.createElement("video");
    video.muted = true;
    video.srcObject = paintings;
    await video.play();
    window.shown = async () => {
        await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
        const shown = document.createElement("canvas");
        [shown.width, shown.height] = [video.videoWidth, video.videoHeight];
        shown.getContext("2d").drawImage(video, 0, 0);
        return shown.toDataURL("image/png").split(",")[1];
    };
    return session;
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_browser_sends_video_and_shows_its_paintings(server: Server, stylizer: Stylizer) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    photo = np.ascontiguousarray(np.kron(PHOTO, np.ones((2, 2, 1), np.uint8)))
    is_painted = painted(stylizer, photo, "wave")
    pixels = base64.b64encode(np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)]).tobytes()).decode()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/openapi.json")  # needs no token, and has the policy of the page
        session = page.evaluate(PAINT, [server.token, pixels, photo.shape[1], photo.shape[0]])
        wait_until(lambda: is_painted(decoded(base64.b64decode(page.evaluate("shown()")))), "the painting is not shown")
        assert server.request(f"/whip/{session}", method="DELETE").status == 200
        page.evaluate("ended")
        browser.close()
    wait_until_free(server)
