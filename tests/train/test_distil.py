"""The distillation of the bundled loss network, and its agreement with the teacher."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import livestyle.train.distil
from livestyle.train.content.crops import try_read_picture
from livestyle.train.content.drawn import scenes, stripes, tiles
from livestyle.train.distil import LAYERS, distil, initialise_student, principal_components, student_losses
from livestyle.train.losses.loss_network import LossNetwork, load_loss_network
from livestyle.train.measure.yardstick import Yardstick, style_tensor

SHARED = Path(__file__).parents[3] / "shared"
TEACHER = SHARED / "weights/vgg19_conv1_1-conv4_4.safetensors"


def random_teacher() -> LossNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LossNetwork("vgg_19", LAYERS).requires_grad_(False)


def noise(seed: int) -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_principal_components_by_hand() -> None:
    a, b = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0])
    x = torch.stack([a, a, b])[None, :, None]  # three channels of 1 x 3: the first two are equal
    expected = torch.tensor([[0.0, 0.5**0.5], [0.0, 0.5**0.5], [1.0, 0.0]])  # the strongest comes last
    assert torch.allclose(principal_components(x, 2).abs(), expected, atol=1e-6)


def test_student_equals_the_teacher_if_no_component_is_dropped() -> None:
    """The factored convolutions are exact if activations have no more principal components than they keep."""
    teacher, student = random_teacher(), LossNetwork("own", LAYERS)
    with torch.no_grad():
        for name, convolution in teacher.convolutions.items():
            if name != "conv1_1":  # every fourth filter, four times
                for parameter in convolution.parameters():
                    parameter.copy_(parameter[::4].repeat_interleave(4, 0))
        first = teacher.convolutions["conv1_1"]
        for parameter in first.parameters():
            parameter.copy_(parameter[::4].repeat_interleave(4, 0))
        initialise_student(student, teacher, noise(0))
        for layer, activations in teacher(noise(1), LAYERS).items():
            assert torch.allclose(student(noise(1), LAYERS)[layer], activations, atol=1e-3 * float(activations.abs().max()))


def test_student_losses_are_0_for_the_teacher_and_1_for_a_zero_network() -> None:
    teacher, blind = random_teacher(), LossNetwork("vgg_19", LAYERS)
    for parameter in blind.parameters():
        torch.nn.init.zeros_(parameter)
    assert max(student_losses(teacher, teacher, noise(0)).values()) < 1e-9
    parts = student_losses(blind, teacher, noise(0))
    assert all(parts[f"gram/{layer}"].item() == pytest.approx(1) for layer in LAYERS)  # |0 - G|^2 / |G|^2
    assert all(parts[f"activations/{layer}"] >= 1 for layer in LAYERS)  # > 1: the mean is part of the error


def test_distils_into_a_file_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CROP": 32, "STYLES": 4, "FIT_PHOTOS": 2}.items():
        monkeypatch.setattr(livestyle.train.distil, name, value)  # the real values take a minute
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
    further = tmp_path / "further.safetensors"
    distil(tmp_path / "photos", tmp_path / "paintings", tmp_path / "vgg.safetensors", further, steps=1, seed=1, start=output)
    before, after = load_file(output), load_file(further)
    assert all(torch.allclose(after[name], before[name], atol=2e-3) for name in before)  # one step from the weights in output
    assert any(not torch.equal(after[name], before[name]) for name in before)


def test_bundled_network_has_the_expected_layers() -> None:
    network = load_loss_network("own", None, LAYERS)
    found = network(torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0)), LAYERS)
    assert [tuple(found[layer].shape[1:]) for layer in LAYERS] == [(64, 40, 56), (128, 20, 28), (256, 10, 14), (512, 5, 7)]
    assert all(torch.isfinite(each).all() for each in found.values())


@pytest.mark.skipif(not TEACHER.is_file(), reason="needs VGG-19's weights in ../shared")
def test_bundled_network_agrees_with_its_teacher() -> None:
    """Both networks give similar relative style losses for pairs of style pictures."""
    found = (try_read_picture(path) for path in sorted((SHARED / "styles").glob("*.jpg")))  # also the unseen candy
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
