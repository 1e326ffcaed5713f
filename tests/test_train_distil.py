"""The distillation of the bundled loss network, and how far that agrees with its teacher."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import livestyle.train.distil
from livestyle.train.content import read_picture
from livestyle.train.distil import LAYERS, Student, best_channels, distil, lesson, ridge
from livestyle.train.drawn import scenes, stripes, tiles
from livestyle.train.loss_network import LossNetwork, load_loss_network
from livestyle.train.losses import gram_matrix
from livestyle.train.yardstick import Yardstick, style_tensor

SHARED = Path(__file__).parent.parent.parent / "shared"
TEACHER = SHARED / "weights/vgg19_conv1_1-conv4_4.safetensors"


def random_teacher() -> LossNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LossNetwork("vgg_19", LAYERS).requires_grad_(False)


def random_student() -> Student:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        student = Student()
        for mapping in student.maps.values():
            torch.nn.init.normal_(mapping)
    return student


def test_best_channels_by_hand() -> None:
    a, b = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    activations = torch.stack([0.9 * a, a, a + 0.01 * b, b])
    # the longest is the third; what it leaves of the first two is next to nothing, of the fourth all
    assert best_channels(activations, 2).tolist() == [2, 3]


def test_ridge_finds_the_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, matrix = torch.randn(500, 4, generator=generator), torch.randn(4, 3, generator=generator)
    assert torch.allclose(ridge(inputs, inputs @ matrix), matrix, atol=1e-3)


def test_finished_network_has_the_distances_of_the_mapped_activations() -> None:
    student = random_student()
    network = LossNetwork("own", LAYERS)
    network.load_state_dict({name: torch.from_numpy(value).float() for name, value in student.finished().items()})
    x, y = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in LAYERS:
            mapped_x, mapped_y = (torch.einsum("tc,nchw->nthw", student.maps[layer], student(z)[layer]) for z in (x, y))
            distance = (network(x, LAYERS)[layer] - network(y, LAYERS)[layer]).norm()
            assert distance.item() == pytest.approx((mapped_x - mapped_y).norm().item(), rel=0.01)  # half precision


def test_lesson_against_the_activations_themselves() -> None:
    student, teacher = random_student(), random_teacher()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    parts = lesson(student, teacher, x)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found, wanted = student(x), teacher(x, LAYERS)
    for layer in LAYERS:
        mapped = torch.einsum("tc,nchw->nthw", student.maps[layer].double(), found[layer].double())
        theirs = wanted[layer].double()
        missed = (mapped - theirs).square().mean() / theirs.var()
        gram = gram_matrix(theirs).double()
        relative = ((gram_matrix(mapped).double() - gram).square().sum((1, 2)) / gram.square().sum((1, 2))).mean()
        assert parts[f"activations/{layer}"].item() == pytest.approx(missed.item(), rel=1e-2)
        assert parts[f"gram/{layer}"].item() == pytest.approx(relative.item(), rel=1e-2)


def test_distils_into_a_file_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CROP": 32, "STYLES": 4, "FIT_PHOTOS": 2, "FIT_SAMPLES": 2000}.items():
        monkeypatch.setattr(livestyle.train.distil, name, value)  # the real ones take a minute
    indices = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23]  # torchvision's
    state: dict[str, Tensor] = {}
    for index, convolution in zip(indices, random_teacher().convolutions.values(), strict=True):
        state |= {f"features.{index}.{key}": value for key, value in convolution.state_dict().items()}
    save_file(state, tmp_path / "vgg.safetensors")
    for folder, pictures in (("photos", scenes()[:3]), ("paintings", [stripes(), tiles()])):
        (tmp_path / folder).mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(tmp_path / folder / f"{number}.png"), picture)
    output = tmp_path / "own.safetensors"
    distil(tmp_path / "photos", tmp_path / "paintings", tmp_path / "vgg.safetensors", output, steps=2)
    network = load_loss_network("own", output, LAYERS)
    assert set(network(torch.rand(1, 3, 32, 32), LAYERS)) == set(LAYERS)
    assert output.stat().st_size < 2 * 2**20


def test_the_bundled_network_is_there_and_small() -> None:
    network = load_loss_network("own", None, LAYERS)
    found = network(torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0)), LAYERS)
    assert [tuple(found[layer].shape[1:]) for layer in LAYERS] == [(16, 40, 56), (32, 20, 28), (64, 10, 14), (160, 5, 7)]
    assert all(torch.isfinite(each).all() for each in found.values())


@pytest.mark.skipif(not TEACHER.is_file(), reason="../shared with VGG-19's weights is not there")
def test_the_bundled_network_agrees_with_its_teacher() -> None:
    """Which style pictures are alike, and how much: the relative style loss of each for each other."""
    found = (read_picture(path) for path in sorted((SHARED / "styles").glob("*.jpg")))  # candy, too, which it has never seen
    pictures = [cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA) for picture in found if picture is not None]
    small = [style_tensor(picture, 96) for picture in pictures]
    distances = []
    for network in (load_loss_network("own", None, LAYERS), load_loss_network("vgg_19", TEACHER, LAYERS)):
        yardstick = Yardstick(network)
        grams = [yardstick.grams(picture) for picture in small]
        pairs = [(x, grams[(number + step) % len(grams)]) for number, x in enumerate(small) for step in (1, 2, 3)]
        distances.append([yardstick.measure(x, x, style).style for x, style in pairs])
    own, teacher = np.log(np.array(distances) + 0.01)
    assert np.corrcoef(own, teacher)[0, 1] > 0.9
