"""Frames from a video file, by PyAV: upright, in RGB, at the exact times that the file gives them."""

import struct
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.codec import CodecContext
from av.filter import Graph
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from livestyle.errors import InputError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.media import EXACT, EXACT_16_BIT, matrix_of_untagged, open_media, scaling
from livestyle.sources.tone_mapping import ToneMapper

MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""swscale's number of a matrix by the number that a stream is tagged with (ISO 23091-2)."""

HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions, numbered likewise."""

ONE_PACKET_ONE_PICTURE = {"h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9"}
"""In MP4 and Matroska. Where it holds, packets without a picture are lost pictures, errors or not."""

ATTACHED_PICTURE = 0x400
"""FFmpeg's disposition of a cover."""

LISTED_DURATION = ("mov", "matroska", "avi")
"""Containers whose header says how long they are; others are guessed from the size or the end of the file."""

LONGEST_TAIL_SECONDS = 1
"""A file may end this much before its declared end without having been cut off: declared ends are rounded."""

READ_ERRORS_IN_A_ROW = 100
"""A demuxer that fails this often without a packet in between has nothing more to give."""


@dataclass
class Tally:
    """What was met while reading, from the first picture that is kept on."""

    packets: int = 0
    pictures: int = 0
    undecodable: int = 0
    corrupt: int = 0
    resized: int = 0
    read_errors: int = 0
    end_seconds: Fraction = Fraction(0)
    """Of the last packet of any stream."""


