"""Read a stream from a network address, with its sound, by PyAV: RTSP, RTMP, HTTP, and whatever else FFmpeg reads."""

import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from livestyle.errors import DeviceError, InputError, hide_passwords
from livestyle.frame import Frame, StreamInfo
from livestyle.media import DEMUXERS
from livestyle.sound import RATE, Sound
from livestyle.sources.video.audio import Resampled
from livestyle.sources.video.header import choose_stream, frame_rate
from livestyle.sources.video.upright import UprightFrames

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "srt", "http", "https", "udp", "tcp")
PROTOCOLS = "rtsp,rtsps,rtp,srtp,rtmp,rtmps,rtmpt,rtmpts,srt,http,https,httpproxy,tls,tcp,udp,crypto"
"""FFmpeg's protocols that may be used. A playlist from the network must not name files of this machine."""
LIVE_DEMUXERS = f"{DEMUXERS},rtsp,rtp,sdp,hls,mpjpeg,flv,live_flv,image2pipe"
TIMEOUT_SECONDS = 5.0
"""After this long without an answer or a packet, a stream counts as disconnected."""
LONGEST_STEP_SECONDS = 10
"""A larger step of the stream's clock, or one back, is no pause: its times then continue with the time that has passed."""
CURRENT_SECONDS = Fraction(1, 10)
"""A frame that is late by less than this is not skipped at the beginning."""
LONGEST_DECODING_SECONDS = 0.02
ADVICE = "to try livestyle without a camera, use --camera demo"
WITHOUT_TIMES = ("mpjpeg", "mjpeg")
"""FFmpeg's names of formats whose packets have no times: the frames get the time of their arrival."""


