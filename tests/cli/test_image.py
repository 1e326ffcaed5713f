"""livestyle image: where paintings go, batches in which something fails, stdin and stdout."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from livestyle.cli.image import list_photos, plan, split_output
from livestyle.networks import ARCHITECTURES
from livestyle.networks.architecture import StripMemory
from livestyle.pictures.reading import read_picture
from livestyle.pictures.writing import write_picture

Run = Callable[..., Any]
STYLES = 7


def photo(path: Path, width: int = 40, height: int = 30, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 / width, y * 255 / height, x * 0 + 90], axis=-1).astype(np.uint8)
    PillowImage.fromarray(image).save(path, **options)
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# where paintings go


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["a.jpg", "b.jpg"], "b.jpg"),
        (["a.jpg", "-o", "b.png"], "b.png"),
        (["a.jpg", "-o", "new/"], "new/a.jpg"),
        (["a.jpg", "-o", "new"], "new/a.jpg"),
        (["a.jpg", "-o", "in"], "in/a.jpg"),
        (["a.jpg", "-o", "new.png/"], "new.png/a.jpg"),
        (["in", "-o", "new"], "new/x.jpg"),
        (["in", "-o", "new.2"], "new.2/x.jpg"),
        (["in", "-o", "one.png"], "one.png"),
        (["c.gif", "-o", "new/"], "new/c.png"),
        (["a.jpg"], "generated/res_wave_a.jpg"),
        (["in"], "generated/res_wave_x.jpg"),
        (["-", "out.png"], "out.png"),
        (["-", "-o", "new/"], "new/stdin.jpg"),
        (["-"], "-"),
        (["a.jpg", "-o", "-"], "-"),
    ],
)
def test_where_a_painting_goes(words: list[str], written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "in/x.jpg", "c.gif"):
        photo(tmp_path / name)
    output = words[words.index("-o") + 1] if "-o" in words else None
    photos = [Path(word) for word in words if word not in ("-o", output)]
    inputs, output = split_output(photos, output)
    sources = list_photos(inputs, Path(output or "generated"), recursive=True)
    ((_, target),) = plan(sources, output, "wave", several=inputs[0].is_dir())
    assert target == Path(written)


def test_json_says_what_was_written(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    result = run("image", "a.jpg", "-o", "new/", "--json", "--quiet", "--size", "15")
    assert result.code == 0
    assert result.err == ""
    (file,) = json.loads(result.out)["files"]
    assert file == {"input": "a.jpg", "output": "new/a.jpg", "width": 20, "height": 15, "notes": [], "damage": []}
    assert files(tmp_path / "new") == ["a.jpg"]
    assert run("image", "a.jpg", "--all-styles", "-o", "sheets/", "--quiet").code == 0
    assert files(tmp_path / "sheets") == ["sheet.jpg"]


def test_what_exists_is_never_taken_for_an_output(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    before = photo(tmp_path / "b.jpg").read_bytes()
    result = run("image", "a.jpg", "b.jpg", "-y")
    assert result.code == 0
    assert "use -o b.jpg" in result.err
    assert (tmp_path / "b.jpg").read_bytes() == before
    assert files(tmp_path / "generated") == ["res_wave_a.jpg", "res_wave_b.jpg"]
    assert "-o nosuch/" in run("image", "a.jpg", "nosuch").error


def test_recursive_keeps_folders_and_leaves_paintings_alone(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/sub/a.jpg", "in/sub/._a.jpg", "in/.trash/b.jpg"):
        photo(tmp_path / name)
    for _ in range(2):  # the second run finds no more photos: those in the output folder are paintings
        assert run("image", "in", "-r", "-o", "in/painted", "-y").code == 0
        assert files(tmp_path / "in/painted") == ["a.jpg", "sub/a.jpg"]


def test_two_photos_for_one_file_are_refused(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a/x.jpg")
    photo(tmp_path / "b/x.jpg")
    error = run("image", "a", "b", "-o", "out").error
    assert "a/x.jpg and b/x.jpg" in error
    assert "one file for 2 photos" in run("image", "a", "b", "-o", "out.jpg").error


# what exists


def test_skip_existing_and_n_skip(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.jpg", "out/a.jpg"):
        photo(tmp_path / name)
    old = (tmp_path / "out/a.jpg").read_bytes()
    error = run("image", "in", "-o", "out").error
    assert "1 of 2 outputs" in error or "exists" in error
    assert files(tmp_path / "out") == ["a.jpg"]
    result = run("image", "in", "-o", "out", "-n", "--json")
    assert result.code == 0
    assert json.loads(result.out)["written"] == ["out/b.jpg"]
    assert json.loads(result.out)["skipped"] == ["out/a.jpg"]
    assert run("image", "in", "-o", "out", "--skip-existing", "-y").code == 0
    assert run("image", "in/a.jpg", "out/a.jpg", "-o", "out/", "--skip-existing").code == 2  # both for out/a.jpg
    assert run("image", "in/a.jpg", "-o", "out/a.jpg", "--skip-existing").code == 0
    assert (tmp_path / "out/a.jpg").read_bytes() == old
    assert "2 of 2 outputs exist" in run("image", "in", "-o", "out").error
    assert run("image", "in", "-o", "out", "-y").code == 0
    assert (tmp_path / "out/a.jpg").read_bytes() != old


# batches in which something fails


def gigapixels(path: Path) -> None:
    data = io.BytesIO()
    PillowImage.new("L", (16, 16)).save(data, "JPEG")
    header = data.getvalue()
    at = header.index(b"\xff\xc0") + 5
    path.write_bytes(header[:at] + (40_000).to_bytes(2) + (40_000).to_bytes(2) + header[at + 4 :])


def test_one_that_fails_does_not_end_a_batch(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in/a.jpg")
    photo(tmp_path / "in/d.webp", 2, 17_000 // 2)
    gigapixels(tmp_path / "in/b.jpg")
    (tmp_path / "in/c.png").touch()
    photo(tmp_path / "in/e.png")
    result = run("image", "in", "nosuch.jpg", "-o", "out", "--json", "--size", "40x17000")
    assert result.code == 1
    summary = json.loads(result.out)
    assert summary["written"] == ["out/a.jpg", "out/e.png"]
    assert [next(name for name in ("b.jpg", "c.png", "nosuch", ".webp") if name in line) for line in summary["failed"]] == [
        *("b.jpg", "c.png", ".webp", "nosuch"),
    ]
    assert run("image", "in/b.jpg", "in/c.png", "-o", "out", "--json").code == 2


def test_a_photo_that_cannot_be_written_does_not_end_a_batch(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.jpg"):
        photo(tmp_path / name)
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out/a.jpg") if hasattr(os, "mkfifo") else (tmp_path / "out/a.jpg").mkdir()
    result = run("image", "in", "-o", "out", "-y")
    assert result.code == 1
    assert "a.jpg" in result.err
    assert (tmp_path / "out/b.jpg").is_file()


def test_too_large_for_the_painter_is_said_with_the_photo_and_the_size_that_fits(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "in/small.png")
    photo(tmp_path / "in/large.png", 400, 300)
    lite = dataclasses.replace(ARCHITECTURES["lite"], bytes_per_pixel=10**9, strips=StripMemory(10**5, 130 * 2**20))
    monkeypatch.setitem(ARCHITECTURES, "lite", lite)
    monkeypatch.setattr("livestyle.memory.psutil.virtual_memory", lambda: types.SimpleNamespace(available=10**9))
    result = run("image", "in", "-o", "out", "--json")
    assert result.code == 1
    assert files(tmp_path / "out") == ["small.png"]
    (line,) = json.loads(result.out)["failed"]
    assert "in/large.png" in line
    assert "--size" in line


def test_damage_is_said_and_in_the_exit_code(run: Run, tmp_path: Path) -> None:
    data = photo(tmp_path / "a.jpg", 300, 200).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 2 // 3])
    result = run("image", "cut.jpg", "-o", "b.png")
    assert result.code == 1
    assert "damaged: cut.jpg" in result.err
    assert read_picture(tmp_path / "b.png").image.shape == (200, 300, 3)


def test_what_is_lost_is_noted(run: Run, tmp_path: Path) -> None:
    frames = [PillowImage.new("RGB", (30, 20), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert "livestyle video" in run("image", "a.gif", "-o", "a.png").err
    write_picture(tmp_path / "clear.png", np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8))
    assert "no transparency" in run("image", "clear.png", "-o", "b.jpg").err


def test_extreme_shapes(run: Run, tmp_path: Path) -> None:
    shapes = {"a": (1, 1), "b": (1, 5000), "c": (5000, 1), "d": (3, 2)}
    for name, (width, height) in shapes.items():
        photo(tmp_path / f"in/{name}.png", width, height)
    assert run("image", "in", "-o", "out").code == 0
    for name, (width, height) in shapes.items():
        assert read_picture(tmp_path / f"out/{name}.png").image.shape == (height, width, 3)
    assert run("image", "in/c.png", "--all-styles").code == 0


def test_details_are_kept(run: Run, tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    photo(tmp_path / "a.jpg", exif=exif, dpi=(300, 300))
    assert run("image", "a.jpg", "b.jpg").code == 0
    with PillowImage.open(tmp_path / "b.jpg") as painted:
        assert painted.size == (30, 40)
        assert painted.getexif()[0x010F] == "Maker"
        assert painted.getexif().get(0x0112, 1) == 1
        assert painted.info["dpi"] == pytest.approx((300, 300), abs=0.1)


# stdin and stdout


def program(folder: Path, *words: str, stdin: Any = subprocess.DEVNULL, **options: Any) -> Any:
    command = [sys.executable, "-m", "livestyle", "image", *words]
    return subprocess.run(command, stdin=stdin, capture_output="stdout" not in options, check=False, cwd=folder, **options)


def test_a_sheet_on_stdout(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    done = program(tmp_path, "a.jpg", "--all-styles", "-o", "-")
    with PillowImage.open(io.BytesIO(done.stdout)) as sheet:
        assert sheet.width > (1 + STYLES) * 40
    assert files(tmp_path) == ["a.jpg"]


def test_json_and_a_picture_do_not_share_stdout(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    result = run("image", "a.jpg", "-o", "-", "--json")
    assert result.code == 2
    assert "--json" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="terminals")
def test_a_terminal_gets_no_picture_and_gives_none(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    terminal, end = os.openpty()
    try:
        done = program(tmp_path, "a.jpg", "-o", "-", stdout=end, stderr=subprocess.PIPE)
        assert done.returncode == 2
        assert b"stdout is a terminal" in done.stderr
        done = program(tmp_path, "-", "-o", "b.jpg", stdin=end)
        assert done.returncode == 2
        assert b"stdin" in done.stderr
    finally:
        os.close(terminal)
        os.close(end)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals")
def test_a_batch_counts_on_a_terminal(tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.jpg"):
        photo(tmp_path / name, 8, 6)
    terminal, end = os.openpty()
    pytest.importorskip("termios").tcsetwinsize(end, (24, 80))
    try:
        done = program(tmp_path, "in", "-o", "out", stdout=subprocess.DEVNULL, stderr=end)
        assert done.returncode == 0
        assert b"2/2" in os.read(terminal, 100_000)
    finally:
        os.close(terminal)
        os.close(end)


def test_stroke_size(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", 120, 90)
    for words in ([], ["--stroke-size", "3"], ["--stroke-size", "1"]):
        assert run("image", "a.png", "-o", f"{len(words)}{words[-1:]}.png", *words).code == 0
    plain, larger, same = (read_picture(tmp_path / name).image for name in ("0[].png", "2['3'].png", "2['1'].png"))
    assert larger.shape == plain.shape
    assert not np.array_equal(larger, plain)
    assert np.array_equal(same, plain)
    assert "--stroke-size" in run("image", "a.png", "-o", "b.png", "--stroke-size", "0.5").error
