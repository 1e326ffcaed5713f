"""Build the transform from a picture's ICC profile to sRGB."""

from io import BytesIO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
"""Colour space of an ICC profile -> Pillow's mode."""


def srgb_transform(picture: Pillow.Image) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    """The Pillow mode to convert the picture to first, and the transform from that mode to sRGB, mode RGB.

    None if the picture has no profile, or one equal to sRGB. Raises ValueError if the profile is broken, or is for a colour
    space other than the picture's.
    """
    data = picture.info.get("icc_profile")
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        mode = MODES.get(profile.profile.xcolor_space, "")
        grey = picture.mode.startswith(("1", "L", "I")) and picture.mode != "LAB"
        kind = picture.mode if picture.mode in ("CMYK", "LAB") else "RGB"
        if mode != kind and not (mode == "L" and grey):
            raise ValueError(f"it is for {profile.profile.xcolor_space.strip()}, the picture is {picture.mode}")
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, TypeError) as error:
        raise ValueError(str(error)) from error
    return None if mode == "RGB" and _changes_nothing(transform) else (mode, transform)


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether the transform changes no colour by more than 1, the rounding error; tried on 9 x 9 x 9 colours."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)  # (1, 729, 3)
    changed = np.asarray(ImageCms.applyTransform(Pillow.fromarray(colors), transform))
    return bool(np.abs(changed.astype(int) - colors).max() <= 1)
