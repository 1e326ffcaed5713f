"""Decode and encode single frames as JPEG, quickly, for frames that come and go over a network."""

from io import BytesIO

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import JpegImagePlugin, WebPImagePlugin

from livestyle.errors import InputError, TooLargeError
from livestyle.frame import Image
from livestyle.pictures.reading import START_OF_SCAN, check_segments

DECODERS = {b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile, b"RIFF": WebPImagePlugin.WebPImageFile}
"""First bytes -> decoder. Pillow's are a little slower than OpenCV's, but OpenCV's prints a line for each damaged JPEG."""
MOST_SCANS = 12  # of a JPEG; a progressive one has about ten, and each takes the time of a whole decoding
QUALITY = 85


def decode_frame(data: bytes, most_pixels: int) -> Image:
    """Decode a JPEG or WebP from an untrusted sender -> (H, W, 3) uint8 RGB. EXIF, colour profile and transparency are ignored.

    Size and scans are checked before the pixels are decoded. Raises InputError if it is no such picture or a damaged one,
    TooLargeError if it has more pixels or scans.
    """
    decoder = next((decoder for start, decoder in DECODERS.items() if data.startswith(start)), None)
    if decoder is None:
        raise InputError("the frame is neither a JPEG nor a WebP")
    check_segments(data, "the frame")
    if data.count(START_OF_SCAN) > MOST_SCANS:
        raise TooLargeError(f"the frame has more than {MOST_SCANS} scans; send a baseline JPEG")
    try:
        picture = decoder(BytesIO(data))
        if picture.width * picture.height <= most_pixels:
            return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"), np.uint8)
    except PillowImage.DecompressionBombError as error:
        raise TooLargeError("the frame has too many pixels") from error
    except Exception as error:  # decoders raise all kinds of errors
        raise InputError("the frame is damaged") from error
    raise TooLargeError(f"the frame has {picture.width}x{picture.height} pixels; at most {most_pixels} are painted")


def encode_frame(image: Image) -> bytes:
    """Encode (H, W, 3) uint8 RGB as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done  # it fails for unknown suffixes only
    return data.tobytes()
