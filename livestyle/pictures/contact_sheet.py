"""Contact sheets: pictures in a table, such as a row per photo and a column per style, with captions."""

from collections.abc import Sequence

import cv2
import numpy as np

from livestyle.frame import Image

GAP, CAPTION = 8, 26  # pixels
PAPER, INK = 250, 40  # grey levels of background and text


def make_sheet(headings: Sequence[str], rows: Sequence[tuple[str, Sequence[Image]]]) -> Image:
    """Arrange pictures in a table: (H, W, 3) uint8 RGB.

    A column is as wide as its widest picture, a row as high as its highest one; pictures are centred.

    headings: one per column. rows: each a caption, and one picture per column, (h, w, 3) uint8 RGB of any size.
    """
    widths = [max(pictures[column].shape[1] for _, pictures in rows) for column in range(len(headings))]
    heights = [max(picture.shape[0] for picture in pictures) for _, pictures in rows]
    width = GAP + sum(width + GAP for width in widths)
    height = CAPTION + sum(height + CAPTION for height in heights) + GAP
    sheet = np.full((height, width, 3), PAPER, np.uint8)
    lefts = np.cumsum([GAP, *(width + GAP for width in widths[:-1])])
    for left, room, heading in zip(lefts, widths, headings, strict=True):
        _write(sheet, heading, int(left), CAPTION - 8, room)
    top = CAPTION
    for (caption, pictures), room in zip(rows, heights, strict=True):
        for picture, left, column_width in zip(pictures, lefts, widths, strict=True):
            h, w = picture.shape[:2]
            y, x = top + (room - h) // 2, left + (column_width - w) // 2
            sheet[y : y + h, x : x + w] = picture
        _write(sheet, caption, GAP, top + room + CAPTION - 9, widths[0])
        top += room + CAPTION
    return sheet


def _write(sheet: Image, text: str, left: int, baseline: int, width: int) -> None:
    """Write text into the sheet, scaled down to fit `width` pixels. OpenCV's font has only ASCII: other characters become ?."""
    text = text.encode("ascii", "replace").decode()
    (natural, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1, 1)
    scale = min(0.55, width / max(natural, 1))
    cv2.putText(sheet, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, (INK,) * 3, 1, cv2.LINE_AA)
