"""The encoders, by PyAV, and their options."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat

from livestyle.errors import OutputError
from livestyle.sinks.video.containers import Container

ANY_TIME_BASE = Fraction(1, 90_000)
"""For streams whose times are multiples of nothing: cameras."""


@dataclass(frozen=True)
class Encoder:
    """A way to encode pictures."""

    library: str
    preset: str
    options: Callable[[int, str, int], dict[str, str]]
    """(crf, preset, frames that may be inside it) -> the library's options"""

    def on(self, gpu: int) -> "Encoder":
        """The same on that GPU."""
        return replace(self, options=lambda crf, preset, delay: self.options(crf, preset, delay) | {"gpu": str(gpu)})


def _x264(crf: int, preset: str, delay: int) -> dict[str, str]:
    if not delay:
        return {"crf": str(crf), "preset": preset, "tune": "zerolatency"}
    b_frames = 0 if preset == "ultrafast" else min(3, delay // 3)
    return {
        "crf": str(crf),
        "preset": preset,
        "bf": str(b_frames),
        "b_strategy": "1",  # the thorough one looks 12 frames and more ahead
        "rc-lookahead": str(max(0, min(40, delay - b_frames - 2))),
        "x264-params": "sync-lookahead=0:sliced-threads=1",  # threads over frames hold a frame each
    }


def _x265(crf: int, preset: str, delay: int) -> dict[str, str]:
    b_frames = min(4, delay // 3)
    lookahead = max(b_frames + 1 if b_frames else 0, min(20, delay - b_frames - 2))
    params = f"rc-lookahead={lookahead}:bframes={b_frames}:frame-threads=1:log-level=error"
    return {"crf": str(crf), "preset": preset, "x265-params": params}


def _svt_av1(crf: int, preset: str, delay: int) -> dict[str, str]:
    levels = 3 if delay >= 12 else 2  # pictures are coded in groups of 2 ** levels
    structure = 2 if delay >= 8 else 1  # 1: each picture at once
    params = f"lookahead=0:hierarchical-levels={levels}:pred-struct={structure}"
    return {"crf": str(crf), "preset": preset, "svtav1-params": params}


def _vpx_vp9(crf: int, preset: str, delay: int) -> dict[str, str]:
    lag = max(0, min(25, delay - 2))
    return {"crf": str(crf), "b": "0", "deadline": "good", "cpu-used": preset, "row-mt": "1", "lag-in-frames": str(lag)}


def _nvenc(crf: int, preset: str, delay: int) -> dict[str, str]:
    return {"rc": "vbr", "cq": str(max(1, min(crf, 51))), "preset": preset, "bf": "0", "rc-lookahead": "0", "delay": "0"}


ENCODERS = {
    "h264": Encoder("libx264", "veryfast", _x264),
    "hevc": Encoder("libx265", "veryfast", _x265),
    "av1": Encoder("libsvtav1", "10", _svt_av1),
    "vp9": Encoder("libvpx-vp9", "5", _vpx_vp9),
}
GPU_ENCODERS = {name: Encoder(f"{name}_nvenc", "p4", _nvenc) for name in ("h264", "hevc", "av1")}
SYNONYMS = {"h265": "hevc", "avc": "h264"} | {encoder.library: name for name, encoder in ENCODERS.items()}


def choose_encoder(codec: str | None, container: Container, path: Path) -> tuple[str, Encoder]:
    allowed = {"webm": ("vp9", "av1"), "mov": ("h264", "hevc")}.get(container.format, tuple(ENCODERS))
    available = [name for name in allowed if ENCODERS[name].library in av.codecs_available]
    name = allowed[0] if codec is None else SYNONYMS.get(codec.lower(), codec.lower())
    if name not in available:
        choice = ", ".join(available) or "none"
        raise OutputError(f"cannot write {path} with codec {codec or name}; for {path.suffix} there are: {choice}")
    return name, ENCODERS[name]


def encoders_here() -> dict[str, bool]:
    """FFmpeg's name of each encoder that is used where it is there -> whether it opens on this machine."""
    layout = VideoFormat("yuv420p", 640, 360)
    return {encoder.library: opens(encoder, layout, Fraction(30)) for encoder in (*ENCODERS.values(), *GPU_ENCODERS.values())}


def opens(encoder: Encoder, layout: VideoFormat, rate: Fraction) -> bool:
    """Whether the encoder is there and takes such pictures; a GPU's needs the GPU."""
    try:
        context = cast(VideoCodecContext, CodecContext.create(encoder.library, "w"))
        context.options = encoder.options(18, encoder.preset, 0)
        context.width, context.height, context.pix_fmt = layout.width, layout.height, layout.name
        context.framerate = rate.limit_denominator(65_535)  # without, NVENC takes the time base for it
        context.time_base = ANY_TIME_BASE
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True
