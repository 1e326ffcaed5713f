"""Parsing of blends of styles."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from livestyle.errors import StyleError
from livestyle.style_files.blend import parse_blend


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
        ("painting.jpg:.5,wave:.5", {"painting.jpg": 0.5, "wave": 0.5}),
        (r"C:painting.PNG,my painting.webp", {"C:painting.PNG": 0.5, "my painting.webp": 0.5}),
    ],
)
def test_parse_blend_normalises_weights(words: str | Mapping[str, float], blend: dict[str, float]) -> None:
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
def test_parse_blend_refuses_bad_weights_and_names(words: str | Mapping[str, float]) -> None:
    with pytest.raises(StyleError, match="write a name, or a blend such as"):
        parse_blend(words)


def test_commas_and_colons_of_a_file_that_exists_do_not_separate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a,b:.5.jpg").touch()
    assert parse_blend("a,b:.5.jpg") == {"a,b:.5.jpg": 1}
    assert parse_blend("c,b:.5.jpg") == {"c": 0.5, "b:.5.jpg": 0.5}
    assert parse_blend({"a,b:.5.jpg": 1, "wave": 1}) == {"a,b:.5.jpg": 0.5, "wave": 0.5}
