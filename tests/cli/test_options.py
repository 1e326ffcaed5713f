"""Types of options: sizes and times."""

import click
import pytest

from livestyle.cli.options import SizeType, TimeType
from livestyle.size import Size


@pytest.mark.parametrize(
    ("text", "size"),
    [("720", (None, 720)), ("1080p", (None, 1080)), ("4K", (None, 2160)), ("128x72", (128, 72)), (" 9X8 ", (9, 8))],
)
def test_size_is_parsed(text: str, size: Size) -> None:
    assert SizeType().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "p", "720i", "1280x", "x720", "9x8p", "0", "0x9", "65536", "99999x9", "-5", "٧٢٠", "7.5"])
def test_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size"):
        SizeType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("12.5", 12.5), (".5", 0.5), ("1:30", 90), ("1:02:03.5", 3723.5)),
        *(("1h", 3600), ("1h30m", 5400), ("1m30", 90), ("1h30", 5400), ("1s30", None), ("1m30s", 90), ("90s", 90)),
        *(("500ms", 0.5), ("1h 5s", 3605)),
        *(("2min", 120), ("2 hours", 7200), ("1.5h", 5400), ("3 sec", 3), ("1H2M3.5S", 3723.5), ("0", 0)),
        *(("", None), ("h", None), ("1s1h", None), ("1x", None), ("-1", None), ("1h1h", None), ("1e3", None), ("1:2:3:4", None)),
    ],
)
def test_time_is_parsed_or_refused(text: str, seconds: float | None) -> None:
    if seconds is not None:
        assert TimeType().convert(text, None, None) == seconds
        return
    with pytest.raises(click.BadParameter, match="is not a time"):
        TimeType().convert(text, None, None)
