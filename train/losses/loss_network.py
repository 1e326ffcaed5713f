"""The networks that losses are measured in: frozen, their ReLU activations named conv1_1, conv1_2 ...

vgg_16 and vgg_19 (Simonyan and Zisserman 2015) take RGB 0-255 minus the ImageNet mean, as the
original program's weights do; torchvision's IMAGENET1K_FEATURES weights are of that convention.
vgg_19_sixteenth is a VGG-19 with a quarter of the channels (Collaborative Distillation, Wang et
al. 2020), about a sixteenth of the arithmetic: it trains on a CPU. random has its shape and needs
no file: filters drawn at random see colour and texture too, but no things (He et al. 2016, "A
Powerful Generative Model Using Random Weights for the Deep Image Representation"). own is bundled
and needs no file: a VGG-19 whose convolutions are factored, about a ninth of its weights, distilled by
livestyle.train.distil.
"""

import importlib.resources
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from livestyle.errors import TrainingError
from livestyle.train.losses.weights_file import kind_of_file

MEAN_255 = (123.68, 116.779, 103.939)
DEPTHS = {
    "own": (2, 2, 4, 3), "vgg_16": (2, 2, 3, 3, 3), "vgg_19": (2, 2, 4, 4, 4),
    "vgg_19_sixteenth": (2, 2, 4, 4), "random": (2, 2, 4, 4),
}  # fmt: skip
WIDTHS = {
    "own": (64, 128, 256, 512), "vgg_16": (64, 128, 256, 512, 512), "vgg_19": (64, 128, 256, 512, 512),
    "vgg_19_sixteenth": (16, 32, 64, 128), "random": (16, 32, 64, 128),
}  # fmt: skip
POOLED = ("conv2_1", "conv3_1", "conv4_1", "conv5_1")  # come after a pool
NARROWER = 4  # times: own's convolutions see and make so many fewer channels than its activations have
LOSS_MODELS = tuple(DEPTHS)


def layer_names(model: str) -> list[str]:
    """conv1_1, conv1_2, conv2_1 ...: block and number, in the order in which they run."""
    return [f"conv{block}_{number}" for block, depth in enumerate(DEPTHS[model], 1) for number in range(1, depth + 1)]


