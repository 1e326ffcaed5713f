"""Read the cues of a show file, or of a playlist on the command line."""

from itertools import accumulate
from pathlib import Path
from typing import Any

from livestyle.conf_file import ConfFile, read_conf_file
from livestyle.errors import InputError
from livestyle.jobs.live.controls import KEYS
from livestyle.jobs.live.cues import SHORTEST_SECONDS, Cue, Show

LONGEST_SECONDS = 1e6
CUE_KEYS = ("style", "strength", "keep_colors", "fade", "key", "at")


def parse_playlist(text: str) -> Show:
    """Parse a playlist of styles with their durations in seconds, "wave:10,scream:20", which is repeated.

    Raises InputError.
    """
    styles, durations = [], []
    for entry in text.split(","):
        style, _, seconds = entry.strip().rpartition(":")
        try:
            duration = float(seconds)
        except ValueError:
            duration = 0.0
        if not style or not SHORTEST_SECONDS <= duration <= LONGEST_SECONDS:
            raise InputError(f"{entry.strip()!r:.60} is not part of a playlist; write styles and seconds: wave:10,scream:20")
        styles.append(style)
        durations.append(duration)
    ends = list(accumulate(durations))
    cues = [Cue(style, style, at_seconds=begin) for style, begin in zip(styles, [0.0, *ends], strict=False)]
    return Show(tuple(cues), ends[-1])


def read_show(path: Path) -> Show:
    """Read a show file, such as

        loop: 60
        cues:
          calm: {style: wave, at: 0}
          drop: {style: "scream:.5,udnie:.5", strength: .8, fade: 2, key: d, at: 30}

    Raises InputError; the message names the line, and says what to write.
    """
    return _Reader(path, read_conf_file(path, InputError, "show file")).show()


class _Reader:
    """Checks the values of a show file."""

    def __init__(self, path: Path, file: ConfFile) -> None:
        self._path, self._file = path, file

    def show(self) -> Show:
        values = self._file.values
        self._refuse_unknown(values, ("cues", "loop"), ())
        cues = values.get("cues")
        if not isinstance(cues, dict) or not cues:
            raise InputError(f"{self._path} has no cues; write `cues:`, and a line for each, such as `drop: {{style: wave}}`")
        show = Show(tuple(self._cue(name, entry) for name, entry in cues.items()), self._seconds(values, "loop"))
        last = max((cue.at_seconds or 0.0 for cue in show.timed), default=0.0)
        if show.loop_seconds is not None and show.loop_seconds < last + SHORTEST_SECONDS:
            raise self._error(("loop",), f"has to be longer than the time of the last cue, {last:g} s")
        return show

    def _cue(self, name: str, entry: Any) -> Cue:
        where = ("cues", name)
        if not isinstance(entry, dict):
            raise self._error(where, "write the cue in braces, such as {style: wave, key: d}")
        self._refuse_unknown(entry, CUE_KEYS, where)
        for key, value in entry.items():
            if value is None:
                raise self._error((*where, key), "has no value; write one, or delete the key")
        if (style := entry.get("style")) is not None and not isinstance(style, str):
            raise self._error((*where, "style"), "write the name of a style, or a blend")
        keep_colors = entry.get("keep_colors")
        if keep_colors is not None and not isinstance(keep_colors, bool):
            raise self._error((*where, "keep_colors"), "write true or false")
        key = str(entry.get("key", ""))
        self._check_key(key, where)
        return Cue(
            name,
            style,
            self._number(entry, "strength", where, 1.0),
            keep_colors,
            self._seconds(entry, "fade", where),
            key,
            self._seconds(entry, "at", where),
        )

    def _check_key(self, key: str, where: tuple[str, ...]) -> None:
        """Raise InputError if a key is not a letter or a digit, fires another cue, or is a key of the run."""
        if not key:
            return
        if len(key) != 1 or not (key.isascii() and (key.islower() or key.isdecimal())):
            raise self._error((*where, "key"), "write a small letter or a digit")
        cues = self._file.values["cues"]
        other = next(name for name, cue in cues.items() if isinstance(cue, dict) and str(cue.get("key", "")) == key)
        if other != where[1]:
            raise self._error((*where, "key"), f"the key {key} fires {other} already")
        if key.isalpha() and (used := next((each for each in KEYS if key in each.keys), None)):
            raise self._error((*where, "key"), f"the key {key} is in use ({used.help}); write another one")

    def _seconds(self, values: dict[str, Any], key: str, where: tuple[str, ...] = ()) -> float | None:
        return self._number(values, key, where, LONGEST_SECONDS)

    def _number(self, values: dict[str, Any], key: str, where: tuple[str, ...], most: float) -> float | None:
        value = values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise self._error((*where, key), f"expected a number from 0 to {most:g}, found {value!r:.40}")
        return float(value)

    def _refuse_unknown(self, values: dict[str, Any], known: tuple[str, ...], where: tuple[str, ...]) -> None:
        for key in values:
            if key not in known:
                raise self._error((*where, key), f"unknown key; use {', '.join(known)}")

    def _error(self, keys: tuple[str, ...], message: str) -> InputError:
        return InputError(f"{self._path}, line {self._file.lines[keys]}: {': '.join(keys)}: {message}")
