"""The styles found on disk, and how a person names them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import pytest

from livestyle.errors import StyleError
from livestyle.style_files.gallery import Gallery, bundled_folder, default_folders, parse_blend


@pytest.mark.parametrize(
    ("words", "blend"),
    [
        ("wave", {"wave": 1}),
        (" wave ", {"wave": 1}),
        ("wave:.7,udnie:.3", {"wave": 0.7, "udnie": 0.3}),
        ("wave:3, udnie:1", {"wave": 0.75, "udnie": 0.25}),
        ("wave,udnie", {"wave": 0.5, "udnie": 0.5}),
        ("wave:1,udnie:1,wave:2", {"wave": 0.75, "udnie": 0.25}),
        ({"wave": 0.7, "udnie": 0.3}, {"wave": 0.7, "udnie": 0.3}),
        ({"a,b:c": 2}, {"a,b:c": 1}),
        ("my wave", {"my wave": 1}),
        ("浪:1", {"浪": 1}),
        ("./my styles/wave.safetensors:.5,udnie:.5", {"./my styles/wave.safetensors": 0.5, "udnie": 0.5}),
        (r"C:\styles\wave.safetensors", {r"C:\styles\wave.safetensors": 1}),
        ("C:/styles/wave.safetensors", {"C:/styles/wave.safetensors": 1}),
        (r"C:\wave.safetensors:1,udnie:3", {r"C:\wave.safetensors": 0.25, "udnie": 0.75}),
        ("12:30/wave.safetensors", {"12:30/wave.safetensors": 1}),
        ("12:30.safetensors", {"12:30.safetensors": 1}),
    ],
)
def test_blends(words: str | Mapping[str, float], blend: dict[str, float]) -> None:
    assert parse_blend(words) == pytest.approx(blend)


@pytest.mark.parametrize(
    "words",
    [
        *["", " ", ",", "wave,", ":1", "wave:", "wave:much", "wave:0", "wave:-1", "wave:nan", "wave:inf"],
        *["wave:-inf", "wave:1e9", "wave:.7,udnie:nan", "wave:.7,udnie:.3,", "a:b:c"],
        *[{}, {"wave": 0}, {"wave": float("nan")}, {"": 1.0}, {"wave": "much"}, {"wave": None}],
    ],
    ids=repr,
)
def test_blends_that_cannot_be_read(words: str | Mapping[str, float]) -> None:
    with pytest.raises(StyleError, match="write a name, or a blend such as"):
        parse_blend(words)


def test_everything_in_a_folder(style_folder: Path) -> None:
    gallery = Gallery([style_folder])
    assert gallery.names == ["ash", "birch", "coal"]
    assert sorted(gallery.models("ash")) == ["full", "lite"]
    assert list(gallery.models("birch")) == ["lite"]
    assert gallery.notes == []


def test_bodies_are_found_by_hash(style_folder: Path) -> None:
    gallery = Gallery([style_folder])
    for name in ("ash", "birch"):
        assert gallery.body(gallery.models(name)["lite"]).path.name == "trees.lite-body.safetensors"
    assert gallery.body(gallery.models("coal")["lite"]).path.name == "coal.lite.safetensors"


def test_earlier_folders_win_and_it_is_said_of_what_is_used(style_folder: Path, tmp_path: Path) -> None:
    mine = shutil.copy(style_folder / "birch.lite.safetensors", tmp_path / "ash.lite.safetensors")
    gallery = Gallery([tmp_path, style_folder])
    assert gallery.models("ash")["lite"].path == Path(mine)
    assert gallery.models("ash")["full"].path.parent == style_folder  # of another network: not shadowed
    theirs = style_folder / "ash.lite.safetensors"
    assert gallery.notes == []
    assert gallery.shadowed(["ash"]) == gallery.shadowed(["ash", "birch"], "lite")
    assert gallery.shadowed(["ash"]) == [f"ash: from {tmp_path}; other files of this name are in {style_folder}"]
    assert gallery.shadowed(["birch", "coal"]) == gallery.shadowed(["ash"], "full") == []
    assert Gallery([style_folder, tmp_path]).models("ash")["lite"].path == theirs


def test_many_shadowed_files_are_one_line_and_copies_are_none(style_folder: Path, tmp_path: Path) -> None:
    for name in ("ash", "birch", "coal"):
        shutil.copy(style_folder / f"{name}.lite.safetensors", tmp_path)
    gallery = Gallery([tmp_path, style_folder])
    assert gallery.shadowed(gallery.names) == []
    for name in ("birch", "coal"):
        shutil.copy(style_folder / "ash.lite.safetensors", tmp_path / f"{name}.lite.safetensors")
    gallery = Gallery([tmp_path, style_folder])
    assert gallery.shadowed(gallery.names) == [f"birch, coal: from {tmp_path}; other files of these names are in {style_folder}"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_what_lies_in_a_style_folder_stops_nothing(style_folder: Path, tmp_path: Path) -> None:
    coal = style_folder / "coal.lite.safetensors"
    shutil.copy(coal, tmp_path)
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    (tmp_path / "broken.safetensors").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "device.safetensors").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.safetensors")  # which would be waited for
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "sparse.safetensors").touch()
    os.truncate(tmp_path / "sparse.safetensors", 2**36)
    (tmp_path / "long.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    (tmp_path / "deep.safetensors").write_bytes((10**6).to_bytes(8, "little") + b"[" * 10**6)
    (tmp_path / "\x1b[2J.safetensors").write_text("a name that a terminal would obey")
    (tmp_path / os.fsdecode(b"\xff.safetensors")).write_text("a name that is no text")
    gallery = Gallery([tmp_path])
    assert gallery.names == ["coal"]
    assert len(gallery.notes) == 11
    assert all(note.startswith("skipped: ") for note in gallery.notes)


def test_folders_that_cannot_be_read_are_said_and_passed_over(style_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(tmp_path / "models")
    gallery = Gallery([tmp_path / "models", Path("x" * 300), style_folder])
    assert gallery.names == ["ash", "birch", "coal"]
    assert gallery.notes[0].startswith(f"skipped: cannot read the folder {tmp_path / 'models'}: ")
    assert len(gallery.notes) == 2


SCRIPT = """
import os
from livestyle.style_files.gallery import Gallery, default_folders, user_folder
Gallery()  # imports what it needs, perhaps from a folder that is closed, too, in a moment
if os.getuid() == 0:
    os.setuid(65534)  # root may enter everything
