"""The sink that sends a live stream to a network address: H.264 and AAC by RTMP, RTSP or SRT.

The stream is encoded here, and sent by a process of its own (sender.py), which can be ended whatever it waits for. When the
connection is lost, a new process and a new encoder take over: each connection starts with a keyframe, at time 0.
"""

import atexit
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from threading import Thread

import av
from av.container import OutputContainer

from livestyle.errors import OutputError, hide_stream_key
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.containers import Container
from livestyle.sinks.video.encoders import CAMERA_TIME_BASE, Encoder, Encoding
from livestyle.sinks.video.muxing import FrameTimes, Muxer, VideoTrack
from livestyle.sinks.video.pixels import YuvConverter
from livestyle.sinks.video.sender import WITHOUT_PROTOCOL
from livestyle.sinks.video.sound_track import SoundTrack
from livestyle.sound import Sound

MODULE = "livestyle.sinks.video.sender"
FORMATS = {"rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp", "srt": "mpegts"}
"""FFmpeg's name of the format, by the scheme of the URL."""
NUT = Container(
    "nut",
    audio_encoder="aac",
    subtitle_codec="",
    fragmented=False,
    # NUT holds no negative times, which the audio encoder's priming has
    options={"flush_packets": "1", "max_interleave_delta": "1", "output_ts_offset": "1"},
)
KEYFRAME_SECONDS = 2
"""Interval of keyframes: a viewer waits for one. Twitch and YouTube require 2 seconds."""
BITS_PER_PIXEL = Fraction(1, 10)
LEAST_BIT_RATE, MOST_BIT_RATE = 1_000_000, 6_000_000  # Twitch's limit is 6 Mbit/s
CONNECT_SECONDS = 10.0
"""After this long without an answer, a connection counts as failed."""
STALL_SECONDS = 5.0
"""After this long in which the receiver takes no data, the connection counts as lost."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 8.0
"""Time from the loss of a connection to the next attempt. It doubles with each failed attempt."""
END_SECONDS = 0.5
"""How long to wait at the end until the last data is sent."""
QUEUED_BLOCKS = 64


class NetworkStream:
    """Sends frames to an RTMP, RTSP or SRT address. A lost connection is opened again; until then, frames are discarded.

    Each outage is listed in `damage`. url: the address of a server that accepts streams. sound: sent with the frames.
    Raises OutputError for a URL of another scheme.
    """

    def __init__(
        self, url: str, info: StreamInfo, sound: Sound | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._name = hide_stream_key(url)
        scheme = url.partition("://")[0].lower()
        if scheme not in FORMATS:
            schemes = ", ".join(f"{word}://" for word in FORMATS)
            raise OutputError(f"cannot send to {self._name}: the URL must begin with {schemes}")
        self._open = partial(Connection, url, FORMATS[scheme], info, sound, clock)
        self._clock = clock
        self._connection: Connection | None = None
        self._retry_at, self._retry_seconds = -1.0, FIRST_RETRY_SECONDS
        self._reason = ""  # why the last connection ended
        self._lost_at: float | None = clock()  # since when there has been no connection; None while there is one
        self._buffered = 0  # frames written to a connection that is not accepted yet
        self._unsent = 0  # frames discarded in the current outage
        self._connect()  # before the first frame, which opening an encoder would delay

    @property
    def state(self) -> str:
        """The state of the connection, to be displayed. Any thread may read it."""
        connection = self._connection
        if connection is not None and connection.is_accepted:
            return "live"
        return f"not connected: {self._reason}" if self._reason else "connecting"

    def write(self, frame: Frame) -> None:
        """Send a frame; discard it while there is no connection. Raises OutputError if FFmpeg does not have the protocol."""
        if self._connection is None and self._clock() >= self._retry_at:
            self._connect()
        self._buffered += 1
        if self._connection is not None:
            try:
                self._connection.write(frame)
            except (OSError, av.FFmpegError) as error:
                self._lose(error.strerror or str(error))
            except OutputError as error:
                self._lose(str(error))
                raise
        if self._connection is None:
            self._discard_buffered()
        elif self._connection.is_accepted:
            self._buffered = 0
            self._end_outage()

    def close(self, error: BaseException | None = None) -> None:
        """Send what is encoded, and disconnect."""
        if self._connection is not None:
            try:
                self._connection.close()
            except (OSError, av.FFmpegError) as caught:
                self._lose(caught.strerror or str(caught))
                self._discard_buffered()
            self._connection = None
        self._end_outage()

    def _connect(self) -> None:
        try:
            self._connection = self._open()
        except OSError as error:
            self._lose(error.strerror or str(error))

    def _lose(self, reason: str) -> None:
        """End the connection, and set the time of the next attempt."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        self._reason = reason
        self._lost_at = self._clock() if self._lost_at is None else self._lost_at
        self._retry_at = self._clock() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)

    def _discard_buffered(self) -> None:
        self._unsent, self._buffered = self._unsent + self._buffered, 0

    def _end_outage(self) -> None:
        """List the outage that ends now, if a connection has failed."""
        if self._lost_at is not None and self._reason:
            seconds = self._clock() - self._lost_at
            self.damage.append(f"{self._name}: no connection for {seconds:.1f} s, {self._unsent} frames not sent: {self._reason}")
        self._lost_at, self._unsent, self._reason, self._retry_seconds = None, 0, "", FIRST_RETRY_SECONDS


