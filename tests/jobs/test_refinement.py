"""Refined styles: the training in a process of its own, its rows in a live run, and the file that they are saved to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
import pytest
from clock import Clock

from livestyle.errors import InputError, StyleError, TrainingError
from livestyle.frame import Frame
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.loop import LiveLoop
from livestyle.jobs.live.refined_style import RefinedStyle
from livestyle.jobs.live.refinement import Progress, Refinement, lower_priority
from livestyle.jobs.live.session import LiveJob, LiveSession
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.pictures.writing import write_picture
from livestyle.prediction.predictor import tensor_shapes
from livestyle.sinks.overlay import Overlay
from livestyle.sinks.window import NoWindow
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Paced, Pausable
from livestyle.streaming.working_size import WorkingSize
from livestyle.style_files.description import training_settings
from livestyle.style_files.file_format import FORMAT, load_rows, read_header, write_safetensors
from livestyle.style_files.gallery import Gallery
from livestyle.style_files.thumbnail import load_thumbnail
from livestyle.stylizer import Stylizer
from livestyle.train.content import drawn
from livestyle.train.refine import refine

PATIENCE_SECONDS = 300  # a longer wait counts as a hang; the process has low priority
TINY = {"content": "drawn:scenes", "image_size": 32, "batch_size": 1, "steps": 3, "loss_model": "random"}
ENDLESS = TINY | {"steps": 10**6}


@pytest.fixture(autouse=True)
def normal_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, a training at low priority would take minutes."""
    monkeypatch.setattr("livestyle.jobs.live.refinement.lower_priority", lambda pid: None)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "my painting.png"
    write_picture(path, drawn.tiles())
    return path


