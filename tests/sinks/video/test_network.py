"""Streams to real RTMP servers on loopback, which FFmpeg provides."""

import io
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import psutil
import pytest
from clock import Clock

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.network import NetworkStream, _step_seconds
from livestyle.sound import RATE, Sound

INFO = StreamInfo(64, 48, rate=Fraction(10), live=True)
Received = tuple[list[tuple[Fraction, float]], list[tuple[Fraction, float]]]
"""Times of the frames with their grey levels, and of the blocks of sound with their peaks."""


@pytest.fixture
def all_is_sent_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine may need more than half a second for it."""
    monkeypatch.setattr("livestyle.sinks.video.network.END_SECONDS", 30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def receive(url: str, most_frames: int) -> Received:
    """Accept one RTMP connection, and read its frames and its sound, up to this number of frames."""
    frames: list[tuple[Fraction, float]] = []
    blocks: list[tuple[Fraction, float]] = []
    with av.open(url, options={"listen": "1"}, timeout=(30, 30)) as stream:
        try:
            for packet in stream.demux():
                for item in packet.decode():
                    assert item.pts is not None
                    assert item.time_base is not None
                    seconds = item.pts * item.time_base
                    if isinstance(item, av.VideoFrame):
                        frames.append((seconds, float(item.to_ndarray(format="rgb24").mean())))
                    elif isinstance(item, av.AudioFrame):
                        blocks.append((seconds, float(np.abs(item.to_ndarray()).max())))
                if len(frames) >= most_frames:
                    break
        except av.FFmpegError:  # FFmpeg's server reports the end of a stream as an error
            pass
    return frames, blocks


@pytest.fixture
def serve() -> Iterator[Callable[[int, int], "Future[Received]"]]:
    """A function that starts a server for one connection on a port, and returns what it receives when that has ended."""
    with ThreadPoolExecutor() as pool:

        def start(port: int, most_frames: int = 1_000_000) -> "Future[Received]":
            future = pool.submit(receive, f"rtmp://127.0.0.1:{port}/live/show", most_frames)
            while not any(c.laddr[1] == port and c.status == psutil.CONN_LISTEN for c in psutil.Process().net_connections("tcp")):
                assert not future.done()
            return future

        yield start


def frame(number: int) -> Frame:
    image, seconds = np.full((48, 64, 3), 40 + number % 100, np.uint8), Fraction(number, 10)
    return Frame(image, seconds, float(seconds), sound_seconds=seconds)


def sound_with_click(at_seconds: int) -> Sound:
    sound = Sound()
    samples = np.zeros((10 * RATE, 2), np.float32)
    samples[at_seconds * RATE : at_seconds * RATE + 4800] = 0.5
    sound.add(Fraction(0), samples)
    return sound


def url_of(port: int) -> str:
    return f"rtmp://127.0.0.1:{port}/live/show"


@pytest.mark.usefixtures("all_is_sent_at_the_end")
def test_frames_and_sound_arrive_in_time_with_each_other(serve: Callable[[int], "Future[Received]"]) -> None:
    port = free_port()
    received = serve(port)
    sink = NetworkStream(url_of(port), INFO, sound_with_click(2))
    for number in range(40):
        sink.write(frame(number))
    while sink.state != "live":
        assert not received.done()
    sink.close()
    frames, blocks = received.result()
    assert not sink.damage
    assert [round(grey) - 40 for _, grey in frames] == pytest.approx(list(range(40)), abs=1)
    origin = frames[0][0]
    assert [float(time - origin) for time, _ in frames] == pytest.approx([number / 10 for number in range(40)], abs=0.001)
    loud = [float(time - origin) for time, peak in blocks if peak > 0.25]
    assert loud[0] == pytest.approx(2, abs=0.025)
    assert loud[-1] == pytest.approx(2.1, abs=0.025)


@pytest.mark.usefixtures("all_is_sent_at_the_end")
def test_a_lost_connection_is_opened_again(serve: Callable[[int, int], "Future[Received]"]) -> None:
    port, clock = free_port(), Clock()
    first = serve(port, 5)
    sink = NetworkStream(url_of(port), INFO, clock=clock)
    number = 0
    while not first.done() or sink.state == "live":
        sink.write(frame(number))
        number += 1
    assert sink.state.startswith("not connected: ")
    second = serve(port)
    clock.now += 1
    lost = number
    while sink.state != "live":
        sink.write(frame(number))
        number += 1
    for _ in range(10):
        sink.write(frame(number))
        number += 1
    sink.close()
    frames, _ = second.result()
    assert len(frames) == number - lost
    assert len(first.result()[0]) == 5
    (damage,) = sink.damage
    assert f"rtmp://127.0.0.1:{port}/live/***: no connection for 1.0 s" in damage


def test_without_a_server_it_says_so_and_retries_with_growing_intervals() -> None:
    clock = Clock()
    sink = NetworkStream(url_of(free_port()), INFO, clock=clock)
    attempts = [clock.now]
    for number in range(80):
        connected = sink._connection  # None: the last attempt has failed
        sink.write(frame(number))
        attempts += [clock.now] if sink._connection is not connected else []
        while sink._connection is not None:  # the process needs some time to fail
            sink.write(frame(number))
        clock.now += 0.1
    sink.close()
    assert np.diff(attempts) == pytest.approx([0.5, 1, 2, 4], abs=0.11)
    assert "Connection refused" in sink.damage[0]


def test_a_protocol_that_ffmpeg_lacks_is_an_output_error() -> None:
    """PyPI's PyAV has no SRT."""
    sink = NetworkStream("srt://127.0.0.1:9", INFO)

    def write_until_it_fails() -> None:
        for number in range(100_000):
            sink.write(frame(number))

    with pytest.raises(OutputError, match="built without srt"):
        write_until_it_fails()
    sink.close()


