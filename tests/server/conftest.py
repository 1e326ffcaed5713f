"""A server for the tests of this folder."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import picture
from server_process import DEVICE, Server, start

from livestyle.frame import Image
from livestyle.server.certificate import own_certificate
from livestyle.stylizer import Stylizer


@pytest.fixture(scope="session")
def film_picture() -> Image:
    """The picture that the server's own source shows, (64, 96, 3)."""
    return picture(7, 96, 64)


@pytest.fixture(scope="session")
def film(film_picture: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that shows `film_picture`, without losses."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=20)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "bgr0"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(film_picture, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = number, Fraction(1, 20)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def server(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at 127.0.0.1 without token, whose own source is `film`, again and again."""
    limits = {"messages_per_second": 10_000, "styles": 3}  # tests are faster than people
    server = start({"source": str(film), "loop": True, "limits": limits}, tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 130
    assert not server.stderr(), server.stderr()  # clients can write nothing into the log


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with HTTPS whose limits are small."""
    folder = tmp_path_factory.mktemp("strict")
    own_certificate(folder / "certificate.pem", ["127.0.0.1"])
    limits = {
        "viewers": 3,
        "connections_per_address": 24,
        "request_seconds": 2,
        "body_seconds": 2,
        "send_seconds": 1,
        "idle_seconds": 3,
        "messages_per_second": 10,
        "sizes_per_minute": 3,
        "frame_pixels": 640 * 480,
        "picture_bytes": 8_000_000,
        "picture_pixels": 2_000_000,
        "pictures": 2,
    }
    server = start({"certificate": str(folder / "certificate.pem"), "limits": limits}, folder)
    server.certificate = folder / "certificate.pem"
    yield server
    assert server.stop() == 130
    assert not server.stderr(), server.stderr()


@pytest.fixture(scope="session")
def stylizer() -> Iterator[Stylizer]:
    """A stylizer like that of the servers."""
    with Stylizer("wave", "lite", DEVICE) as stylizer:
        yield stylizer


@pytest.fixture(scope="session")
def noise() -> Image:
    """A picture that does not compress well, (480, 640, 3) uint8 RGB."""
    return np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
