"""The video encoders and their options. To add one, add an entry to ENCODERS or GPU_ENCODERS."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.codec import CodecContext
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from livestyle.errors import OutputError
from livestyle.sinks.video.containers import Container

CAMERA_TIME_BASE = Fraction(1, 90_000)
"""Seconds per tick for streams without a time base, such as cameras."""

MAX_DELAY_SECONDS = Fraction(1, 2)
"""The longest delay of an encoder, so that less than a second of video is lost when the process is killed."""

LARGEST_DENOMINATOR = 65_535
"""Frame rates and aspect ratios are rounded to fractions of this denominator or less for FFmpeg."""


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg.

    options: (crf, preset, largest number of frames of delay) -> the encoder's options. 0 frames: output each frame at once.
    """

    library: str
    """FFmpeg's name of the encoder."""
    preset: str
    """The default preset."""
    live_preset: str
    """The default preset for live streams, where the encoder shares the processor with the painting."""
    options: Callable[[int, str, int], dict[str, str]]
    aliases: tuple[str, ...] = ()
    """Other names by which a user can choose the codec; FFmpeg's name of the encoder is always accepted."""
    mp4_tag: str | None = None
    """The four-character code in MP4 and MOV. None: FFmpeg's default."""

    def on(self, gpu: int) -> "Encoder":
        """The same encoder on the GPU of that CUDA index."""
        return replace(self, options=lambda crf, preset, delay: self.options(crf, preset, delay) | {"gpu": str(gpu)})