class VideoFile:
    """Reads the first video stream of a file.

    start_seconds: leave out what is earlier, counted from the file's beginning; the first picture left becomes pts 0,
        and info.origin_seconds is its time in the file. 0 leaves all times as they are.
    duration_seconds: how much to read from the first picture on, None for all.
    size: (width, height) -> (width, height), asked once with the size of the upright pictures; may refuse by raising.
    for_gpu: decode on the GPU where it can, and give NV12 where that is what the file has. gpu: which one, as CUDA counts.
    """

    def __init__(
        self,
        path: Path,
        *,
        start_seconds: Fraction | int = 0,
        duration_seconds: Fraction | int | None = None,
        size: Callable[[int, int], tuple[int, int]] | None = None,
        for_gpu: bool = False,
        gpu: int = 0,
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._path = path
        self._container = open_media(path, hardware=for_gpu, gpu=gpu)
        try:
            self._stream = self._choose_stream()
            self._decoder = _decoder(self._stream)
            self._reformatter = VideoReformatter()
            self._filter: tuple[tuple[str, int, int, str], Graph] | None = None
            self._tally = Tally()
            self._assessed = False
            self._last_time: Fraction | None = None
            self._begin = self._beginning() + start_seconds if start_seconds > 0 else None
            self._decoded = self._decode() if self._begin is None else self._decode_from(self._begin)
            first = self._next_kept()
            if first is None and self._last_time is not None:
                raise InputError(f"{path} has no picture at or after {float(start_seconds):g} s")
            if first is None:
                raise InputError(f"not one picture of {path} could be decoded; the file is damaged or cut off")
            self._waiting: tuple[Fraction, VideoFrame] | None = first
            self._end = None if duration_seconds is None else first[0] + duration_seconds
            self.info = self._describe(*first, size or (lambda width, height: (width, height)))
            if for_gpu:
                self.info = replace(self.info, is_nv12=self._is_nv12(first[1]))
                on_gpu = _is_on_gpu(self._decoder) and first[1].format.name in ("nv12", "p010le", "p016le")
                self.notes.append("decoded on the GPU" if on_gpu else "decoded on the CPU: the GPU has no decoder for it")
        except BaseException:
            self._container.close()
            raise

    def read(self) -> Frame | None:
        kept, self._waiting = self._waiting or self._next_kept(), None
        if kept is None:
            self._assess(complete=True)
            return None
        time, picture = kept
        if self._end is not None and time >= self._end:
            self._decoded.close()
            self._assess(complete=False)
            return None
        return Frame(self._to_image(picture), time - self.info.origin_seconds)

    def close(self) -> None:
        self._waiting = None
        self._assessed = True  # the container cannot be asked any more
        self._decoded.close()
        self._container.close()

    # opening

    def _choose_stream(self) -> VideoStream:
        streams = [stream for stream in self._container.streams.video if not _is_cover(stream)]
        if not streams:
            raise InputError(f"{self._path} has no video stream")
        for other in streams[1:]:
            self.notes.append(f"video stream {other.index} is left out: the first one is painted")
        return streams[0]

    def _beginning(self) -> Fraction:
        """Where the file begins: at 0, or later where all of it is shifted (MPEG-TS). A sound's priming is before that."""
        starts = [
            stream.start_time * stream.time_base
            for stream in self._container.streams
            if stream.type in ("video", "audio") and stream.start_time is not None and stream.time_base is not None
        ]
        return max(Fraction(0), min(starts, default=Fraction(0)))

    def _describe(self, time: Fraction, picture: VideoFrame, size: Callable[[int, int], tuple[int, int]]) -> StreamInfo:
        self._transposed, self._flip_rows, self._flip_columns = _turn(picture)
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        width, height = picture.width, picture.height
        self._untagged_matrix = matrix_of_untagged(width, height)
        self._coded_size = (width, height)
        if self._transposed:
            width, height, aspect = height, width, 1 / aspect
        width, height = size(width, height)
        self._scaled_size = (height, width) if self._transposed else (width, height)

        self._tone_mapper = None
        if transfer := HDR.get(self._decoder.color_trc):
            self._tone_mapper = ToneMapper(hlg=transfer == "HLG")
            self.notes.append(f"high dynamic range ({transfer}) is tone-mapped to the standard range")
        if _has_alpha(picture):
            self.notes.append("transparency is composed over black")

        rate = self._stream.average_rate or self._stream.guessed_rate or None
        return StreamInfo(
            width=width,
            height=height,
            rate=rate,
            frame_count=self._expected_count(time, rate),
            time_base=self._stream.time_base,
            origin_seconds=Fraction(0) if self._begin is None else time,
            pixel_aspect=aspect,
        )

    def _expected_count(self, time: Fraction, rate: Fraction | None) -> int | None:
        if self._begin is None and self._end is None and self._stream.frames and "avi" not in self._container.format.name:
            return self._stream.frames
        end = self._declared_end()
        if self._end is not None:
            end = self._end if end is None else min(end, self._end)
        return None if end is None or rate is None else max(1, round((end - time) * rate))

    def _declared_end(self) -> Fraction | None:
        duration = self._container.duration
        if duration is None:
            return None
        # headers count from 0; what FFmpeg works out itself counts from the first packet
        start = 0 if self._says_its_duration() else self._container.start_time or 0
        return Fraction(start + duration, av.time_base)

    def _says_its_duration(self) -> bool:
        return any(container in self._container.format.name for container in LISTED_DURATION)

    # reading

    def _decode_from(self, begin: Fraction) -> Generator[VideoFrame]:
        """Decode from the last keyframe at or before `begin`."""
        assert self._stream.time_base is not None
        back = Fraction(0)  # containers without an index land between keyframes, or after the one that is needed: then earlier
        while True:
            target = max(begin - back, Fraction(0))
            with suppress(av.FFmpegError):  # not every container can seek; then all is decoded up to there
                self._container.seek(int(target / self._stream.time_base), stream=self._stream)
                self._decoder.flush_buffers()
            decoded = self._decode()
            first = next(decoded, None)
            if target == 0 or (first is not None and self._time(first) <= begin):
                break
            decoded.close()
            back = back * 2 + 2
        if first is not None:
            yield first
            yield from decoded

    def _decode(self) -> Generator[VideoFrame]:
        """Pictures from where the container stands to its end. Reads past damage, and counts it."""
        tally = self._tally = Tally()
        for packet in self._packets():
            if packet.stream.index != self._stream.index:
                continue
            kept = self._begin is None or packet.pts is None or packet.pts * packet.time_base >= self._begin
            tally.packets += kept and not packet.is_discard
            try:
                pictures = self._decoder.decode(packet)
            except av.FFmpegError:
                tally.undecodable += kept
                continue
            yield from pictures
        with suppress(av.FFmpegError):  # an error now is of a packet that is missed in the tally
            yield from self._decoder.decode(None)

    def _packets(self) -> "Iterator[Packet[Any]]":
        """Of all streams: where the last of them ends shows whether the file is whole."""
        failures = 0
        while failures < READ_ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux():
                    if not packet.size:  # PyAV's call to flush a decoder
                        continue
                    failures = 0
                    if packet.pts is not None:
                        end = (packet.pts + (packet.duration or 0)) * packet.time_base
                        self._tally.end_seconds = max(self._tally.end_seconds, end)
                    yield packet
                return
            except av.FFmpegError:
                failures += 1
                self._tally.read_errors += 1

    def _next_kept(self) -> tuple[Fraction, VideoFrame] | None:
        for picture in self._decoded:
            time = self._last_time = self._time(picture)
            if self._begin is None or time >= self._begin:
                self._tally.pictures += 1
                self._tally.corrupt += picture.is_corrupt
                return time, picture
        return None

    def _time(self, picture: VideoFrame) -> Fraction:
        if picture.pts is not None and self._stream.time_base is not None:
            return picture.pts * self._stream.time_base
        if self._last_time is None:
            return Fraction(0)
        return self._last_time + 1 / Fraction(self._stream.average_rate or 25)  # a bare stream, without times

    def _assess(self, complete: bool) -> None:
        """Fill `damage`, once. complete: the file was read to its end."""
        if self._assessed:
            return
        self._assessed = True
        tally, name = self._tally, self._container.format.name
        lost = tally.undecodable
        if complete and self._decoder.name in ONE_PACKET_ONE_PICTURE and ("mov" in name or "matroska" in name):
            lost = max(lost, tally.packets - tally.pictures)
        if lost:
            self.damage.append(f"{_count(lost, 'packet')} could not be decoded")
        if tally.corrupt:
            self.damage.append(f"{_count(tally.corrupt, 'picture')} could be decoded only in part")
        if tally.read_errors:
            self.damage.append(f"{_count(tally.read_errors, 'part')} of the file could not be read")
        end = self._declared_end()
        if complete and end is not None and self._says_its_duration():
            missing = end - tally.end_seconds
            if missing > LONGEST_TAIL_SECONDS or ("mov" in name and _lacks_data(self._path)):
                self.damage.append(f"the file is cut off: it ends at {float(tally.end_seconds):.2f} s of {float(end):.2f} s")
        if tally.resized:
            self.notes.append(f"{_count(tally.resized, 'picture')} of another size scaled to the first one's")

    def _is_nv12(self, picture: VideoFrame) -> bool:
        """Whether the picture is shown as it is coded: in 8 bits, 4:2:0, limited range, its size's matrix."""
        return (
            picture.format.name in ("yuv420p", "nv12")
            and picture.color_range != ColorRange.JPEG
            and MATRICES.get(picture.colorspace, self._untagged_matrix) == self._untagged_matrix
            and self._tone_mapper is None
            and not (self._transposed or self._flip_rows or self._flip_columns)
            and (picture.width, picture.height) == self._coded_size == self._scaled_size
            and picture.width % 2 == picture.height % 2 == 0
        )

    def _to_image(self, picture: VideoFrame) -> Image:
        if self.info.is_nv12 and self._is_nv12(picture):
            return cast(Image, self._reformatter.reformat(picture, format="nv12").to_ndarray())
        return self._to_rgb(picture)

    def _to_rgb(self, picture: VideoFrame) -> Image:
        """(H, W, 3) uint8: upright, scaled, over black."""
        if (picture.width, picture.height) != self._coded_size:
            self._tally.resized += 1
        alpha = _has_alpha(picture)
        matrix = MATRICES.get(picture.colorspace, self._untagged_matrix)
        full = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj") or picture.format.is_rgb
        pix_fmt = "rgb48le" if self._tone_mapper else "rgba" if alpha else "rgb24"
        if "BT2020" in Colorspace.__members__:
            reformatted = self._reformatter.reformat(
                picture,
                *self._scaled_size,
                format=pix_fmt,
                src_colorspace=None if picture.format.is_rgb else matrix,
                dst_colorspace=None if picture.format.is_rgb else matrix,
                src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=EXACT_16_BIT if self._tone_mapper else EXACT,
            )
        else:  # before PyAV 18 the reformatter knows no BT.2020, before 17 it takes full range for limited
            reformatted = self._filtered(picture, None if picture.format.is_rgb else matrix, full, pix_fmt)
        converted = reformatted.to_ndarray()
        if self._tone_mapper:
            image = self._tone_mapper(cast(NDArray[np.uint16], converted))
        elif alpha:
            weighted = converted[..., :3].astype(np.uint16) * converted[..., 3:]
            image = ((weighted + 127) // 255).astype(np.uint8)
        else:
            image = cast(Image, converted)
        if self._transposed:
            image = image.transpose(1, 0, 2)
        if self._flip_rows:
            image = image[::-1]
        if self._flip_columns:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)

    def _filtered(self, picture: VideoFrame, matrix: int | None, full: bool, pix_fmt: str) -> VideoFrame:
        """As by the reformatter, but that colours are always taken to lie as in H.264: beside the left one of two pixels."""
        layout, (width, height) = picture.format, self._scaled_size
        # bicubic, as FFmpeg 7's bilinear puts the colours half a row off
        options = f"{width}:{height}:interl=-1:flags=bicubic+accurate_rnd+full_chroma_int:in_chroma_loc=left:"
        options += f"in_range={'full' if full else 'limited'}" + ("" if matrix is None else f":in_color_matrix={int(matrix)}")
        made_for = (layout.name, layout.width, layout.height, options)
        if self._filter is None or self._filter[0] != made_for:
            self._filter = made_for, scaling(layout, self._stream.time_base or Fraction(1, 1000), options, pix_fmt)
        self._filter[1].push(picture)
        return cast(VideoFrame, self._filter[1].pull())


def _is_cover(stream: VideoStream) -> bool:
    if hasattr(stream, "disposition"):
        return bool(stream.disposition.value & ATTACHED_PICTURE)
    return stream.average_rate is None  # PyAV 14.0 does not say; a single picture has no rate


def _lacks_data(path: Path) -> bool:
    """Whether an MP4 ends inside a box with pictures and sound. (PyAV shows its index, to compare with, only from 17 on.)"""
    end = 0
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            size, kind = int.from_bytes(header[:4]), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:])
            if size < 8:  # 0: up to the end of the file; others are no box
                return False
            end += size
            if end > path.stat().st_size:
                return kind in (b"mdat", b"moof")
            file.seek(end)
    return False


