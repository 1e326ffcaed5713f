"""The options of the webcam command for remote control."""

import json
from pathlib import Path

import pytest

from livestyle.cli.webcam import webcam
from livestyle.errors import DeviceError, InputError
from livestyle.jobs.live.remote.messages import CONTROLS


def run(*words: str) -> int:
    code = webcam.main(["--camera", "demo", "--size", "64x36", "--record", "out.mp4", *words], standalone_mode=False)
    assert isinstance(code, int)
    return code


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, also for configuration files, and no display."""
    monkeypatch.setattr("platformdirs.user_config_path", lambda name: tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return tmp_path


def test_list_controls_prints_a_line_for_each_address(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "midi.yml").write_text("style: note 12\nstrength: controller 7\n")
    assert run("--list-controls") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [control.address for control in CONTROLS]
    assert "/livestyle/style NAME|NUMBER " in lines[0]
    assert lines[0].endswith("(MIDI: note 12 and up)")
    assert "/livestyle/strength 0..1 " in lines[2]
    assert [line.rpartition("MIDI: ")[2] for line in lines[1:4]] == ["nothing)", "controller 7)", "nothing)"]
    assert [path.name for path in folder.iterdir()] == ["midi.yml"]


def test_list_controls_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list-controls", "--json") == 0
    controls = json.loads(capsys.readouterr().out)["controls"]
    assert [control["address"] for control in controls] == [control.address for control in CONTROLS]
    assert controls[3] == {
        "address": "/livestyle/fade",
        "argument": "0..10",
        "help": "seconds that a style change takes; 0 cuts",
        "midi": "controller 3",
    }


def test_wrong_receivers_end_the_command_before_it_records(folder: Path) -> None:
    pytest.importorskip("pythonosc", reason="needs the extra control")
    with pytest.raises(InputError, match="is not an OSC address"):
        run("--osc", "localhost:http")
    with pytest.raises(DeviceError):
        run("--midi", "no such controller")
    assert list(folder.iterdir()) == []
