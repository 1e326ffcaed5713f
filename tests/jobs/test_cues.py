"""Cues: schedules with an injected clock, playlists, show files, and their keys in a live run."""

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from clock import Clock

from livestyle.errors import InputError
from livestyle.jobs.live.cues import Cue, Schedule, Show, shuffled
from livestyle.jobs.live.show_file import parse_playlist, read_show


def fired(schedule: Schedule, clock: Clock, times: list[float]) -> list[str | None]:
    """The names of the cues that are due at these times after the first call."""
    begin, names = clock.now, []
    for time in times:
        clock.now = begin + time
        cue = schedule.due()
        names.append(None if cue is None else cue.name)
    return names


def test_a_show_fires_each_cue_once_at_its_time() -> None:
    show = Show((Cue("b", at_seconds=2), Cue("key", key="k"), Cue("a", at_seconds=0.5)))
    clock = Clock()
    schedule = Schedule(show.entries(), clock)
    assert fired(schedule, clock, [0, 0.4, 0.5, 0.6, 1.9, 2.5, 100]) == [None, None, "a", None, None, "b", None]
    assert show.first is None


def test_a_show_that_loops_fires_its_cues_again() -> None:
    show = parse_playlist("wave:10,scream:20")
    clock = Clock()
    schedule = Schedule(show.entries(), clock)
    times = [0, 9, 10, 29, 30, 40, 75]  # 75: after a pause, only the newest cue fires
    assert fired(schedule, clock, times) == ["wave", None, "scream", None, "wave", "scream", "scream"]
    assert show.first is not None
    assert show.first.style == "wave"


def test_shuffled_styles_change_every_time() -> None:
    entries = shuffled(["ash", "birch", "coal"], "ash", 8, Random(1))
    found = [next(entries) for _ in range(300)]
    assert [time for time, _ in found] == [8 * number for number in range(1, 301)]
    names = ["ash", *(cue.style for _, cue in found)]
    assert all(one != other for one, other in pairwise(names))
    assert min(names.count(name) for name in ("ash", "birch", "coal")) > 50
    assert list(shuffled(["ash"], "ash", 8, Random(1))) == []


@pytest.mark.parametrize("text", ["", "wave", "wave:", "wave:0", "wave:-1", "wave:nan", "wave:inf", ":5", "wave:5,", "wave:1e9"])
def test_playlists_that_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not part of a playlist; write styles and seconds"):
        parse_playlist(text)


def test_a_playlist_may_name_files() -> None:
    assert [cue.style for cue in parse_playlist(r"C:\pictures\a b.jpg:1.5, /x/y.safetensors:2").cues] == [
        r"C:\pictures\a b.jpg",
        "/x/y.safetensors",
    ]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_read_show(tmp_path: Path) -> None:
    text = """
loop: 1:30
cues:
  calm: {style: wave, at: 0, keep_colors: true}
  drop:
    style: scream:.5,udnie:.5
    strength: .8
    fade: 2
    key: d
    at: 30.5
  faint: {strength: 0, key: 7}
"""
    show = read_show(write(tmp_path / "show.yml", text))
    assert show.loop_seconds == 90
    assert show.cues == (
        Cue("calm", "wave", keep_colors=True, at_seconds=0),
        Cue("drop", "scream:.5,udnie:.5", 0.8, None, 2, "d", 30.5),
        Cue("faint", strength=0, key="7"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cues:", "has no cues"),
        ("cues: [wave]", "has no cues"),
        ("cues: {a: wave}", "line 1: cues: a: write the cue in braces"),
        ("cues:\n  a: {stile: wave}", "line 2: cues: a: stile: unknown key; use style, strength"),
        ("loops: 3\ncues: {a: {style: wave}}", "line 1: loops: unknown key; use cues, loop"),
        ("cues: {a: {style: 3}}", "cues: a: style: write the name of a style"),
        ("cues: {a: {strength: 1.5}}", "strength: expected a number from 0 to 1, found 1.5"),
        ("cues: {a: {strength: true}}", "found True"),
        ("cues: {a: {at: -1}}", "at: expected a number from 0 to 1e\\+06, found -1"),
        ("cues: {a: {at: .nan}}", "found nan"),
        ("cues: {a: {keep_colors: 1}}", "write true or false"),
        ("cues: {a: {key: dd}}", "write a small letter or a digit"),
        ("cues: {a: {key: D}}", "write a small letter or a digit"),
        ("cues: {a: {key: q}}", r"the key q is in use \(quit\); write another one"),
        ("cues:\n  a: {key: d}\n  b: {key: d}", "line 3: cues: b: key: the key d fires a already"),
        ("loop: 5\ncues: {a: {at: 5}}", "line 1: loop: has to be longer than the time of the last cue, 5 s"),
        ("cues:\n  a: {style: wave, key: null}", "line 2: cues: a: key: has no value; write one, or delete the key"),
        ("cues: {a: {style: }}", "cues: a: style: has no value"),
        ("cues: {a: &x {at: 5}}", "anchors"),
        ("[a, b]", "show.yml is not a show file: it has no keys"),
        ("cues: {a: {at: 5}}\n---\ncues:", "a second document begins; a show file has one"),
    ],
)
def test_show_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_show(write(tmp_path / "show.yml", text))


def test_a_missing_show_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the show file .*none.yml: No such file or directory"):
        read_show(tmp_path / "none.yml")
