"""Text drawn over a shown frame: status line, recording indicator, message, help page."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from livestyle.frame import Frame, Image

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, RED = (255, 255, 255), (235, 40, 40)  # RGB


@dataclass(frozen=True)
class Overlay:
    """The text to draw. Empty parts are not drawn."""

    status: str = ""
    """The state of the run, at the top left: words with three spaces in between, where a line that is too long is broken."""
    recording: str = ""
    """The recording time, at the top right beside a red dot."""
    message: str = ""
    """A message to the user: one line of text at the bottom."""
    page: Sequence[str] = ()
    """Lines of a page of text, such as the help, that covers the dimmed frame."""
    compares: bool = False
    """Whether to show the photo to the left of the divider."""


def compare(frame: Frame, width: int, height: int, divider: float) -> Image:
    """Fit a frame as `fit` does, with its photo to the left of a divider. divider: its position in the width, from 0 to 1."""
    canvas = fit(frame.image, width, height)
    if frame.photo is not None:
        x = round(divider * width)
        canvas[:, :x] = fit(frame.photo, width, height)[:, :x]
        canvas[:, x : x + 2] = 255
    return canvas


def fit(image: Image, width: int, height: int) -> Image:
    """Scale a picture (H, W, 3) to fit (height, width, 3), with the aspect ratio kept and black bars. Returns a new array."""
    canvas = np.zeros((height, width, 3), np.uint8)
    scale = min(width / image.shape[1], height / image.shape[0])
    w, h = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    x, y = (width - w) // 2, (height - h) // 2
    canvas[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return canvas


def draw(canvas: Image, overlay: Overlay) -> None:
    """Draw the overlay onto (H, W, 3) uint8 RGB, in place. The text scales with the height of the canvas."""
    height, width = canvas.shape[:2]
    scale = min(max(height / 900, 0.45), 1.5)
    line = round(34 * scale)  # pixels from one line to the next
    recording_width = cv2.getTextSize(overlay.recording, FONT, scale, 1)[0][0] + 2 * line if overlay.recording else 0
    status = _broken(overlay.status, width - line - recording_width, scale)
    most = max(1, height // (4 * line))  # a quarter of the canvas
    status = [*status[: most - 1], *filter(None, ["   ".join(status[most - 1 :])])]
    status_height = round(line * (0.3 + max(1, len(status))))
    if overlay.page:
        canvas //= 4
        # a long page gets smaller text
        spacing = min(line, (height - status_height - 2.7 * line) / len(overlay.page))
        for number, text in enumerate(overlay.page):
            _draw_text(canvas, text, line, round(status_height + 0.2 * line + spacing * (number + 1)), scale * spacing / line)
    if status:
        canvas[:status_height] //= 3
        for number, text in enumerate(status, 1):
            _draw_text(canvas, text, line // 2, line * number, scale)
    if overlay.recording:
        x = width - recording_width + round(1.5 * line)
        _draw_text(canvas, overlay.recording, x, line, scale)
        cv2.circle(canvas, (x - line // 2, round(line * 0.7)), line // 4, RED, -1, cv2.LINE_AA)
    if overlay.message:
        canvas[height - round(line * 1.4) :] //= 3
        _draw_text(canvas, overlay.message, line // 2, height - line // 2, scale)


def _broken(text: str, width: int, scale: float) -> list[str]:
    """Break a text where it has three spaces, into lines that are at most `width` pixels wide, if its words are not wider."""
    lines: list[str] = []
    for word in filter(None, text.split("   ")):
        longer = "   ".join([*lines[-1:], word])
        if lines and cv2.getTextSize(longer, FONT, scale, 1)[0][0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _draw_text(canvas: Image, text: str, x: int, y: int, scale: float) -> None:
    """Draw one line, whose baseline begins at (x, y). It is made smaller if it would be wider than the canvas."""
    available = canvas.shape[1] - 2 * x if x < canvas.shape[1] // 2 else canvas.shape[1] - x
    for _ in range(2):  # the width is not exactly proportional to the scale
        needed = cv2.getTextSize(text, FONT, scale, 1)[0][0]
        scale *= min(1, available / max(needed, 1))
    cv2.putText(canvas, text, (x, y), FONT, scale, WHITE, 1, cv2.LINE_AA)