class NetworkVideo:
    """Reads the video and the sound of a network stream. Frames carry the time at which they arrive.

    If the URL is that of a complete file, the source is not live: it ends with the file.

    size: function from the (width, height) of the stream's frames to the (width, height) that they are scaled to.
    sound: where to add the sound; None for a new one.

    Raises InputError if the URL cannot be opened, DeviceError if a stream stops.
    """

    def __init__(
        self,
        url: str,
        *,
        size: Callable[[int, int], tuple[int, int]],
        sound: Sound | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.damage: list[str] = []
        self._name, self._clock = hide_passwords(url), clock
        self._opened_at = clock()
        self._container = _open(url)
        try:
            self._stream, self.notes = choose_stream(self._container)
            if self._stream is None:
                raise InputError(f"{self._name} has no video stream")
            self._audio = next((each for each in self._container.streams.audio if each.codec_context is not None), None)
            self.sound = None if self._audio is None else sound or Sound()
            self._resampled = Resampled()
            self._stream.codec_context.thread_type = "SLICE"  # frame threads would delay each frame by several others
            self._has_times = self._container.format.name not in WITHOUT_TIMES
            self._origin: Fraction | None = None  # time on the stream's clock at presentation time 0
            self._sound_end: Fraction | None = None  # on the stream's clock
            self._last: tuple[Fraction, float] | None = None  # presentation time of the last frame, and when it arrived
            self._frames = self._decode()
            self._pending: deque[tuple[VideoFrame, Fraction, float]] = deque()
            first = self._next()
            self._asked_at: float | None = None  # when the frame before was skipped
            self._is_current = False  # whether all frames that waited for the first call of `read` have been read
            if first is None:
                raise InputError(f"{self._name} ends before its first frame")
            self._upright = UprightFrames(
                first[0],
                size,
                pixel_aspect=self._stream.sample_aspect_ratio or Fraction(1),
                color_trc=self._stream.codec_context.color_trc,
                time_base=self._stream.time_base or Fraction(1, 1000),
            )
            self.notes += self._upright.notes
            is_file = self._container.duration is not None and self._stream.frames > 0
            self._pending.append(first)
            self.info = StreamInfo(
                self._upright.width,
                self._upright.height,
                rate=frame_rate(self._stream),
                frame_count=self._stream.frames if is_file else None,
                live=not is_file,
                pixel_aspect=self._upright.pixel_aspect,
            )
        except BaseException:
            self._container.close()
            raise

    def read(self) -> Frame | None:
        following = self._pending.popleft() if self._pending else self._next()
        while following is not None and self._is_outdated(following):
            following = self._next()
        if following is None:
            return None
        frame, pts, arrived_at = following
        return Frame(
            self._upright.image(frame, nv12=False),
            pts,
            arrived_at if self.info.live else None,
            sound_seconds=None if self.sound is None else pts,
        )

    def close(self) -> None:
        self._frames.close()
        self._container.close()

    def _is_outdated(self, following: tuple[VideoFrame, Fraction, float]) -> bool:
        """Whether a frame was received before the first call of `read`, while the rest of the program was being opened."""
        if self._is_current or not self.info.live:
            return False
        now = self._clock()
        waited = 0.0 if self._asked_at is None else now - self._asked_at  # a frame that had to be waited for is a new one
        self._is_current = waited > LONGEST_DECODING_SECONDS or following[1] + CURRENT_SECONDS > now - self._opened_at
        self._asked_at = now
        return not self._is_current

    def _next(self) -> tuple[VideoFrame, Fraction, float] | None:
        """The next frame with its presentation time and the time of its arrival; None at the end."""
        try:
            return next(self._frames, None)
        except av.FFmpegError as error:
            raise DeviceError(f"{self._name} no longer gives frames ({error.strerror}); is it still reachable?") from None

    def _decode(self) -> Generator[tuple[VideoFrame, Fraction, float]]:
        streams = [self._stream] if self._audio is None else [self._stream, self._audio]
        for packet in self._container.demux(streams):
            arrived_at = self._clock()
            with suppress(av.InvalidDataError):  # damaged on the way
                for frame in packet.decode():
                    if isinstance(frame, VideoFrame):
                        yield frame, self._presentation_time(frame, arrived_at), arrived_at
                    elif isinstance(frame, AudioFrame):
                        self._add_sound(frame)

    def _presentation_time(self, frame: VideoFrame, arrived_at: float) -> Fraction:
        passed = Fraction(0)
        if self._last is not None:
            # whole microseconds: the denominator of a sum of arbitrary fractions grows without limit
            passed = Fraction(max(0, round((arrived_at - self._last[1]) * 1_000_000)), 1_000_000)
        if frame.pts is None or frame.time_base is None or not self._has_times:
            pts = Fraction(0) if self._last is None else self._last[0] + passed
        else:
            seconds = frame.pts * frame.time_base
            if self._origin is None:
                self._origin = seconds
            elif self._last is not None and not 0 <= seconds - self._origin - self._last[0] <= LONGEST_STEP_SECONDS:
                self._origin = seconds - self._last[0] - passed
            pts = seconds - self._origin
        self._last = pts, arrived_at
        return pts

    def _add_sound(self, frame: AudioFrame) -> None:
        if self.sound is None or self._origin is None or frame.pts is None or frame.time_base is None:
            return
        begin = frame.pts * frame.time_base - self._origin
        if self._sound_end is None or abs(begin - self._sound_end) > Fraction(1, 20):
            self._sound_end = begin
        for samples in self._resampled.blocks(frame):
            self.sound.add(self._sound_end, samples)
            self._sound_end += Fraction(len(samples), RATE)


def _open(url: str) -> Any:
    name = hide_passwords(url)
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise InputError(f"cannot open {name}: the URL of a camera or a stream begins with {', '.join(SCHEMES)}")
    options = {"format_whitelist": LIVE_DEMUXERS, "protocol_whitelist": PROTOCOLS, "fflags": "discardcorrupt"}
    if scheme.startswith("rtsp"):
        options |= {"rtsp_transport": "tcp"}
    try:
        return av.open(url, container_options=options, timeout=(TIMEOUT_SECONDS, TIMEOUT_SECONDS), metadata_errors="replace")
    except av.ProtocolNotFoundError:
        raise InputError(f"cannot open {name}: PyAV's FFmpeg was built without {scheme}") from None
    except av.ExitError:  # the timeout
        reason = f"no answer within {TIMEOUT_SECONDS:g} s"
        raise InputError(f"cannot open {name}: {reason}; check the address", advice=ADVICE) from None
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot open {name}: no answer, or not a video ({reason}); check the address", advice=ADVICE) from None
