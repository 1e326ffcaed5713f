"""Decode and encode single frames as JPEG, quickly, for frames that come and go over a network."""

from io import BytesIO

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import JpegImagePlugin, WebPImagePlugin

from livestyle.errors import InputError, TooLargeError
from livestyle.frame import Image
from livestyle.pictures.reading import START_OF_SCAN

DECODERS = (JpegImagePlugin.JpegImageFile, WebPImagePlugin.WebPImageFile)
MOST_SCANS = 12  # of a JPEG; a progressive one has about ten, and each takes the time of a whole decoding
QUALITY = 85


def decode_frame(data: bytes, most_pixels: int) -> Image:
    """Decode a JPEG or WebP from an untrusted sender -> (H, W, 3) uint8 RGB. EXIF, colour profile and transparency are ignored.

    Size and scans are checked before the pixels are decoded. Raises InputError if it is no such picture or a damaged one,
    TooLargeError if it has more pixels or scans.
    """
    width, height = _size(data)
    if width * height > most_pixels:
        raise TooLargeError(f"the frame has {width}x{height} pixels; at most {most_pixels} are painted")
    if data.count(START_OF_SCAN) > MOST_SCANS:
        raise TooLargeError(f"the frame has more than {MOST_SCANS} scans; send a baseline JPEG")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise InputError("the frame cannot be decoded") from error
    if image is None or image.shape != (height, width, 3):
        raise InputError("the frame is damaged")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _size(data: bytes) -> tuple[int, int]:
    """Width and height in the header of a JPEG or WebP."""
    for decoder in DECODERS:
        try:
            return decoder(BytesIO(data)).size
        except SyntaxError:
            continue  # another format
        except PillowImage.DecompressionBombError as error:
            raise TooLargeError("the frame has too many pixels") from error
        except Exception as error:  # decoders raise all kinds of errors
            raise InputError("the frame is damaged") from error
    raise InputError("the frame is neither a JPEG nor a WebP")


def encode_frame(image: Image) -> bytes:
    """Encode (H, W, 3) uint8 RGB as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done  # it fails for unknown suffixes only
    return data.tobytes()
