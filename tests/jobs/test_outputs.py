"""Several outputs of a live run, each of which may fail alone."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from livestyle.errors import OutputError
from livestyle.frame import FloatArray, Frame, StreamInfo
from livestyle.jobs.live.outputs import Outputs
from livestyle.jobs.live.recorder import Recording
from livestyle.jobs.live.session import LiveJob, LiveResult, LiveSession
from livestyle.sinks.window import NoWindow
from livestyle.sound import RATE, Sound
from livestyle.streaming.fan_out import FanOut
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer

INFO = StreamInfo(64, 48, rate=Fraction(10), live=True)


@pytest.fixture
def stylizer(style_folder: Path) -> Stylizer:
    return Stylizer("ash", "lite", "cpu", gallery=Gallery([style_folder]))


def run(stylizer: Stylizer, *outputs: object, seconds: Fraction = Fraction(1, 2)) -> LiveResult:
    job = LiveJob("demo", "ash", (None, 36), outputs=tuple(map(str, outputs)), seconds=seconds)
    return LiveSession(job, NoWindow()).run(lambda: nullcontext(stylizer))


def frame(number: int, sound_number: int | None = None) -> Frame:
    """A frame at a tenth of a second; its sound is that of another tenth, or of the same."""
    seconds = Fraction(number if sound_number is None else sound_number, 10)
    return Frame(np.full((48, 64, 3), number, np.uint8), Fraction(number, 10), float(seconds), sound_seconds=seconds)


def frame_count(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def loud_times(path: Path) -> list[float]:
    """The beginning and the end of each loud part of the audio, in seconds."""
    with av.open(str(path)) as media:
        parts = [(frame.pts * frame.time_base, frame.to_ndarray()) for frame in media.decode(audio=0)]
    begin = parts[0][0]
    samples = np.concatenate([np.abs(part).max(axis=0) for _, part in parts])
    loud = np.convolve(samples, np.ones(200) / 200, "same") > 0.1
    return [round(float(begin + Fraction(int(place), RATE)), 2) for place in np.flatnonzero(np.diff(loud.astype(int)))]


def sound_with_tones(*begins: float) -> Sound:
    """10 seconds of sound with tones of a tenth of a second."""
    sound = Sound()
    samples = np.zeros((10 * RATE, 2), np.float32)
    tone = 0.5 * np.sin(np.arange(RATE // 10) * 2 * np.pi * 1000 / RATE)
    for begin in begins:
        samples[round(begin * RATE) : round(begin * RATE) + len(tone)] = tone[:, None]
    sound.add(Fraction(0), samples)
    return sound


def test_all_files_have_the_same_frames(stylizer: Stylizer, tmp_path: Path) -> None:
    result = run(stylizer, tmp_path / "one.mp4", tmp_path / "two.mkv")
    assert frame_count(tmp_path / "one.mp4") == frame_count(tmp_path / "two.mkv") == result.frames > 1
    assert result.recordings == (tmp_path / "one.mp4", tmp_path / "two.mkv")
    assert result.errors == ()


def test_a_server_that_is_not_there_does_not_end_the_others(stylizer: Stylizer, tmp_path: Path) -> None:
    result = run(stylizer, "rtmp://127.0.0.1:9/live/KEY", tmp_path / "one.mp4")
    assert frame_count(tmp_path / "one.mp4") == result.frames
    (damage,) = result.damage
    assert damage.startswith("rtmp://127.0.0.1:9/live/***: no connection for ")


def test_outputs_that_differ_in_their_keys_or_folders_have_names_of_their_own(tmp_path: Path) -> None:
    fan_out = FanOut()
    outputs = Outputs(fan_out, INFO, None)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        outputs.add(str(tmp_path / folder / "out.mkv"))
        outputs.add(f"rtmp://127.0.0.1:9/live/{folder}")
    assert list(outputs.states()) == ["out.mkv", "out.mkv (2)", "127.0.0.1", "127.0.0.1 (2)"]
    assert len(outputs) == 4
    fan_out.write(frame(0))
    assert outputs.complete() == []
    fan_out.close()


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (("a.mp4", "./a.mp4"), "named twice"),
        (("rtmp://127.0.0.1:9/live/KEY",) * 2, r"live/\*\*\* is named twice"),
        (("gopher://host/x",), "the URL must begin with rtmp://"),
        (("nowhere/out.mp4",), "nowhere"),
        (("out.txt",), "the containers are .mp4"),
    ],
    ids=["file twice", "stream twice", "scheme", "folder", "container"],
)
def test_an_output_that_cannot_be_opened_ends_the_run_before_its_first_frame(
    stylizer: Stylizer, outputs: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=message):
        run(stylizer, *outputs)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays(stylizer: Stylizer, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        run(stylizer, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"


def test_states_and_failure_of_one_output(tmp_path: Path) -> None:
    failures: list[OutputError] = []
    fan_out = FanOut(on_failure=lambda name, error: failures.append(outputs.failed(name, error)))
    outputs = Outputs(fan_out, INFO, None)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        outputs.add(str(tmp_path / name / f"{name}.mkv"))
    for number in range(12):
        fan_out.write(frame(number))
    while outputs.states() != {"one.mkv": "0:01", "two.mkv": "0:01"}:  # the last of the frames is at 1.1 s
        pass
    (tmp_path / "one").rename(tmp_path / "gone")
    while not failures:
        number += 1
        fan_out.write(frame(number))
    assert "its folder has been removed" in str(failures[0])
    assert list(outputs.states()) == ["two.mkv"]
    assert outputs.complete() == []
    assert frame_count(tmp_path / "two/two.mkv") == number + 1
    assert not outputs


def test_a_recording_has_the_sound_of_its_frames(tmp_path: Path) -> None:
    """Recorded from the third tenth of the second second on; the picture stands still for a second in between."""
    path = tmp_path / "out.mp4"
    recording = Recording(path, INFO, sound_with_tones(2, 3.5, 5))
    for number in range(13, 30):
        recording.write(frame(number))
    for sound_number in range(30, 40):  # a pause, with the tone at 3.5 s
        recording.write(frame(29, sound_number))
    for number in range(30, 60):
        recording.write(frame(number, number + 10))
    recording.close()
    assert loud_times(path) == pytest.approx([0.7, 0.8, 2.7, 2.8], abs=0.02)
    assert frame_count(path) == 47


def test_sound_that_arrives_after_its_frame_is_kept(tmp_path: Path) -> None:
    path, sound, whole = tmp_path / "out.mkv", Sound(), sound_with_tones(1)
    recording = Recording(path, INFO, sound)
    for number in range(30):
        recording.write(frame(number))
        begin, end = (max(Fraction(0), Fraction(step, 10) - Fraction(1, 2)) for step in (number, number + 1))
        sound.add(begin, whole.read(begin, end))  # half a second late
    recording.close()
    assert loud_times(path) == pytest.approx([1, 1.1], abs=0.02)


def test_a_frame_that_arrives_late_does_not_break_the_sound(tmp_path: Path) -> None:
    """The time of a microphone's sound is that of the frame's arrival, which jitters."""
    path = tmp_path / "out.mp4"
    recording = Recording(path, INFO, sound_with_tones(3))
    for number in range(60):
        late = Fraction(8, 100) if number == 30 else Fraction(0)
        recording.write(replace(frame(number), sound_seconds=Fraction(number, 10) + late))
    recording.close()
    assert loud_times(path) == pytest.approx([3, 3.1], abs=0.02)


def test_a_short_pause_moves_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    recording = Recording(path, INFO, sound_with_tones(5))
    for number in range(20):
        recording.write(frame(number))
    for number in range(20, 60):
        recording.write(frame(number, number + 2))
    recording.close()
    assert loud_times(path) == pytest.approx([4.8, 4.9], abs=0.02)


def test_a_source_whose_sound_has_ended_is_silent(tmp_path: Path) -> None:
    path, sound = tmp_path / "out.mp4", sound_with_tones(1)
    recording = Recording(path, INFO, sound)
    for number in range(130):
        recording.write(frame(number))
    recording.close()
    with av.open(str(path)) as media:
        assert float(media.streams.audio[0].duration * media.streams.audio[0].time_base) == pytest.approx(12.9, abs=0.1)


def test_the_sound_of_a_long_gap_is_silent_and_encoded_in_parts(tmp_path: Path) -> None:
    """As after a process was suspended: the sound of hours would not fit in memory."""
    lengths: list[float] = []

    class Noted(Sound):
        def read(self, begin_seconds: Fraction, end_seconds: Fraction) -> FloatArray:
            lengths.append(float(end_seconds - begin_seconds))
            return super().read(begin_seconds, end_seconds)

    path, sound, whole = tmp_path / "out.mkv", Noted(), sound_with_tones(0.5)
    recording = Recording(path, INFO, sound)
    for number in (*range(10), *range(200, 210)):
        sound.add(Fraction(number, 10), whole.read(Fraction(number % 10, 10), Fraction(number % 10 + 1, 10)))
        recording.write(frame(number))
    recording.close()
    assert max(lengths) <= 1
    assert sum(lengths) == pytest.approx(20.9)
    assert loud_times(path) == pytest.approx([0.5, 0.6, 20.5, 20.6], abs=0.02)


def test_a_frame_without_a_sound_time_is_recorded(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", INFO, Sound())
    for number in range(5):
        recording.write(replace(frame(number), sound_seconds=None))
    recording.close()
    assert frame_count(tmp_path / "out.mp4") == 5


def test_without_a_window_the_run_ends_with_its_last_output(style_folder: Path) -> None:
    words = ["webcam", "--camera", "demo", "--size", "64x36", "--style", str(style_folder / "ash.lite.safetensors"), "--to", "-"]
    # -P: in the repository, Python would import the package there instead of the installed one
    command = [sys.executable, "-P", "-m", "livestyle", *words, "--device", "cpu"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stderr is not None
    received = run.stdout.read(3 * 64 * 36 * 3)
    run.stdout.close()  # the receiver is gone
    messages = run.stderr.read().decode()
    assert len(received) == 3 * 64 * 36 * 3, messages
    assert run.wait(60) == 1
    assert "livestyle: - has stopped: the raw frames cannot be written: Broken pipe" in messages
    assert "Traceback" not in messages
