"""Clients that do what no page does: the server stays up, and other viewers keep their frames."""

import json
import random
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from conftest import picture
from PIL import Image as PillowImage
from server_process import (
    SAME,
    STAMP,
    Server,
    Viewer,
    Watcher,
    closed,
    decoded,
    difference,
    jpeg,
    open_websocket,
    resources,
    wait_until,
)
from websockets.exceptions import ConnectionClosed

from livestyle.frame import Image
from livestyle.stylizer import Stylizer

PHOTO = jpeg(picture(0))
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = b'{"source": "camera"}'
BEFORE_PINGS_SECONDS = 15  # later, uvicorn's unanswered pings end a WebSocket
CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


def upgraded(server: Server, buffer_bytes: int | None = None) -> socket.socket:
    """A connection after the handshake of a WebSocket."""
    connection = server.open(buffer_bytes=buffer_bytes)
    connection.sendall(HANDSHAKE.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(1)
    assert b" 101 " in answer.splitlines()[0]
    return connection


def framed(kind: int, payload: bytes, final: bool = True, length: int | None = None, masked: bool = True, bits: int = 0) -> bytes:
    """A frame of a WebSocket (RFC 6455). length: what the header states, if it is not that of the payload."""
    length = len(payload) if length is None else length
    mask = 0x80 if masked else 0
    head = bytes([(0x80 if final else 0) | bits | kind])
    if length < 126:
        head += bytes([mask | length])
    elif length < 2**16:
        head += bytes([mask | 126]) + struct.pack(">H", length)
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", length)
    return head + (bytes(4) if masked else b"") + payload


def ended(connection: socket.socket) -> bytes:
    """Wait until the server ends the connection, and return what it sent before."""
    answer = b""
    with suppress(ConnectionError, ssl.SSLError):
        while part := connection.recv(2**16):
            answer += part
    connection.close()
    return answer


# broken messages


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A damaged copy: bytes changed, cut out, repeated, or the end missing."""
    copy = bytearray(data)
    place, length = chance.randrange(len(copy)), chance.randrange(1, 40)
    match chance.randrange(5):
        case 0:
            for _ in range(chance.randrange(1, 9)):
                copy[chance.randrange(len(copy))] = chance.randrange(256)
        case 1:
            del copy[place:]
        case 2:
            del copy[place : place + length]
        case 3:
            copy[place:place] = copy[place : place + length]
        case 4:
            copy[place : place + length] = bytes([chance.choice([0, 255])] * length)
    return bytes(copy)


def progressive(image: Image) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()


def test_mutated_frames_are_painted_or_refused(server: Server) -> None:
    chance = random.Random(20)
    bases = [PHOTO, progressive(picture(0)), cv2.imencode(".webp", picture(0))[1].tobytes()]
    painted = 0
    with Watcher(server) as watcher, Viewer(server) as viewer:
        for number in range(420):
            stamp = struct.pack("<Q", number)
            viewer.send_frame(mutated(chance.choice(bases), chance), stamp)
            answer = viewer.receive()
            if isinstance(answer, bytes):
                assert answer[:8] == stamp
                painted += 1
            else:
                assert set(json.loads(answer)) == {"error", "frame"}
        assert 50 < painted < 400  # both happen
        assert difference(viewer.paint(PHOTO), watcher.expected) < SAME


def test_mutated_control_messages_are_answered(server: Server) -> None:
    chance = random.Random(21)
    base = json.dumps({"style": "scream", "strength": 0.5, "fade": 1, "colours": True, "compare": 0.25, "blend": 1}).encode()
    values = [None, True, -1, 0, 1, 1e308, -1e308, 2**64, "", "scream", [], {}, [[]], float("nan"), float("inf"), "\0", "é" * 50]
    names = ["style", "blend", "strength", "fade", "colours", "compare", "cue", "record", "source", "token", ""]
    answers = set()
    with Watcher(server), Viewer(server) as viewer:
        for number in range(200):
            if number % 2:
                text = mutated(base, chance).decode("utf-8", "replace")
            else:
                chosen = chance.sample(names, chance.randrange(1, 4))
                text = json.dumps({name: chance.choice(values) for name in chosen})
            viewer.connection.send(text)
            answer = viewer.receive_json()
            assert set(answer) in ({"state"}, {"error"})
            answers |= set(answer)
        assert answers == {"state", "error"}
        viewer.control(style="wave", strength=1, fade=0, colours=False, compare=0)
        viewer.paint(PHOTO)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", 1008),  # shorter than a stamp
        (b"1234567", 1008),
        (STAMP + bytes(1_000_001), 1008),
        (bytes(1_100_000), 1009),
        ("x" * 2001, 1008),
        ("[" * 100_000, 1008),
    ],
)
def test_messages_above_the_limits_end_the_session(server: Server, message: bytes | str, code: int) -> None:
    with Watcher(server):
        viewer = Viewer(server)
        viewer.connection.send(message)
        assert viewer.closed()[0] == code


@pytest.mark.parametrize(
    "first", [b"binary", "", "no JSON", "[]", "1", "{}", '{"source": "file:///etc/passwd"}', "[" * 1999, "x" * 3000]
)
def test_wrong_first_message_ends_the_connection(server: Server, first: bytes | str) -> None:
    connection = open_websocket(server)
    connection.send(first)
    code, reason = closed(connection)
    assert code == 1008
    assert reason


def malformed() -> Iterator[bytes]:
    """Frames that break the protocol of WebSockets."""
    yield framed(TEXT, b"{}", masked=False)
    yield framed(3, b"reserved")
    yield framed(11, b"reserved")
    for bit in (0x10, 0x20, 0x40):  # extensions that were not agreed on
        yield framed(TEXT, b"{}", bits=bit)
    yield framed(PING, bytes(126))  # control frames are short
    yield framed(PING, b"", final=False)
    yield framed(CONTINUATION, b"of nothing")
    yield framed(TEXT, b"{", final=False) + framed(TEXT, b"}")
    yield framed(TEXT, b"\xff\xfe")
    yield framed(TEXT, b"\xed\xa0\x80")
    yield framed(CLOSE, b"\0")
    yield framed(CLOSE, struct.pack(">H", 99))
    yield framed(CLOSE, struct.pack(">H", 1000) + b"\xff")
    yield framed(BINARY, b"", length=2**31)
    yield framed(BINARY, b"", length=2**63)
    yield framed(BINARY, b"", length=2**64 - 1)
    yield b"GET / HTTP/1.1\r\n\r\n"
    yield framed(BINARY, b"x", final=False) + framed(CONTINUATION, b"", final=False) * 5000  # without an end
    yield framed(BINARY, b"x", final=False) + framed(CONTINUATION, bytes(60_000), final=False) * 20
    yield random.Random(5).randbytes(5000)


def test_malformed_websocket_frames_end_the_connection(server: Server) -> None:
    with Watcher(server):
        for frames in malformed():
            connection = upgraded(server)
            connection.sendall(framed(TEXT, HELLO))
            with suppress(ConnectionError):
                connection.sendall(frames)
            connection.settimeout(BEFORE_PINGS_SECONDS)
            ended(connection)
    wait_until(lambda: server.figure("livestyle_viewers") == 0, "sessions remain")


@pytest.mark.parametrize(
    "request_text",
    [
        "\r\n\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET /" + "a" * 70_000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n" + "A: b\r\n" * 20_000 + "\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA: " + "b" * 100_000 + "\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA\0: b\r\n\r\n",
        "GET /\x80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /api/paint HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST /api/paint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /api/paint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e3\r\n\r\n",
        "POST /api/paint HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST /api/paint HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
        "POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffffff\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        HANDSHAKE.replace("Version: 13", "Version: 1"),
        HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "x"),
        HANDSHAKE.replace("/ws", "/api/paint"),
        HANDSHAKE.replace("/ws", "/nothing"),
        HANDSHAKE.replace("GET", "POST"),
    ],
)
def test_malformed_requests_are_refused(server: Server, request_text: str) -> None:
    with server.open() as connection:
        with suppress(ConnectionError):
            connection.sendall(request_text.encode("latin-1"))
            connection.shutdown(socket.SHUT_WR)
        answer = ended(connection)
    assert not answer or 400 <= int(answer.split()[1]) < 500
    assert server.request("/api/styles").status == 200


# pictures


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with the header of a picture of this size, and further chunks."""
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pieces = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (head, *chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header states another size."""
    place = next(data.index(marker) + 5 for marker in (b"\xff\xc0", b"\xff\xc2") if marker in data)
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def bombs() -> dict[str, tuple[int, bytes]]:
    """Name -> the status that the server answers, and a file that is larger than it looks, or takes long to decode."""
    rows = zlib.compress(bytes(10_000_000))
    scans = progressive(picture(0))
    last = scans.rindex(b"\xff\xda")
    webp = BytesIO()
    PillowImage.new("RGB", (16, 16)).save(webp, "WEBP", lossless=True)
    large_webp = bytearray(webp.getvalue())
    place = large_webp.index(b"\x2f", 12) + 1
    large_webp[place : place + 4] = struct.pack("<I", 16382 | 16382 << 14)
    gif, tiff = BytesIO(), BytesIO()
    PillowImage.new("L", (9, 9)).save(gif, "GIF")
    PillowImage.new("L", (9, 9)).save(tiff, "TIFF")
    return {
        "png of 30000x30000": (413, png(30_000, 30_000, (b"IDAT", rows))),
        "png of the largest size": (413, png(2**31 - 1, 2**31 - 1, (b"IDAT", rows))),
        "png without pixels": (400, png(10, 0, (b"IDAT", rows))),
        "png with text that is a bomb": (400, png(9, 9, (b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000))))),
        "png with a colour profile that is a bomb": (400, png(9, 9, (b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000))))),
        "png with many chunks": (413, png(9, 9, *[(b"tEXt", b"")] * 60_000)),
        "jpeg of 65535x65535": (413, with_size(PHOTO, 65_535, 65_535)),
        "jpeg with thousands of scans": (413, scans[:last] + scans[last:-2] * 3000 + scans[-2:]),
        "jpeg with many segments": (413, PHOTO[:2] + b"\xff\xfe\0\2" * 2000 + PHOTO[2:]),
        "jpeg with padding": (413, PHOTO[:2] + b"\xff" * 5000 + PHOTO[2:]),
        "jpeg with garbage": (400, PHOTO[:2] + bytes(500_000) + PHOTO[2:]),
        "webp of 16383x16383": (413, bytes(large_webp)),
        "gif": (400, gif.getvalue()),
        "tiff": (400, tiff.getvalue()),
        "svg": (400, b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
        "postscript": (400, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        "video": (400, b"\0\0\0\x18ftypisom" + bytes(100)),
        "heic": (400, b"\0\0\0\x18ftypheic" + bytes(100)),
        "avif": (400, b"\0\0\0\x18ftypavif" + bytes(100)),
        "half a jpeg": (400, PHOTO[: len(PHOTO) // 2]),
        "nothing": (400, b""),
        "text": (400, b"a picture of a cat"),
    }


def test_picture_bombs_are_refused(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with Watcher(server) as watcher, Viewer(server) as viewer:
        for name, (status, data) in bombs().items():
            reply = server.request("/api/paint?name=x.jpg", data)
            assert (name, reply.status) == (name, status)
            assert list(reply.json) == ["error"]
            assert server.request(f"/api/sessions/{viewer.session}/styles?name=x.jpg", data).status == status
            viewer.send_frame(data[:1_000_000])
            answer = viewer.receive_json()
            assert answer.pop("frame") is True
            assert list(answer) == ["error"]
            watcher.more(1)
        assert viewer.control(fade=0)["state"]["styles"] == viewer.hello["state"]["styles"]
        viewer.paint(PHOTO)
    assert process.memory_info().rss - before < 300 * 2**20


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 2), (5000, 8), (7, 9000)])
def test_frames_of_unusual_sizes_are_painted_or_refused(server: Server, size: tuple[int, int]) -> None:
    with Watcher(server), Viewer(server) as viewer:
        viewer.send_frame(jpeg(picture(0, *size)))
        answer = viewer.receive()
        if isinstance(answer, bytes):
            assert decoded(answer[12:]).shape == (size[1], size[0], 3)
        else:
            assert json.loads(answer)["frame"] is True


def test_large_frames_are_refused(server: Server) -> None:
    with Viewer(server) as viewer:
        viewer.send_frame(jpeg(np.zeros((721, 1280, 3), np.uint8)))
        assert viewer.receive_json() == {"error": "the frame has 1280x721 pixels; at most 921600 are painted", "frame": True}


# bodies


def test_body_above_the_limit_is_refused(strict: Server) -> None:
    with Watcher(strict):
        for body in (bytes(8_000_001), iter([bytes(1_000_000)] * 9)):  # with a Content-Length, and chunked
            assert strict.request("/api/paint", body).status == 413
        with Viewer(strict) as viewer:
            assert strict.request(f"/api/sessions/{viewer.session}", b" " * 2001).status == 413


def test_body_that_ends_early_is_no_picture(server: Server) -> None:
    with Watcher(server):
        for _ in range(20):
            connection = server.open()
            connection.sendall(f"POST /api/paint HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(PHOTO)}\r\n\r\n".encode())
            connection.sendall(PHOTO[:-1])
            connection.close()
    assert server.request("/api/paint", PHOTO).status == 200  # no place for a picture is lost


def test_pictures_that_arrive_slowly_are_limited(strict: Server) -> None:
    with Watcher(strict):
        slow = [strict.open(), strict.open()]
        for connection in slow:
            connection.sendall(b"POST /api/paint HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n")
        wait_until(lambda: strict.request("/api/paint", PHOTO).status == 503, "there are too many places for pictures")
        for connection in slow:
            connection.close()
        wait_until(lambda: strict.request("/api/paint", PHOTO).status == 200, "no place became free")


# slow and silent clients


def test_silent_clients_are_disconnected(strict: Server) -> None:
    post = "POST /api/paint HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    chunked = post + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    with Watcher(strict):
        idle = Viewer(strict)
        silent = [strict.open(secure=False)]  # no TLS handshake
        silent.append(strict.open(secure=False))
        silent[-1].sendall(b"\x16\x03\x01\x02\x00\x01")  # half of one
        unread = "POST /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nhalf"
        for text in ("", "GET", "GET / HTTP/1.1\r\nHost: 127", unread, post + "Content-Length: 100\r\n\r\nhalf", chunked):
            silent.append(strict.open())
            silent[-1].sendall(text.encode())
        bodies = silent[-2:]
        silent += [upgraded(strict) for _ in range(3)]  # without a first message
        silent[-2].sendall(framed(TEXT, HELLO)[:9])
        silent[-1].sendall(framed(TEXT, HELLO) + framed(BINARY, PHOTO, length=900_000))  # the rest of the frame is missing
        assert_ends_while_it_sends(strict.open())
        for connection in silent:
            answer = ended(connection)
            assert connection not in bodies or answer.startswith(b"HTTP/1.1 408 ")
        assert idle.closed() == (1001, "the connection was idle for too long")
    wait_until(lambda: strict.figure("livestyle_viewers") == 0, "sessions remain")


def assert_ends_while_it_sends(connection: socket.socket) -> None:
    """Send a request byte by byte, until the server ends the connection."""
    connection.settimeout(0.2)
    with closing(connection), suppress(ConnectionError, ssl.SSLError):
        for _ in range(300):  # a minute
            connection.sendall(b"a")
            with suppress(TimeoutError):
                if connection.recv(1) == b"":
                    return
        raise AssertionError("the connection goes on")


def test_viewer_who_does_not_receive_is_disconnected(strict: Server, noise: Image) -> None:
    photo = jpeg(noise)
    with Watcher(strict):
        slow = open_websocket(strict, buffer_bytes=4096, max_queue=1)
        slow.send(HELLO.decode())
        slow.send('{"compare": 1}')  # noise is larger than its painting
        end = time.monotonic() + BEFORE_PINGS_SECONDS
        for _ in range(1000):
            try:
                slow.send(STAMP + photo)
            except ConnectionClosed:
                break
        assert time.monotonic() < end, "the connection goes on"
    wait_until(lambda: strict.figure("livestyle_viewers") == 0, "the session remains")


def test_client_that_does_not_receive_a_response_is_disconnected(strict: Server) -> None:
    before = resources(strict)[0]
    noise = np.random.default_rng(1).integers(0, 256, (1000, 2000, 3), np.uint8)
    body = jpeg(noise, 80)
    with Watcher(strict):
        slow = strict.open(buffer_bytes=4096)
        slow.sendall(
            f"POST /api/paint?strength=0&format=png HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        slow.sendall(body)
        wait_until(lambda: strict.figure("livestyle_pictures_total") >= 1, "the picture is not painted")
        wait_until(lambda: resources(strict)[0] <= before + 1, "the connection remains")  # the watcher's
        slow.close()


def test_pings_of_a_client_that_does_not_receive_are_not_answered(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    with Watcher(server):
        connection = upgraded(server, buffer_bytes=4096)
        connection.sendall(framed(TEXT, HELLO))
        before = process.memory_info().rss
        pings = framed(PING, bytes(125)) * 500
        for _ in range(600):  # 39 MB, of which the system holds a few
            connection.sendall(pings)
        assert process.memory_info().rss - before < 15 * 2**20
        connection.close()


# many


def test_frames_without_waiting_for_answers_are_painted_in_turn(server: Server, stylizer: Stylizer) -> None:
    photos = [jpeg(picture(number)) for number in (0, 20, 40)]
    expected = [stylizer(decoded(photo)) for photo in photos]
    with Watcher(server) as watcher, Viewer(server) as viewer:
        for number in range(90):
            viewer.send_frame(photos[number % 3], struct.pack("<Q", number))
        for number in range(90):
            assert difference(viewer.receive_painting(struct.pack("<Q", number)), expected[number % 3]) < SAME
        watcher.more()


def test_flood_of_control_messages_ends_the_session(strict: Server) -> None:
    with Watcher(strict):
        viewer = Viewer(strict)
        with suppress(ConnectionClosed):
            for _ in range(100):
                viewer.send(strength=1)
        assert viewer.closed() == (1008, "more than 10 control messages in a second")


def test_changes_of_the_frame_size_are_limited(strict: Server) -> None:
    with Watcher(strict), Viewer(strict) as viewer:
        for width in range(20, 24):
            viewer.send_frame(jpeg(picture(0, width, 16)))
            answer = viewer.receive()
        assert isinstance(answer, str)
        assert json.loads(answer)["error"] == "the size of the frames changed more than 3 times in a minute"
        viewer.paint(jpeg(picture(0, 22, 16)))  # the size before


def test_styles_of_a_session_are_limited(server: Server) -> None:
    with Watcher(server), Viewer(server) as viewer:
        path, painting = f"/api/sessions/{viewer.session}/styles?name=a", jpeg(picture(3, 96, 96))
        assert [server.request(path, painting).status for _ in range(4)] == [201, 201, 201, 413]


def test_viewers_above_the_limit_are_refused(strict: Server) -> None:
    with Watcher(strict), Viewer(strict) as one, Viewer(strict):
        connection = open_websocket(strict)
        connection.send(HELLO.decode())
        assert closed(connection) == (1013, "3 of 3 viewers are connected; try again later")
        one.close()
        wait_until(lambda: strict.figure("livestyle_viewers") == 2, "the session remains")
        Viewer(strict).close()


def test_connections_above_the_limit_are_closed_at_once(strict: Server) -> None:
    with Watcher(strict) as watcher:
        opened = [strict.open(secure=False) for _ in range(60)]  # they count before their TLS handshake
        assert not can_connect(strict)
        watcher.more()
        for connection in opened:
            connection.close()
        wait_until(lambda: can_connect(strict), "no new connection is accepted")


def can_connect(server: Server) -> bool:
    try:
        return server.request("/api/styles").status == 200
    except (OSError, ssl.SSLError):
        return False


def test_flood_of_requests_is_answered(server: Server) -> None:
    with Watcher(server) as watcher:
        connection = server.open()
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)  # without waiting for the answers
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert ended(connection).count(b"HTTP/1.1 200 OK") == 201
        watcher.more()


def test_hostile_viewers_do_not_change_the_paintings_of_others(server: Server) -> None:
    chance = random.Random(22)
    with Watcher(server) as watcher, ExitStack() as opened:
        viewers: list[Any] = [opened.enter_context(Viewer(server)) for _ in range(4)]
        for number in range(20):
            for viewer in viewers:
                viewer.send(style=chance.choice(viewer.hello["state"]["styles"]), fade=0)
                viewer.send_frame(jpeg(picture(number, *chance.choice([(64, 48), (48, 64)]))))
            for viewer in viewers:
                kinds = {type(viewer.receive()), type(viewer.receive())}
                assert kinds == {str, bytes}
        watcher.more()