gallery = Gallery()
print(user_folder(), len(default_folders()), *gallery.notes, sep="\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="homes and users as Linux has them")
@pytest.mark.parametrize(("home", "said"), [("closed", "skipped: cannot read the folder"), ("/", ""), (None, "")])
def test_a_home_that_may_not_be_entered_or_is_not_there(tmp_path: Path, home: str | None, said: str) -> None:
    """As in `docker run --user`."""
    (tmp_path / "closed").mkdir(mode=0)
    place = {} if home is None else {"HOME": str(tmp_path / home)}
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_DATA_HOME")} | place
    program = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(program, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder, count, *notes = done.stdout.splitlines()
    assert Path(folder).is_absolute() or (folder, count) == ("models", "2")
    ours = [note for note in notes if str(bundled_folder()) not in note]  # where nobody may read the checkout
    assert [note.startswith(said) for note in ours] == [True] * bool(said), notes


def test_the_same_folder_twice_shadows_nothing(style_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(style_folder)
    assert Gallery([style_folder, tmp_path / "link", style_folder]).notes == []


def test_folders_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here, user, bundled = default_folders()
    assert here.resolve() == tmp_path / "models"
    assert user == platformdirs.user_data_path("livestyle") / "models"
    assert (bundled / "__init__.py").is_file()
    (tmp_path / "models").symlink_to(bundled)  # as in a checkout
    assert default_folders() == [user, bundled]


def test_folders_that_are_not_there(style_folder: Path, tmp_path: Path) -> None:
    assert Gallery([tmp_path / "none", style_folder / "ash.lite.safetensors", style_folder]).names == ["ash", "birch", "coal"]
    with pytest.raises(StyleError, match="there are: none"):
        Gallery([tmp_path / "none"]).models("ash")


def test_names_end_at_the_first_dot(style_folder: Path, tmp_path: Path) -> None:
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / "grey coal.v2.lite.safetensors")
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / "炭.safetensors")
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / ".coal.lite.safetensors.1234.partial")
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / ".coal.lite.safetensors")  # hidden: being written
    assert Gallery([tmp_path]).names == ["grey coal", "炭"]


def test_broken_files_are_told_and_passed_over(style_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_text("no style")
    gallery = Gallery([tmp_path, style_folder])
    assert gallery.names == ["ash", "birch", "coal"]
    assert len(gallery.notes) == 1
    assert gallery.notes[0].startswith(f"skipped: {tmp_path / 'broken.safetensors'} is not a style file")


def test_a_missing_body(style_folder: Path, tmp_path: Path) -> None:
    shutil.copy(style_folder / "birch.lite.safetensors", tmp_path)
    gallery = Gallery([tmp_path])
    header = gallery.models("birch")["lite"]
    with pytest.raises(StyleError, match=f"needs a body .lite {header.body_hash[:12]}. that is not in {tmp_path}") as caught:
        gallery.body(header)
    assert "\n" not in str(caught.value)


def test_a_path_to_a_file_finds_its_body_beside_it(style_folder: Path) -> None:
    gallery = Gallery([])
    models = gallery.models(str(style_folder / "birch.lite.safetensors"))
    assert gallery.body(models["lite"]).path.parent == style_folder


def test_a_path_from_here_and_from_home(style_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / "-my coal")
    gallery = Gallery([])
    assert gallery.models("-my coal")["lite"].path == Path("-my coal")
    assert gallery.models("~/-my coal")["lite"].path == tmp_path / "-my coal"


@pytest.mark.parametrize("path", ["none.safetensors", "none/none", "..", "x" * 300 + ".safetensors", "/dev/null"])
def test_paths_that_lead_nowhere(path: str) -> None:
    with pytest.raises(StyleError) as caught:
        Gallery([]).models(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300, "~no such person/x", "."])
def test_words_that_are_neither_name_nor_path(name: str) -> None:
    with pytest.raises(StyleError, match="no style named"):
        Gallery([]).models(name)


def test_nearest_names(style_folder: Path) -> None:
    gallery = Gallery([style_folder])
    with pytest.raises(StyleError, match="no style named 'brich'; did you mean birch"):
        gallery.models("brich")
    with pytest.raises(StyleError, match="no style named 'zzz'; there are: ash, birch, coal"):
        gallery.models("zzz")


def test_the_bundled_styles_are_in_order() -> None:
    gallery = Gallery(default_folders()[-1:])
    assert gallery.notes == []
    for name in gallery.names:
        for header in gallery.models(name).values():
            gallery.body(header)
