"""livestyle styles: list, show, rename, remove and export."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
from predictors import painting, write_predictor

from livestyle.pictures.reading import read_picture
from livestyle.pictures.writing import write_picture
from livestyle.style_files.file_format import (
    StyleHeader,
    load_body,
    load_rows,
    load_thumbnail_jpeg,
    read_header,
    write_style_file,
)
from livestyle.style_files.gallery import Gallery, bundled_folder
from livestyle.style_files.thumbnail import make_thumbnail

# the fixtures run, style_folder and user_data are in conftest.py

Run = Callable[..., Any]

ASH, BIRCH, COAL = "ash.lite.safetensors", "birch.lite.safetensors", "coal.lite.safetensors"
ASH_FULL, BODY = "ash.full.safetensors", "trees.lite-body.safetensors"
ALL = [ASH_FULL, ASH, BIRCH, COAL, BODY]
PICTURE = np.full((120, 90, 3), (200, 30, 60), np.uint8)


@pytest.fixture
def models(style_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """./models: ash and birch share a lite body, coal includes its own, ash exists for full too. The user has no other styles."""
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name: tmp_path / "home" / name)
    shutil.copytree(style_folder, tmp_path / "models")
    return tmp_path / "models"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, like: Path, body_file: Path, thumbnail: bytes | None = None, **info: object) -> StyleHeader:
    """Write a style file without a body. like: the file of the rows. body_file: the file that has the body."""
    body = load_body(read_header(body_file))
    write_style_file(path, body, load_rows(read_header(like)) * 2, info, include_body=False, thumbnail=thumbnail)
    return read_header(path)


@pytest.fixture
def moss(models: Path) -> StyleHeader:
    """A style with all metadata."""
    training = {"steps": 2700, "style_weight": 1.75, "content_layers": {"conv3_3": 1.0}, "loss_model": "vgg_19"}
    info = {"picture": "moss.jpg", "origin": "a wood", "licence": "CC BY 4.0, A. Nobody", "training": training}
    return write(models / "moss.lite.safetensors", models / BIRCH, models / BODY, make_thumbnail(PICTURE), **info)


# show


def test_show(run: Run, moss: StyleHeader) -> None:
    result = run("styles", "show", "moss")
    lines = dict(line.split(maxsplit=1) for line in result.out.splitlines()[2:])
    assert result.out.startswith("moss, for lite\n")
    assert lines["file"] == "models/moss.lite.safetensors"
    assert lines["size"] == f"{moss.path.stat().st_size / 1000:.1f} kB"
    assert lines["body"] == f"models/{BODY}"
    assert (lines["picture"], lines["origin"], lines["licence"]) == ("moss.jpg", "a wood", "CC BY 4.0, A. Nobody")
    assert (lines["steps"], lines["training"]) == ("2700", "style_weight 1.75, content_layers (conv3_3 1), loss_model vgg_19")
    assert lines["thumbnail"].startswith("yes")


def test_show_as_json(run: Run, moss: StyleHeader) -> None:
    shown = json.loads(run("styles", "show", "models/moss.lite.safetensors", "--json").out)
    assert (shown["style"], shown["networks"]) == ("moss", ["lite"])
    (file,) = shown["files"]
    assert (file["bytes"], file["steps"], file["thumbnail"]) == (moss.path.stat().st_size, 2700, True)
    assert (file["licence"], file["training"]["style_weight"]) == ("CC BY 4.0, A. Nobody", 1.75)


def test_show_several_networks(run: Run, models: Path) -> None:
    out = run("styles", "show", "ash").out
    assert out.startswith("ash, for full and lite\n")
    assert f"models/{ASH_FULL}" in out
    assert f"models/{ASH}" in out


def test_a_bundled_style_is_shown(run: Run, models: Path) -> None:
    out = run("styles", "show", "wave").out
    assert "Hokusai" in out
    assert "seven.lite-body.safetensors" in out


def test_show_reports_a_missing_body(run: Run, models: Path) -> None:
    (models / BODY).unlink()
    assert "not found" in run("styles", "show", "birch").out


def test_show_writes_the_thumbnail(run: Run, moss: StyleHeader, tmp_path: Path) -> None:
    assert run("styles", "show", "moss", "-o", "moss.png").code == 0
    written = read_picture(tmp_path / "moss.png").image
    assert written.shape == (120, 90, 3)
    assert np.abs(written.astype(int) - PICTURE).max() < 6  # JPEG
    assert "moss.png exists" in run("styles", "show", "moss", "-o", "moss.png").error
    assert run("styles", "show", "moss", "-o", "moss.png", "-y").code == 0


def test_show_without_a_thumbnail_to_write_is_an_error(run: Run, models: Path, tmp_path: Path) -> None:
    assert "coal.lite.safetensors has no thumbnail" in run("styles", "show", "coal", "-o", "coal.png").error
    assert not (tmp_path / "coal.png").exists()


@pytest.mark.parametrize(
    "training",
    [
        "[" * 100_000,
        '{"a":' * 900 + "1" + "}" * 900,
        "{",
        "3",
        "[1]",
        '{"steps": [1], "x": {"y": {}}}',
        "9" * 5000,
        '{"steps": NaN, "x": {"y": 1e999}}',
    ],
)
def test_info_of_an_untrusted_file_is_escaped_and_shortened(run: Run, models: Path, training: str) -> None:
    info = {"origin": "\x1b[2Jgone\x07\nfile  x\u202e", "licence": "l" * 10**6, "training": training, "file": "elsewhere"}
    write(models / "sly.lite.safetensors", models / BIRCH, models / BODY, None, **info)
    for words in (("styles", "show", "sly"), ("styles",)):
        result = run(*words)
        assert result.code == 0
        assert all(letter.isprintable() or letter == "\n" for letter in result.out)
        assert max(map(len, result.out.splitlines())) < 600
    shown = run("styles", "show", "sly", "--json")
    assert shown.code == 0
    json.loads(shown.out, parse_constant=pytest.fail)  # JSON has no NaN
    listed = json.loads(run("styles", "--json").out)["styles"]
    assert "models/sly.lite.safetensors" in [row["file"] for row in listed]


def test_list_has_one_line_per_style(run: Run, models: Path) -> None:
    lines = run("styles").out.splitlines()
    assert [line.split("  ")[0].rstrip() for line in lines] == Gallery().names
    assert next(line for line in lines if line.startswith("ash ")).split(maxsplit=3) == [
        "ash",
        "full",
        "lite",
        "ash, drawn at random",
    ]


def test_list_as_json_has_the_training_as_an_object(run: Run, moss: StyleHeader) -> None:
    listed = json.loads(run("styles", "--json").out)
    row = next(row for row in listed["styles"] if row["style"] == "moss")
    assert row["training"] == {"steps": 2700, "style_weight": 1.75, "content_layers": {"conv3_3": 1.0}, "loss_model": "vgg_19"}
    assert (row["model"], row["file"]) == ("lite", "models/moss.lite.safetensors")


def test_control_characters_in_names_are_escaped(run: Run, models: Path) -> None:
    (models / COAL).rename(models / "co\x1b[2Jal.lite.safetensors")
    listed = run("styles")
    assert "co\\x1b[2Jal" in listed.out
    removed = run("styles", "remove", "co\x1b[2Jal", "-y")
    assert removed.code == 0
    assert "\x1b" not in listed.out + removed.err


def test_style_of_the_same_name_in_two_folders(run: Run, models: Path, user_data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home/livestyle/models"
    home.mkdir(parents=True)
    shutil.copy(models / COAL, home / COAL)
    assert run("styles").err == ""  # the same bytes
    shutil.copy(models / BIRCH, home / COAL)
    note = f"note: coal: from models; other files of this name are in {home}\n"
    assert run("styles").err == note
    assert json.loads(run("styles", "--json").out)["notes"] == [note.removeprefix("note: ").strip()]
    result = run("styles", "rename", "coal", "soot")
    assert f"note: coal (lite) still exists: {home / COAL}" in result.err
    assert run("styles", "remove", "coal", "-y").code == 0
    assert files(home) == []
    assert files(models) == sorted([ASH_FULL, ASH, BIRCH, "soot.lite.safetensors", BODY])


# rename


def test_rename(run: Run, models: Path) -> None:
    rows = load_rows(read_header(models / ASH))
    result = run("styles", "rename", "ash", "grey ash")
    assert result.code == 0
    assert "models/ash.full.safetensors is now models/grey ash.full.safetensors" in result.err
    assert Gallery().names == sorted([*Gallery([bundled_folder()]).names, "birch", "coal", "grey ash"])
    there = Gallery().models("grey ash")
    assert sorted(there) == ["full", "lite"]
    assert np.array_equal(load_rows(there["lite"]), rows)


def test_rename_one_file(run: Run, models: Path) -> None:
    renamed = json.loads(run("styles", "rename", f"models/{ASH}", "elm", "--json").out)["renamed"]
    assert renamed == {f"models/{ASH}": "models/elm.lite.safetensors"}
    assert files(models) == [ASH_FULL, BIRCH, COAL, "elm.lite.safetensors", BODY]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ash", "coal", "the name coal is taken"),
        ("ash", "wave", "the name wave is taken"),
        ("ash", "ash", "the name ash is taken"),
        ("ash", "a.b", "'a.b' cannot be a name"),
        ("ash", "../ash", "cannot be a name"),
        ("ash", "", "an argument is empty"),
        ("ash", "a\x1bb", "cannot be a name"),
        ("ash", "a\x7fb", "cannot be a name"),
        ("ash", "a\u202eb", "cannot be a name"),
        ("ash", "a\\b", "cannot be a name"),
        ("a\0b", "ash", "no style named"),
        ("ash", "broken", "the name broken is taken"),
        ("wave", "sea", "wave.full.safetensors is bundled and cannot be changed; to make your own copy: livestyle"),
        ("ahs", "elm", "did you mean ash"),
        (f"models/{BODY}", "elm", "a body without a style"),
        ("other/twig.lite.safetensors", "leaf", "the name leaf is taken"),
    ],
)
def test_invalid_new_names_are_refused(run: Run, models: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    (models / "broken.lite.safetensors").write_text("somebody's")
    (tmp_path / "other").mkdir()
    shutil.copy(models / COAL, tmp_path / "other/twig.lite.safetensors")
    shutil.copy(models / ASH_FULL, tmp_path / "other/leaf.full.safetensors")
    result = run("styles", "rename", old, new)
    assert result.code == 2
    assert message in result.error
    assert files(models) == sorted([*ALL, "broken.lite.safetensors"])
    assert files(tmp_path / "other") == ["leaf.full.safetensors", "twig.lite.safetensors"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of at most 255 bytes")
def test_rename_is_undone_if_one_file_fails(run: Run, models: Path) -> None:
    (models / ASH_FULL).rename(models / "ash.safetensors")  # renamed first; its new name is short enough
    result = run("styles", "rename", "ash", "灰" * 80)
    assert result.code == 2
    assert "nothing was renamed" in result.error
    assert files(models) == sorted(["ash.safetensors", *ALL[1:]])


def test_rename_notes_remaining_files_of_the_old_name(run: Run, models: Path) -> None:
    (models / COAL).rename(models / "wave.lite.safetensors")
    result = run("styles", "rename", "wave", "soot")
    assert f"note: wave (lite) still exists: {bundled_folder()}" in result.err
    assert (models / "soot.lite.safetensors").exists()


# remove


def test_removing_a_link_keeps_its_target(run: Run, models: Path) -> None:
    (models / ASH_FULL).unlink()
    (models / BIRCH).unlink()  # ash alone needs the body
    (models / "alder.lite.safetensors").symlink_to(models / ASH)  # listed before ash, its target
    assert run("styles", "remove", "alder", "-y").code == 0
    assert files(models) == sorted([ASH, COAL, BODY])


def test_shared_body_is_removed_with_its_last_style(run: Run, models: Path) -> None:
    result = run("styles", "remove", "ash", "-y")
    assert result.code == 0
    assert f"kept the body models/{BODY}, used by birch" in result.err
    assert files(models) == [BIRCH, COAL, BODY]
    result = run("styles", "remove", "birch", "-y", "--json")
    assert json.loads(result.out) == {"deleted": [f"models/{BIRCH}", f"models/{BODY}"], "kept": {}}
    assert files(models) == [COAL]


def test_body_used_by_a_shadowed_style_is_kept(run: Run, models: Path, tmp_path: Path) -> None:
    home = tmp_path / "home/livestyle/models"
    home.mkdir(parents=True)
    shutil.copy(models / BIRCH, home)
    (models / ASH).unlink()
    result = run("styles", "remove", "birch", "-y")
    assert f"kept the body models/{BODY}, used by birch" in result.err
    assert f"birch (lite) still exists: {home / BIRCH}" in result.err
    Gallery().body(Gallery().models("birch")["lite"])


def test_body_in_a_removed_style_file_is_moved_if_others_use_it(run: Run, models: Path) -> None:
    twig = write(models / "twig.lite.safetensors", models / COAL, models / COAL)
    kept = f"models/coal-{twig.body_hash[:8]}.lite-body.safetensors"
    result = run("styles", "remove", "coal", "-y", "--json")
    assert json.loads(result.out) == {"deleted": [f"models/{COAL}"], "kept": {kept: ["twig"]}}
    body = Gallery().body(Gallery().models("twig")["lite"])
    assert body.path == Path(kept)
    load_body(body)


def test_body_with_another_copy_is_not_moved(run: Run, models: Path) -> None:
    run("styles", "export", "birch", "-o", "models/elm.safetensors")
    assert run("styles", "remove", "elm", "-y").code == 0
    assert files(models) == ALL


def test_body_in_another_folder_is_kept(run: Run, models: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for name in (ASH, BIRCH):
        (models / name).rename(tmp_path / "other" / name)
    (tmp_path / "other" / BIRCH).unlink()
    assert run("styles", "remove", f"other/{ASH}", "-y").code == 0
    assert files(models) == [ASH_FULL, COAL, BODY]


def test_style_without_its_body_can_be_removed(run: Run, models: Path) -> None:
    (models / BODY).unlink()
    assert run("styles", "remove", "birch", "-y").code == 0
    assert not (models / BIRCH).exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["coal"], f"nothing was deleted; use -y to delete models/{COAL}"),
        (["wave", "-y"], "wave.full.safetensors is bundled"),
        ([str(bundled_folder() / "wave.lite.safetensors"), "-y"], "wave.lite.safetensors is bundled"),
        (["link/wave.lite.safetensors", "-y"], "wave.lite.safetensors is bundled"),
        ([f"models/{BODY}", "-y"], "a body without a style"),
        (["cole", "-y"], "did you mean coal"),
        (["models/none.safetensors", "-y"], "cannot read the style file"),
    ],
)
def test_invalid_removals_are_refused(run: Run, models: Path, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "link").symlink_to(bundled_folder())
    result = run("styles", "remove", *words)
    assert result.code == 2
    assert message in result.error
    assert files(models) == ALL
    assert (bundled_folder() / "wave.lite.safetensors").exists()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs os.openpty")
@pytest.mark.parametrize(("answer", "left"), [(b"y\n", [ASH_FULL, ASH, BIRCH, BODY]), (b"n\n", ALL)])
def test_remove_asks_on_a_terminal(models: Path, tmp_path: Path, answer: bytes, left: list[str]) -> None:
    person, terminal = os.openpty()
    try:
        os.write(person, answer)
        program = [sys.executable, "-m", "livestyle", "styles", "remove", "coal"]
        done = subprocess.run(program, stdin=terminal, capture_output=True, text=True, check=False, cwd=tmp_path)
    finally:
        os.close(person)
        os.close(terminal)
    assert f"Delete models/{COAL}?" in done.stderr
    assert done.returncode == (0 if answer == b"y\n" else 2)
    assert files(models) == left


# export


def test_export_needs_no_other_file(run: Run, moss: StyleHeader, tmp_path: Path) -> None:
    assert run("styles", "export", "moss").code == 0
    sent = tmp_path / "sent"
    sent.mkdir()
    (tmp_path / "moss.lite.safetensors").rename(sent / "moss.lite.safetensors")
    gallery = Gallery([sent])
    header = gallery.models("moss")["lite"]
    assert header.info == moss.info
    assert load_thumbnail_jpeg(header) == load_thumbnail_jpeg(moss)
    assert np.array_equal(load_rows(header), load_rows(moss))
    body, before = load_body(gallery.body(header)).parameters, load_body(Gallery().body(moss)).parameters
    assert all(np.array_equal(body[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["ash", "--model", "full"], "ash.full.safetensors"),
        (["ash", "--model", "lite", "-o", "out/"], "out/ash.lite.safetensors"),
        (["birch", "-o", "models/.."], "birch.lite.safetensors"),
        (["wave", "--model", "lite", "-o", "models/sea.lite.safetensors"], "models/sea.lite.safetensors"),
        ([f"models/{COAL}", "-o", "c.safetensors"], "c.safetensors"),
    ],
)
def test_export_target(run: Run, models: Path, tmp_path: Path, words: list[str], target: str) -> None:
    written = json.loads(run("styles", "export", *words, "--json").out)
    assert Path(written["written"]).resolve() == tmp_path / target
    header = read_header(tmp_path / target)
    assert (header.has_rows, header.has_body, header.architecture) == (True, True, written["model"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ash"], "ash exists for full and lite; choose one with --model"),
        (["coal", "--model", "full"], "coal exists for lite, not for full"),
        (["coal", "-o", "coal.pth"], "ends in .safetensors"),
        (["coal", "-o", f"models/{COAL}", "-y"], "input itself"),
        (["coal", "-o", f"models/{BIRCH}"], "-y"),
        (["coal", "-o", f"models/{BIRCH}", "-n"], "exists"),
        (["coal", "-o", f"models/{BIRCH}/"], "cannot write"),
        (["birch", "-o", f"models/{BODY}", "-y"], "input itself"),  # a shared body, which ash needs too
        (["coal", "-o", "a\x1bb.safetensors"], "cannot be a name"),
        (["coal", "-o", "a:b.safetensors"], "cannot be a name"),
        (["coal", "-o", ".hidden.safetensors"], "cannot be a name"),
        ([f"models/{BODY}"], "a body without a style"),
        (["lonely.lite.safetensors", "-o", "out/"], "needs a body"),
        (["cole"], "did you mean coal"),
    ],
)
def test_invalid_exports_are_refused(run: Run, models: Path, tmp_path: Path, words: list[str], message: str) -> None:
    lonely = write(tmp_path / "lonely.lite.safetensors", models / COAL, models / COAL)
    if words[0] == lonely.path.name:
        (models / COAL).unlink()
    before = sorted(tmp_path.rglob("*"))
    result = run("styles", "export", *words)
    assert result.code == 2
    assert message in result.error
    assert sorted(tmp_path.rglob("*")) == before


# the group's options, and completion


def test_json_option_before_the_subcommand_is_refused(run: Run, models: Path) -> None:
    assert "write --json after show" in run("styles", "--json", "show", "ash").error


@pytest.mark.parametrize("command", ["show", "rename", "remove", "export"])
def test_completion_lists_styles(models: Path, tmp_path: Path, command: str) -> None:
    words = {"COMP_WORDS": f"livestyle styles {command} bi", "COMP_CWORD": "3", "_LIVESTYLE_COMPLETE": "bash_complete"}
    program = [sys.executable, "-m", "livestyle"]
    done = subprocess.run(program, env=os.environ | words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "plain,birch\n"


def test_picture_is_shown_and_exported_but_never_renamed_or_removed(run: Run, models: Path, tmp_path: Path) -> None:
    write_predictor(models / "trees.lite-predictor.safetensors", Gallery([models]).models("ash")["lite"])
    write_picture(tmp_path / "sea.png", painting())
    before = (tmp_path / "sea.png").read_bytes()
    shown = run("styles", "show", "sea.png").out
    assert shown.startswith("sea, for ")
    assert "origin     predicted from sea.png" in shown
    assert run("styles", "export", "sea.png", "--model", "lite").code == 0
    exported = read_header(tmp_path / "sea.lite.safetensors")
    assert np.array_equal(load_rows(exported), load_rows(Gallery([models]).models("sea.png")["lite"]))
    assert (exported.has_body, exported.info["picture"]) == (True, "sea.png")
    assert load_thumbnail_jpeg(exported) == make_thumbnail(painting())
    assert run("styles", "show", "sea.png", "-o", "small.jpg").code == 0
    assert (tmp_path / "small.jpg").exists()
    for words in (["rename", "sea.png", "lake"], ["remove", "sea.png", "-y"]):
        assert "sea.png is a picture, not a style file" in run("styles", *words).error
    assert (tmp_path / "sea.png").read_bytes() == before
    assert "predictor" not in run("styles").out
    assert "a predictor without a style" in run("styles", "remove", "models/trees.lite-predictor.safetensors", "-y").error
