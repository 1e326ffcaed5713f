"""Styles predicted from pictures: which files, bodies and names they have, and which pictures are refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from predictors import copy_with_predictors, painting, random_tensors, write_predictor

from livestyle.errors import StyleError
from livestyle.frame import FloatArray
from livestyle.pictures.writing import write_picture
from livestyle.prediction.cache import cache_folder, cache_key, write_rows
from livestyle.style_files.file_format import (
    FORMAT,
    PredictedStyle,
    load_predictor,
    load_rows,
    read_header,
    write_safetensors,
)
from livestyle.style_files.gallery import Gallery
from livestyle.style_files.management import plan_removal
from livestyle.stylizer import Stylizer


@pytest.fixture(scope="module")
def styles(style_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test styles, with predictors for the bodies of ash; do not modify it."""
    return copy_with_predictors(style_folder, tmp_path_factory.mktemp("predicted") / "styles")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "my painting.png"
    write_picture(path, painting())
    return path


def test_picture_is_a_style_for_every_body_with_a_predictor(styles: Path, picture: Path) -> None:
    gallery = Gallery([styles])
    models = gallery.models(str(picture))
    assert set(models) == {"full", "lite"}
    for model, header in models.items():
        assert isinstance(header, PredictedStyle)
        assert header.name == "my painting"
        assert gallery.body(header) == gallery.body(gallery.models("ash")[model])
        assert load_rows(header).shape == load_rows(gallery.models("ash")[model]).shape
        assert header.info["origin"] == f"predicted from {picture}"
        assert header.info["picture"] == "my painting.png"
    assert gallery.names == ["ash", "birch", "coal"]  # neither predictors nor predicted styles are listed
    assert gallery.notes == []


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".PNG", ""])
def test_formats_of_pictures(styles: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "photo.png"
    write_picture(path.with_suffix(suffix.lower() or ".png"), painting())
    path.with_suffix(suffix.lower() or ".png").rename(path.with_suffix(suffix))
    assert set(Gallery([styles]).models(str(path.with_suffix(suffix)))) == {"full", "lite"}


def test_rows_come_from_the_cache_if_its_file_is_intact(styles: Path, picture: Path) -> None:
    def predict() -> FloatArray:
        return load_rows(Gallery([styles]).models(str(picture))["lite"])

    first = predict()
    folder = cache_folder()
    assert folder is not None
    assert len(list(folder.iterdir())) == 2  # for lite and full
    predictor = (styles / "trees.lite-predictor.safetensors").read_bytes()
    write_rows(folder, cache_key(picture.read_bytes(), predictor), first + 1)
    assert np.array_equal(predict(), first + 1)
    picture = picture.rename(picture.with_name("renamed.png"))  # the content is the key, not the name
    assert np.array_equal(predict(), first + 1)
    for file in folder.iterdir():
        file.write_bytes(b"damaged")
    assert np.array_equal(predict(), first)


def test_stylizer_predicts_a_look_that_is_in_no_gallery(styles: Path, style_folder: Path, picture: Path) -> None:
    with Stylizer("ash", "lite", "cpu", gallery=Gallery([styles])) as stylizer:
        look = stylizer.predict(painting(), "spots")
        assert (look.name, look.body) == ("spots", stylizer.default_look.body)
        assert stylizer.gallery.predicted == {}
        assert np.array_equal(look.rows, stylizer.look(str(picture)).rows)
        with pytest.raises(StyleError, match="too small"):
            stylizer.predict(painting(width=9, height=9), "spots")
    without = Gallery([style_folder])
    with Stylizer("ash", "lite", "cpu", gallery=without) as stylizer, pytest.raises(StyleError, match="no predictor"):
        stylizer.predict(painting(), "spots")


def test_another_picture_has_other_rows(styles: Path, picture: Path) -> None:
    first = load_rows(Gallery([styles]).models(str(picture))["lite"])
    write_picture(picture, painting(1))
    assert np.abs(load_rows(Gallery([styles]).models(str(picture))["lite"]) - first).max() > 1e-3


def test_name_of_a_style_wins_over_a_file_without_suffix(styles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "ash.png", painting())
    shutil.copy("ash.png", "ash")
    gallery = Gallery([styles])
    assert gallery.models("ash")["lite"].path.parent == styles
    assert gallery.models("./ash")["lite"].path == Path("ash")
    assert gallery.models("ash.png")["lite"].path == Path("ash.png")


def test_predicted_style_can_be_named_by_its_stem_unless_that_is_taken(styles: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("sea.png", "more/sea.png", "ash.png", "a,b.png")]
    (tmp_path / "more").mkdir()
    for path in paths:
        write_picture(path, painting())
    gallery = Gallery([styles])
    for path in paths:
        gallery.models(str(path))
    assert list(gallery.predicted) == ["sea", str(paths[1]), str(paths[2]), str(paths[3])]
    paths[0].unlink()
    assert gallery.models("sea")["lite"].path == paths[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.jpg", None, "cannot read .*none.jpg: No such file"),
        ("text.jpg", b"a text, not pixels", "text.jpg is not a picture that can be read"),
        ("text", b"a text, not pixels", "text is not a picture that can be read"),
        ("empty.png", b"", "empty.png is empty"),
        ("pickle.gif", b"\x80\x04N.", "pickle.gif is not a picture"),
    ],
)
def test_files_that_are_no_picture_are_refused(
    styles: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StyleError, match=message) as caught:
        Gallery([styles]).models(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_folder_with_the_suffix_of_a_picture_is_refused(styles: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(StyleError, match=r"folder.jpg is not a file; name the picture of a painting"):
        Gallery([styles]).models(str(tmp_path / "folder.jpg"))


def test_without_a_predictor_the_error_says_what_to_do(style_folder: Path, tmp_path: Path, picture: Path) -> None:
    with pytest.raises(StyleError, match=rf"cannot predict a style from .*: no network in {style_folder} has a predictor; train"):
        Gallery([style_folder]).models(str(picture))
    body = Gallery([style_folder]).models("ash")["lite"]
    write_predictor(tmp_path / "alone.lite-predictor.safetensors", body)  # without its body
    with pytest.raises(StyleError, match="has a predictor"):
        Gallery([tmp_path]).models(str(picture))


def test_predictor_of_the_first_folder_is_used(styles: Path, tmp_path: Path, picture: Path) -> None:
    bundled = load_rows(Gallery([styles]).models(str(picture))["lite"])
    folder = tmp_path / "mine"
    write_predictor(folder / "x.lite-predictor.safetensors", Gallery([styles]).models("ash")["lite"], seed=1)
    mine = load_rows(Gallery([folder, styles]).models(str(picture))["lite"])
    assert not np.array_equal(mine, bundled)
    assert np.array_equal(load_rows(Gallery([styles, folder]).models(str(picture))["lite"]), bundled)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mean", None, "lacks mean"),
        ("mean", np.zeros(5, np.float16), r"mean is \(5,\) F16, not \(1920,\) F16 or F32"),
        ("rows.bias", np.zeros(3, np.int8), r"rows.bias is \(3,\) I8"),
        ("hidden.2.weight", np.zeros(3, np.float16), "contains 'hidden.2.weight', which lite does not have"),
        ("scale", np.zeros(1920, np.float16), "not above 0"),
        ("mean", np.full(1920, np.nan, np.float16), "not finite"),
    ],
)
def test_invalid_predictor_files_are_refused(
    styles: Path, tmp_path: Path, name: str, value: "np.ndarray | None", message: str
) -> None:
    body = Gallery([styles]).models("ash")["lite"]
    tensors = {**random_tensors("lite"), name: value}
    path = tmp_path / "bad.lite-predictor.safetensors"
    found = {name: value for name, value in tensors.items() if value is not None}
    write_safetensors(path, found, {"format": FORMAT, "architecture": "lite", "body": body.body_hash})
    with pytest.raises(StyleError, match=message) as caught:
        load_predictor(read_header(path))
    assert path.name in str(caught.value)


def test_predictor_that_overflows_is_reported(styles: Path, tmp_path: Path, picture: Path) -> None:
    body = Gallery([styles]).models("ash")["lite"]
    tensors = {name: np.where(value > 0, 1e30, value.astype(np.float32)) for name, value in random_tensors("lite").items()}
    metadata = {"format": FORMAT, "architecture": "lite", "body": body.body_hash}
    path = tmp_path / "large.lite-predictor.safetensors"
    write_safetensors(path, {name: value.astype(np.float32) for name, value in tensors.items()}, metadata)
    with pytest.raises(StyleError, match=r"large.*predicts values that are not finite"):
        Gallery([tmp_path, styles]).models(str(picture))


def test_body_with_a_predictor_outlives_its_styles(styles: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("trees.lite-body", "ash.lite", "trees.lite-predictor"):
        shutil.copy(styles / f"{name}.safetensors", folder)
    removal = plan_removal(Gallery([folder]), "ash")
    assert removal.files == [folder / "ash.lite.safetensors"]
    assert removal.kept == {folder / "trees.lite-body.safetensors": ["trees.lite-predictor.safetensors"]}
