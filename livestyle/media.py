"""Shared by the video source and the video sink: opening files safely, choosing streams, colours and scaling."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.filter import Graph
from av.stream import Stream
from av.video.format import VideoFormat
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from livestyle.errors import InputError
from livestyle.frame import is_hd

# Without playlists (HLS, DASH, ffconcat, SDP): they name other files and addresses, and FFmpeg would read them.
DEMUXERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,gif,apng,mxf,mxf_opatom,nut,ivf,obu,av1,h264,hevc,vvc,m4v,mjpeg,"
    "mjpeg_2000,yuv4mpegpipe,rm,dv,wtv,gxf,swf,dirac,cavsvideo,vc1,vc1test,h263,h261,nsv,nuv,roq,smk,bink,webp_anim,"
    "aac,mp3,wav,flac,ac3,eac3"  # audio only: opened so that the error message is about the missing video
)
"""FFmpeg's names of the demuxers that may be used."""

PLAYLIST_SIGNATURES = (
    *(b"#EXTM3U", b"ffconcat", b"v=0", b"[playlist]", b"<MPD", b"<?xml", b"<smil", b"<ASX", b"<asx", b"[InternetShortcut]"),
)
PICTURE_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6", b"8BPS", b"\0\0\1\0")
"""What the content of such files begins with, to name in an error message what a file is."""

DEFAULT, ATTACHED_PICTURE = 0x1, 0x400
"""FFmpeg's disposition flags (AV_DISPOSITION_*) of the stream to show by default, and of a cover."""


def open_media(path: Path, hardware: bool = False, gpu: int = 0) -> InputContainer:
    """Open a video or audio file for reading. Never reads any other file, and opens no playlist.

    hardware: decode on an NVIDIA GPU, into main memory, what it supports. gpu: its CUDA index.

    Raises InputError if it is not a regular file that can be read, or not in one of the formats in DEMUXERS.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; name a video file in it")
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file but a pipe or a device")
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if not head:
        raise InputError(f"{path} is empty (0 bytes)")
    if hardware and int(av.__version__.partition(".")[0]) >= 18:  # before, rotation, range and matrix were lost
        from av.codec.hwaccel import HWAccel

        with suppress(av.FFmpegError, ValueError, NotImplementedError, RuntimeError):  # no such device: decode on the CPU
            return _open(path, hwaccel=HWAccel("cuda", device=str(gpu), allow_software_fallback=True))
    try:
        return _open(path)
    except (av.FFmpegError, ValueError) as error:
        advice = "use: livestyle image" if _is_picture(head) else ""
        raise InputError(f"{path} {_describe(head, error)}", advice=advice) from None


def _open(path: Path, **options: Any) -> InputContainer:
    container: InputContainer = av.open(
        f"file:{path}",  # with the protocol, because a name may contain colons or start with a dash
        container_options={"format_whitelist": DEMUXERS, "protocol_whitelist": "file"},
        metadata_errors="replace",
        **options,
    )
    return container


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams except covers, the one to paint first: the file's default one, else the first."""
    found = [stream for stream in container.streams.video if not is_cover(stream)]
    return sorted(found, key=lambda stream: not (hasattr(stream, "disposition") and stream.disposition.value & DEFAULT))


def is_cover(stream: Stream) -> bool:
    """Whether a stream of type "video" is a cover: a single picture that goes with the file."""
    if hasattr(stream, "disposition"):
        return bool(stream.disposition.value & ATTACHED_PICTURE)
    return stream.average_rate is None  # PyAV 14.0 has no dispositions; a single picture has no frame rate


def _is_picture(head: bytes) -> bool:
    return head.startswith(PICTURE_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _describe(head: bytes, error: Exception) -> str:
    """What a file that cannot be opened is, as the end of a message."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(PLAYLIST_SIGNATURES):
        return "is a playlist that names other files; give the video file itself"
    if _is_picture(head):
        return "is a picture, not a video"
    if b"\0" not in text and sum(byte < 9 for byte in text) == 0:
        return "is text, not a video"
    reason = getattr(error, "strerror", None) or str(error)
    return f"is not a video that can be read, or it is cut off before its index ({reason})"


def matrix_of_untagged(width: int, height: int) -> Colorspace:
    """The YCbCr matrix that players assume for a video without a tag: BT.709 for HD, BT.601 below."""
    return Colorspace.ITU709 if is_hd(width, height) else Colorspace.ITU601


def scale_graph(layout: VideoFormat, time_base: Fraction, options: str, pix_fmt: str) -> Graph:
    """A filter graph of FFmpeg's scale filter: push a frame of that format and size, pull it in `pix_fmt`."""
    graph = Graph()
    chain = [
        graph.add_buffer(width=layout.width, height=layout.height, format=layout, time_base=time_base),
        graph.add("scale", options),
        graph.add("format", f"pix_fmts={pix_fmt}"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    return graph


def ffmpeg_version() -> str:
    """The version of PyAV's FFmpeg, as in `ffmpeg -version`; libavcodec's version where PyAV does not have it."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return str(getattr(av, "ffmpeg_version_info", None) or f"libavcodec {codec}")
