"""Functions that the video source and the video sink share: open files safely, choose streams, colours, scaling."""

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

# Playlists (HLS, DASH, ffconcat, SDP) are excluded: they name other files and addresses, which FFmpeg would open.
DEMUXERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,gif,apng,mxf,mxf_opatom,nut,ivf,obu,av1,h264,hevc,vvc,m4v,mjpeg,"
    "mjpeg_2000,yuv4mpegpipe,rm,dv,wtv,gxf,swf,dirac,cavsvideo,vc1,vc1test,h263,h261,nsv,nuv,roq,smk,bink,webp_anim,"
    "aac,mp3,wav,flac,ac3,eac3"  # audio only: opened so that the error message is about the missing video
)
"""Names of the FFmpeg demuxers that may be used, comma-separated."""

PLAYLIST_SIGNATURES = (
    b"#EXTM3U", b"ffconcat", b"v=0", b"[playlist]", b"<MPD", b"<?xml", b"<smil", b"<ASX", b"<asx", b"[InternetShortcut]"
)  # fmt: skip
PICTURE_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6", b"8BPS", b"\0\0\1\0")
"""First bytes of playlists and pictures. If such a file is opened as a video, the error message says what it is."""

DEFAULT, ATTACHED_PICTURE = 0x1, 0x400
"""FFmpeg's disposition flags: AV_DISPOSITION_DEFAULT, and AV_DISPOSITION_ATTACHED_PIC for a cover."""


def open_media(path: Path, hardware: bool = False, gpu: int = 0) -> InputContainer:
    """Open a video or audio file for reading. Never reads any other file, and opens no playlist.

    hardware: decode on an NVIDIA GPU if it supports the codec; frames are copied to main memory. gpu: its CUDA index.

    Raises InputError if the path is not a readable regular file, or the file is not in one of the formats in DEMUXERS.
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
    if hardware and int(av.__version__.partition(".")[0]) >= 18:  # earlier PyAV loses rotation, colour range and matrix
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
        f"file:{path}",  # with the protocol, as a name may contain colons or start with a dash
        container_options={"format_whitelist": DEMUXERS, "protocol_whitelist": "file"},
        metadata_errors="replace",
        **options,
    )
    return container


def video_streams(container: InputContainer) -> list[VideoStream]:
    """All video streams except covers. The first one is the one to paint: the default stream, or else the first in the file."""
    found = [stream for stream in container.streams.video if not is_cover(stream)]
    return sorted(found, key=lambda stream: not (hasattr(stream, "disposition") and stream.disposition.value & DEFAULT))


def is_cover(stream: Stream) -> bool:
    """Whether a stream of type "video" is a cover: a single attached picture."""
    if hasattr(stream, "disposition"):
        return bool(stream.disposition.value & ATTACHED_PICTURE)
    return stream.average_rate is None  # PyAV 14.0 has no dispositions; a single picture has no frame rate


def _is_picture(head: bytes) -> bool:
    return head.startswith(PICTURE_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _describe(head: bytes, error: Exception) -> str:
    """Describe a file that cannot be opened, as the end of an error message. head: its first bytes."""
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
    """The YCbCr matrix that players assume for a video without colour tags: BT.709 for HD, BT.601 for smaller sizes."""
    return Colorspace.ITU709 if is_hd(width, height) else Colorspace.ITU601


def scale_graph(layout: VideoFormat, time_base: Fraction, options: str, pix_fmt: str) -> Graph:
    """Build a filter graph with FFmpeg's scale filter: push frames of format and size `layout`, pull frames in `pix_fmt`.

    options: of the scale filter, as on FFmpeg's command line.
    """
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
    """Version of PyAV's FFmpeg, as in `ffmpeg -version`; that of libavcodec if PyAV does not report it."""
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return str(getattr(av, "ffmpeg_version_info", None) or f"libavcodec {codec}")
