"""Distil VGG-19 (the teacher) into the bundled loss network, `own` (the student), with a ninth of the weights (2 MB in fp16).

    python -m livestyle.train.distil --content photos --pictures paintings --teacher vgg19.safetensors -o loss_network.safetensors

The student approximates the teacher's activations with factored convolutions. These are initialised from the teacher's
convolutions, projected onto the principal components of their inputs and outputs. Then they are trained to reproduce the
teacher's activations and Gram matrices: on photos, on style pictures, and on paintings by a `lite` network (the painter). The
painter is trained at the same time, with the student as its loss network, and is initialised again every 500 steps. Its
paintings are adversarial examples: without them, `lite` soon learns to paint what looks like the style to the student only
(docs/log.md).

The bundled weights were trained for 1,000 steps with Adam, then, with --start and --seed 1, for 1,400 steps with the optimizers
used now.
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
from livestyle.pictures.formats import READ_SUFFIXES
from livestyle.style_files.file_format import write_safetensors
from livestyle.train.content.crops import ContentCrops, collate, init_worker, to_image, to_tensor, try_read_picture
from livestyle.train.content.variations import variation
from livestyle.train.losses.loss_network import POOLED, LossNetwork, load_loss_network
from livestyle.train.losses.perceptual import gram_matrix, relative_content_loss, relative_style_loss
from livestyle.train.optimizers import make_optimizers, step_optimizers
from livestyle.train.painter import Painter

LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")
PAINTER_MODEL = "lite"
STYLES = 64  # of the painter: variations of the style pictures
CROP = 128  # pixels
BATCH = 3  # a step has 3 photos, 3 style pictures and 3 paintings
LEARNING_RATE, PAINTER_RATE = 5e-4, 3e-3
PAINTER_STEPS = 500  # then the painter is initialised again
FIT_PHOTOS = 16  # photos, and as many style pictures, for the principal components
LOG_EVERY, SAVE_EVERY = 25, 200


def distil(
    content: Path, pictures: Path, teacher_file: Path, output: Path, steps: int, seed: int = 0, start: Path | None = None
) -> None:
    """Distil the teacher. Writes the student's weights to `output` (safetensors), and a log beside it with the suffix .log.txt.

    start: a student's weights to continue from; None to initialise from the teacher.
    Raises TrainingError if pictures or weights cannot be used.
    """
    torch.manual_seed(seed)
    crops = ContentCrops(content, CROP, 2.0, seed)
    styles = read_style_pictures(pictures, crops, seed)  # (S, 3, 256, 256)
    teacher = load_loss_network("vgg_19", teacher_file, LAYERS).to(memory_format=torch.channels_last)
    if start is None:
        student = LossNetwork("own", LAYERS)
        photos = torch.stack([crops[number][0] for number in range(FIT_PHOTOS)])
        initialise_student(student, teacher, torch.cat([photos, F.interpolate(styles, CROP, mode="area")[:FIT_PHOTOS]]))
    else:
        student = load_loss_network("own", start, LAYERS).requires_grad_(True)
    student = student.to(memory_format=torch.channels_last)
    optimizers = make_optimizers(student.convolutions, LEARNING_RATE)
    batches = DataLoader(
        crops,
        batch_sampler=[list(range(step * BATCH, (step + 1) * BATCH)) for step in range(steps)],
        collate_fn=collate,
        num_workers=1,
        worker_init_fn=init_worker,
    )
    rng = np.random.default_rng(seed)
    recent: list[Tensor] = []
    with output.with_suffix(".log.txt").open("a", encoding="utf-8", buffering=1) as log:
        for step, (photo, _) in enumerate(tqdm(batches, "distil", unit="step")):
            if step % PAINTER_STEPS == 0:
                painter = Painter(TransformerNetwork(ARCHITECTURES[PAINTER_MODEL]), len(styles))
                painter = painter.to(memory_format=torch.channels_last)
                painter_optimizers = make_optimizers(painter, PAINTER_RATE)
            chosen = torch.from_numpy(rng.integers(len(styles), size=BATCH))
            top, left = rng.integers(styles.shape[2] - CROP + 1, size=2).tolist()
            style = styles[chosen, :, top : top + CROP, left : left + CROP]
            painted = painter_step(student, painter, painter_optimizers, photo, style, chosen)
            batch = torch.cat([photo, style, painted]).contiguous(memory_format=torch.channels_last)
            parts = student_losses(student, teacher, batch)
            student.zero_grad()
            torch.autograd.backward(torch.stack(list(parts.values())).sum())
            step_optimizers(optimizers, 0.5 * (1 + math.cos(math.pi * step / steps)))
            recent.append(torch.stack(list(parts.values())).detach())
            if (step + 1) % LOG_EVERY == 0:
                means = dict(zip(parts, torch.stack(recent).mean(0).tolist(), strict=True))
                log.write(f"step {step + 1} " + " ".join(f"{name} {mean:.4f}" for name, mean in means.items()) + "\n")
                recent.clear()
            if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
                state = {name: value.detach().half().numpy() for name, value in student.state_dict().items()}
                write_safetensors(output, state, {"teacher": "vgg_19", "steps": str(step + 1)})


def read_style_pictures(folder: Path, crops: ContentCrops, seed: int) -> Tensor:
    """Make variations of a folder's pictures, (S, 3, 256, 256) in [0, 1]. Raises TrainingError if no picture can be read."""
    read = (try_read_picture(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in READ_SUFFIXES)
    pictures = [picture for picture in read if picture is not None]
    if not pictures:
        raise TrainingError(f"no style pictures in {folder}")
    images = (variation(number, pictures, to_image(crops[number][0]), seed) for number in range(STYLES))
    return torch.stack([to_tensor(image) for image in images])


def painter_step(
    student: LossNetwork, painter: Painter, optimizers: list[Optimizer], photo: Tensor, style: Tensor, chosen: Tensor
) -> Tensor:
    """Train the painter for one step with the student as loss network. Returns its paintings, (N, 3, H, W) in [0, 1].

    photo, style: (N, 3, H, W) in [0, 1]. chosen: the indices of the styles, (N,).
    """
    with torch.autocast("cpu", torch.bfloat16):
        painted, _ = painter(photo.contiguous(memory_format=torch.channels_last), chosen)
        found = student(painted, LAYERS)
        with torch.no_grad():
            content, targets = student(photo, ["conv3_3"]), student(style, LAYERS)
    loss = relative_content_loss(found["conv3_3"], content["conv3_3"])
    for layer in LAYERS:
        loss = loss + 4 * relative_style_loss(found[layer], gram_matrix(targets[layer]))
    painter.zero_grad()
    torch.autograd.backward(loss.mean())  # also adds to the student's gradients, which are cleared before its own step
    step_optimizers(optimizers, 1)
    result: Tensor = painted.detach().float()
    return result


def student_losses(student: LossNetwork, teacher: LossNetwork, x: Tensor) -> dict[str, Tensor]:
    """Compute the student's errors for pictures x, (N, 3, H, W) in [0, 1]. Returns name -> scalar.

    For each layer: the mean squared error of the activations, divided by their variance; and the relative squared error of the
    Gram matrices.
    """
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            targets = teacher(x, LAYERS)
        found = student(x, LAYERS)
    parts = {}
    for layer in LAYERS:
        target = targets[layer].float()
        parts[f"activations/{layer}"] = (found[layer].float() - target).square().mean() / target.var()
        parts[f"gram/{layer}"] = relative_style_loss(found[layer], gram_matrix(targets[layer])).mean()
    return parts


@torch.no_grad()
def initialise_student(student: LossNetwork, teacher: LossNetwork, x: Tensor) -> None:
    """Initialise the student's factored convolutions from the teacher. x: sample pictures, (N, 3, H, W) in [0, 1].

    The input x of a convolution W x + b is projected onto its principal components V, and its output, which has the mean m, onto
    U. So W x + b is approximately U (U' W V) V' x + U U' (b - m) + m.
    """
    student.normalise.load_state_dict(teacher.normalise.state_dict())
    x = teacher.normalise(x)
    for name, convolution in teacher.convolutions.items():
        factored = student.convolutions[name]
        if name in POOLED:
            x = F.max_pool2d(x, 2)
        response: Tensor = convolution(x)
        if isinstance(factored, nn.Sequential):
            weight, bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")
            inputs = principal_components(x, factored.get_parameter("0.weight").shape[0])
            mean = response.mean((0, 2, 3))
            outputs = principal_components(response - mean[:, None, None], factored.get_parameter("2.weight").shape[1])
            factored.get_parameter("0.weight").copy_(inputs.T[:, :, None, None])
            factored.get_parameter("1.weight").copy_(torch.einsum("op,oihw,ij->pjhw", outputs, weight, inputs))
            factored.get_parameter("2.weight").copy_(outputs[:, :, None, None])
            factored.get_parameter("2.bias").copy_(outputs @ (outputs.T @ (bias - mean)) + mean)
        else:
            factored.load_state_dict(convolution.state_dict())
        x = response.relu()


def principal_components(x: Tensor, count: int) -> Tensor:
    """Compute the strongest principal components of x, (N, C, H, W), not centred -> (C, count), orthonormal, strongest last."""
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
    parser.add_argument("--start", type=Path, help="weights to continue from, with another seed; default: the teacher's")
    arguments = parser.parse_args()
    distil(
        arguments.content,
        arguments.pictures,
        arguments.teacher,
        arguments.output,
        arguments.steps,
        arguments.seed,
        arguments.start,
    )
