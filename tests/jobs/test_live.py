"""Live runs: keys, overlay, recordings, and whole sessions without a window."""

import pickle
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clock import Clock

from livestyle.errors import DeviceError, OutputError, StyleError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.jobs.live.controls import KEYS, free_path, help_lines, write_to_free_path
from livestyle.jobs.live.cues import Cue, Show
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.loop import LiveLoop
from livestyle.jobs.live.meter import Meter
from livestyle.jobs.live.recorder import Recorder
from livestyle.jobs.live.session import LiveJob, LiveResult, LiveSession
from livestyle.look import Look, Mix
from livestyle.output_file import OutputFile, write_whole
from livestyle.sinks.overlay import Overlay
from livestyle.sinks.window import NoWindow
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Paced, Pausable
from livestyle.sources.reconnecting import Reconnecting
from livestyle.streaming.fan_out import FanOut
from livestyle.streaming.mixing import submit
from livestyle.streaming.pipeline import Painted
from livestyle.streaming.working_size import WorkingSize
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer


def read_video(path: Path) -> tuple[list[Fraction], list[Image]]:
    with av.open(str(path)) as video:
        frames = list(video.decode(video=0))
    times = [frame.pts * frame.time_base for frame in frames if frame.pts is not None and frame.time_base is not None]
    return times, [frame.to_ndarray(format="rgb24") for frame in frames]


@pytest.fixture
def stylizer(style_folder: Path) -> Stylizer:
    return Stylizer("ash", "lite", "cpu", gallery=Gallery([style_folder]))


class User:
    """A simulated user of a live loop at 10 frames a second, whose clock advances with the frames."""

    def __init__(self, stylizer: Stylizer, folder: Path) -> None:
        self.stylizer = stylizer
        self.clock = Clock()
        self.source = Pausable(Paced(DemoScene(48, 32, rate=10), clock=self.clock, sleep=self.clock.sleep))
        self.working_size = WorkingSize(self.source)
        self.screen = NoWindow()
        self.looks = LookControl(stylizer, stylizer.load_all(), stylizer.default_look, clock=self.clock)
        self.printed: list[str] = []
        self.loop = LiveLoop(
            *(self.looks, self.source, self.working_size, self.screen, folder),
            lambda error: self.printed.append(str(error)),
            self.clock,
        )

    def see(self, count: int = 1) -> Frame:
        """Paint and show `count` frames. Returns the last one."""
        for _ in range(count):
            frame = self.working_size.read()
            assert frame is not None
            look = self.looks.at(frame.pts_seconds)
            image = submit(self.stylizer.engine, [(frame.image, look)]).result()[0]
            painted = Frame(image, frame.pts_seconds, frame.captured_at)
            ((painted, _, _),) = self.working_size.restore([Painted(painted, frame.image, look)])
            self.loop.write(painted)
        return painted

    def see_until(self, condition: Callable[[], object]) -> None:
        """Show frames until the condition is true, which another thread makes so."""
        for _ in range(1000):
            if condition():
                return
            self.see()
            time.sleep(0.005)
        raise AssertionError("the condition did not become true")

    def press(self, *keys: str) -> Overlay:
        """Press keys, then show a frame. Returns its overlay."""
        for key in keys:
            self.loop.controls.press(key)
        self.see()
        return self.screen.overlay


@pytest.fixture
def user(stylizer: Stylizer, tmp_path: Path) -> User:
    return User(stylizer, tmp_path)


# keys


def test_keys_select_the_style(user: User) -> None:
    styles = []
    for key in ("2", "n", "n", "p", "1", "9"):
        assert user.press(key).status.startswith(user.looks.look.name)
        styles.append(user.looks.look.name)
    assert styles == ["birch", "coal", "ash", "coal", "ash", "ash"]
    assert user.screen.overlay.message == "there are 3 styles"
    assert user.screen.title == "livestyle: ash"


