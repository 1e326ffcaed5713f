"""Cameras that are chosen by name. The names are in a folder as in Linux' /sys; opening a camera needs a real one."""

from pathlib import Path

import pytest

from livestyle.errors import DeviceError
from livestyle.sources.camera import Camera, camera_names, index_of

NAMES = {0: "Integrated Webcam", 2: "HD Pro Webcam C920", 10: "OBS Virtual Camera"}


def test_names_are_read_without_the_devices_for_metadata(tmp_path: Path) -> None:
    c920 = "HD Pro Webcam C920"
    for device, name, index in (("video10", "OBS Virtual Camera", 0), ("video2", c920, 0), ("video3", c920, 1)):
        (tmp_path / device).mkdir()
        (tmp_path / device / "name").write_text(f"{name}\n")
        (tmp_path / device / "index").write_text(f"{index}\n")
    (tmp_path / "vbi0").mkdir()
    assert list(camera_names(tmp_path).items()) == [(2, c920), (10, "OBS Virtual Camera")]
    assert camera_names(tmp_path / "missing") == {}


@pytest.mark.parametrize(("name", "index"), [("HD Pro Webcam", 2), ("obs", 10), ("INTEGRATED WEBCAM", 0)])
def test_part_of_a_name_in_any_case_is_enough(name: str, index: int) -> None:
    assert index_of(name, NAMES) == index


def test_whole_name_comes_before_a_part_of_another() -> None:
    assert index_of("webcam", {0: "Webcam Pro", 1: "Webcam"}) == 1


def test_ambiguous_name_is_an_error_that_lists_the_cameras() -> None:
    with pytest.raises(DeviceError, match=r"several cameras are named webcam: 0 \(Integrated Webcam\), 2 \(HD Pro Web.*\);"):
        index_of("webcam", NAMES)


def test_unknown_name_is_an_error_that_lists_the_cameras() -> None:
    with pytest.raises(DeviceError, match=r"no camera named Kinect; cameras found: 0 \(Integrated Webcam\), 2 .*, 10 \(OBS"):
        index_of("Kinect", NAMES)


def test_error_without_the_other_cameras() -> None:
    with pytest.raises(DeviceError, match=r"^cannot open camera /dev/no-camera$"):
        Camera("/dev/no-camera", list_others=False)


def test_camera_with_an_unknown_name_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="no such camera"):
        Camera("no such camera")
