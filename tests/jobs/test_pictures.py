"""Pictures painted through the library: targets, results, failures within a batch, contact sheets."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livestyle
from livestyle import InputError, OutputError, PictureJob, PictureResult, Progress, StyleError, Stylizer
from livestyle.errors import LivestyleError
from livestyle.jobs.pictures import paint_picture, paint_sheet, run_picture, write_painting
from livestyle.pictures.reading import read_picture
from livestyle.pictures.writing import write_picture

Run = Callable[..., Any]


def photo(path: Path, width: int = 40, height: int = 30, alpha: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 / width, y * 255 / height, x * 0 + 90], axis=-1).astype(np.uint8)
    write_picture(path, image, np.full((height, width), 99, np.uint8) if alpha else None)
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def stylizer() -> Any:
    with Stylizer("wave", device="cpu") as stylizer:
        yield stylizer


@pytest.mark.parametrize(
    ("sources", "target", "written"),
    [
        ("a.png", "b.jpg", ["b.jpg"]),
        ("a.png", "new", ["new/a.png"]),
        ("a.png", "new.jpg/", ["new.jpg/a.png"]),
        ("a.png", "in", ["in/a.png"]),
        ("in", "new", ["new/x.jpg"]),
        ("in", "one.png", ["one.png"]),
        (["a.png", "in"], "new", ["new/a.png", "new/x.jpg"]),
        ([Path("a.png"), Path("c.ppm")], Path("new"), ["new/a.png", "new/c.jpg"]),
    ],
)
def test_where_paintings_go(
    sources: Any, target: Any, written: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stylizer: Stylizer
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "in/x.jpg"):
        photo(tmp_path / name)
    (tmp_path / "c.ppm").write_bytes(b"P6 3 2 255\n" + bytes(18))
    results = livestyle.paint_pictures(sources, target, stylizer=stylizer)
    assert [result.target for result in results] == [Path(name) for name in written]
    assert all(result.error is None for result in results)
    assert set(written) <= set(files(tmp_path))


def test_result_and_painting(tmp_path: Path, stylizer: Stylizer) -> None:
    source, target = photo(tmp_path / "a.png", alpha=True), tmp_path / "b.jpg"
    (result,) = livestyle.paint_pictures(source, target, "udnie", strength=0.5, size=15, stylizer=stylizer)
    note = f"{target} has no transparency: clear parts are black; to keep them, use {tmp_path / 'b.png'}"
    assert result == PictureResult(source, target, 20, 15, notes=(note,))
    job = PictureJob(source, tmp_path / "c.png", "udnie", 0.5)
    assert run_picture(job, stylizer) == PictureResult(source, job.target, 40, 30)
    expected = stylizer(read_picture(source).image, stylizer.look("udnie", strength=0.5))
    np.testing.assert_array_equal(read_picture(job.target).image, expected)


def test_command_and_api_write_the_same_files(tmp_path: Path, run: Run) -> None:
    for name in ("in/a.png", "in/sub/b.jpg"):
        photo(tmp_path / name, 120, 90)
    words = ["--style", "wave:.7,udnie:.3", "--strength", ".8", "--keep-colors", "--size", "100", "--stroke-size", "2"]
    assert run("image", "in", "-r", "-o", "command", "--device", "cpu", *words).code == 0
    options: dict[str, Any] = {"style": {"wave": 0.7, "udnie": 0.3}, "strength": 0.8, "keep_colors": True, "stroke_size": 2}
    livestyle.paint_pictures(tmp_path / "in", tmp_path / "api", device="cpu", size=100, recursive=True, **options)
    assert files(tmp_path / "api") == files(tmp_path / "command") == ["a.png", "sub/b.jpg"]
    for name in files(tmp_path / "api"):
        assert (tmp_path / "api" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()


def test_failing_picture_is_reported_and_does_not_stop_the_others(tmp_path: Path, stylizer: Stylizer) -> None:
    sources = [photo(tmp_path / "a.png"), tmp_path / "nosuch.png", tmp_path / "text.png", photo(tmp_path / "d.png")]
    sources[2].write_text("no picture")
    (tmp_path / "out/d.png").mkdir(parents=True)
    seen: list[Progress] = []
    results = livestyle.paint_pictures(sources, tmp_path / "out", overwrite=True, stylizer=stylizer, progress=seen.append)
    assert [type(result.error) for result in results] == [type(None), InputError, InputError, OutputError]
    assert [result.source for result in results] == sources
    assert (results[1].width, results[1].height) == (0, 0)
    assert "nosuch.png" in str(results[1].error)
    assert seen == [Progress(done, 4, "painting") for done in range(5)]
    assert files(tmp_path / "out") == ["a.png"]


class StoppedByCallerError(Exception):
    pass


def test_exception_of_progress_ends_the_work_and_keeps_what_was_written(tmp_path: Path, stylizer: Stylizer) -> None:
    for name in ("in/a.png", "in/b.png"):
        photo(tmp_path / name)

    def progress(progress: Progress) -> None:
        if progress.done:
            raise StoppedByCallerError

    with pytest.raises(StoppedByCallerError):
        livestyle.paint_pictures(tmp_path / "in", tmp_path / "out", stylizer=stylizer, progress=progress)
    assert files(tmp_path / "out") == ["a.png"]


def test_targets_are_validated_before_anything_is_painted(tmp_path: Path) -> None:
    sources = [photo(tmp_path / "in/a.png"), photo(tmp_path / "in/b.png"), photo(tmp_path / "in/sub/a.png")]
    old = photo(tmp_path / "out/b.png", 3, 2).read_bytes()
    device: dict[str, Any] = {"device": "cuda:77"}  # opening it would be a DeviceError
    with pytest.raises(OutputError, match=r"1 of 2 targets exist.*overwrite=True"):
        livestyle.paint_pictures(tmp_path / "in", tmp_path / "out", **device)
    with pytest.raises(OutputError, match="input itself"):
        livestyle.paint_pictures(tmp_path / "in", tmp_path / "in", overwrite=True, **device)
    with pytest.raises(OutputError, match="would both be written"):
        livestyle.paint_pictures(sources, tmp_path / "out", overwrite=True, **device)
    with pytest.raises(OutputError, match="one file for 2 photos"):
        livestyle.paint_pictures(sources[:2], tmp_path / "out.png", **device)
    with pytest.raises(OutputError, match=r"not \.gif"):
        livestyle.paint_pictures(sources[0], tmp_path / "out.gif", **device)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        livestyle.paint_pictures(tmp_path / "empty", tmp_path / "out", **device)
    with pytest.raises(StyleError, match="did you mean wave"):
        livestyle.paint_pictures(sources[0], tmp_path / "new.png", "wav", device="cpu")
    assert files(tmp_path / "out") == ["b.png"]
    assert (tmp_path / "out/b.png").read_bytes() == old


@pytest.mark.parametrize(
    ("options", "message"), [({"stroke_size": 0}, "stroke_size"), ({"strength": 2}, "strength"), ({"size": (10, 0)}, "size")]
)
def test_invalid_arguments_are_refused(options: dict[str, Any], message: str, tmp_path: Path, stylizer: Stylizer) -> None:
    source = photo(tmp_path / "a.png")
    with pytest.raises(LivestyleError, match=message):
        livestyle.paint_pictures(source, tmp_path / "b.png", stylizer=stylizer, **options)
    assert files(tmp_path) == ["a.png"]


def test_picture_job_refuses_an_existing_target(tmp_path: Path, stylizer: Stylizer) -> None:
    job = PictureJob(photo(tmp_path / "a.png"), photo(tmp_path / "b.png", 3, 2))
    old = job.target.read_bytes()
    with pytest.raises(OutputError, match="overwrite=True"):
        run_picture(job, stylizer)
    assert job.target.read_bytes() == old
    assert run_picture(replace(job, overwrite=True), stylizer).width == 40


def test_target_created_by_another_program_meanwhile_is_not_replaced(tmp_path: Path, stylizer: Stylizer) -> None:
    job = PictureJob(photo(tmp_path / "a.png"), tmp_path / "b.png")
    painting = paint_picture(read_picture(job.source), job, stylizer)
    job.target.write_bytes(b"of another program")
    with pytest.raises(OutputError, match="another program created it"):
        write_painting(job, painting)
    assert job.target.read_bytes() == b"of another program"


def test_no_sources_give_no_results(tmp_path: Path) -> None:
    assert livestyle.paint_pictures([], tmp_path / "out", device="cuda:77") == []
    assert files(tmp_path) == []


def test_damage_is_reported(tmp_path: Path, stylizer: Stylizer) -> None:
    data = photo(tmp_path / "a.jpg", 300, 200).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 2 // 3])
    (result,) = livestyle.paint_pictures(tmp_path / "cut.jpg", tmp_path / "b.png", stylizer=stylizer)
    assert result.error is None
    assert len(result.damage) == 1


def test_jobs_and_results_are_picklable(tmp_path: Path) -> None:
    job = PictureJob(tmp_path / "a.png", tmp_path / "b.png", {"wave": 0.7, "udnie": 0.3}, size=(None, 20))
    assert pickle.loads(pickle.dumps(job)) == job
    result = PictureResult(job.source, job.target, error=InputError("it is empty"))
    copied = pickle.loads(pickle.dumps(result))
    assert (copied.source, str(copied.error)) == (job.source, "it is empty")


# contact sheets


def test_sheet_has_a_row_for_each_photo_and_a_column_for_each_style(tmp_path: Path, stylizer: Stylizer) -> None:
    photos = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png"), tmp_path / "nosuch.png"]
    failed: list[tuple[Path, LivestyleError]] = []
    seen: list[Progress] = []
    sheet = paint_sheet(
        photos, stylizer, ".png", (None, 30), failed=lambda *failure: failed.append(failure), progress=seen.append
    )
    columns = 1 + len(livestyle.styles())
    assert sheet.image.shape[1] == 8 + columns * (40 + 8)  # gaps of 8 pixels
    assert sheet.image.shape[0] == 26 + 2 * (30 + 26) + 8  # captions of 26
    np.testing.assert_array_equal(sheet.image[26:56, 8:48], read_picture(photos[0]).image)
    first = stylizer(read_picture(photos[0]).image, stylizer.look(livestyle.styles()[0]))
    np.testing.assert_array_equal(sheet.image[26:56, 56:96], first)
    assert [path for path, _ in failed] == photos[2:]
    assert seen == [Progress(done, 3, "painting") for done in range(4)]
    with pytest.raises(LivestyleError, match="none of the photos"):
        paint_sheet(photos[2:], stylizer, ".png")


# without the command line's libraries

NO_COMMAND_LINE = """
import sys
sys.modules["click"] = sys.modules["tqdm"] = None  # importing them fails, as if they were not installed
import livestyle
assert set(livestyle.__all__) == set(dir(livestyle))
assert not {"numpy", "av", "cv2", "torch"} & set(sys.modules)
livestyle.paint_video
modules = list(sys.modules)
assert modules.index("cv2") < modules.index("av")  # in the other order cv2.imshow hangs on Linux
for name in livestyle.__all__:
    getattr(livestyle, name)
(result,) = livestyle.paint_pictures("a.png", "b.png", device="cpu", style="wave")
assert result.error is None, result.error
video = livestyle.paint_video("in.mp4", "out.mp4", device="cpu")
assert video.frames == len(list(livestyle.painted_frames("in.mp4", device="cpu"))) == 2
assert not any(name.startswith("livestyle.cli") for name in sys.modules)
"""


def test_api_needs_neither_click_nor_tqdm(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    photo(tmp_path / "a.png")
    make_clip("in.mp4", range(2))
    subprocess.run([sys.executable, "-c", NO_COMMAND_LINE], cwd=tmp_path, check=True)
    assert files(tmp_path) == ["a.png", "b.png", "in.mp4", "out.mp4"]
