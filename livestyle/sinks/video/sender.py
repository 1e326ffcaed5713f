"""Send a stream that another process encodes to a network address, without encoding it again.

    python -m livestyle.sinks.video.sender FORMAT < INPUT

INPUT: a line with the URL, then the encoded stream (H.264, and AAC if there is sound) in FFmpeg's NUT format. The URL is no
argument, because the list of processes would show its stream key to every user. FORMAT: FFmpeg's name of the format to send. The
process prints a line when the receiver has accepted the stream. It ends with the stream. After an error it prints one line on
stderr, and the exit code is 1.

A process of its own, because PyAV holds Python's global lock while it connects, and nothing can interrupt a blocked connection:
this process can be killed at any time. If nobody is left to kill it, it ends by itself.
"""

import faulthandler
import os
import signal
import sys

import av
from av.video.codeccontext import VideoCodecContext

from livestyle.errors import printable

ACCEPTED = b"accepted"
BLOCKED_SECONDS = 15.0
"""The process ends if the receiver blocks it for this long. livestyle, as long as it runs, kills it earlier."""
OPTIONS = {"flv": {"flvflags": "no_duration_filesize"}, "rtsp": {"rtsp_transport": "tcp"}}
"""Muxer options by FFmpeg's name of the format."""


def send(format_name: str) -> None:
    """Send the stream from stdin. Raises FFmpegError."""
    source_options = {"probesize": "32", "analyzeduration": "1", "fpsprobesize": "0"}
    output_options = {"max_interleave_delta": "1", "flush_packets": "1"} | OPTIONS.get(format_name, {})
    with (
        open(os.devnull, "w") as nowhere,
        open(0, "rb", buffering=0) as stdin,  # a buffer would delay packets until it is full
    ):

        def limit_time() -> None:
            # by a thread that does not need Python's global lock
            faulthandler.dump_traceback_later(BLOCKED_SECONDS, exit=True, file=nowhere)

        url = os.fsdecode(stdin.readline().removesuffix(b"\n"))
        with av.open(stdin, "r", format="nut", container_options=source_options) as source:
            limit_time()
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
                        if packet.dts is None:  # NUT states presentation times only, which are the decoding times: no B-frames
                            packet.dts = packet.pts
                        packet.stream = streams[packet.stream.index]
                        limit_time()
                        output.mux(packet)
                        faulthandler.cancel_dump_traceback_later()
                limit_time()  # for the trailer


def main(format_name: str) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all of its processes; the parent handles it
    try:
        send(format_name)
    except (av.FFmpegError, ValueError) as error:
        print(printable(getattr(error, "strerror", None) or str(error)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
