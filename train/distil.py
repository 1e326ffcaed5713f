"""Distils VGG-19 into the bundled loss network, `own`: about a sixteenth of its arithmetic, 1.5 MB in half precision.

    python -m livestyle.train.distil --content photos --pictures paintings --teacher vgg19.safetensors -o loss_network.safetensors

The student starts from the teacher, layer by layer: its channels are those of the teacher's that the
others are best made from, and its filters a least-squares fit to them. Then it learns by Adam to give the
teacher's activations through a matrix at each measured layer (as in Collaborative Distillation, Wang
et al. 2020), and the teacher's Gram matrices. It does so on photos, on style pictures, and on paintings
by a `lite` that is trained against the student at the same time, and begun anew now and then: whatever
a transformer network finds that pleases the student and not the teacher, the student is then taught.
Without that, `lite` soon paints what only the student takes for the style (docs/log.md).
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from livestyle.architecture import ARCHITECTURES
from livestyle.errors import TrainingError
from livestyle.network import Transformer
from livestyle.style import write_atomically
from livestyle.train.content import PICTURES, ContentCrops, collate, read_picture, start_worker, to_image, to_tensor
from livestyle.train.loss_network import MEASURED, WIDTHS, LossNetwork, load_loss_network
from livestyle.train.losses import gram_matrix, relative_content_loss, relative_style_loss
from livestyle.train.painter import Painter
from livestyle.train.variations import variation

LAYERS = MEASURED["own"]
STYLES = 64  # that the painter learns, of the pictures and of variations of them
CROP = 128  # pixels
BATCH = 4  # photos, style pictures and paintings a step: four of each
LEARNING_RATE, PAINTER_RATE = 1.5e-3, 3e-3
PAINTER_STEPS = 700  # then a new one is begun
FIT_PHOTOS, FIT_SAMPLES = 24, 24_000  # for the first fit
LOG_EVERY, SAVE_EVERY = 50, 500


class Student(nn.Module):
    """The loss network, and the maps from its activations to the teacher's: (teacher's channels, its own) a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.network = LossNetwork("own", LAYERS)
        shapes = {layer: (WIDTHS["vgg_19"][int(layer[4]) - 1], WIDTHS["own"][int(layer[4]) - 1]) for layer in LAYERS}
        self.maps = nn.ParameterDict({layer: nn.Parameter(torch.zeros(shape)) for layer, shape in shapes.items()})
        for layer in LAYERS:  # the maps' part while it learns; `finished` fills it in
            nn.init.dirac_(self.network.measures.get_parameter(f"{layer}.weight"))
        self.network.measures.requires_grad_(False)
        self.network.normalise.requires_grad_(False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) in [0, 1] -> its activations, not yet mapped."""
        found: dict[str, Tensor] = self.network(x, LAYERS)
        return found

    def finished(self) -> dict[str, np.ndarray]:
        """The loss network's state in half precision.

        A map A enters distances only as |A x| = |R x|, where A = Q R with orthogonal columns in Q: R, as small as the
        student, takes its place.
        """
        state = {name: value.detach() for name, value in self.network.state_dict().items()}
        for layer, mapping in self.maps.items():
            upper = torch.linalg.qr(mapping.detach().double()).R.float()
            state[f"measures.{layer}.weight"] = upper[:, :, None, None]
        return {name: value.half().numpy() for name, value in state.items()}


def distil(content: Path, pictures: Path, teacher_file: Path, output: Path, steps: int, seed: int = 0) -> None:
    """Distil, and write `output` (safetensors) and its log beside it. Raises TrainingError for what is missing."""
    torch.manual_seed(seed)
    crops = ContentCrops(content, CROP, 2.0, seed)
    styles = style_pictures(pictures, crops, seed)  # (S, 3, 256, 256)
    teacher = load_loss_network("vgg_19", teacher_file, LAYERS).to(memory_format=torch.channels_last)
    student = Student()
    photos = torch.stack([crops[number][0] for number in range(FIT_PHOTOS)])
    fit(student, teacher, torch.cat([photos, F.interpolate(styles, CROP, mode="area")[:FIT_PHOTOS]]))
    student = student.to(memory_format=torch.channels_last)
    learned = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=LEARNING_RATE)
    batches = DataLoader(
        crops,
        batch_sampler=[list(range(step * BATCH, (step + 1) * BATCH)) for step in range(steps)],
        collate_fn=collate,
        num_workers=1,
        worker_init_fn=start_worker,
    )
    rng = np.random.default_rng(seed)
    recent: list[Tensor] = []
    with output.with_suffix(".log.txt").open("a", encoding="utf-8", buffering=1) as log:
        for step, (photo, _) in enumerate(tqdm(batches, "distil", unit="step")):
            if step % PAINTER_STEPS == 0:
                painter = Painter(Transformer(ARCHITECTURES["lite"]), len(styles)).to(memory_format=torch.channels_last)
                paints = torch.optim.Adam(painter.parameters(), lr=PAINTER_RATE)
            chosen = torch.from_numpy(rng.integers(len(styles), size=BATCH))
            top, left = rng.integers(styles.shape[2] - CROP + 1, size=2).tolist()
            style = styles[chosen, :, top : top + CROP, left : left + CROP]
            painted = fool(student, painter, paints, photo, style, chosen)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            parts = lesson(student, teacher, torch.cat([photo, style, painted]).contiguous(memory_format=torch.channels_last))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(torch.stack(list(parts.values())).sum())
            optimizer.step()
            recent.append(torch.stack(list(parts.values())).detach())
            if (step + 1) % LOG_EVERY == 0:
                means = dict(zip(parts, torch.stack(recent).mean(0).tolist(), strict=True))
                log.write(f"step {step + 1} " + " ".join(f"{name} {mean:.4f}" for name, mean in means.items()) + "\n")
                recent.clear()
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
                write_atomically(student.finished(), {"teacher": "vgg_19", "steps": str(step + 1)}, output)


def style_pictures(folder: Path, crops: ContentCrops, seed: int) -> Tensor:
    """The folder's pictures and variations of them, (S, 3, 256, 256) in [0, 1]."""
    read = (read_picture(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURES)
    pictures = [picture for picture in read if picture is not None]
    if not pictures:
        raise TrainingError(f"no style pictures in {folder}")
    images = (variation(number, pictures, to_image(crops[number][0]), seed) for number in range(STYLES))
    return torch.stack([to_tensor(image) for image in images])


def fool(student: Student, painter: Painter, optimizer: torch.optim.Adam, photo: Tensor, style: Tensor, chosen: Tensor) -> Tensor:
    """One step of the painter towards what the student takes for the style; its paintings, (N, 3, H, W)."""
    with torch.autocast("cpu", torch.bfloat16):
        painted = painter(photo.contiguous(memory_format=torch.channels_last), chosen)
        found = student(painted)
        with torch.no_grad():
            content, targets = student(photo), student(style)
    uppers = {layer: torch.linalg.qr(student.maps[layer].detach()).R for layer in LAYERS}
    loss = relative_content_loss(measured(found, "conv3_3", uppers), measured(content, "conv3_3", uppers))
    for layer in LAYERS:
        loss = loss + 4 * relative_style_loss(measured(found, layer, uppers), gram_matrix(measured(targets, layer, uppers)))
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss.mean())  # also into the student, whose own step starts with zero_grad
    optimizer.step()
    done: Tensor = painted.detach().float()
    return done


