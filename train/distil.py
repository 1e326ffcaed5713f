"""Distils VGG-19 into the bundled loss network, `own`: a ninth of its weights, 2 MB in half precision.

    python -m livestyle.train.distil --content photos --pictures paintings --teacher vgg19.safetensors -o loss_network.safetensors

The student has the teacher's activations, all of them, but makes them by narrow convolutions. These begin as the
teacher's own, cut down to the principal components of what they see and of what they respond. Then they
learn to give the teacher's activations and Gram matrices: on photos, on style pictures, and on
paintings by a `lite` that is trained against the student at the same time, and begun anew now and then.
Whatever a transformer network finds that pleases the student and not the teacher, the student is then
taught: without that, `lite` soon paints what only the student takes for the style (docs/log.md).

The bundled one had 1,000 steps when this was done by Adam, and 1,400 more since, with --start and --seed 1.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from tqdm import tqdm

from livestyle.errors import TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.pictures.reading import READ_SUFFIXES
from livestyle.style_files.file_format import write_safetensors
from livestyle.train.content.crops import ContentCrops, collate, read_picture, start_worker, to_image, to_tensor
from livestyle.train.content.variations import variation
from livestyle.train.losses.loss_network import POOLED, LossNetwork, load_loss_network
from livestyle.train.losses.perceptual import gram_matrix, relative_content_loss, relative_style_loss
from livestyle.train.optimizers import optimizers_of, take_step
from livestyle.train.painter import Painter

LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
STYLES = 64  # that the painter learns, of the pictures and of variations of them
CROP = 128  # pixels
BATCH = 3  # photos, style pictures and paintings a step: three of each
LEARNING_RATE, PAINTER_RATE = 5e-4, 3e-3
PAINTER_STEPS = 500  # then a new one is begun
FIT_PHOTOS = 16  # for the first cut
LOG_EVERY, SAVE_EVERY = 25, 200


def distil(
    content: Path, pictures: Path, teacher_file: Path, output: Path, steps: int, seed: int = 0, start: Path | None = None
) -> None:
    """Distil, and write `output` (safetensors) and its log beside it. Raises TrainingError for what is missing.

    start: a student's weights, to go on from; else it is cut from the teacher.
    """
    torch.manual_seed(seed)
    crops = ContentCrops(content, CROP, 2.0, seed)
    styles = style_pictures(pictures, crops, seed)  # (S, 3, 256, 256)
    teacher = load_loss_network("vgg_19", teacher_file, LAYERS).to(memory_format=torch.channels_last)
    if start is None:
        student = LossNetwork("own", LAYERS)
        photos = torch.stack([crops[number][0] for number in range(FIT_PHOTOS)])
        cut(student, teacher, torch.cat([photos, F.interpolate(styles, CROP, mode="area")[:FIT_PHOTOS]]))
    else:
        student = load_loss_network("own", start, LAYERS).requires_grad_(True)
    student = student.to(memory_format=torch.channels_last)
    optimizers = optimizers_of(student.convolutions, LEARNING_RATE)
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
                painter = Painter(TransformerNetwork(ARCHITECTURES["lite"]), len(styles)).to(memory_format=torch.channels_last)
                paints = optimizers_of(painter, PAINTER_RATE)
            chosen = torch.from_numpy(rng.integers(len(styles), size=BATCH))
            top, left = rng.integers(styles.shape[2] - CROP + 1, size=2).tolist()
            style = styles[chosen, :, top : top + CROP, left : left + CROP]
            painted = fool(student, painter, paints, photo, style, chosen)
            parts = lesson(student, teacher, torch.cat([photo, style, painted]).contiguous(memory_format=torch.channels_last))
            student.zero_grad()
            torch.autograd.backward(torch.stack(list(parts.values())).sum())
            take_step(optimizers, 0.5 * (1 + math.cos(math.pi * step / steps)))
            recent.append(torch.stack(list(parts.values())).detach())
            if (step + 1) % LOG_EVERY == 0:
                means = dict(zip(parts, torch.stack(recent).mean(0).tolist(), strict=True))
                log.write(f"step {step + 1} " + " ".join(f"{name} {mean:.4f}" for name, mean in means.items()) + "\n")
                recent.clear()
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
                state = {name: value.detach().half().numpy() for name, value in student.state_dict().items()}
                write_safetensors(output, state, {"teacher": "vgg_19", "steps": str(step + 1)})


def style_pictures(folder: Path, crops: ContentCrops, seed: int) -> Tensor:
    """The folder's pictures and variations of them, (S, 3, 256, 256) in [0, 1]."""
    read = (read_picture(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in READ_SUFFIXES)
    pictures = [picture for picture in read if picture is not None]
    if not pictures:
        raise TrainingError(f"no style pictures in {folder}")
    images = (variation(number, pictures, to_image(crops[number][0]), seed) for number in range(STYLES))
    return torch.stack([to_tensor(image) for image in images])


def fool(
    student: LossNetwork, painter: Painter, optimizers: list[Optimizer], photo: Tensor, style: Tensor, chosen: Tensor
) -> Tensor:
    """One step of the painter towards what the student takes for the style; its paintings, (N, 3, H, W)."""
    with torch.autocast("cpu", torch.bfloat16):
        painted, _ = painter(photo.contiguous(memory_format=torch.channels_last), chosen)
        found = student(painted, LAYERS)
        with torch.no_grad():
            content, targets = student(photo, ["conv3_3"]), student(style, LAYERS)
    loss = relative_content_loss(found["conv3_3"], content["conv3_3"])
    for layer in LAYERS:
        loss = loss + 4 * relative_style_loss(found[layer], gram_matrix(targets[layer]))
    painter.zero_grad()
    torch.autograd.backward(loss.mean())  # also into the student, whose own step starts with zero_grad
    take_step(optimizers, 1)
    done: Tensor = painted.detach().float()
    return done


def lesson(student: LossNetwork, teacher: LossNetwork, x: Tensor) -> dict[str, Tensor]:
    """What the student misses of the teacher's activations, over their variance, and of its Gram matrices."""
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            wanted = teacher(x, LAYERS)
        found = student(x, LAYERS)
    parts = {}
    for layer in LAYERS:
        theirs = wanted[layer].float()
        parts[f"activations/{layer}"] = (found[layer].float() - theirs).square().mean() / theirs.var()
        parts[f"gram/{layer}"] = relative_style_loss(found[layer], gram_matrix(wanted[layer])).mean()
    return parts


@torch.no_grad()
def cut(student: LossNetwork, teacher: LossNetwork, x: Tensor) -> None:
    """Start the student from the teacher. x: (N, 3, H, W) in [0, 1].

    What a convolution W sees is cut to its principal components V, and what it responds, with mean m, to U:
    W x + b is about U (U' W V) V' x + U U' (b - m) + m.
    """
    student.normalise.load_state_dict(teacher.normalise.state_dict())
    x = teacher.normalise(x)
    for name, taught in teacher.convolutions.items():
        narrow = student.convolutions[name]
        if name in POOLED:
            x = F.max_pool2d(x, 2)
        response: Tensor = taught(x)
        if isinstance(narrow, nn.Sequential):
            weight, bias = taught.get_parameter("weight"), taught.get_parameter("bias")
            seen = components(x, narrow.get_parameter("0.weight").shape[0])
            mean = response.mean((0, 2, 3))
            made = components(response - mean[:, None, None], narrow.get_parameter("2.weight").shape[1])
            narrow.get_parameter("0.weight").copy_(seen.T[:, :, None, None])
            narrow.get_parameter("1.weight").copy_(torch.einsum("op,oihw,ij->pjhw", made, weight, seen))
            narrow.get_parameter("2.weight").copy_(made[:, :, None, None])
            narrow.get_parameter("2.bias").copy_(made @ (made.T @ (bias - mean)) + mean)
        else:
            narrow.load_state_dict(taught.state_dict())
        x = response.relu()


def components(x: Tensor, count: int) -> Tensor:
    """The first principal directions of (N, C, H, W) over all places, (C, count), orthonormal."""
    flat = x.transpose(0, 1).flatten(1).double()  # (C, N H W)
    directions: Tensor = torch.linalg.eigh(flat @ flat.T).eigenvectors[:, -count:]
    return directions.float()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of style pictures")
    parser.add_argument("--teacher", type=Path, required=True, help="VGG-19's weights, safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to go on from, with another seed; else the teacher's, cut down")
    words = parser.parse_args()
    distil(words.content, words.pictures, words.teacher, words.output, words.steps, words.seed, words.start)
