"""Styles that are added, replaced or removed during a live run. The clock is injected."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from clock import Clock

from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.style_watch import INTERVAL_SECONDS, StyleWatch
from livestyle.style_files.file_format import read_header, write_style_file
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer


class Watched:
    """A watch of a folder of the user's styles, beside the folder of ash, birch and coal."""

    def __init__(self, style_folder: Path, folder: Path) -> None:
        self.clock, self.folder = Clock(), folder
        self.stylizer = Stylizer("ash", "lite", "cpu", gallery=Gallery([folder, style_folder]))
        self.watch = StyleWatch(self.stylizer, self.clock)

    def changed(self, seconds: float = INTERVAL_SECONDS) -> list[str]:
        self.clock.now += seconds
        return [look.name for look in self.watch.changed()]

    def write(self, name: str, shift: float = 0.0) -> Path:
        look = self.stylizer.look("ash")
        path = self.folder / f"{name}.lite.safetensors"
        write_style_file(path, look.body, look.rows + np.float32(shift), {}, include_body=False)
        return path


@pytest.fixture
def watched(style_folder: Path, tmp_path: Path) -> Watched:
    return Watched(style_folder, tmp_path / "user")


def test_a_new_style_is_found_within_the_interval(watched: Watched) -> None:
    assert watched.changed() == []
    watched.write("dawn", 1)  # the folder is made with it
    assert watched.changed(INTERVAL_SECONDS / 2) == []
    assert watched.changed(INTERVAL_SECONDS / 2) == ["dawn"]
    assert watched.changed() == []
    assert watched.stylizer.gallery.names == ["ash", "birch", "coal", "dawn"]
    np.testing.assert_array_equal(watched.stylizer.look("dawn").rows, watched.stylizer.look("ash").rows + 1)


def test_a_replaced_style_is_found_and_a_removed_one_is_not_a_change(watched: Watched) -> None:
    path = watched.write("dawn", 1)
    os.utime(path, ns=(0, 0))
    watched.changed()
    watched.write("dawn", 2)
    assert watched.changed() == ["dawn"]
    np.testing.assert_array_equal(watched.stylizer.look("dawn").rows, watched.stylizer.look("ash").rows + 2)
    path.unlink()
    assert watched.changed() == []
    assert watched.stylizer.gallery.names == ["ash", "birch", "coal"]


def test_a_file_that_is_being_copied_is_found_when_it_is_complete(watched: Watched, tmp_path: Path) -> None:
    data = watched.write("dawn", 1).read_bytes()
    shutil.move(watched.folder / "dawn.lite.safetensors", tmp_path)
    assert watched.changed() == []
    path = watched.folder / "dusk.lite.safetensors"
    for end in (0, 20, len(data) - 1):
        path.write_bytes(data[:end])
        assert watched.changed() == []
    path.write_bytes(data)
    assert watched.changed() == [read_header(path).name]


def test_the_shown_style_crossfades_to_its_new_rows(watched: Watched) -> None:
    watched.write("dawn", 1)
    watched.changed()
    looks = LookControl(watched.stylizer, ["dawn", "ash"], watched.stylizer.look("dawn"), clock=watched.clock)
    watched.write("dawn", 22)
    watched.clock.now += 1
    looks.replace_styles(["dawn", "ash"], watched.watch.changed())
    np.testing.assert_array_equal(looks.look.rows, watched.stylizer.look("ash").rows + np.float32(22))
    assert looks.styles == ["dawn", "ash"]