def _decoder(stream: VideoStream) -> VideoCodecContext:
    decoder = cast(VideoCodecContext | None, stream.codec_context)
    if decoder is None:
        raise InputError("the video is in a format that this build of FFmpeg cannot decode")
    # FFmpeg's own VP8 and VP9 decoders drop the transparency that Matroska keeps beside the picture
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1" and (library := {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(decoder.name)):
        extradata = decoder.extradata
        decoder = cast(VideoCodecContext, CodecContext.create(library, "r"))
        decoder.extradata = extradata
    decoder.thread_type = "AUTO"
    if _is_on_gpu(decoder):
        decoder.thread_count = 4  # each holds pictures in the GPU's decoder, which has room for 32
    return decoder


def _is_on_gpu(decoder: VideoCodecContext) -> bool:
    """Whether it has a GPU to decode on; what that cannot decode is decoded here all the same."""
    return bool(getattr(decoder, "is_hwaccel", False))


def _has_alpha(picture: VideoFrame) -> bool:
    return picture.format.has_palette or any(component.is_alpha for component in picture.format.components)


def _turn(picture: VideoFrame) -> tuple[bool, bool, bool]:
    """What makes the picture upright: transpose it, then flip rows, then flip columns."""
    side_data = cast(dict[Type, Any], picture.side_data).get(Type.DISPLAYMATRIX)
    if side_data is None:
        return False, False, False
    # a picture's point (x, y) is shown at (a x + c y, b x + d y); y points down
    a, b, _, c, d, *_ = struct.unpack("9i", bytes(side_data))
    if abs(b) > abs(a):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
