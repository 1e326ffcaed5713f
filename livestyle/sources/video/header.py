"""What the header of a video file declares: the stream to paint, its frame rate, its beginning and its end."""

from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from livestyle.media import video_streams

DECLARE_DURATION = ("mov", "matroska", "avi", "flv")
"""Containers whose header gives the duration. For others FFmpeg estimates it from the file's size or its last packets."""

HIGHEST_RATE = 1000
"""Frames per second; a higher declared rate is wrong."""

LEAST_DELAY_SECONDS = Fraction(1, 100)
"""A beginning earlier than this counts as 0: Matroska rounds the duration of the audio priming to milliseconds."""


def choose_stream(container: InputContainer) -> tuple[VideoStream | None, list[str]]:
    """The video stream to paint, None if there is none, and a note for every other video stream."""
    streams = video_streams(container)
    if not streams:
        return None, []
    chosen = streams[0]
    is_first = chosen.index == min(stream.index for stream in streams)
    reason = "the first one" if is_first else f"stream {chosen.index}, the default one,"
    return chosen, [f"video stream {other.index} is left out: {reason} is painted" for other in streams[1:]]


def frame_rate(stream: VideoStream, first_frame_seconds: Fraction | None = None) -> Fraction | None:
    """Frames per second: the average as declared or as FFmpeg guesses it, or else from the first frame's duration.

    Rates above HIGHEST_RATE are ignored. None if no rate is left.
    """
    measured = None if first_frame_seconds is None else 1 / first_frame_seconds
    rates = (stream.average_rate, stream.guessed_rate, measured)
    return next((Fraction(rate) for rate in rates if rate and rate <= HIGHEST_RATE), None)


def beginning(container: InputContainer, stream: VideoStream) -> Fraction:
    """Time at which video or audio begins, whichever is first, in seconds of the file's clock.

    0 if it is negative (audio priming) or less than LEAST_DELAY_SECONDS.
    """
    starts = [
        each.start_time * each.time_base
        for each in (stream, *container.streams.audio)
        if each.start_time is not None and each.time_base is not None
    ]
    first = min(starts, default=Fraction(0))
    return first if first >= LEAST_DELAY_SECONDS else Fraction(0)


def declares_duration(container: InputContainer) -> bool:
    """Whether the file's header gives its duration, rather than FFmpeg estimating it."""
    return any(name in container.format.name for name in DECLARE_DURATION)


def declared_end(container: InputContainer) -> Fraction | None:
    """Time at which the file ends, in seconds of its clock; None if unknown."""
    duration = container.duration
    if duration is None:
        return None
    # headers count from 0; FFmpeg's own estimates count from the first packet
    start = 0 if declares_duration(container) else container.start_time or 0
    return Fraction(start + duration, av.time_base)


def declared_stream_end(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Time at which the video stream ends in MP4 and MOV, in seconds of the file's clock; None in other containers."""
    if "mov" not in container.format.name or not stream.duration or stream.time_base is None:
        return None
    end, file_end = ((stream.start_time or 0) + stream.duration) * stream.time_base, declared_end(container)
    return end if file_end is None else min(end, file_end)
