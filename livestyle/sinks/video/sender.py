"""Send a stream that another process encodes to a network address, without encoding it again.

    python -m livestyle.sinks.video.sender FORMAT < INPUT

INPUT: a line with the URL, then the encoded stream (H.264, and AAC if there is sound) in FFmpeg's NUT format. The URL is no
argument, because the list of processes would show its stream key to every user. FORMAT: FFmpeg's name of the format to send. The
process prints a line when the receiver has accepted the stream. It ends with the stream. After an error it prints one line on
stderr, and the exit code is 1; it is 3 if this FFmpeg does not have the protocol.

A process of its own, because PyAV holds Python's global lock while it connects, and nothing can interrupt a blocked connection:
this process can be killed at any time. If nobody is left to kill it, it ends by itself.
"""

import faulthandler
import os
import signal
import sys
from typing import BinaryIO

import av
from av.video.codeccontext import VideoCodecContext

from livestyle.errors import STREAM_KEY, hide_passwords, printable

ACCEPTED = b"accepted"
WITHOUT_PROTOCOL = 3
"""Exit code."""
BLOCKED_SECONDS = 15.0
"""The process ends if the receiver blocks it for this long. livestyle, as long as it runs, kills it earlier."""
NOWHERE = os.open(os.devnull, os.O_WRONLY)
OPTIONS = {"flv": {"flvflags": "no_duration_filesize"}, "rtsp": {"rtsp_transport": "tcp"}}
"""Muxer options by FFmpeg's name of the format."""


def send(stdin: BinaryIO, url: str, format_name: str) -> None:
    """Send the stream from stdin. Raises FFmpegError or ValueError."""
    source_options = {"probesize": "32", "analyzeduration": "1", "fpsprobesize": "0"}
    output_options = {"max_interleave_delta": "1", "flush_packets": "1"} | OPTIONS.get(format_name, {})
    with av.open(stdin, "r", format="nut", container_options=source_options) as source:
        _limit_time()
        with av.open(url, "w", format=format_name, container_options=output_options) as output:
            streams = {}
            for stream in source.streams:
                streams[stream.index] = copied = output.add_stream_from_template(stream)
                context = copied.codec_context
                if isinstance(context, VideoCodecContext):
                    context.pix_fmt = "yuv420p"  # unknown if sound arrives before the first frame; NUT's header lacks it
                # the encoder that PyAV 14.0 opens here sets headers of its own: so the input's are set after it is opened
                context.open(strict=False)
                context.extradata = stream.codec_context.extradata
            output.start_encoding()
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.buffer.write(ACCEPTED + b"\n")
            sys.stdout.flush()
            for packet in source.demux():
                if packet.size:  # the empty packet at the end flushes a decoder
                    if packet.dts is None:  # NUT states presentation times only: without B-frames, also the decoding times
                        packet.dts = packet.pts
                    packet.stream = streams[packet.stream.index]
                    _limit_time()
                    output.mux(packet)
                    faulthandler.cancel_dump_traceback_later()
            _limit_time()  # for the trailer


def _limit_time() -> None:
    """End the process after BLOCKED_SECONDS, by a thread that does not need Python's global lock, unless that is cancelled."""
    faulthandler.dump_traceback_later(BLOCKED_SECONDS, exit=True, file=NOWHERE)


def _reason(error: Exception, url: str) -> str:
    """Why the stream cannot be sent, without secrets. FFmpeg's last message has the details, such as the server's answer."""
    log = getattr(error, "log", None)  # level, name, message
    text = (getattr(error, "strerror", None) or str(error)) + (f": {log[2].partition('?')[0].strip()}" if log else "")
    if (match := STREAM_KEY.match(url)) is not None:
        text = text.replace(url[match.end(1) :], "***")
    return printable(hide_passwords(text))


def main(format_name: str) -> int:
    av.logging.set_level(av.logging.ERROR)  # otherwise errors do not have FFmpeg's messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all of its processes; the parent handles it
    with open(0, "rb", buffering=0) as stdin:  # a buffer would delay packets until it is full
        url = os.fsdecode(stdin.readline().removesuffix(b"\n"))
        try:
            send(stdin, url, format_name)
        except av.ProtocolNotFoundError:
            print(f"PyAV's FFmpeg was built without {url.partition(':')[0]}", file=sys.stderr)
            return WITHOUT_PROTOCOL
        except (av.FFmpegError, ValueError) as error:
            print(_reason(error, url), file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
