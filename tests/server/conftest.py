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
    server = start({"source": str(film), "loop": True}, tmp_path_factory.mktemp("server"))
    yield server
    assert (server.stop(), server.stderr()) == (130, "")  # clients can write nothing into the log


@pytest.fixture(scope="session")
def stylizer() -> Iterator[Stylizer]:
    """A stylizer like that of the servers."""
    with Stylizer("wave", "lite", DEVICE) as stylizer:
        yield stylizer


@pytest.fixture(scope="session")
def noise() -> Image:
    """A picture that does not compress well, (480, 640, 3) uint8 RGB."""
    return np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