@pytest.fixture(scope="module")
def predictor_folder(style_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a predictor for the body of ash and birch. It predicts the same rows for every picture."""
    folder = tmp_path_factory.mktemp("predictor")
    shapes = tensor_shapes(ARCHITECTURES["lite"].row_length)
    tensors = {name: np.zeros(shape, np.float16) for name, shape in shapes.items()}
    tensors |= {name: np.ones(shapes[name], np.float16) for name in ("scale", "rows.bias")}
    metadata = {"format": FORMAT, "architecture": "lite", "body": read_header(style_folder / "ash.lite.safetensors").body_hash}
    write_safetensors(folder / "trees.lite-predictor.safetensors", tensors, metadata)
    return folder


@pytest.fixture
def stylizer(style_folder: Path, predictor_folder: Path) -> Iterator[Stylizer]:
    with Stylizer("ash", "lite", "cpu", gallery=Gallery([style_folder, predictor_folder])) as stylizer:
        yield stylizer


@pytest.fixture
def style(picture: Path, stylizer: Stylizer) -> RefinedStyle:
    """The style ash, as if it were predicted from the picture."""
    return RefinedStyle(picture, stylizer.look("ash"), stylizer.gallery)


class Show:
    """A live loop at 10 frames a second, whose clock advances with the frames."""

    def __init__(self, stylizer: Stylizer, folder: Path) -> None:
        clock = self.clock = Clock()
        self.source = Pausable(Paced(DemoScene(48, 32, rate=10), clock=clock, sleep=clock.sleep))
        self.screen = NoWindow()
        self.looks = LookControl(stylizer, stylizer.load_all(), stylizer.look("ash"), clock=clock)
        self.printed: list[str] = []
        self.loop = LiveLoop(
            *(self.looks, self.source, WorkingSize(self.source), self.screen, folder),
            lambda error: self.printed.append(str(error)),
            clock,
        )

    def see(self, count: int = 1) -> None:
        """Show `count` frames, and what the training has sent until now."""
        for _ in range(count):
            frame = self.source.read()
            assert frame is not None
            self.looks.at(frame.pts_seconds)
            self.loop.write(frame)
            self.loop.follow_refinement(dropped=0)

    def see_until(self, condition: Callable[[], object]) -> None:
        """Show frames until the condition is true, which the training makes so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline
            self.see()
            time.sleep(0.005)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def show(stylizer: Stylizer, tmp_path: Path) -> Iterator[Show]:
    show = Show(stylizer, tmp_path)
    yield show
    show.loop.close()


# the training


def test_training_changes_the_rows_smoothly_and_ends(style: RefinedStyle) -> None:
    steps = list(refine(dict(style.settings) | TINY, style.look.rows))
    assert [share for share, _ in steps] == [1 / 3, 2 / 3, 1]
    before = style.look.rows
    for _, rows in steps:
        assert rows.dtype == np.float32
        assert 0 < np.abs(rows - before).max() <= 0.05  # the learning rate, which is the largest change per step of Adam
        before = rows


def test_training_refuses_rows_of_another_network(style: RefinedStyle) -> None:
    with pytest.raises(TrainingError, match="rows to start from"):
        next(refine(dict(style.settings) | TINY, style.look.rows[:, :-1]))


def test_training_process_reports_an_error_in_one_line() -> None:
    words = [sys.executable, "-P", "-m", "livestyle.train.refine", "{"]
    done = subprocess.run(words, input=b"12345678", capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"JSONDecodeError(")
    assert done.stderr.count(b"\n") == 1


def test_lower_priority_gives_a_process_only_idle_time() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    usual = psutil.Process(process.pid).nice()
    lower_priority(process.pid)
    if sys.platform == "linux":
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
    else:
        assert psutil.Process(process.pid).nice() != usual
    process.communicate(b"\n")
    lower_priority(process.pid)  # it has ended


# the live run


class Screen(NoWindow):
    """Presses n when the training has begun, and closes when it has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.titles: list[str] = []
        self.overlays: list[Overlay] = []

    @property
    def is_open(self) -> bool:  # type: ignore[override]
        return not self.overlays or not self.overlays[-1].message.startswith("refined")

    def write(self, frame: Frame) -> None:
        self.overlays.append(self.overlay)
        self.titles += [self.title] if self.title not in self.titles else []

    def key(self) -> str:
        return "n" if len(self.titles) == 2 else ""  # after "loading" and the picture


def test_session_shows_and_saves_refined_rows(stylizer: Stylizer, picture: Path, user_data: Path) -> None:
    job = LiveJob("demo", picture, (None, 36), refine=TINY)
    predicted = stylizer.look(picture)
    screen = Screen()
    result = LiveSession(job, screen).run(lambda: nullcontext(stylizer))
    assert result.errors == ()
    assert result.refined == user_data / "my painting.lite.safetensors"
    assert result.notes[-1] == f"my painting is refined; its style is my painting ({result.refined})"
    assert screen.titles == ["livestyle: loading", "livestyle: my painting", "livestyle: ash"]
    assert any("refining" in overlay.status for overlay in screen.overlays)
    assert screen.overlays[-1].message == "refined; saved as my painting"
    assert result.refined is not None
    header = read_header(result.refined)
    assert 0 < np.abs(load_rows(header) - predicted.rows).max() < 0.1
    assert training_settings(header)["refined"] == 1


def test_only_the_style_of_a_picture_can_be_refined(stylizer: Stylizer, picture: Path) -> None:
    for style in ("ash", {"ash": 0.5, str(picture): 0.5}):
        with pytest.raises(StyleError, match="not a picture"):
            LiveSession(LiveJob("demo", style, (None, 36), refine=TINY), NoWindow()).run(lambda: nullcontext(stylizer))


def test_refined_rows_are_shown_with_a_crossfade_and_saved_at_the_end(show: Show, style: RefinedStyle) -> None:
    show.loop.refine(style, ENDLESS)
    show.see(12)  # the crossfade takes 1 s
    rows = style.look.rows + 1
    assert show.loop._refinement is not None
    show.loop._refinement.newest = Progress(0.5, rows)  # as if it had been received
    show.looks.refine(replace(style.look, rows=rows))
    shown = []
    for _ in range(12):
        look = show.looks.at(Fraction(0))
        assert isinstance(look, Look)
        shown.append(look.rows[0, 0] - style.look.rows[0, 0])
        show.clock.now += 0.1
    assert shown == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1], abs=1e-5)
    show.loop.close()
    header = read_header(style.path)
    assert np.array_equal(load_rows(header), rows)
    assert training_settings(header)["refined"] == 0.5


def test_quitting_ends_the_training_and_saves_what_was_shown(show: Show, style: RefinedStyle) -> None:
    show.loop.refine(style, ENDLESS)
    assert show.loop._refinement is not None
    process = show.loop._refinement._process
    show.loop.close()
    assert process.returncode is not None
    assert show.loop.refined is None
    assert not style.path.exists()  # there was no step
    assert show.printed == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pauses the training")
def test_training_is_paused_for_a_minute_after_dropped_frames(style: RefinedStyle) -> None:
    with closing(Refinement(style, ENDLESS)) as refinement:
        process = psutil.Process(refinement._process.pid)

        for dropped, now, expected in (
            (0, 10, False),
            (2, 11.1, False),  # two in a second are tolerated
            (5, 12.1, True),
            (5, 12.2, False),  # for 80 ms of each 160
            (5, 12.26, True),
            (5, 72, True),
            (5, 72.1, False),
        ):
            refinement.share_cores(dropped, now)
            wait_until(lambda: (process.status() == psutil.STATUS_STOPPED) == expected)  # noqa: B023 (called at once)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pauses the training")
def test_paused_training_ends_with_its_parent() -> None:
    code = """
import subprocess, sys
words = [sys.executable, "-P", "-m", "livestyle.train.refine", "{}"]
process = subprocess.Popen(words, stdin=subprocess.PIPE)
print(process.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    training = psutil.Process(int(parent.stdout.readline()))
    wait_until(lambda: _ignores_interrupts(training))  # set after the call of prctl()
    training.suspend()
    parent.kill()
    parent.communicate()
    wait_until(lambda: not psutil.pid_exists(training.pid) or training.status() == psutil.STATUS_ZOMBIE)


def _ignores_interrupts(process: psutil.Process) -> bool:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    return bool(int(status["SigIgn"], 16) >> (signal.SIGINT - 1) & 1)


def test_killed_training_is_reported_and_the_run_continues(show: Show, style: RefinedStyle) -> None:
    show.loop.refine(style, ENDLESS)
    assert show.loop._refinement is not None
    show.loop._refinement._process.kill()
    show.see_until(lambda: show.printed)
    assert "ash is no longer refined: its process has ended with code" in show.printed[0]
    frames = show.loop.meter.frames
    show.see(3)
    assert show.loop.meter.frames == frames + 3
    assert len(show.printed) == 1


def test_error_of_the_training_is_reported(
    show: Show, style: RefinedStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livestyle.jobs.live.refinement.MODULE", "livestyle.no_such_module")
    show.loop.refine(style, TINY)
    show.see_until(lambda: show.printed)
    assert show.printed[0].startswith("ash is no longer refined: ")
    assert show.printed[0].endswith("No module named livestyle.no_such_module")


def test_process_that_cannot_start_is_reported(show: Show, style: RefinedStyle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    show.loop.refine(style, TINY)
    assert show.printed == ["cannot start the training of ash: No such file or directory"]
    show.see()


def test_style_that_is_not_shown_is_refined_too(show: Show, stylizer: Stylizer) -> None:
    rows = show.looks.look.rows + 1
    show.looks.fade_seconds = 0
    show.looks.select("birch")
    birch = show.looks.look
    show.looks.refine(replace(stylizer.look("ash"), rows=rows))
    assert show.looks.look is birch
    show.looks.add_strength(-0.2)
    show.looks.select("ash")
    assert np.array_equal(show.looks.look.rows, rows)
    assert show.looks.look.strength == 0.8
    assert show.looks.at(Fraction(0)) is show.looks.look  # a key changes the style without a crossfade


# the style file


def test_saved_style_has_body_and_thumbnail_and_is_found_again(style: RefinedStyle, stylizer: Stylizer, picture: Path) -> None:
    rows = style.look.rows + 1
    style.save(rows, 0.25)
    header = read_header(style.path)
    assert (header.name, header.has_body, header.info["picture"]) == ("my painting", True, "my painting.png")
    assert load_thumbnail(header) is not None
    renamed = picture.rename(picture.parent / "other.png")
    gallery = Gallery([*stylizer.gallery.folders, style.path.parent])
    again = RefinedStyle(renamed, stylizer.look("ash"), gallery)
    assert np.array_equal(again.look.rows, rows)
    assert again.path == style.path
    assert not again.is_complete
    again.save(rows, 1.0)
    assert RefinedStyle(renamed, stylizer.look("ash"), Gallery(gallery.folders)).is_complete


def test_completed_style_is_not_trained_again(show: Show, style: RefinedStyle) -> None:
    style.is_complete = True
    show.loop.refine(style, TINY)
    assert show.loop.notes == [f"ash is refined already; its style is my painting ({style.path})"]
    assert show.loop._refinement is None


def test_other_styles_are_not_replaced(picture: Path, stylizer: Stylizer) -> None:
    look, gallery = stylizer.look("ash"), stylizer.gallery
    assert RefinedStyle(picture.rename(picture.parent / "coal.png"), look, gallery).path.name == "coal-2.lite.safetensors"


def test_picture_that_is_missing_is_an_input_error(stylizer: Stylizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        RefinedStyle(tmp_path / "none.png", stylizer.look("ash"), stylizer.gallery)
