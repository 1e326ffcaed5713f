"""The gallery: styles and bodies on disk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from livestyle.errors import StyleError
from livestyle.style_files.gallery import Gallery, bundled_folder, default_folders


def test_gallery_lists_every_style_of_a_folder(style_folder: Path) -> None:
    gallery = Gallery([style_folder])
    assert gallery.names == ["ash", "birch", "coal"]
    assert sorted(gallery.models("ash")) == ["full", "lite"]
    assert list(gallery.models("birch")) == ["lite"]
    assert gallery.notes == []


def test_body_is_found_by_its_hash(style_folder: Path) -> None:
    gallery = Gallery([style_folder])
    for name in ("ash", "birch"):
        assert gallery.body(gallery.models(name)["lite"]).path.name == "trees.lite-body.safetensors"
    assert gallery.body(gallery.models("coal")["lite"]).path.name == "coal.lite.safetensors"


def test_earlier_folder_takes_precedence_and_a_note_names_both(style_folder: Path, tmp_path: Path) -> None:
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


def test_shadowed_files_share_one_note_and_copies_have_none(style_folder: Path, tmp_path: Path) -> None:
    for name in ("ash", "birch", "coal"):
        shutil.copy(style_folder / f"{name}.lite.safetensors", tmp_path)
    gallery = Gallery([tmp_path, style_folder])
    assert gallery.shadowed(gallery.names) == []
    for name in ("birch", "coal"):
        shutil.copy(style_folder / "ash.lite.safetensors", tmp_path / f"{name}.lite.safetensors")
    gallery = Gallery([tmp_path, style_folder])
    assert gallery.shadowed(gallery.names) == [f"birch, coal: from {tmp_path}; other files of these names are in {style_folder}"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this platform")
def test_unreadable_files_are_skipped_with_a_note(style_folder: Path, tmp_path: Path) -> None:
    coal = style_folder / "coal.lite.safetensors"
    shutil.copy(coal, tmp_path)
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    (tmp_path / "broken.safetensors").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "device.safetensors").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.safetensors")  # opening it would block
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "sparse.safetensors").touch()
    os.truncate(tmp_path / "sparse.safetensors", 2**36)
    (tmp_path / "long.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    (tmp_path / "deep.safetensors").write_bytes((10**6).to_bytes(8, "little") + b"[" * 10**6)
    (tmp_path / "\x1b[2J.safetensors").write_text("a name with a terminal escape sequence")
    (tmp_path / os.fsdecode(b"\xff.safetensors")).write_text("a name that is not UTF-8")
    gallery = Gallery([tmp_path])
    assert gallery.names == ["coal"]
    assert len(gallery.notes) == 11
    assert all(note.startswith("skipped: ") for note in gallery.notes)


def test_unreadable_folders_are_skipped_with_a_note(style_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(tmp_path / "models")
    gallery = Gallery([tmp_path / "models", Path("x" * 300), style_folder])
    assert gallery.names == ["ash", "birch", "coal"]
    assert gallery.notes[0].startswith(f"skipped: cannot read the folder {tmp_path / 'models'}: ")
    assert len(gallery.notes) == 2


SCRIPT = """
import os
from livestyle.style_files.gallery import Gallery, default_folders, user_folder
Gallery()  # imports all modules now, because the other user may not be allowed to read them
if os.getuid() == 0:
    os.setuid(65534)  # root may enter every folder
