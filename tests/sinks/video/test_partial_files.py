"""Files that stay after an interrupt, a kill and a full disk, and the complete file."""

import contextlib
import re
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import av
import pytest
from clips import Clip, packets, read, repaint, times

from livestyle.frame import StreamInfo
from livestyle.sinks.video.writer import VideoWriter

INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_complete_mp4_has_its_index_in_front(make_clip: Clip, tmp_path: Path) -> None:
    repaint(make_clip(sound="aac"), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert b"moof" not in data


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_interrupt_keeps_every_frame(make_clip: Clip, tmp_path: Path, container: str) -> None:
    clip = make_clip(sound="aac")
    sink = VideoWriter(tmp_path / f"out.{container}", INFO, sound_from=clip)
    for frame in read(clip)[1]:
        sink.write(frame)
    sink.close(KeyboardInterrupt())
    assert len(times(tmp_path / f"out.partial.{container}")) == 10
    assert not (tmp_path / f"out.{container}").exists()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals")
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_interrupt_at_any_moment_of_closing_leaves_a_video(make_clip: Clip, tmp_path: Path, container: str) -> None:
    clip = make_clip(ticks=range(20), sound="aac", sound_seconds=(0, 2))
    frames = read(clip)[1]

    def complete(seconds: float) -> float:
        """Close a file, with an interrupt after that time. Returns how long closing took."""
        sink = VideoWriter(tmp_path / f"out.{container}", INFO, sound_from=clip)
        for frame in frames:
            sink.write(frame)
        started = perf_counter()
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with contextlib.suppress(KeyboardInterrupt):
            try:
                sink.close()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        return perf_counter() - started

    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        whole = complete(60)
        for part in range(1, 25):
            left = names(tmp_path)[1:]
            assert left, f"nothing was left after {part - 1}/24 of closing"
            for name in left:
                assert len(times(tmp_path / name)) >= 16  # the rest was inside the encoder
                (tmp_path / name).unlink()
            complete(whole * part / 24)
    finally:
        signal.signal(signal.SIGALRM, previous)


KILLED = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter

path, preset, rate, sound = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
info = StreamInfo(64, 48, rate=Fraction(rate), time_base=Fraction(1, rate))
sink = VideoWriter(path, info, preset=preset, sound_from=Path(sound))
noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
for number in range(4 * rate):
    sink.write(Frame(np.roll(noise, number, axis=1), Fraction(number, rate)))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("container", "preset", "rate"),
    [("mp4", "veryfast", 30), ("mp4", "medium", 10), ("mp4", "veryslow", 30), ("mkv", "slow", 25), ("mov", "slow", 5)],
)
def test_killed_writer_loses_less_than_a_second(make_clip: Clip, tmp_path: Path, container: str, preset: str, rate: int) -> None:
    sound = make_clip(sound="aac", sound_seconds=(0, 4))
    arguments = [str(tmp_path / f"out.{container}"), preset, str(rate), str(sound)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert names(tmp_path) == ["clip.mp4", f"out.partial.{container}"]
    partial = tmp_path / f"out.partial.{container}"
    assert times(partial)[-1] - times(partial)[0] >= 3 - Fraction(1, rate)
    assert packets(partial, "audio")[-1][0] >= 2.8


FULL_DISK = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))  # as on a full disk
sink = VideoWriter(Path(sys.argv[1]), StreamInfo(320, 240, rate=Fraction(10), time_base=Fraction(1, 10)))
rng = np.random.default_rng(0)
try:
    for number in range(40):
        sink.write(Frame(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8), Fraction(number, 10)))
    sink.close()
except OutputError as error:
    sink.close(error)
    print(error)
"""


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
def test_full_disk_keeps_what_was_written(tmp_path: Path, container: str) -> None:
    target, partial = tmp_path / f"out.{container}", tmp_path / f"out.partial.{container}"
    arguments = [sys.executable, "-c", FULL_DISK, str(target), "400000"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {target}: ")
    assert names(tmp_path) == [partial.name]
    with av.open(str(partial)) as left:
        count = 0
        with contextlib.suppress(av.FFmpegError):  # the last one was cut
            for _ in left.decode(video=0):
                count += 1
    assert count >= 5
    reported = re.search(rf"; ([\d.]+) s that were painted are in {re.escape(str(partial))}", done.stdout)
    assert reported
    assert float(reported[1]) == pytest.approx(count / 10, abs=0.2)  # B-frames are written after the frames that they lie between
