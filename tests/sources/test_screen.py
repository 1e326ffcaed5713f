"""Capture of the screen of a real X server, whose pixels are known."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clock import Clock
from xvfb import HEIGHT, IS_MISSING, WIDTH, Xvfb

from livestyle.errors import DeviceError, InputError
from livestyle.frame import Image
from livestyle.jobs.live.source import open_live_source
from livestyle.sources.screen import ScreenCapture

pytestmark = pytest.mark.skipif(IS_MISSING, reason="needs Xvfb")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xvfb]:
    server = Xvfb(tmp_path_factory.mktemp("screen"))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    server.pixels[..., 2], server.pixels[..., 1], server.pixels[..., 0] = x % 256, y, x // 256
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _display(server: Xvfb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", server.name)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def picture(left: int, top: int, width: int, height: int) -> Image:
    """The RGB pixels of a part of the screen: red and blue are the column, green is the row."""
    y, x = np.mgrid[top : top + height, left : left + width]
    return np.stack([x % 256, y, x // 256], axis=-1).astype(np.uint8)


def captured(what: str) -> Image:
    source = ScreenCapture(what)
    frame = source.read()
    source.close()
    assert frame is not None
    assert frame.image.flags.c_contiguous
    assert frame.image.shape == (source.info.height, source.info.width, 3)
    return frame.image


def test_captures_the_pixels_of_the_screen_and_of_a_part() -> None:
    assert np.array_equal(captured("screen"), picture(0, 0, WIDTH, HEIGHT))
    assert np.array_equal(captured("screen:1"), picture(0, 0, WIDTH, HEIGHT))
    assert np.array_equal(captured("screen:60x31+250+100"), picture(250, 100, 60, 31))


def test_captures_what_is_on_the_screen_when_it_is_read(server: Xvfb) -> None:
    source = ScreenCapture("screen:8x8+300+200")
    server.pixels[200:208, 300:308, :3] = (1, 2, 3)
    first = source.read()
    server.pixels[200:208, 300:308, :3] = (4, 5, 6)
    second = source.read()
    source.close()
    assert first is not None
    assert second is not None
    assert (first.image == (3, 2, 1)).all()
    assert (second.image == (6, 5, 4)).all()
    assert source.read() is None


def test_scales_to_the_size() -> None:
    source = open_live_source("screen:200x100+0+0", (50, 50))
    frame = source.read()
    source.close()
    assert frame is not None
    assert frame.image.shape == (25, 50, 3)
    assert np.abs(frame.image.astype(int) - picture(0, 0, 200, 100)[2::4, 2::4]).max() <= 1
    assert (source.sound, source.state, source.info.live, source.info.rate) == (None, "", True, 30)


def test_captures_the_chosen_monitor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Xvfb(tmp_path)
    try:
        if not server.split((0, 200), (200, 120)):
            pytest.skip("needs libXrandr")
        monkeypatch.setenv("DISPLAY", server.name)
        server.pixels[:, :200], server.pixels[:, 200:] = 10, 20
        primary = captured("screen")
        assert primary.shape == (HEIGHT, 120, 3)
        assert (primary == 20).all()
        other = captured("screen:2")
        assert other.shape == (HEIGHT, 200, 3)
        assert (other == 10).all()
        with pytest.raises(InputError, match=r"no monitor 7; monitors found: 1 \(120x240\+200\+0\), 2 \(200x240\+0\+0\), 3 \("):
            ScreenCapture("screen:7")
    finally:
        server.close()


@pytest.mark.parametrize("part", ["screen:21x10+300+0", "screen:10x41+0+200", "screen:10x10+-1+0", "screen:0x10+5+5"])
def test_part_outside_the_screen_is_an_input_error(part: str) -> None:
    with pytest.raises(InputError, match=r"is not inside the screen, which is 320x240\+0\+0"):
        ScreenCapture(part)


@pytest.mark.parametrize("what", ["screen:", "screen:left", "screen:640x360", "screen:1.5", "screen:-1", "screen:²"])
def test_text_that_describes_no_part_is_an_input_error(what: str) -> None:
    with pytest.raises(InputError, match="write screen, screen:2 for monitor 2, or screen:640x360"):
        ScreenCapture(what)


def test_opened_read_and_closed_in_three_threads() -> None:
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        source = one.submit(ScreenCapture, "screen:40x30+7+9").result()
        frame = two.submit(source.read).result()
    source.close()
    assert frame is not None
    assert np.array_equal(frame.image, picture(7, 9, 40, 30))


def test_captures_at_the_rate_and_never_faster() -> None:
    clock = Clock()
    source = ScreenCapture("screen:4x4+0+0", rate=Fraction(4), clock=clock, wait=clock.sleep)
    times = [frame.captured_at for _ in range(3) if (frame := source.read())]
    clock.now += 10
    late = [frame for _ in range(3) if (frame := source.read())]
    source.close()
    assert times == [100, 100.25, 100.5]
    assert [frame.captured_at for frame in late] == [110.5, 110.5, 110.75]  # one frame is made up for, not forty
    assert late[-1].pts_seconds == Fraction(43, 4)


def test_stop_ends_the_wait_of_another_thread() -> None:
    source = ScreenCapture("screen:4x4+0+0", rate=Fraction(1, 10))
    assert source.read() is not None
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(source.read)
        source.stop()
        assert read.result(timeout=5) is None  # the next frame is due after 10 s
    source.close()


def test_missing_display_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":9999")
    with pytest.raises(DeviceError, match=r"cannot capture the screen: .*; is there a display\?"):
        ScreenCapture()


def test_lost_display_is_a_device_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Xvfb(tmp_path)
    monkeypatch.setenv("DISPLAY", server.name)
    source = ScreenCapture()
    assert source.read() is not None
    server.close()
    with pytest.raises(DeviceError, match="cannot capture the screen at 320x240"):
        source.read()
    source.close()


def test_missing_extra_is_an_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "livestyle.sources.screen")
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(DeviceError, match=r"run: pip install 'livestyle\[screen\]'"):
        open_live_source("screen", None)