gallery = Gallery()
print(user_folder(), len(default_folders()), *gallery.notes, sep="\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs setuid and HOME as on Linux")
@pytest.mark.parametrize(("home", "note_start"), [("closed", "skipped: cannot read the folder"), ("/", ""), (None, "")])
def test_home_directory_without_permission_or_missing(tmp_path: Path, home: str | None, note_start: str) -> None:
    """The home directories that `docker run --user` leads to."""
    (tmp_path / "closed").mkdir(mode=0)
    place = {} if home is None else {"HOME": str(tmp_path / home)}
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_DATA_HOME")} | place
    program = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(program, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder, count, *notes = done.stdout.splitlines()
    assert Path(folder).is_absolute() or (folder, count) == ("models", "2")
    ours = [note for note in notes if str(bundled_folder()) not in note]  # if other users may not read the checkout
    assert [note.startswith(note_start) for note in ours] == [True] * bool(note_start), notes


def test_same_folder_twice_is_read_once(style_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(style_folder)
    assert Gallery([style_folder, tmp_path / "link", style_folder]).notes == []


def test_default_folders_are_in_order_of_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here, user, bundled = default_folders()
    assert here.resolve() == tmp_path / "models"
    assert user == platformdirs.user_data_path("livestyle") / "models"
    assert (bundled / "__init__.py").is_file()
    (tmp_path / "models").symlink_to(bundled)  # as in a checkout
    assert default_folders() == [user, bundled]


def test_missing_folders_are_ignored(style_folder: Path, tmp_path: Path) -> None:
    assert Gallery([tmp_path / "none", style_folder / "ash.lite.safetensors", style_folder]).names == ["ash", "birch", "coal"]
    with pytest.raises(StyleError, match="there are: none"):
        Gallery([tmp_path / "none"]).models("ash")


def test_style_name_ends_at_the_first_dot(style_folder: Path, tmp_path: Path) -> None:
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / "grey coal.v2.lite.safetensors")
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / "炭.safetensors")
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / ".coal.lite.safetensors.1234.partial")
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / ".coal.lite.safetensors")  # hidden, as partial files are
    assert Gallery([tmp_path]).names == ["grey coal", "炭"]


def test_damaged_file_is_skipped_with_a_note(style_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_text("no style")
    gallery = Gallery([tmp_path, style_folder])
    assert gallery.names == ["ash", "birch", "coal"]
    assert len(gallery.notes) == 1
    assert gallery.notes[0].startswith(f"skipped: {tmp_path / 'broken.safetensors'} is not a style file")


def test_missing_body_is_an_error(style_folder: Path, tmp_path: Path) -> None:
    shutil.copy(style_folder / "birch.lite.safetensors", tmp_path)
    gallery = Gallery([tmp_path])
    header = gallery.models("birch")["lite"]
    with pytest.raises(StyleError, match=f"needs a body .lite {header.body_hash[:12]}. that is not in {tmp_path}") as caught:
        gallery.body(header)
    assert "\n" not in str(caught.value)


def test_body_is_found_in_the_folder_of_a_path(style_folder: Path) -> None:
    gallery = Gallery([])
    models = gallery.models(str(style_folder / "birch.lite.safetensors"))
    assert gallery.body(models["lite"]).path.parent == style_folder


def test_paths_may_be_relative_or_start_with_a_tilde(style_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(style_folder / "coal.lite.safetensors", tmp_path / "-my coal")
    gallery = Gallery([])
    assert gallery.models("-my coal")["lite"].path == Path("-my coal")
    assert gallery.models("~/-my coal")["lite"].path == tmp_path / "-my coal"


@pytest.mark.parametrize("path", ["none.safetensors", "none/none", "..", "x" * 300 + ".safetensors", "/dev/null"])
def test_invalid_paths_are_refused(path: str) -> None:
    with pytest.raises(StyleError) as caught:
        Gallery([]).models(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300, "~no such person/x", "."])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(StyleError, match="no style named"):
        Gallery([]).models(name)


def test_error_suggests_similar_names(style_folder: Path) -> None:
    gallery = Gallery([style_folder])
    with pytest.raises(StyleError, match="no style named 'brich'; did you mean birch"):
        gallery.models("brich")
    with pytest.raises(StyleError, match="no style named 'zzz'; there are: ash, birch, coal"):
        gallery.models("zzz")


def test_every_bundled_style_has_its_body() -> None:
    gallery = Gallery(default_folders()[-1:])
    assert gallery.notes == []
    for name in gallery.names:
        for header in gallery.models(name).values():
            gallery.body(header)
