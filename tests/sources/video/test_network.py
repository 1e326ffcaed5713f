"""Network streams, from real servers on loopback."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clock import Clock

from livestyle.errors import DeviceError, InputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sound import RATE, Sound
from livestyle.sources.video.network import NetworkVideo


def whole(width: int, height: int) -> tuple[int, int]:
    return width, height


@contextmanager
def sent_over_tcp(data: bytes) -> Iterator[str]:
    """The address of a server that sends data to the first client, and then disconnects it."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def send() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(data)

        pool.submit(send)
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def transport_stream(tmp_path: Path) -> bytes:
    """MPEG-TS of 20 frames at 10 a second, frame k with the grey level 10 k, and a tone from 1.0 to 1.1 s."""
    sound = Sound()
    samples = np.zeros((2 * RATE, 2), np.float32)
    samples[RATE : RATE + RATE // 10] = 0.5 * np.sin(np.arange(RATE // 10) * 2 * np.pi * 1000 / RATE)[:, None]
    sound.add(Fraction(0), samples)
    writer = VideoWriter(tmp_path / "clip.mp4", StreamInfo(64, 48, rate=Fraction(10)), sound=sound, crf=5)
    for number in range(20):
        time = Fraction(number, 10)
        writer.write(Frame(np.full((48, 64, 3), 10 * number, np.uint8), time, sound_seconds=time))
    writer.close()
    path = tmp_path / "clip.ts"
    with av.open(str(tmp_path / "clip.mp4")) as source, av.open(str(path), "w") as output:
        streams = {each.index: output.add_stream_from_template(each) for each in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return path.read_bytes()


def test_frames_and_sound_of_a_live_stream(transport_stream: bytes) -> None:
    clock = Clock()
    with sent_over_tcp(transport_stream) as url:
        source = NetworkVideo(url, size=whole, clock=clock)
        assert (source.info.width, source.info.height, source.info.rate, source.info.live) == (64, 48, 10, True)
        frames = list(iter(source.read, None))
        source.close()
    assert [frame.pts_seconds for frame in frames] == [Fraction(number, 10) for number in range(20)]
    assert [round(float(frame.image.mean()) / 10) for frame in frames] == list(range(20))
    assert {frame.captured_at for frame in frames} == {clock.now}
    assert all(frame.sound_seconds == frame.pts_seconds for frame in frames)
    assert source.sound is not None
    loud = np.flatnonzero(np.abs(source.sound.read(Fraction(0), Fraction(2))[:, 0]) > 0.2) / RATE
    assert (loud[0], loud[-1]) == pytest.approx((1.0, 1.1), abs=0.005)


def test_frames_that_waited_for_the_first_read_are_skipped(transport_stream: bytes) -> None:
    """The rest of the program takes a second to open; a frame that is late by less than .1 s is not skipped."""
    clock = Clock()
    with sent_over_tcp(transport_stream) as url:
        source = NetworkVideo(url, size=whole, clock=clock)
        clock.now += 1.05
        times = [frame.pts_seconds for frame in iter(source.read, None)]
        source.close()
    assert times == [Fraction(number, 10) for number in range(10, 20)]


def test_times_go_on_where_the_clock_of_the_stream_jumps(transport_stream: bytes) -> None:
    """The stream is sent twice: its clock steps back by two seconds."""
    clock = Clock()
    with sent_over_tcp(transport_stream * 2) as url:
        source = NetworkVideo(url, size=whole, clock=clock)
        times = [frame.pts_seconds for frame in iter(source.read, None)]
        source.close()
    steps = np.diff([float(time) for time in times])
    assert len(times) in (39, 40)  # FFmpeg may take the last packet before the step as damaged
    assert (steps >= 0).all()
    assert steps.max() == pytest.approx(0.1)


def test_a_stream_without_times_has_those_of_its_arrival(served: str) -> None:
    clock = Clock()
    source = NetworkVideo(f"{served}/live", size=lambda width, height: (width // 2, height // 2), clock=clock)
    assert (source.info.width, source.info.height, source.info.live) == (32, 24, True)
    first = source.read()
    clock.now += 2 + 1 / 7
    second = source.read()
    assert first is not None
    assert second is not None
    # whole microseconds, whose sums stay short
    assert (first.pts_seconds, second.pts_seconds, second.captured_at) == (0, Fraction(2_142_857, 1_000_000), 102 + 1 / 7)
    assert second.image.shape == (24, 32, 3)
    assert source.sound is None
    source.close()


def test_a_stream_that_stalls_is_a_device_error(
    served: str, stall: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livestyle.sources.video.network.TIMEOUT_SECONDS", 0.3)
    source = NetworkVideo(f"{served}/stall", size=whole)
    stall.set()
    with pytest.raises(DeviceError, match=r"/stall no longer gives frames .* is it still reachable"):
        list(iter(source.read, None))
    source.close()


def test_a_server_that_never_answers_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.sources.video.network.TIMEOUT_SECONDS", 0.3)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(InputError, match=r"no answer within 0\.3 s; check the address"):
            NetworkVideo(f"tcp://127.0.0.1:{server.getsockname()[1]}/x", size=whole)


def test_a_file_at_a_url_keeps_its_times(served: str, make_clip: Callable[..., Path]) -> None:
    make_clip(ticks=[0, 1, 2, 5])
    source = NetworkVideo(f"{served}/clip.mp4", size=whole)
    frames = list(iter(source.read, None))
    source.close()
    assert [frame.pts_seconds for frame in frames] == [0, Fraction(1, 10), Fraction(1, 5), Fraction(1, 2)]
    assert not source.info.live
    assert source.info.frame_count == 4


def test_frames_that_change_size_are_scaled_to_the_first(served: str) -> None:
    source = NetworkVideo(f"{served}/turned", size=whole)
    shapes = {frame.image.shape for _ in range(19) if (frame := source.read()) is not None}
    assert shapes == {(48, 64, 3)}
    source.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://me:secret@127.0.0.1:9/camera", r"http://me:\*\*\*@127.0.0.1:9/camera: no answer"),
        ("file:///etc/passwd", "begins with rtsp"),
        ("concat:a.ts", "begins with rtsp"),
    ],
)
def test_url_that_cannot_be_opened_is_an_input_error(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NetworkVideo(url, size=whole)


def test_a_playlist_must_not_read_files_of_this_machine(tmp_path: Path, transport_stream: bytes) -> None:
    """The server answers with a playlist that names a file here."""
    (tmp_path / "clip.ts").write_bytes(transport_stream)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{tmp_path}/clip.ts\n#EXT-X-ENDLIST\n".encode()
    with sent_over_tcp(playlist) as url, pytest.raises(InputError):
        NetworkVideo(url, size=whole)
