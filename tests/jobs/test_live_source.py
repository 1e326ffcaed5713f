"""The source of a live run, chosen by its name."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from livestyle.errors import InputError
from livestyle.jobs.live.source import names_file, open_live_source


@pytest.mark.parametrize("camera", ["missing.mp4", "folder/a.3gp", "C:\\clips\\a.MOV", "USB2.0 HD.mkv"])
def test_text_with_the_suffix_of_a_file_names_a_file(camera: str) -> None:
    assert names_file(camera)


@pytest.mark.parametrize("camera", ["0", "demo", "-", "screen", "screen:1.5", "USB2.0 HD", "Cam 1.0", "rtsp://host/a.mp4"])
def test_name_of_a_camera_or_another_source_names_no_file(camera: str) -> None:
    assert not names_file(camera)


def test_existing_file_without_a_suffix_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("clip", "-", "screen"):
        Path(name).touch()
    assert [names_file(name) for name in ("clip", "-", "screen", "./-", "./screen")] == [True, False, False, True, True]


@pytest.mark.parametrize("size", [None, (None, 360)])
def test_raw_frames_without_a_width_and_height_are_an_input_error(size: tuple[None, int] | None) -> None:
    with pytest.raises(InputError, match="raw frames on standard input have no header") as caught:
        open_live_source("-", size)
    assert "--size 640x360" in caught.value.advice


def test_rate_of_the_demo_scene_can_be_chosen() -> None:
    source = open_live_source("demo", (32, 18), Fraction(60))
    assert source.info.rate == 60
    source.close()


def test_rate_of_a_file_is_an_input_error(make_clip: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="a rate can be chosen for the screen, raw frames and demo, not for "):
        open_live_source(str(make_clip()), None, Fraction(60))