def test_next_and_previous_after_a_blend(user: User) -> None:
    user.looks.look = user.stylizer.look({"ash": 0.5, "birch": 0.5})
    user.press("n")
    assert user.screen.title == "livestyle: ash"
    user.looks.look = user.stylizer.look("ash:.5,birch:.5")
    user.press("p")
    assert user.screen.title == "livestyle: coal"


def test_keys_change_strength_and_colours(user: User) -> None:
    assert "strength 80%" in user.press("-", "-").status
    assert "strength" not in user.press("+", "+", "+").status
    assert user.looks.look.strength == 1
    assert "photo's colours" in user.press("c").status
    assert "photo's colours" not in user.press("c").status
    for _ in range(12):
        user.press("-")
    assert user.looks.look.strength == 0


def test_selecting_a_style_keeps_strength_and_colours(user: User) -> None:
    user.press("-", "c", "2")
    look = user.looks.look
    assert (look.name, look.strength, look.keep_colors) == ("birch", 0.9, True)


def test_a_key_crossfades_to_the_style(user: User) -> None:
    """At 10 frames a second, the crossfade of 0.5 s begins with the first frame and ends with the sixth."""
    ash, birch = user.stylizer.look("ash"), user.stylizer.look("birch")
    user.see()
    user.loop.controls.press("2")
    shares = []
    for _ in range(7):
        user.see()
        look = user.looks.at(Fraction(0))
        assert isinstance(look, Look)
        shares.append(float((look.rows - ash.rows)[0, 0] / (birch.rows - ash.rows)[0, 0]))
    assert shares == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1], abs=1e-4)


def test_keys_blend_the_last_two_styles(user: User) -> None:
    ash, birch = user.stylizer.look("ash"), user.stylizer.look("birch")
    assert user.press("b").message == "select another style first; then the last two can be blended"
    assert user.printed == []
    presses = (["2"], ["b"], ["right"], ["left"] * 5, ["left"], ["left"], ["right"] * 2 + ["-"])
    names = [user.press(*keys).status.split("   ")[0] for keys in presses]
    assert names == ["birch", "ash:0.5,birch:0.5", "ash:0.4,birch:0.6", "ash:0.9,birch:0.1", "ash", "ash", "ash:0.8,birch:0.2"]
    look = user.looks.look
    assert look.strength == 0.9
    np.testing.assert_allclose(look.rows, 0.8 * ash.rows + 0.2 * birch.rows, rtol=0, atol=1e-5)
    user.press("2", "b")  # ash had the larger share
    assert user.looks.look.name == "ash:0.5,birch:0.5"
    user.press("right", "2", "b")  # birch has the larger share, and stays the last one
    assert user.looks.look.name == "ash:0.5,birch:0.5"
    user.press("left", "1", "b")
    assert user.looks.look.name == "birch:0.5,ash:0.5"


def test_styles_with_different_bodies_are_crossfaded_but_not_blended(user: User) -> None:
    user.press("3")
    assert isinstance(user.looks.at(Fraction(0)), Mix)
    assert user.press("b").message == "ash and coal cannot be blended: they were not trained together"
    user.see(6)
    assert user.looks.at(Fraction(0)) is user.looks.look


def test_keys_and_times_fire_cues(user: User) -> None:
    user.loop.controls.cues = {"d": Cue("drop", "birch", 0.5, fade_seconds=0, key="d"), "5": Cue("photo", strength=0, key="5")}
    user.loop.schedule(iter([(0.15, Cue("birch", "birch", 1, fade_seconds=0))]))
    user.loop.follow_schedule()
    status = user.press("d").status
    assert status.startswith("birch   cue drop   ")
    assert "strength 50%" in status
    user.loop.follow_schedule()
    status = user.press("5").status
    assert status.startswith("birch   cue photo   ")
    assert "strength 0%" in status
    user.see()
    user.loop.follow_schedule()
    assert user.looks.look.strength == 1
    assert "cue" not in user.press("1").status