def measured(found: dict[str, Tensor], layer: str, uppers: dict[str, Tensor]) -> Tensor:
    """The layer's activations as the finished network gives them, (N, C, h, w)."""
    return F.conv2d(found[layer].float(), uppers[layer][:, :, None, None])


def lesson(student: Student, teacher: LossNetwork, x: Tensor) -> dict[str, Tensor]:
    """What the student misses of the teacher's activations, over their variance, and of its Gram matrices.

    Both come from products of activations averaged over places, which are small, instead of from the activations
    themselves in the teacher's width: the mean of |A f - t|^2 is tr(A ff' A') - 2 tr(A ft') + tr(tt').
    """
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            wanted = teacher(x, LAYERS)
        found = student(x)
    parts = {}
    for layer in LAYERS:
        mapping = student.maps[layer]
        mine, theirs = found[layer].float().flatten(2), wanted[layer].float().flatten(2)  # (N, c, h w), (N, C, h w)
        places = mine.shape[2]
        own, across, gram = (a @ b.transpose(1, 2) / places for a, b in ((mine, mine), (mine, theirs), (theirs, theirs)))
        mapped = mapping @ own @ mapping.T  # (N, C, C)
        variance = gram.diagonal(dim1=1, dim2=2).mean() - theirs.mean().square()
        missed = (mapped - 2 * mapping @ across + gram).diagonal(dim1=1, dim2=2).mean()
        parts[f"activations/{layer}"] = missed / variance
        parts[f"gram/{layer}"] = ((mapped - gram).square().sum((1, 2)) / gram.square().sum((1, 2))).mean()
    return parts