def _x264(crf: int, preset: str, delay: int) -> dict[str, str]:
    if not delay:
        return {"crf": str(crf), "preset": preset, "tune": "zerolatency"}
    b_frames = 0 if preset == "ultrafast" else min(3, delay // 3)
    return {
        "crf": str(crf),
        "preset": preset,
        "bf": str(b_frames),
        "b_strategy": "1",  # 2 looks 12 frames or more ahead
        "rc-lookahead": str(max(0, min(40, delay - b_frames - 2))),
        "x264-params": "sync-lookahead=0:sliced-threads=1",  # frame threads would delay the output by a frame each
    }


def _x265(crf: int, preset: str, delay: int) -> dict[str, str]:
    b_frames = min(4, delay // 3)
    lookahead = max(b_frames + 1 if b_frames else 0, min(20, delay - b_frames - 2))
    params = f"rc-lookahead={lookahead}:bframes={b_frames}:frame-threads=1:log-level=error"
    return {"crf": str(crf), "preset": preset, "x265-params": params}


def _svt_av1(crf: int, preset: str, delay: int) -> dict[str, str]:
    levels = 3 if delay >= 12 else 2  # frames are coded in groups of 2 ** levels
    structure = 2 if delay >= 8 else 1  # 1: low delay, without reordering
    params = f"lookahead=0:hierarchical-levels={levels}:pred-struct={structure}"
    return {"crf": str(crf), "preset": preset, "svtav1-params": params}


def _vpx_vp9(crf: int, preset: str, delay: int) -> dict[str, str]:
    lag = max(0, min(25, delay - 2))
    return {"crf": str(crf), "b": "0", "deadline": "good", "cpu-used": preset, "row-mt": "1", "lag-in-frames": str(lag)}


def _nvenc(crf: int, preset: str, delay: int) -> dict[str, str]:
    return {"rc": "vbr", "cq": str(max(1, min(crf, 51))), "preset": preset, "bf": "0", "rc-lookahead": "0", "delay": "0"}


HEVC_TAG = "hvc1"
"""The only four-character code of HEVC that Apple's players accept."""

ENCODERS = {
    "h264": Encoder("libx264", "veryfast", "superfast", _x264, aliases=("avc",)),
    "hevc": Encoder("libx265", "veryfast", "ultrafast", _x265, aliases=("h265",), mp4_tag=HEVC_TAG),
    "av1": Encoder("libsvtav1", "10", "12", _svt_av1),
    "vp9": Encoder("libvpx-vp9", "5", "8", _vpx_vp9),
}
"""Encoders of the CPU, by the name of the codec."""

GPU_ENCODERS = {
    "h264": Encoder("h264_nvenc", "p4", "p4", _nvenc),
    "hevc": Encoder("hevc_nvenc", "p4", "p4", _nvenc, mp4_tag=HEVC_TAG),
    "av1": Encoder("av1_nvenc", "p4", "p4", _nvenc),
}
"""NVIDIA's encoders, by the name of the codec. Used instead of the CPU's if the GPU has them."""


def choose_encoder(codec: str | None, container: Container, path: Path) -> tuple[str, Encoder]:
    """The codec's name in ENCODERS and its encoder. Raises OutputError if the container or this FFmpeg does not have it.

    codec: a name in ENCODERS, an alias, or FFmpeg's name of the encoder; None for the container's default.
    """
    allowed = container.codecs or tuple(ENCODERS)
    available = [name for name in allowed if ENCODERS[name].library in av.codecs_available]
    name = allowed[0] if codec is None else _canonical_name(codec.lower())
    if name not in available:
        choice = ", ".join(available) or "none"
        raise OutputError(f"cannot write {path} with codec {codec or name}; for {path.suffix} there are: {choice}")
    return name, ENCODERS[name]


def _canonical_name(codec: str) -> str:
    return next((name for name, encoder in ENCODERS.items() if codec in (encoder.library, *encoder.aliases)), codec)


@dataclass(frozen=True)
class Encoding:
    """The settings of a video stream."""

    encoder: Encoder
    crf: int
    preset: str | None
    """The encoder's speed preset; None for the encoder's default."""
    layout: VideoFormat
    """Pixel format, width and height."""
    matrix: Colorspace
    """The YCbCr matrix of the pixels."""
    rate: Fraction
    """Frames per second."""
    max_delay: int
    """Largest number of frames by which the encoder may delay its output."""
    time_base: Fraction
    """Seconds per tick of the frames' pts."""
    pixel_aspect: Fraction
    """Width over height of a pixel."""

    def add_stream(self, output: OutputContainer, container: Container) -> VideoStream:
        """Add an open stream to an output. Raises OutputError if the encoder refuses the settings."""
        preset = self.preset or self.encoder.preset
        options = self.encoder.options(self.crf, preset, self.max_delay)
        stream = output.add_stream(self.encoder.library, rate=self.rate.limit_denominator(LARGEST_DENOMINATOR), options=options)
        context = cast(VideoCodecContext, stream.codec_context)
        context.width, context.height = self.layout.width, self.layout.height
        context.pix_fmt = self.layout.name
        context.time_base = self.time_base
        context.sample_aspect_ratio = self.pixel_aspect.limit_denominator(LARGEST_DENOMINATOR)
        context.color_range = ColorRange.MPEG
        context.colorspace = 1 if self.matrix == Colorspace.ITU709 else 6  # BT.709, BT.601 (ISO 23091-2)
        context.color_primaries = context.color_trc = 1  # BT.709
        context.thread_type = "SLICE"
        context.thread_count = min(8, os.cpu_count() or 1)
        if self.encoder.mp4_tag is not None and container.fragmented:
            context.codec_tag = self.encoder.mp4_tag
        try:
            _open(context)
        except av.FFmpegError as error:
            raise OutputError(
                f"{self.encoder.library} refuses crf {self.crf}, preset {preset}, {self.layout.name} at "
                f"{self.layout.width}x{self.layout.height} ({error.strerror})"
            ) from None
        return cast(VideoStream, stream)


def _open(context: VideoCodecContext) -> None:
    """Open an encoder, without real-time threads. Raises av.FFmpegError.

    For a root user, as in most containers, SVT-AV1 gives its threads and the calling thread the policy SCHED_FIFO. On Linux these
    would take the processor from all other programs, and every thread and process that is started afterwards inherits the policy.
    """
    policy = os.sched_getscheduler(0) if sys.platform == "linux" else None
    context.open()
    if sys.platform != "linux" or policy == os.SCHED_FIFO:  # FIFO: livestyle itself was started with it
        return
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # the thread has ended
            if os.sched_getscheduler(int(thread.name)) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO:
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))


def encoders_here() -> dict[str, bool]:
    """FFmpeg's name of each encoder in this module -> whether it opens on this machine."""
    layout = VideoFormat("yuv420p", 640, 360)
    return {encoder.library: opens(encoder, layout, Fraction(30)) for encoder in (*ENCODERS.values(), *GPU_ENCODERS.values())}


def opens(encoder: Encoder, layout: VideoFormat, rate: Fraction) -> bool:
    """Whether FFmpeg can open the encoder for frames of this layout and rate. A GPU's encoder needs a GPU that has it."""
    try:
        context = cast(VideoCodecContext, CodecContext.create(encoder.library, "w"))
        context.options = encoder.options(18, encoder.preset, 0)
        context.width, context.height, context.pix_fmt = layout.width, layout.height, layout.name
        context.framerate = rate.limit_denominator(LARGEST_DENOMINATOR)  # without it NVENC takes the time base for the frame rate
        context.time_base = CAMERA_TIME_BASE
        _open(context)
    except (av.FFmpegError, ValueError):
        return False
    return True