class Unplugged:
    """A camera that gives two frames, and then fails."""

    def __init__(self) -> None:
        self.info = StreamInfo(48, 32, live=True)
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._frames = 0

    def read(self) -> Frame | None:
        self._frames += 1
        if self._frames > 2:
            raise DeviceError("camera 0 no longer gives frames; is it plugged in?")
        return Frame(np.full((32, 48, 3), 90 * self._frames, np.uint8), Fraction(self._frames, 10), time.monotonic())

    def close(self) -> None:
        pass


def test_the_time_limit_holds_while_a_camera_is_gone(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    def reopen() -> Unplugged:
        raise DeviceError("cannot open camera 0")

    source = Reconnecting(Unplugged(), reopen, "camera 0")
    monkeypatch.setattr("livestyle.jobs.live.session.open_live_source", lambda camera, size, rate, loop: source)
    job = LiveJob("0", "ash", seconds=Fraction(3, 2))
    result = LiveSession(job, NoWindow()).run(lambda: nullcontext(stylizer))
    assert result.captured == 2
    assert result.errors == ()
    assert [line.split(" for ")[0] for line in result.damage] == ["camera 0 no longer gives frames: no new frames"]


def test_cue_whose_style_is_gone_is_reported(user: User) -> None:
    user.loop.controls.fire(Cue("x", "no such style"))
    assert "no such style" in user.printed[0]
    assert user.looks.look.name == "ash"


def test_session_starts_with_the_first_cue_and_checks_all(stylizer: Stylizer) -> None:
    show = Show((Cue("start", "birch", 0.5, at_seconds=0), Cue("later", "coal", key="x")))
    seen: list[str] = []

    class Screen(NoWindow):
        def write(self, frame: Frame) -> None:
            seen.append(self.overlay.status)

    job = LiveJob("demo", "ash", (None, 36), show=show, seconds=Fraction(1, 5))
    assert LiveSession(job, Screen()).run(lambda: nullcontext(stylizer)).errors == ()
    assert seen[-1].startswith("birch   ")
    assert "strength 50%" in seen[-1]
    bad = Show((Cue("later", "no such style"),))
    with pytest.raises(StyleError, match=r"the cue later: .*no such style"):
        LiveSession(LiveJob("demo", "ash", (None, 36), show=bad), NoWindow()).run(lambda: nullcontext(stylizer))


def test_next_after_a_blend_of_keys_continues_from_the_last_style(user: User) -> None:
    user.press("2", "b", "n")
    assert user.looks.look.name == "coal"


def test_keys_change_the_working_size_and_the_output_keeps_its_size(user: User) -> None:
    user.working_size.info = user.source.info = replace(user.source.info, width=480, height=320)  # 48x32, enlarged
    assert "painted at" not in user.press("").status
    assert "painted at 672x448" in user.press(".").status
    assert user.see().image.shape == (320, 480, 3)
    assert "painted at 336x224" in user.press(",", ",").status
    assert "painted at 120x80" in user.press(",", ",", ",").status
    assert user.press(",").message == "this is the smallest working size"
    assert user.see().image.shape == (320, 480, 3)


def test_pause_repeats_the_frame_in_the_current_style(user: User) -> None:
    user.looks.fade_seconds = 0
    before = user.see()
    assert "paused" in user.press("space").status
    assert np.array_equal(user.see().image, before.image)
    user.press("2")
    assert not np.array_equal(user.see().image, before.image)
    user.press("1")
    assert np.array_equal(user.see().image, before.image)
    user.press("space")
    assert not np.array_equal(user.see().image, before.image)


def test_stall_is_shown_in_the_status(user: User) -> None:
    assert "no frame" not in user.press("").status
    user.clock.now += 3
    assert "no frame for 3 s" in user.loop.controls.overlay().status
    assert "no frame" not in user.press("").status


def test_dropped_frames_are_shown(user: User) -> None:
    assert "dropped" not in user.press("").status
    user.loop.controls.dropped = 3
    assert "3 dropped" in user.press("").status


def test_everything_on_the_screen_can_be_hidden(user: User) -> None:
    assert user.press("r").recording == "0:00"
    user.press("?")
    assert user.press("h") == Overlay()
    overlay = user.press("9", "h")
    assert overlay.status
    assert overlay.recording
    assert overlay.message == "there are 3 styles"
    assert overlay.page
    user.loop.close()


def test_the_help_is_shown_even_if_everything_is_hidden(user: User) -> None:
    user.press("h")
    assert user.press("?").page
    assert user.press("h", "?").page


def test_help_lists_every_key(user: User) -> None:
    page = user.press("?").page
    assert all(line in page for line in help_lines())
    assert any("2 birch" in line for line in page)
    assert user.press("?").page == ()


def test_each_key_has_one_action() -> None:
    keys = [key for entry in KEYS for key in entry.keys]
    assert len(keys) == len(set(keys))
    assert set("123456789npcsrfh?q+-") | {"space", "esc"} <= set(keys)


# recordings and pictures


def test_pause_is_not_recorded(user: User, tmp_path: Path) -> None:
    user.see(3)
    assert user.press("r").recording == "0:00"
    user.see(3)
    user.press("space")
    user.see(10)
    user.press("space")
    user.see(2)
    user.press("r")
    times, _ = read_video(tmp_path / "webcam-001.mp4")
    assert times == [Fraction(number, 10) for number in range(7)]  # 1 + 3, then 1 + 2, at 10 frames a second


def test_recording_time_is_shown(user: User) -> None:
    user.press("r")
    user.see_until(lambda: user.loop.recorder.seconds > 1)
    assert user.press("").recording.startswith("0:0")
    user.loop.close()
    assert user.press("").recording == ""


def test_recordings_and_pictures_are_numbered(user: User, tmp_path: Path) -> None:
    (tmp_path / "webcam-001.png").write_bytes(b"mine")
    (tmp_path / "webcam-001.partial.mp4").write_bytes(b"of a run that was killed")
    user.see()
    user.press("s", "r")
    assert user.press("r", "s").message.endswith("webcam-003.png")
    assert (tmp_path / "webcam-001.png").read_bytes() == b"mine"
    assert [path.name for path in user.loop.controls.pictures] == ["webcam-002.png", "webcam-003.png"]
    assert [path.name for path in user.loop.recorder.paths] == ["webcam-002.mp4"]
    assert free_path(tmp_path, "mp4").name == "webcam-003.mp4"


def test_name_that_another_run_takes_is_skipped(user: User, tmp_path: Path) -> None:
    theirs: list[OutputFile] = []

    def start(path: Path) -> None:
        if not theirs:
            theirs.append(OutputFile(path))  # after free_path has found it free
        user.loop.recorder.start(path)

    assert write_to_free_path(tmp_path, "mp4", start).name == "webcam-002.mp4"
    assert [path.name for path in user.loop.recorder.paths] == ["webcam-002.mp4"]
    theirs[0].discard()
    user.loop.close()

    def write(path: Path) -> None:
        if not list(tmp_path.glob("*.png")):
            path.write_bytes(b"theirs")
        write_whole(path, b"mine", replace=False)

    assert write_to_free_path(tmp_path, "png", write).read_bytes() == b"mine"
    assert (tmp_path / "webcam-001.png").read_bytes() == b"theirs"


def test_file_that_cannot_be_written_is_reported_once(stylizer: Stylizer, tmp_path: Path) -> None:
    user = User(stylizer, tmp_path / "nowhere")
    user.see()
    assert "cannot write" in user.press("s").message
    assert "cannot write" in user.press("r").message
    assert "cannot write" in user.press("r").message
    assert user.loop.recorder.paths == []
    assert not user.loop.recorder.is_on
    assert [str(error) for error in user.loop.controls.errors] == user.printed
    assert len(user.printed) == 2


def test_recording_whose_folder_is_removed_fails_and_the_next_one_works(stylizer: Stylizer, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    user = User(stylizer, folder)
    recorder = user.loop.recorder
    user.press("r")
    user.see_until(lambda: (folder / "webcam-001.partial.mp4").stat().st_size)
    shutil.rmtree(folder)
    user.see_until(lambda: not recorder.is_on)
    assert "the recording has stopped" in user.press("").message
    assert user.screen.overlay.recording == ""
    assert recorder.paths == recorder.kept == []
    folder.mkdir()
    user.press("r")
    user.see(3)
    user.loop.close()
    assert [path.name for path in recorder.paths] == ["webcam-001.mp4"]
    assert len(read_video(folder / "webcam-001.mp4")[0]) == 4
    assert len(user.printed) == 1


def test_recording_that_fails_keeps_its_frames_and_the_screen_goes_on(user: User, tmp_path: Path) -> None:
    user.press("r")
    user.see(2)
    user.loop.write(Frame(np.zeros((8, 8, 3), np.uint8), Fraction(1000)))  # the video has another size
    user.see_until(lambda: not user.loop.recorder.is_on)
    assert user.printed[0].startswith("the recording has stopped: ")
    assert user.loop.recorder.kept == [tmp_path / "webcam-001.partial.mp4"]
    assert len(read_video(user.loop.recorder.kept[0])[0]) == 3
    shown = user.loop.meter.frames
    user.see(2)
    assert user.loop.meter.frames == shown + 2


def test_recording_that_fails_at_its_end_is_reported(user: User, tmp_path: Path) -> None:
    user.press("r")
    user.see(2)
    (tmp_path / "webcam-001.mp4").write_bytes(b"theirs")  # appears during the recording, and must not be replaced
    user.loop.close()
    assert user.printed[0].startswith("the recording has stopped: ")
    assert (tmp_path / "webcam-001.mp4").read_bytes() == b"theirs"
    assert user.loop.recorder.paths == []
    assert user.loop.recorder.kept == [tmp_path / "webcam-001.partial.mp4"]


def test_recording_stopped_before_its_first_frame_leaves_no_file(user: User, tmp_path: Path) -> None:
    user.loop.controls.press("r")
    assert user.press("r").message == "nothing was recorded"
    assert user.loop.recorder.paths == []
    assert user.loop.recorder.notes == ["nothing was recorded"]
    assert list(tmp_path.glob("webcam*")) == []


def test_stopping_a_recorder_that_never_started_does_nothing() -> None:
    fan_out = FanOut()
    recorder = Recorder(fan_out, StreamInfo(8, 8))
    fan_out.write(Frame(np.zeros((8, 8, 3), np.uint8), Fraction(0)))
    recorder.stop()
    assert recorder.paths == recorder.notes == []


def test_screen_that_fails_ends_the_loop(user: User) -> None:
    class Broken(NoWindow):
        def write(self, frame: Frame) -> None:
            raise ValueError("no such window")

    loop = LiveLoop(user.looks, user.source, user.working_size, Broken(), Path(), lambda error: None, user.clock)
    with pytest.raises(ValueError, match="no such window"):
        loop.write(Frame(np.zeros((32, 48, 3), np.uint8), Fraction(0)))


# sessions


def test_job_can_be_pickled() -> None:
    job = LiveJob(camera="demo", style={"ash": 1.0}, size=(None, 36), record=Path("out.mp4"), seconds=Fraction(1, 3))
    assert pickle.loads(pickle.dumps(job)) == job


def test_session_without_a_window_records(stylizer: Stylizer, tmp_path: Path) -> None:
    job = LiveJob("demo", "birch", (None, 36), strength=0.5, record=tmp_path / "out.mp4", seconds=Fraction(1, 2))
    result = LiveSession(job, NoWindow()).run(lambda: nullcontext(stylizer))
    times, images = read_video(tmp_path / "out.mp4")
    assert times[0] == 0
    assert all(time < Fraction(1, 2) for time in times)
    assert images[0].shape == (36, 64, 3)
    assert result.frames == len(images) > 1
    assert result.captured == result.frames + result.dropped
    assert (result.recordings, result.kept, result.errors) == ((tmp_path / "out.mp4",), (), ())
    frame = DemoScene(64, 36).read()
    assert frame is not None
    look: Look = stylizer.look("birch", strength=0.5)  # the stylizer is still open
    assert np.abs(stylizer(frame.image, look).astype(int) - images[0]).mean() < 12


def test_session_closes_the_stylizer_that_it_opened(style_folder: Path) -> None:
    opened: list[Stylizer] = []

    def open_stylizer() -> Stylizer:
        opened.append(Stylizer("ash", "lite", "cpu", gallery=Gallery([style_folder])))
        return opened[0]

    LiveSession(LiveJob("demo", "ash", (None, 36), seconds=Fraction(1, 10)), NoWindow()).run(open_stylizer)
    with pytest.raises(Exception, match="closed"):
        opened[0].submit([np.zeros((8, 8, 3), np.uint8)])


def test_existing_recording_is_replaced_only_with_overwrite(stylizer: Stylizer, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"mine")
    job = LiveJob("demo", "ash", (None, 36), record=path, seconds=Fraction(1, 10))
    with pytest.raises(OutputError, match="exists"):
        LiveSession(job, NoWindow()).run(lambda: nullcontext(stylizer))
    assert path.read_bytes() == b"mine"
    with pytest.raises(OutputError, match="input itself"):
        LiveSession(replace(job, camera=str(path), overwrite=True), NoWindow()).run(lambda: nullcontext(stylizer))
    LiveSession(replace(job, overwrite=True), NoWindow()).run(lambda: nullcontext(stylizer))
    assert len(read_video(path)[0]) > 0


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (LiveJob("/dev/no-camera", "ash"), DeviceError),
        (LiveJob("demo", "no such style"), StyleError),
        (LiveJob("demo", "ash", (None, 36), record=Path("nowhere/out.mp4")), OutputError),
    ],
    ids=["camera", "style", "recording"],
)
def test_session_that_cannot_start_raises_and_leaves_no_thread(
    stylizer: Stylizer, job: LiveJob, error: type[Exception]
) -> None:
    session = LiveSession(job, NoWindow())
    with pytest.raises(error):
        session.run(lambda: nullcontext(stylizer))
    assert session.result == LiveResult()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("livestyle")] == []