class Connection:
    """One connection: an encoder and a muxer that write to a sender. The first frame is at time 0.

    Raises OSError, also in its methods, if the sender fails, and OutputError if the encoder does.
    """

    def __init__(self, url: str, format_name: str, info: StreamInfo, sound: Sound | None, clock: Callable[[], float]) -> None:
        rate = info.rate or Fraction(30)
        converter = YuvConverter("yuv420p", info, CAMERA_TIME_BASE)
        layout = converter.layout
        bit_rate = round(BITS_PER_PIXEL * layout.width * layout.height * rate)
        encoder = _encoder(rate, max(LEAST_BIT_RATE, min(bit_rate, MOST_BIT_RATE)))
        encoding = Encoding(
            encoder,
            crf=20,
            preset=None,
            layout=layout,
            matrix=converter.matrix,
            rate=rate,
            max_delay=0,
            time_base=CAMERA_TIME_BASE,
            pixel_aspect=info.pixel_aspect,
        )
        self._to_yuv = converter
        self._times = FrameTimes(CAMERA_TIME_BASE, rate)
        self._last: Frame | None = None
        self._seconds = Fraction(0)  # time of the last frame in the stream
        self._sound_track: SoundTrack | None = None
        self._clock, self._begun_at = clock, clock()
        self._sender = Sender(url, format_name)
        try:
            open_tracks = None if sound is None else partial(self._open_sound_track, sound)
            self._muxer = Muxer(self._sender, NUT, NUT.options, encoding, open_tracks)
        except BaseException:
            self._sender.kill()
            raise
        self._video = VideoTrack(self._muxer, NUT, self._times, CAMERA_TIME_BASE)

    def _open_sound_track(self, sound: Sound, output: OutputContainer) -> SoundTrack:
        self._sound_track = SoundTrack(sound, output, NUT)
        return self._sound_track

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver has accepted the stream."""
        return self._sender.is_accepted

    def write(self, frame: Frame) -> None:
        if not self.is_accepted and self._clock() - self._begun_at > CONNECT_SECONDS:
            raise TimeoutError(0, "there was no answer")
        if self._last is not None:
            self._seconds += _step_seconds(self._last, frame)
        self._last = frame
        frame = replace(frame, pts_seconds=self._seconds)
        if self._sound_track is not None:
            self._sound_track.follow(frame)
        self._video.write(self._to_yuv(frame, self._times.ticks(frame)))

    def close(self) -> None:
        """Send what is encoded, and end."""
        self._video.flush()
        self._muxer.finish()
        self._sender.close()

    def abort(self) -> None:
        """End at once."""
        self._sender.kill()
        with suppress(OSError, av.FFmpegError, ValueError):
            self._muxer.abort()


def _step_seconds(last: Frame, frame: Frame) -> Fraction:
    """The time from one frame to the next. During a pause, where a frame is repeated, the stream continues."""
    if frame.pts_seconds > last.pts_seconds:
        return frame.pts_seconds - last.pts_seconds
    if frame.captured_at is None or last.captured_at is None:
        return Fraction(0)
    # whole ticks: the denominator of a sum of arbitrary fractions grows without limit
    return max(0, round((frame.captured_at - last.captured_at) / CAMERA_TIME_BASE)) * CAMERA_TIME_BASE


def _encoder(rate: Fraction, bit_rate: int) -> Encoder:
    """x264 for a live stream, whose quality is constant as long as the bit rate, in bits per second, is not exceeded."""

    def options(crf: int, preset: str, delay: int) -> dict[str, str]:
        limits = {"maxrate": str(bit_rate), "bufsize": str(bit_rate)}
        return {"crf": str(crf), "preset": preset, "tune": "zerolatency", "g": str(round(rate * KEYFRAME_SECONDS))} | limits

    return Encoder("libx264", "superfast", "superfast", options)


class Sender:
    """A process that sends the data that is written, as a file object. Raises OSError if it cannot be started."""

    def __init__(self, url: str, format_name: str) -> None:
        self._answers, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (`kill` closes them)
        # -P: a file in the working directory, such as av.py, must not replace a module
        words = [sys.executable, "-P", "-m", MODULE, format_name]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=self._answers, stderr=self._errors)
        atexit.register(self._process.kill)  # a run does not wait at its end for an output that is blocked
        self._blocks: queue.Queue[bytes | None] = queue.Queue(QUEUED_BLOCKS)
        self._blocks.put(os.fsencode(url) + b"\n")
        self._thread = Thread(target=self._pass_on, daemon=True)
        self._thread.start()
        self._was_accepted = False

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver has accepted the stream. Any thread may read it."""
        if not self._was_accepted:
            with suppress(ValueError):  # the file is closed
                self._was_accepted = self._answers.seek(0, 2) > 0
        return self._was_accepted

    def write(self, data: bytes) -> int:
        """Pass data on. Raises OSError if the process has ended, or the receiver takes no more data.

        Raises OutputError if trying again is of no use.
        """
        if self._process.poll() is not None:
            reason = self._last_line() or "the connection has ended"
            if self._process.returncode == WITHOUT_PROTOCOL:
                raise OutputError(reason)
            raise ConnectionError(self._process.returncode, reason)
        try:
            self._blocks.put(bytes(data), timeout=STALL_SECONDS)
        except queue.Full:
            raise TimeoutError(0, f"the receiver took no data for {STALL_SECONDS:.0f} s") from None
        return len(data)

    def _pass_on(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError), self._process.stdin as stdin:  # the process may end at any time
            while (block := self._blocks.get()) is not None:
                with suppress(OSError):  # after that, blocks are discarded until `write` raises the error
                    stdin.write(block)
                    stdin.flush()

    def _last_line(self) -> str:
        self._errors.seek(0)
        return (self._errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]

    def close(self) -> None:
        """Send what was written, and end the process. Raises OSError if the process fails, or the stream was never accepted."""
        with suppress(queue.Full, subprocess.TimeoutExpired):
            self._blocks.put(None, timeout=END_SECONDS)
            self._process.wait(END_SECONDS)
        code = self._process.poll()
        reason, was_accepted = self._last_line() if code else "", self.is_accepted
        self.kill()
        if code:
            raise ConnectionError(code, reason or "the connection has ended")
        if not was_accepted:
            raise TimeoutError(0, "there was no answer")

    def kill(self) -> None:
        """End the process and the thread. Idempotent."""
        self._process.kill()
        self._process.wait()
        atexit.unregister(self._process.kill)
        self._blocks.put(None)  # the thread discards what is before it
        self._thread.join()
        self._answers.close()
        self._errors.close()
