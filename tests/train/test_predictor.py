"""The predictor in training computes what inference computes, and the style pictures that it is trained on."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from livestyle.errors import TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.prediction.statistics import LAYERS, style_statistics
from livestyle.style_files.file_format import load_predictor, read_header, write_predictor_file
from livestyle.train.content import drawn
from livestyle.train.content.crops import to_tensor
from livestyle.train.content.style_pictures import StylePictures
from livestyle.train.losses.loss_network import load_loss_network
from livestyle.train.predictor import SMALL, Predictor, picture_statistics


def test_statistics_equal_those_of_inference() -> None:
    picture = drawn.tiles()[:, :200]
    picture = cv2.resize(picture, (256, 328), interpolation=cv2.INTER_CUBIC)
    with torch.no_grad():
        features = load_loss_network("own", None, LAYERS)(to_tensor(picture)[None], LAYERS)
    found = picture_statistics(features)
    assert found.shape == (1, 1920)
    assert np.abs(found[0].numpy() - style_statistics(picture, "tiles")).max() < 2e-3


def test_predictor_file_predicts_the_same_in_inference(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = TransformerNetwork(ARCHITECTURES["lite"])
    predictor = Predictor(network.plain_rows())
    assert not predictor.is_normalised
    statistics = 3 * torch.rand(5, 1920)
    predictor.normalise(statistics)
    assert predictor.is_normalised
    path = tmp_path / "seven.lite-predictor.safetensors"
    write_predictor_file(path, network.body(), predictor.tensors(), {"training": {"steps": 3}})
    assert read_header(path).info == {"training": '{"steps": 3}'}
    inference = load_predictor(read_header(path))
    again = Predictor.of(inference.tensors)
    with torch.no_grad():
        trained, loaded = (each(statistics) for each in (predictor, again))
    assert trained.shape == (5, *network.plain_rows().shape)
    assert (trained - loaded).abs().max() < 2e-3  # half precision
    for number in range(5):
        assert np.allclose(inference(statistics[number].numpy()), loaded[number].numpy(), atol=1e-5)


def test_new_predictor_predicts_about_the_given_rows() -> None:
    torch.manual_seed(0)
    rows = torch.randn(2, 30)
    with torch.no_grad():
        predicted = Predictor(rows)(torch.randn(8, 1920))
    assert 0 < (predicted - rows).abs().mean() < SMALL
    assert (predicted[0] - predicted[1]).abs().max() > 0


@pytest.fixture
def paintings(tmp_path: Path) -> Path:
    (tmp_path / "paintings/more").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "paintings/a.png"), drawn.tiles()[:90])
    cv2.imwrite(str(tmp_path / "paintings/more/b.JPG"), drawn.stripes()[:, :70])
    cv2.imwrite(str(tmp_path / "paintings/white.png"), np.full((80, 80, 3), 255, np.uint8))
    cv2.imwrite(str(tmp_path / "paintings/strip.png"), np.tile(drawn.stripes()[:2], (1, 5, 1)))
    (tmp_path / "paintings/broken.jpg").write_text("no picture")
    return tmp_path / "paintings"


def test_style_pictures_are_varied_and_depend_on_seed_and_number_only(paintings: Path) -> None:
    pictures = StylePictures(paintings, seed=0)
    first = [pictures.variation(number) for number in range(24)]
    assert all(picture.shape == (3, 256, 256) and 0 <= picture.min() < picture.max() <= 1 for picture in first)
    assert len({picture.numpy().tobytes() for picture in first}) > 12
    again = StylePictures(paintings, seed=0)
    assert torch.equal(again.variation(5), first[5])
    assert not torch.equal(StylePictures(paintings, seed=1).variation(5), first[5])


def test_subfolders_of_style_pictures_are_drawn_equally_often(paintings: Path) -> None:
    for number in range(20):
        (paintings / f"more/{number}.png").touch()
    pictures, rng = StylePictures(paintings, 0), np.random.default_rng(0)
    orders = [pictures.order(rng) for _ in range(200)]
    assert 70 < sum(order[0].parent == paintings for order in orders) < 130
    assert all(sorted(order[1:]) == pictures.paths for order in orders)


def test_folder_without_usable_style_pictures_is_an_error(paintings: Path) -> None:
    (paintings / "none").mkdir()
    with pytest.raises(TrainingError, match=r"no style pictures in .*none \(\.jpg"):
        StylePictures(paintings / "none", 0)
    for name in ("a.png", "more/b.JPG"):
        (paintings / name).unlink()
    with pytest.raises(TrainingError, match=r"none of the 3 style pictures in .* can be read and has several colours"):
        StylePictures(paintings, 0).variation(0)
