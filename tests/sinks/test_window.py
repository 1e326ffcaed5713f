"""The window's overlay and keys, and the check for a display. tests/cli/test_webcam_window.py opens real windows."""

import sys

import numpy as np
import pytest

from livestyle.errors import DeviceError
from livestyle.sinks.overlay import Overlay, draw, fit
from livestyle.sinks.window import check_display, key_name


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has X displays")
def test_display_that_does_not_answer_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(DeviceError, match=r"display cannot be used .*recording works without"):
        check_display()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-1, ""),
        (ord("q"), "q"),
        (ord("Q"), "q"),
        (0x100000 + ord("r"), "r"),  # GTK's, with NumLock
        (0x20000 + ord("R"), "r"),  # with CapsLock
        (27, "esc"),
        (32, "space"),
        (ord("+"), "+"),
        (0xFFAB, "+"),  # on the keypad, with GTK
        (0x10FFB7, "7"),
        (0xFF51, "left"),  # whose last 8 bits are Q
        (0x10FF53, "right"),
        (0xFF52, ""),
        (0xFFC9, ""),
        (0x250000, "left"),  # on Windows
        (0x260000, ""),
        (0xF703, "right"),  # on macOS
        (0x6CA, ""),  # a Cyrillic letter
        (0xE9, ""),
        (9, ""),
        (127, ""),
        (-0x24, ""),
    ],
)
def test_key_name(code: int, name: str) -> None:
    assert key_name(code) == name


def test_fit_keeps_the_aspect_ratio() -> None:
    canvas = fit(np.full((10, 20, 3), 200, np.uint8), 100, 100)
    assert canvas.shape == (100, 100, 3)
    assert (canvas[25:75] == 200).all()
    assert (canvas[:25] == 0).all()
    assert (canvas[75:] == 0).all()


@pytest.mark.parametrize("size", [(90, 160), (360, 640), (2160, 3840), (2, 2)])
def test_overlay_covers_only_its_lines(size: tuple[int, int]) -> None:
    canvas = np.full((*size, 3), 100, np.uint8)
    draw(canvas, Overlay(status="wave   30 fps   20 ms", recording="1:05", message="saved webcam-001.png"))
    middle = canvas[int(size[0] * 0.25) : int(size[0] * 0.75)]
    if size[0] > 2:
        assert (middle == 100).all()
        assert (canvas[:2, :2] < 100).all()
    draw(canvas, Overlay(page=[f"{number}: style {number}" for number in range(20)]))


def test_a_long_status_is_broken_into_lines_that_leave_room_for_the_recording() -> None:
    size, background = (360, 640, 3), 90
    canvas, without_status = np.full(size, background, np.uint8), np.full(size, background, np.uint8)
    draw(canvas, Overlay(status="   ".join(["live.example.com live"] * 12), recording="0:05"))
    draw(without_status, Overlay(recording="0:05"))
    lit = (canvas == 255).any(axis=2)
    line = round(34 * 0.45)
    assert all(lit[number * line : (number + 1) * line].any() for number in range(3))  # in at least three lines
    assert (canvas[180:] == background).all()
    np.testing.assert_array_equal(canvas[:line, -60:] == 255, without_status[:line, -60:] == 255)
