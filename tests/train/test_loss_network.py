"""The loss networks: layers equal to torchvision's, and errors for unusable weights files."""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from livestyle.errors import TrainingError
from livestyle.train.losses.loss_network import LossNetwork, layer_names, load_loss_network

MEAN = torch.tensor([123.68, 116.779, 103.939])[:, None, None]
# torchvision's features: the ReLU after each convolution
RELUS = {
    "vgg_16": {"conv1_2": 3, "conv2_2": 8, "conv3_3": 15, "conv4_3": 22},
    "vgg_19": {"conv1_2": 3, "conv2_2": 8, "conv3_3": 15, "conv3_4": 17, "conv4_3": 24, "conv5_1": 29},
}
BUILD = {"vgg_16": torchvision.models.vgg16, "vgg_19": torchvision.models.vgg19}


@pytest.fixture(scope="module")
def features() -> dict[str, torch.nn.Sequential]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        with torch.device("meta"):
            models = {name: build(weights=None).features for name, build in BUILD.items()}
        for name, model in models.items():
            models[name] = model.to_empty(device="cpu")
            for parameter in models[name].parameters():
                torch.nn.init.normal_(parameter, std=0.03)
    return models


@pytest.mark.parametrize("model", ["vgg_16", "vgg_19"])
def test_layers_equal_those_of_torchvision(model: str, features: dict[str, torch.nn.Sequential], tmp_path: Path) -> None:
    file = tmp_path / "vgg.safetensors"
    save_file({f"features.{key}": value for key, value in features[model].state_dict().items()}, file)
    layers = RELUS[model]
    network = load_loss_network(model, file, layers)
    x = torch.rand(2, 3, 33, 38, generator=torch.Generator().manual_seed(1))
    found = network(x, layers)
    with torch.no_grad():
        for layer, index in layers.items():
            torch.testing.assert_close(found[layer], features[model][: index + 1](x * 255 - MEAN), rtol=1e-4, atol=1e-3)


def test_only_the_needed_layers_are_built_and_read(features: dict[str, torch.nn.Sequential], tmp_path: Path) -> None:
    file = tmp_path / "vgg.safetensors"
    save_file({f"features.{key}": value for key, value in features["vgg_19"][:10].state_dict().items()}, file)
    network = load_loss_network("vgg_19", file, ["conv2_1"])
    assert list(network.convolutions) == ["conv1_1", "conv1_2", "conv2_1"]
    assert network(torch.rand(1, 3, 16, 16), ["conv1_1"]).keys() == {"conv1_1"}
    assert not any(parameter.requires_grad for parameter in network.parameters())
    with pytest.raises(TrainingError, match=r"does not contain vgg_19: features\.10\.weight \(256, 128, 3, 3\) is missing"):
        load_loss_network("vgg_19", file, ["conv3_1"])


def test_weights_that_are_not_finite_are_refused(features: dict[str, torch.nn.Sequential], tmp_path: Path) -> None:
    state = {f"features.{key}": value.clone() for key, value in features["vgg_16"][:3].state_dict().items()}
    state["features.2.bias"][0] = float("nan")
    save_file(state, tmp_path / "vgg.safetensors")
    with pytest.raises(TrainingError, match="not finite"):
        load_loss_network("vgg_16", tmp_path / "vgg.safetensors", ["conv1_2"])


def test_sixteenth_reads_its_own_keys(tmp_path: Path) -> None:
    reference = LossNetwork("vgg_19_sixteenth", ["conv2_1"])
    modules = {"conv0": reference.normalise} | {
        f"conv{name[4]}{name[6]}": convolution for name, convolution in reference.convolutions.items()
    }
    state = {f"{own}.{key}": value for own, module in modules.items() for key, value in module.state_dict().items()}
    assert {"conv0.weight", "conv11.bias", "conv12.weight", "conv21.weight"} < state.keys()
    save_file(state, tmp_path / "w.safetensors")
    network = load_loss_network("vgg_19_sixteenth", tmp_path / "w.safetensors", ["conv2_1"])
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(network(x, ["conv2_1"])["conv2_1"], reference(x, ["conv2_1"])["conv2_1"])
    assert network.convolutions["conv1_1"].padding_mode == "reflect"


def test_random_network_is_reproducible_and_keeps_the_size_of_activations() -> None:
    layers = layer_names("random")
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    first, again = (load_loss_network("random", None, layers)(x, layers) for _ in range(2))
    for layer in layers:
        assert torch.equal(first[layer], again[layer])
        assert 0.05 < first[layer].square().mean().sqrt() < 5


SSTABLE = b"\0" * 100 + bytes.fromhex("57fb808b247547db")
GRAPH = b"\x0a\x1e\x0a\x05input\x12\x0bPlaceholder"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("vgg_16.ckpt", SSTABLE, "a TensorFlow checkpoint"),
        ("renamed.safetensors", SSTABLE, "a TensorFlow checkpoint"),
        ("vgg_16.ckpt.data-00000-of-00001", b"\x01" * 99, "a TensorFlow checkpoint"),
        ("vgg_16.ckpt.index", SSTABLE, "a TensorFlow checkpoint"),
        ("frozen.pb", GRAPH, "a TensorFlow graph"),
        ("frozen.safetensors", GRAPH, "a TensorFlow graph"),
        ("vgg.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "a Keras or HDF5 file"),
        ("vgg.pth", b"PK\x03\x04" + b"\0" * 50, "a pickle"),
        ("old.pth", b"\x80\x02}q\x00." + b"\0" * 50, "a pickle"),
        ("empty.safetensors", b"", "an empty file"),
        ("text.safetensors", b"these are not weights", "not safetensors, or damaged"),
    ],
)
def test_error_names_the_format_and_the_option_to_use(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=f"is {kind}.*use --loss-model-file FILE.safetensors") as caught:
        load_loss_network("vgg_16", tmp_path / name, ["conv1_1"])
    assert "\n" not in str(caught.value)


def test_folder_in_place_of_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is a folder, which is not supported"):
        load_loss_network("vgg_16", tmp_path, ["conv1_1"])


def test_error_for_missing_weights_names_the_places_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match=r"vgg_19_sixteenth: .*none\.safetensors does not exist; name a safetensors file"):
        load_loss_network("vgg_19_sixteenth", tmp_path / "none.safetensors", ["conv1_1"])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # without an earlier download
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # nothing listens there
    with pytest.raises(TrainingError, match=r"vgg_16: .*vgg_16\.ckpt does not exist, and torchvision's download") as caught:
        load_loss_network("vgg_16", tmp_path / "pretrained/vgg_16.ckpt", ["conv1_1"])
    assert "\n" not in str(caught.value)