def test_recording_that_fails_does_not_end_the_session(stylizer: Stylizer, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    errors: list[Exception] = []

    class Screen(NoWindow):
        """Removes the folder of the recording while it runs, and closes three frames after the recording has failed."""

        is_visible = True

        def __init__(self) -> None:
            super().__init__()
            self.times: set[Fraction] = set()

        @property
        def is_open(self) -> bool:  # type: ignore[override]
            return len(self.times) < 3

        def write(self, frame: Frame) -> None:
            if self.overlay.recording and folder.exists():
                shutil.rmtree(folder)
            if errors:
                self.times.add(frame.pts_seconds)

    job = LiveJob("demo", "ash", (None, 36), record=folder / "out.mp4")
    result = LiveSession(job, Screen(), on_error=errors.append).run(lambda: nullcontext(stylizer))
    assert list(result.errors) == errors
    assert len(errors) == 1
    assert "its folder has been removed" in str(errors[0])
    assert result.recordings == result.kept == ()
    assert result.frames >= 3


# meter


def test_meter_counts_rate_and_latency() -> None:
    clock = Clock()
    meter = Meter(clock)
    assert (meter.fps, meter.mean_fps, meter.delay_percentile_ms(0.5)) == (0, 0, None)
    for delay in (0.010, 0.050, 0.030):
        clock.now += 0.5
        meter.count(Frame(np.zeros((1, 1, 3), np.uint8), Fraction(0), captured_at=clock.now - delay))
    assert meter.fps == pytest.approx(2)
    assert meter.mean_fps == pytest.approx(2)
    assert meter.delay_ms == pytest.approx(30)
    assert meter.delay_percentile_ms(0.5) == 30
