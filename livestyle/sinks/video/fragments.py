"""Fragmented MP4 and MOV: rewriting them as ordinary files, and how much of a file plays that is cut off."""

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
    """Copy the video packets of a fragmented file to a file with the index in front; the tracks are muxed anew.

    The tracks may so be more than the fragments could hold: subtitles, covers, audio that begins late.

    encoding: how the packets were encoded. On a GPU that cannot open a second encoder at a time this must name one of the
        CPU: PyAV before 14.2 copies packets only to a stream with an encoder, which is opened and not used.
    times: of the frames; the last one's duration is written.

    Returns the closed muxer.
    """
    with av.open(f"file:{fragments}") as source:
        extradata = source.streams.video[0].codec_context.extradata
        options = container.final_options(encoding.time_base)
        muxer = Muxer(url, container, options, encoding, open_tracks, extradata)
        try:
            for packet in source.demux(video=0):
                if packet.dts is not None:  # else it is PyAV's request to flush a decoder
                    # only that of the last packet is written: before it FFmpeg takes the time to the next one
                    packet.duration = times.latest_duration_ticks(packet.time_base)
                    muxer.mux(packet)
            muxer.finish()
        except BaseException:
            muxer.abort()
            raise
    return muxer


def playable_seconds(path: Path) -> float:
    """The end of the last video packet of a file that may be cut off. Reads packets and decodes none."""
    end = Fraction(0)
    with suppress(av.FFmpegError, InputError, OSError), open_media(path) as container:
        for packet in container.demux(video=0):
            if packet.pts is not None and not packet.is_corrupt:  # the one that is cut off is marked as corrupt
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return float(end)