def test_close_before_the_first_frame() -> None:
    sink = NetworkStream(url_of(free_port()), INFO, Sound())
    sink.close()
    sink.close()
    assert len(sink.damage) == 1


def test_frames_are_not_sent_to_a_server_that_never_answers() -> None:
    clock = Clock()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        sink = NetworkStream(url_of(port), INFO, clock=clock)
        for number in range(3):
            sink.write(frame(number))
            clock.now += 0.1
        sink.close()
    assert sink.damage == [f"rtmp://127.0.0.1:{port}/live/***: no connection for 0.3 s, 3 frames not sent: there was no answer"]


def test_the_reason_has_the_last_message_of_ffmpeg_but_no_stream_key() -> None:
    sink = NetworkStream("rtmp://no.such.host.invalid/live/show", INFO)
    while sink.state == "connecting":
        sink.write(frame(0))
    assert "Cannot open connection tcp://no.such.host.invalid" in sink.state
    sink.close()
    assert "show" not in str(sink.damage)


def test_another_scheme_is_refused_and_passwords_are_hidden() -> None:
    with pytest.raises(OutputError, match=r"gopher://me:\*\*\*@host.*rtmp://") as raised:
        NetworkStream("gopher://me:secret@host", INFO)
    assert "secret" not in str(raised.value)


def test_sound_that_arrives_before_the_second_frame_does_not_prevent_the_connection(
    serve: Callable[[int], "Future[Received]"],
) -> None:
    port, sound = free_port(), Sound()
    sound.add(Fraction(0), np.random.default_rng(1).uniform(-0.5, 0.5, (10 * RATE, 2)).astype(np.float32))
    received = serve(port)
    sink = NetworkStream(url_of(port), replace(INFO, rate=Fraction(1)), sound)
    for number in (0, 10, 20, 30):
        sink.write(frame(number))
    while sink.state == "connecting":
        sink.write(frame(number := number + 10))
    assert sink.state == "live"
    sink.close()
    assert not sink.damage
    assert received.result()[0]


def test_the_list_of_processes_does_not_show_the_stream_key() -> None:
    sink = NetworkStream(url_of(free_port()), INFO)
    sink.write(frame(0))
    (sender,) = (each for each in psutil.Process().children() if "livestyle.sinks.video.sender" in each.cmdline())
    assert not any("show" in word for word in sender.cmdline())
    sink.close()


def test_the_steps_of_a_pause_are_whole_ticks() -> None:
    """The denominator of a sum of arbitrary fractions grows until each addition takes milliseconds."""
    steps = (_step_seconds(replace(frame(0), captured_at=0.0), replace(frame(0), captured_at=1 / n)) for n in (7, 11, 13))
    assert all(step > 0 and 90_000 % step.denominator == 0 for step in steps)


def test_a_sender_that_nobody_kills_ends_although_its_receiver_never_answers() -> None:
    stream = io.BytesIO()
    with av.open(stream, "w", format="nut") as output:
        video = output.add_stream("libx264", rate=10, options={"tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            output.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
    program = "import sys; from livestyle.sinks.video import sender; sender.BLOCKED_SECONDS = 0.2; sys.exit(sender.main('flv'))"
    with socket.socket() as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.listen()
        url = url_of(receiver.getsockname()[1])
        result = subprocess.run([sys.executable, "-c", program], input=url.encode() + b"\n" + stream.getvalue(), timeout=60)
    assert result.returncode == 1
