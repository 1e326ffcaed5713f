"""Fragmented MP4 and MOV: rewriting them as ordinary files, and the playable duration of a truncated file."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av

from livestyle.errors import InputError
from livestyle.media import open_media
from livestyle.sinks.video.containers import Container
from livestyle.sinks.video.encoders import Encoding
from livestyle.sinks.video.muxing import FrameTimes, Muxer, OpenTracks


def copy_with_index_in_front(
    fragments: Path,
    url: str,
    container: Container,
    encoding: Encoding,
    open_tracks: OpenTracks | None,
    times: FrameTimes,
) -> Muxer:
    """Copy the video packets of a fragmented file to a file with the index in front, and mux the tracks of the input again.

    So the file can have tracks that the fragments cannot: subtitles, covers, audio that begins late.

    encoding: settings of the video stream, with an encoder of the CPU. PyAV before 14.2 copies packets only to a stream with
        an encoder, which is opened and not used, and a GPU may be unable to open a second encoder.
    times: the times of the frames, which state the duration of the last one.

    Returns the closed muxer.
    """
    with av.open(f"file:{fragments}") as source:
        extradata = source.streams.video[0].codec_context.extradata
        options = container.final_options(encoding.time_base)
        muxer = Muxer(url, container, options, encoding, open_tracks, extradata)
        try:
            for packet in source.demux(video=0):
                if packet.dts is not None:  # None: the empty packet at the end, which flushes a decoder
                    # matters for the last packet only: for the others FFmpeg writes the time to the next one
                    packet.duration = times.latest_duration_ticks(packet.time_base)
                    muxer.mux(packet)
            muxer.finish()
        except BaseException:
            muxer.abort()
            raise
    return muxer


def playable_seconds(path: Path) -> float:
    """Time in seconds at which the last complete video packet of a file ends; the file may be truncated. Decodes nothing."""
    end = Fraction(0)
    with suppress(av.FFmpegError, InputError, OSError), open_media(path) as container:
        for packet in container.demux(video=0):
            if packet.pts is not None and not packet.is_corrupt:  # the one that is cut off is marked as corrupt
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return float(end)