def narrow_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """To fewer channels, 3 x 3, and to all: about a ninth of a convolution's weights and work (Kim et al. 2016, Tucker-2)."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs // NARROWER, 1, bias=False),
        nn.Conv2d(inputs // NARROWER, outputs // NARROWER, 3, padding=1, bias=False),
        nn.Conv2d(outputs // NARROWER, outputs, 1),
    )


class LossNetwork(nn.Module):
    """RGB in [0, 1], (N, 3, H, W) -> {layer: activations after ReLU, (N, C, h, w)}, built no deeper than `layers`."""

    def __init__(self, model: str, layers: Iterable[str]) -> None:
        super().__init__()
        names = layer_names(model)
        deepest = max(names.index(layer) for layer in layers)
        self.normalise = nn.Conv2d(3, 3, 1)
        self.convolutions = nn.ModuleDict()
        inputs = 3
        for name in names[: deepest + 1]:
            width = WIDTHS[model][int(name[4]) - 1]
            if model == "own" and inputs > 3:
                self.convolutions[name] = narrow_convolution(inputs, width)
            else:
                self.convolutions[name] = nn.Conv2d(
                    inputs, width, 3, padding=1, padding_mode="reflect" if model == "vgg_19_sixteenth" else "zeros"
                )
            inputs = width

    def forward(self, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        x = self.normalise(x)
        for name, convolution in self.convolutions.items():
            if name in POOLED:
                x = F.max_pool2d(x, 2)
            x = F.relu(convolution(x))
            if name in wanted:
                found[name] = x
                if len(found) == len(wanted):
                    break
        return found


def load_loss_network(model: str, file: Path | None, layers: Iterable[str]) -> LossNetwork:
    """The network with its weights: from the file (safetensors), or torchvision's own hash-checked download.

    The file's keys are torchvision's (`features.0.weight`), or Collaborative Distillation's
    (`conv11.weight`), or for own this network's. Raises TrainingError that says where the weights were looked for and
    how to get them.
    """
    network = LossNetwork(model, layers)
    if model == "own" and file is None:
        file = Path(str(importlib.resources.files("livestyle.train.losses"))) / "loss_network.safetensors"
    if model == "random":
        state = _random_state(network)
    elif file is not None and file.exists():
        state = _read(model, file, network)
    elif model == "own":
        raise TrainingError(f"no weights for own: {file} does not exist; leave --loss-model-file out to take the bundled ones")
    elif model == "vgg_19_sixteenth":
        looked = f"{file} does not exist" if file else "the conf file names no loss_model_file"
        raise TrainingError(
            f"no weights for {model}: {looked}; name a safetensors file with --loss-model-file (the weights are "
            "on github.com/MingSun-Tse/Collaborative-Distillation), or take --loss-model vgg_16"
        )
    else:
        state = _download(model, file, network)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _keys(model: str, network: LossNetwork) -> dict[str, str]:
    """Our parameters' names -> their keys in the weights' files."""
    if model == "own":
        return {name: name for name in network.state_dict()}
    keys: dict[str, str] = {}
    index = 0  # torchvision counts convolutions, ReLUs and pools
    for name in network.convolutions:
        index += name in POOLED
        own = f"conv{name[4]}{name[6]}" if model == "vgg_19_sixteenth" else f"features.{index}"
        keys |= {f"convolutions.{name}.{part}": f"{own}.{part}" for part in ("weight", "bias")}
        index += 2
    if model == "vgg_19_sixteenth":
        keys |= {"normalise.weight": "conv0.weight", "normalise.bias": "conv0.bias"}
    return keys


def _caffe_normalisation() -> dict[str, Tensor]:
    """[0, 1] -> 0-255 minus the mean."""
    return {"normalise.weight": torch.eye(3)[:, :, None, None] * 255, "normalise.bias": -torch.tensor(MEAN_255)}


def _read(model: str, file: Path, network: LossNetwork) -> dict[str, Tensor]:
    """Read what the network needs of the file and nothing else, once its names and shapes are seen to fit."""
    try:
        with safe_open(file, framework="pt") as weights:
            there = set(weights.keys())
            state = {}
            for name, key in _keys(model, network).items():
                shape = tuple(network.state_dict()[name].shape)
                if key not in there or tuple(weights.get_slice(key).get_shape()) != shape:
                    raise TrainingError(f"{file} does not hold {model}: {key} {shape} is missing or of another shape")
                state[name] = weights.get_tensor(key).float()
    except (SafetensorError, OSError, ValueError) as error:
        raise TrainingError(
            f"{file} is {kind_of_file(file)}, which is not read; use --loss-model-file FILE.safetensors (torchvision's keys), "
            "or take loss_model_file out of the conf file to download torchvision's weights"
        ) from error
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise TrainingError(f"{file} holds numbers that are not finite; the file is broken")
    return state if "normalise.weight" in state else state | _caffe_normalisation()


def _random_state(network: LossNetwork) -> dict[str, Tensor]:
    """The same numbers every time: filters that sum to nothing, so that edges and colours count rather than
    brightness, scaled so that activations neither grow nor fade (He et al. 2015)."""
    generator = torch.Generator().manual_seed(0)
    state = {"normalise.weight": torch.eye(3)[:, :, None, None] * 4, "normalise.bias": torch.full((3,), -2.0)}
    for name, value in network.convolutions.state_dict(prefix="convolutions.").items():
        if name.endswith("weight"):  # (outputs, inputs, 3, 3)
            filters = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
            state[name] = filters - filters.mean((1, 2, 3), keepdim=True)
        else:
            state[name] = torch.zeros_like(value)
    return state


def _download(model: str, file: Path | None, network: LossNetwork) -> dict[str, Tensor]:
    from torchvision.models import VGG16_Weights, VGG19_Weights  # slow to import

    choice = VGG16_Weights.IMAGENET1K_FEATURES if model == "vgg_16" else VGG19_Weights.IMAGENET1K_V1
    try:
        weights = choice.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # urllib's, socket's, or torch's own: all mean that there are no weights
        looked = f"{file} does not exist, and " if file is not None else ""
        reason = " ".join(str(error).split())
        raise TrainingError(
            f"no weights for {model}: {looked}torchvision's download from {choice.url} failed ({reason}); bring a safetensors "
            "file with torchvision's keys and name it with --loss-model-file, or use --loss-model own, which is bundled"
        ) from error
    state = {name: weights[key].float() for name, key in _keys(model, network).items()} | _caffe_normalisation()
    if model == "vgg_19":  # these take RGB / 255 over the ImageNet deviation: fold that into the first convolution
        deviation = torch.tensor([0.229, 0.224, 0.225]) * 255
        state["convolutions.conv1_1.weight"] = state["convolutions.conv1_1.weight"] / deviation[None, :, None, None]
    return state
