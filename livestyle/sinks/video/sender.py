"""Send a stream that another process encodes to a network address, without encoding it again.

    python -m livestyle.sinks.video.sender URL FORMAT < STREAM

STREAM: the encoded stream in FFmpeg's NUT format. FORMAT: FFmpeg's name of the format to send. The process prints a line when the
receiver has accepted the stream. It ends with the stream. After an error it prints one line on stderr, and the exit code is 1; it
is 3 if this FFmpeg does not have the protocol.

A process of its own, because PyAV holds Python's global lock while it connects, and nothing can interrupt a blocked connection:
this process can be killed at any time.
"""

import signal
import sys

import av

from livestyle.errors import printable

ACCEPTED = b"accepted"
WITHOUT_PROTOCOL = 3
"""Exit code."""


OPTIONS = {"flv": {"flvflags": "no_duration_filesize"}, "rtsp": {"rtsp_transport": "tcp"}}
"""Muxer options by FFmpeg's name of the format."""


def send(url: str, format_name: str) -> None:
    """Send the stream from stdin. Raises FFmpegError."""
    source_options = {"probesize": "32", "analyzeduration": "1", "fpsprobesize": "0"}
    output_options = {"max_interleave_delta": "1", "flush_packets": "1"} | OPTIONS.get(format_name, {})
    with (
        open(0, "rb", buffering=0) as stdin,  # a buffer would delay packets until it is full
        av.open(stdin, "r", format="nut", container_options=source_options) as source,
        av.open(url, "w", format=format_name, container_options=output_options) as output,
    ):
        streams = {}
        for stream in source.streams:
            streams[stream.index] = copied = output.add_stream_from_template(stream)
            # the encoder that PyAV 14.0 opens here sets headers of its own: so the input's are set after it is opened
            copied.codec_context.open(strict=False)
            copied.codec_context.extradata = stream.codec_context.extradata
        output.start_encoding()
        sys.stdout.buffer.write(ACCEPTED + b"\n")
        sys.stdout.flush()
        for packet in source.demux():
            if packet.size:  # the empty packet at the end flushes a decoder
                if packet.dts is None:  # NUT states presentation times only, which are the decoding times: no B-frames
                    packet.dts = packet.pts
                packet.stream = streams[packet.stream.index]
                output.mux(packet)


def main(url: str, format_name: str) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all of its processes; the parent handles it
    try:
        send(url, format_name)
    except av.ProtocolNotFoundError:
        print(f"PyAV's FFmpeg was built without {url.partition(':')[0]}", file=sys.stderr)
        return WITHOUT_PROTOCOL
    except (av.FFmpegError, ValueError) as error:
        print(printable(getattr(error, "strerror", None) or str(error)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