@torch.no_grad()
def fit(student: Student, teacher: LossNetwork, x: Tensor) -> None:
    """Start the student: each layer the least-squares fit to the teacher's channels that the rest are best made from."""
    student.network.normalise.load_state_dict(teacher.normalise.state_dict())
    x = teacher.normalise(x)
    taught = x
    generator = torch.Generator().manual_seed(0)
    for name, taught_convolution in teacher.convolutions.items():
        convolution = student.network.convolutions[name]
        assert isinstance(convolution, nn.Conv2d)
        if name in ("conv2_1", "conv3_1", "conv4_1"):
            x, taught = F.max_pool2d(x, 2), F.max_pool2d(taught, 2)
        before: Tensor = taught_convolution(taught)
        taught = before.relu()
        places = torch.randint(taught[:, 0].numel(), (FIT_SAMPLES,), generator=generator)
        chosen = best_channels(taught.transpose(0, 1).flatten(1)[:, places], convolution.out_channels)
        side = x.shape[3]
        padded = F.pad(x, (1, 1, 1, 1))
        picture, rest = places // (side * side), places % (side * side)
        row, column = rest // side, rest % side
        offsets = torch.arange(3)
        patches = padded[picture[:, None, None], :, (row[:, None] + offsets)[:, :, None], (column[:, None] + offsets)[:, None]]
        inputs = torch.cat([patches.permute(0, 3, 1, 2).flatten(1), torch.ones(len(places), 1)], 1)  # (samples, 9 C + 1)
        solved = ridge(inputs, before.transpose(0, 1).flatten(1)[chosen][:, places].T)  # (9 C + 1, outputs)
        convolution.weight.copy_(solved[:-1].T.reshape(convolution.weight.shape))
        convolution.get_parameter("bias").copy_(solved[-1])
        x = F.relu(convolution(x))
        if name in LAYERS:
            mine, theirs = (found.transpose(0, 1).flatten(1)[:, places].T for found in (x, taught))
            student.maps[name].copy_(ridge(mine, theirs).T)


def best_channels(activations: Tensor, count: int) -> Tensor:
    """The channels, of (C, samples), from which the others are best made: greedily, the one with most left over each time."""
    rest = activations.double() @ activations.double().T / activations.shape[1]  # (C, C), a pivoted Cholesky factorisation's rest
    chosen = []
    for _ in range(count):
        best = int(rest.diagonal().argmax())
        chosen.append(best)
        rest = rest - torch.outer(rest[best], rest[best]) / rest[best, best].clamp_min(1e-12)
    return torch.tensor(chosen)


def ridge(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Least squares with a little weight on small coefficients: (samples, I) and (samples, O) -> (I, O)."""
    inputs, outputs = inputs.double(), outputs.double()
    square = inputs.T @ inputs
    square += torch.eye(len(square)) * square.diagonal().mean() * 1e-4
    solved: Tensor = torch.linalg.solve(square, inputs.T @ outputs)
    return solved.float()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of style pictures")
    parser.add_argument("--teacher", type=Path, required=True, help="VGG-19's weights, safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    words = parser.parse_args()
    distil(words.content, words.pictures, words.teacher, words.output, words.steps)
