"""Paint only the people in a video, or only the background."""

import importlib.resources
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from livestyle.errors import LivestyleError
from livestyle.frame import FloatArray, Image
from livestyle.streaming.pipeline import Painted, Stage

PARTS = ("person", "background")
SIDE = 256  # width and height of the network's input and of its mask, in pixels
STEADY = 0.7  # share of the last mask in the new one where the two agree
EDGE = (0.25, 0.75)  # values of the mask between which photo and painting are mixed


def only(part: str | None) -> Sequence[Stage]:
    """Stages that paint only a part of the picture: "person" or "background"; None for no stage. Raises LivestyleError."""
    if part not in (None, *PARTS):
        raise LivestyleError(f"only must be person or background, not {part!r:.40}")
    return [partial(painted_in_part, part=part)] if part is not None else []


def painted_in_part(painted: Iterable[Painted], part: str) -> Iterator[Painted]:
    """Show the painting in one part of each frame, and the photo in the other one. Frames must be RGB. part: one of PARTS."""
    find = PersonFinder()
    for item in painted:
        share = find(item.photo) if part == "person" else 1 - find(item.photo)  # (H, W), of the painting
        mixed = np.asarray(cv2.blendLinear(item.frame.image, item.photo, share, 1 - share), np.uint8)
        yield item._replace(frame=replace(item.frame, image=mixed))


class PersonFinder:
    """Finds people in consecutive frames of a video, with the network Selfie Segmentation of MediaPipe (Apache License 2.0)."""

    def __init__(self) -> None:
        self._network = cv2.dnn.readNet(str(importlib.resources.files("livestyle.models") / "selfie_segmentation.tflite"))
        self._past: FloatArray | None = None  # the last mask

    def __call__(self, photo: Image) -> FloatArray:
        """Find people in the next frame, (H, W, 3) RGB. Returns a mask, (H, W), from 0, background, to 1, a person.

        Its edges are smooth, and small changes from frame to frame are reduced.
        """
        self._network.setInput(cv2.dnn.blobFromImage(photo, 1 / 255, (SIDE, SIDE)))
        mask = np.asarray(self._network.forward(), np.float32).reshape(SIDE, SIDE)
        if self._past is not None:
            change = self._past - mask
            mask = mask + STEADY * (1 - np.abs(change)) * change
        self._past = mask
        large = cv2.resize(mask, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        low, high = EDGE
        position = np.clip((large - low) / (high - low), 0, 1)
        return np.asarray(position * position * (3 - 2 * position), np.float32)  # smoothstep
