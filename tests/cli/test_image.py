"""`livestyle image`: where paintings go, failures within a batch, stdin and stdout."""

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from livestyle.cli.photos import list_photos, plan, split_output
from livestyle.networks import ARCHITECTURES
from livestyle.networks.architecture import StripMemory
from livestyle.pictures.reading import read_picture
from livestyle.pictures.writing import write_picture
from livestyle.style_files.gallery import Gallery, bundled_folder
from livestyle.stylizer import Stylizer

Run = Callable[..., Any]


def photo(path: Path, width: int = 40, height: int = 30, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 / width, y * 255 / height, x * 0 + 90], axis=-1).astype(np.uint8)
    PillowImage.fromarray(image).save(path, **options)
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# one picture


def test_default_output_is_in_the_folder_generated(run: Run, tmp_path: Path) -> None:
    source = photo(tmp_path / "img/test.jpg")
    assert run("image", source, "--style", "udnie").code == 0
    painted = read_picture(tmp_path / "generated/res_udnie_test.jpg").image
    assert painted.shape == (30, 40, 3)
    with Stylizer("udnie") as stylizer:
        expected = stylizer(read_picture(source).image)
    assert np.abs(painted.astype(int) - expected).mean() < 5  # JPEG


def test_blend_to_a_named_output(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    result = run("image", "a.png", "-o", "b.png", "--json", "--quiet", "--style", "wave:.7,udnie:.3")
    assert json.loads(result.out)["written"] == ["b.png"]
    assert result.err == ""
    assert (tmp_path / "b.png").exists()


def test_photos_and_folders_are_painted_into_a_folder(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.png", "c.jpg"):
        photo(tmp_path / name)
    assert run("image", "in", "c.jpg", "-o", "out").code == 0
    assert files(tmp_path / "out") == ["a.jpg", "b.png", "c.jpg"]


def test_broken_photo_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_text("not a picture")
    result = run("image", "a.jpg", "b.jpg", "-o", "out", "--quiet")
    assert result.code == 1
    assert "b.jpg" in result.error
    assert files(tmp_path / "out") == ["a.jpg"]


def test_stdin_to_stdout(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.jpg")
    command = [sys.executable, "-m", "livestyle", "image", "-", "-o", "-", "--style", "wave"]
    done = subprocess.run(command, input=source.read_bytes(), capture_output=True, check=True, cwd=tmp_path)
    painted = cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR)
    assert painted is not None
    assert painted.shape == (30, 40, 3)


def test_transparency_is_kept(run: Run, tmp_path: Path) -> None:
    alpha = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40).astype(np.uint8)
    write_picture(tmp_path / "a.png", np.full((30, 40, 3), 99, np.uint8), alpha)
    assert run("image", "a.png", "-o", "b.png").code == 0
    painted = read_picture(tmp_path / "b.png").alpha
    assert painted is not None
    assert np.array_equal(painted, alpha)


def test_exif_orientation_is_applied(run: Run, tmp_path: Path) -> None:
    data = photo(tmp_path / "a.jpg").read_bytes()
    tag = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # orientation 6: rotate by 90 degrees clockwise
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + tag + b"\x00\x00\x00\x00"
    (tmp_path / "turned.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    assert run("image", "turned.jpg", "-o", "b.png").code == 0
    assert read_picture(tmp_path / "b.png").image.shape == (40, 30, 3)


@pytest.mark.parametrize(("size", "expected"), [("15", (15, 20)), ("20x100", (15, 20)), ("100x15", (15, 20)), ("60", (60, 80))])
def test_size_fits_inside(run: Run, tmp_path: Path, size: str, expected: tuple[int, int]) -> None:
    photo(tmp_path / "a.png")
    assert run("image", "a.png", "-o", "b.png", "--size", size).code == 0
    assert read_picture(tmp_path / "b.png").image.shape[:2] == expected


def test_strength_zero_is_the_photo(run: Run, tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png")
    assert run("image", "a.png", "-o", "b.png", "--strength", "0").code == 0
    assert np.array_equal(read_picture(tmp_path / "b.png").image, read_picture(source).image)


def test_contact_sheet(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.jpg"):
        photo(tmp_path / name)
    assert run("image", "in", "-o", "sheet.png", "--all-styles", "--size", "30").code == 0
    sheet = read_picture(tmp_path / "sheet.png").image
    assert sheet.shape[1] >= (1 + len(Gallery().names)) * 40
    assert 2 * 30 < sheet.shape[0] < 2 * 30 + 120


@pytest.mark.parametrize("name", ["-dash.png", "with space.png", "画.png", "per%03dcent.png"])
def test_unusual_file_names(run: Run, tmp_path: Path, name: str) -> None:
    photo(tmp_path / name)
    assert run("image", "-o", f"{'画' * 80}.png", "--", name).code == 0  # 244 bytes, of at most 255
    assert run("image", "-o", "b.png", "--", name).code == 0
    assert (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch.jpg"], "nosuch.jpg"),
        (["empty.jpg"], "empty"),
        (["text.jpg"], "text.jpg"),
        (["cut.png"], "cut.png"),
        (["folder"], "no pictures"),
        (["a.png", "--style", "wav"], "did you mean wave"),
        (["a.png", "--style", "wave:x"], "wave:.7,udnie:.3"),
        (["a.png", "--style", "text.safetensors"], "text.safetensors"),
        (["a.png", "--style", "pickle.safetensors"], "pickle"),
        (["a.png", "--style", "wave.lite.safetensors", "--model", "full"], "wave.lite.safetensors has lite"),
        (["a.png", "--device", "cuda:77"], "cuda:77"),
        (["a.png", "--device", "abacus"], "abacus"),
        (["a.png", "--strength", "2"], "strength"),
        (["a.png", "--size", "big"], "1280x720"),
        (["a.png", "--size", "0"], "size"),
        (["a.png", "-o", "a.png"], "input itself"),
        (["a.png", "-o", "link.png"], "input itself"),
        (["a.png", "-o", "b.gif"], ".png"),
        (["a.png", "-o", "exists.png"], "-y"),
        (["a.png", "-o", "exists.png", "-n"], "exists"),
        (["a.png", "-o", "empty.jpg/b.png"], "empty.jpg"),
        (["a.png", "a.png", "-o", "b.png"], "folder"),
    ],
)
def test_invalid_arguments_and_files_are_errors_and_write_nothing(
    run: Run, tmp_path: Path, words: list[str], message: str
) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "exists.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture at all")
    (tmp_path / "text.safetensors").write_text("no style at all")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.png").symlink_to("a.png")
    shutil.copy(bundled_folder() / "wave.lite.safetensors", tmp_path)
    before = files(tmp_path)
    result = run("image", *words)
    assert result.code == 2
    assert message in result.error
    assert files(tmp_path) == before


def test_y_overwrites(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    old = photo(tmp_path / "b.png", 10, 10).read_bytes()
    assert run("image", "a.png", "-o", "b.png", "-y").code == 0
    assert (tmp_path / "b.png").read_bytes() != old


def test_picture_too_large_for_the_memory_names_an_option(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "a.png", 400, 300)
    lite = dataclasses.replace(ARCHITECTURES["lite"], bytes_per_pixel=10**9, strips=StripMemory(10**8, 0))
    monkeypatch.setitem(ARCHITECTURES, "lite", lite)
    result = run("image", "a.png", "-o", "b.png")
    assert result.code == 2
    assert "--size" in result.error
    assert not (tmp_path / "b.png").exists()


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
def test_where_paintings_go(words: list[str], written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "in/x.jpg", "c.gif"):
        photo(tmp_path / name)
    output = words[words.index("-o") + 1] if "-o" in words else None
    photos = [Path(word) for word in words if word not in ("-o", output)]
    inputs, output = split_output(photos, output)
    sources = list_photos(inputs, Path(output or "generated"), recursive=True)
    ((_, target),) = plan(sources, output, "wave", several=inputs[0].is_dir())
    assert target == Path(written)


def test_json_lists_written_files(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    result = run("image", "a.jpg", "-o", "new/", "--json", "--quiet", "--size", "15")
    assert result.code == 0
    assert result.err == ""
    (file,) = json.loads(result.out)["files"]
    assert file == {"input": "a.jpg", "output": "new/a.jpg", "width": 20, "height": 15, "notes": [], "damage": []}
    assert files(tmp_path / "new") == ["a.jpg"]
    assert run("image", "a.jpg", "--all-styles", "-o", "sheets/", "--quiet").code == 0
    assert files(tmp_path / "sheets") == ["sheet.jpg"]


def test_existing_second_photo_is_not_the_output(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    before = photo(tmp_path / "b.jpg").read_bytes()
    result = run("image", "a.jpg", "b.jpg", "-y")
    assert result.code == 0
    assert "use -o b.jpg" in result.err
    assert (tmp_path / "b.jpg").read_bytes() == before
    assert files(tmp_path / "generated") == ["res_wave_a.jpg", "res_wave_b.jpg"]
    assert "-o nosuch/" in run("image", "a.jpg", "nosuch").error


def test_recursive_keeps_folders_and_skips_the_output_folder(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/sub/a.jpg", "in/sub/._a.jpg", "in/.trash/b.jpg"):
        photo(tmp_path / name)
    for _ in range(2):  # in the second run, the pictures in the output folder are paintings of the first
        assert run("image", "in", "-r", "-o", "in/painted", "-y").code == 0
        assert files(tmp_path / "in/painted") == ["a.jpg", "sub/a.jpg"]


def test_two_photos_with_one_target_are_refused(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a/x.jpg")
    photo(tmp_path / "b/x.jpg")
    error = run("image", "a", "b", "-o", "out").error
    assert "a/x.jpg and b/x.jpg" in error
    assert "one file for 2 photos" in run("image", "a", "b", "-o", "out.jpg").error


# existing outputs


def test_skip_existing_and_n_skip_existing_outputs(run: Run, tmp_path: Path) -> None:
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
    assert run("image", "in/a.jpg", "out/a.jpg", "-o", "out/", "--skip-existing").code == 2  # one target for both
    assert run("image", "in/a.jpg", "-o", "out/a.jpg", "--skip-existing").code == 0
    assert (tmp_path / "out/a.jpg").read_bytes() == old
    assert "2 of 2 outputs exist" in run("image", "in", "-o", "out").error
    assert run("image", "in", "-o", "out", "-y").code == 0
    assert (tmp_path / "out/a.jpg").read_bytes() != old


# failures within a batch


def gigapixels(path: Path) -> None:
    """Write a JPEG whose header states 40000x40000 pixels."""
    data = io.BytesIO()
    PillowImage.new("L", (16, 16)).save(data, "JPEG")
    header = data.getvalue()
    at = header.index(b"\xff\xc0") + 5
    path.write_bytes(header[:at] + (40_000).to_bytes(2) + (40_000).to_bytes(2) + header[at + 4 :])


def test_failing_photos_do_not_end_a_batch(run: Run, tmp_path: Path) -> None:
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


def test_unwritable_output_does_not_end_a_batch(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.jpg"):
        photo(tmp_path / name)
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out/a.jpg") if hasattr(os, "mkfifo") else (tmp_path / "out/a.jpg").mkdir()
    result = run("image", "in", "-o", "out", "-y")
    assert result.code == 1
    assert "a.jpg" in result.err
    assert (tmp_path / "out/b.jpg").is_file()


def test_too_large_for_the_engine_names_the_photo_and_the_size_that_fits(
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


def test_damage_is_printed_and_gives_exit_code_1(run: Run, tmp_path: Path) -> None:
    data = photo(tmp_path / "a.jpg", 300, 200).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 2 // 3])
    result = run("image", "cut.jpg", "-o", "b.png")
    assert result.code == 1
    assert "damaged: cut.jpg" in result.err
    assert read_picture(tmp_path / "b.png").image.shape == (200, 300, 3)


def test_note_for_other_frames_and_for_transparency(run: Run, tmp_path: Path) -> None:
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


def test_exif_and_resolution_are_kept(run: Run, tmp_path: Path) -> None:
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
    """Run `livestyle image` as a process in that folder."""
    command = [sys.executable, "-m", "livestyle", "image", *words]
    return subprocess.run(command, stdin=stdin, capture_output="stdout" not in options, check=False, cwd=folder, **options)


def test_contact_sheet_on_stdout(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    done = program(tmp_path, "a.jpg", "--all-styles", "-o", "-")
    with PillowImage.open(io.BytesIO(done.stdout)) as sheet:
        assert sheet.width > (1 + len(Gallery().names)) * 40
    assert files(tmp_path) == ["a.jpg"]


def test_json_with_a_picture_on_stdout_is_refused(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    result = run("image", "a.jpg", "-o", "-", "--json")
    assert result.code == 2
    assert "--json" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="terminals")
def test_picture_on_a_terminal_is_refused(tmp_path: Path) -> None:
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
def test_batch_shows_its_progress_on_a_terminal(tmp_path: Path) -> None:
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


def test_stroke_size_changes_the_painting_but_not_its_size(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", 120, 90)
    for words in ([], ["--stroke-size", "3"], ["--stroke-size", "1"]):
        assert run("image", "a.png", "-o", f"{len(words)}{words[-1:]}.png", *words).code == 0
    plain, larger, same = (read_picture(tmp_path / name).image for name in ("0[].png", "2['3'].png", "2['1'].png"))
    assert larger.shape == plain.shape
    assert not np.array_equal(larger, plain)
    assert np.array_equal(same, plain)
    assert "--stroke-size" in run("image", "a.png", "-o", "b.png", "--stroke-size", "0.5").error
