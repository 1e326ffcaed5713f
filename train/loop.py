"""The training loop: paint crops, measure the losses, step."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from livestyle.errors import OutputError, TrainingError, printable
from livestyle.interrupt import ctrl_c_noted, ctrl_c_raised
from livestyle.train.checkpoint import is_finite, load_checkpoint, remove_checkpoints, save_checkpoint, steps_in
from livestyle.train.config import Config
from livestyle.train.content.crops import ContentCrops, collate, start_worker
from livestyle.train.export import body_file, export_styles, style_files_of
from livestyle.train.log import Log, NoLog, open_log
from livestyle.train.losses.loss_network import load_loss_network
from livestyle.train.losses.temporal import Motion
from livestyle.train.objective import Objective, style_pictures
from livestyle.train.optimizers import optimizers_of, take_step
from livestyle.train.painter import Painter, new_painter
from livestyle.train.processes import Alone, joined

BAR_EVERY, LOG_EVERY, CHECKPOINT_EVERY = 10, 50, 200  # steps, each a multiple of the one before
PREVIEWS = ("none", "file", "window")
FEW_STEPS = 500
BATCH_TIMEOUT_SECONDS = 300  # a worker that finds no shared memory sends nothing, and no error


@dataclass(frozen=True)
class Summary:
    """What a run came to."""

    styles: dict[str, Path]  # style's name -> its file
    model: str  # the network
    folder: Path  # of log.txt, sample.jpg, TensorBoard's events and the last checkpoint
    steps: int
    planned_steps: int  # more than `steps` where the time was up before
    seconds: float  # of this call
    losses: dict[str, float]  # means over the last steps, by name; none if there was nothing left to train
    content_pictures: int
    skipped_pictures: tuple[str, ...]  # the names of those met that cannot be used: unreadable, of one colour, or strips


def print_warning(message: str) -> None:
    """A line on stderr."""
    print(printable(f"warning: {message}"), file=sys.stderr)


def train(
    config: Config,
    device: torch.device,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    preview: str = "none",
    warn: Callable[[str], None] = print_warning,
) -> Summary | None:
    """Run the whole training and write the style files into config.model_path.

    resume: go on from the run's last checkpoint, if there is one, to the same numbers as a run never
    stopped (config.seconds count from each call); one that has its steps already is only written out. overwrite:
    start anew over an earlier run and its styles, which is an OutputError otherwise; with resume, over the styles
    alone. quiet: no progress bar. preview: "file" renews the run's sample.jpg every few steps, "window" shows it too.

    Ctrl-C saves a checkpoint after the step, writes the styles as they were at their best so far, and raises
    KeyboardInterrupt, whose text says how to go on. A checkpoint or log that cannot be written is a warning, and the
    training goes on.
    Started by torchrun, all processes train together; all but the first print nothing and return None.
    Raises TrainingError for anything missing, and if the losses stop being finite; OutputError if the folder cannot be
    written at the start, or the styles at the end.
    """
    fastest = torch.backends.cudnn.flags(enabled=True, benchmark=True)  # its kernels, as crops are all of one size
    with joined(device) as processes, ctrl_c_noted() as interrupted, fastest:
        if processes.rank > 0:  # only the first speaks
            quiet, warn = True, _say_nothing
        try:
            return _train(config, processes, interrupted, resume, overwrite, quiet, preview, warn)
        except (RuntimeError, MemoryError) as error:
            reason = _reason(error)
            if reason is None:
                raise
            raise TrainingError(f"{reason}; {_kept(run_folder(config))}") from error


def run_folder(config: Config) -> Path:
    """Where a run keeps its log and checkpoints."""
    return config.model_path / f"{config.naming}.{config.model}"


def _train(
    config: Config,
    processes: Alone,
    interrupted: Callable[[], bool],
    resume: bool,
    overwrite: bool,
    quiet: bool,
    preview: str,
    warn: Callable[[str], None],
) -> Summary | None:
    started = time.monotonic()
    device, first_process = processes.device, processes.rank == 0
    folder = run_folder(config)
    _check_outputs(config, folder, resume, overwrite)
    with ctrl_c_raised():
        crops = ContentCrops(config.content, config.image_size, config.zoom, config.seed)
        crops_a_step = config.batch_size * processes.count
        total_steps = config.steps or max(1, config.epoch * len(crops) // crops_a_step)
        total_crops = total_steps * crops_a_step
        sample = crops[0][0][None].to(device)  # (1, 3, size, size); raises if no picture is of use
        layers = [*config.content_layers, *config.style_layers]
        loss_network = load_loss_network(config.loss_model, config.loss_model_file, layers)
        loss_network = loss_network.to(device).to(memory_format=torch.channels_last)
        objective = Objective(config, loss_network, style_pictures(config, crops), device)

        painter = new_painter(config).to(device).to(memory_format=torch.channels_last)
        optimizers = optimizers_of(painter, config.learning_rate, config.rows_learning_rate)
        done = steps_in(folder) if resume else []
        first = done[-1] if done else 0
        if done:
            load_checkpoint(folder, first, painter, optimizers, config.styles)
    for note in crops.notes:
        warn(note)
    left = first < total_steps
    if left and total_steps < FEW_STEPS and config.finetune == "all":
        planned = "only 1 step is planned" if total_steps == 1 else f"only {total_steps} steps are planned"
        warn(f"{planned}; a style needs {FEW_STEPS} or more: raise --steps, or epoch in the conf file")
    model = processes.wrap(painter) if left else painter
    half = uses_bf16(config.precision, device)

    # crop number i goes to one place whatever the number of processes, and wears style i modulo their number
    starts = range(first * crops_a_step + processes.rank * config.batch_size, total_crops, crops_a_step)
    batches = DataLoader(
        crops,
        batch_sampler=Batches(starts, config.batch_size),
        collate_fn=collate,
        num_workers=1 if device.type == "cpu" else min(8, os.cpu_count() or 1),
        worker_init_fn=start_worker,
        timeout=BATCH_TIMEOUT_SECONDS,
        pin_memory=device.type == "cuda",
    )
    log: Log = open_log(folder, first, preview == "window", warn) if first_process and left else NoLog()
    sample_every = CHECKPOINT_EVERY if preview == "none" else BAR_EVERY
    if overwrite and not done and first_process:
        remove_checkpoints(folder)
    hidden = quiet or not left
    if not hidden:
        print(printable(f"log.txt, sample.jpg and checkpoints: {folder}"), file=sys.stderr)
    bar = tqdm(batches, config.naming, initial=first, total=total_steps, unit="step", disable=hidden, dynamic_ncols=True)
    recent: list[Tensor] = []  # the losses of the steps since the last line of the log
    means: dict[str, float] = {}
    unusable: set[int] = set()
    best = Best(painter)
    least_steps = max(1, math.ceil(config.least_share * total_steps))  # of this call, however long they take
    begun, elapsed_seconds, step = time.monotonic(), 0.0, first
    try:
        for (step, start), (photo, skipped) in zip(enumerate(starts, first + 1), bar, strict=True):
            time_share = min(elapsed_seconds / config.seconds, (step - 1 - first) / least_steps)
            progress = max((step - 1) / total_steps, time_share)
            photo = photo.to(device, memory_format=torch.channels_last, non_blocking=True)  # (N, 3, size, size)
            styles = [style_of(number, config, total_crops) for number in range(start, start + config.batch_size)]
            style = torch.tensor(styles).to(device, non_blocking=True)  # (N,)
            motion = Motion(config.batch_size if config.steady_weight else 0, config.image_size, config.seed + start, device)
            copies = motion.copies(photo[: len(motion.grid)])
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                both, overshoot = model(torch.cat([photo, copies]), torch.cat([style, style[: len(copies)]]))
                painted, painted_copies = both[: len(photo)], both[len(photo) :]
                parts = objective(painted, photo, style, overshoot, painted_copies, motion)
            painter.zero_grad()
            torch.autograd.backward(parts["total"])
            take_step(optimizers, decayed(config, progress))

            unusable |= skipped
            recent.append(torch.stack(list(parts.values())).detach())
            elapsed_seconds = processes.largest(time.monotonic() - begun)  # or their learning rates would differ
            last = step == total_steps or (elapsed_seconds >= config.seconds and step - first >= least_steps)
            stop = bool(processes.largest(interrupted()))
            if step % BAR_EVERY == 0 or step == first + 1 or stop or last:
                before, means = means, dict(zip(parts, torch.stack(recent).mean(0).tolist(), strict=True))
                _check_finite(means, before, step, folder)
                bar.set_postfix(_for_the_bar(means, unusable), refresh=False)
                best.note(float(torch.stack(recent[-BAR_EVERY:])[:, -1].mean()))
            if step % LOG_EVERY == 0 or last:
                log.losses(step, means)
                recent.clear()
            if (step % CHECKPOINT_EVERY == 0 or stop or last) and first_process:
                if not is_finite(painter, optimizers):
                    raise _not_finite(means, step, folder)
                try:
                    save_checkpoint(folder, step, painter, optimizers, config.styles)
                except OutputError as error:  # a full disk: the painter is worth more than its copy
                    warn(f"{error}; {_kept(folder)}")
            if (step % sample_every == 0 or stop or last) and first_process:
                pictures = _paint_sample(painter, sample, len(config.styles), half)
                log.sample(step, pictures, objective.by_style(pictures.to(device)))
            if stop and not last:
                best.restore()
                file, *others = _export(config, painter, step, folder).values() if first_process else [folder]
                raise KeyboardInterrupt(
                    f"stopped after step {step} of {total_steps}: the best so far is in {file}"
                    f"{f' and {len(others)} more' if others else ''}; continue with --resume"
                )
            if last and step < total_steps:  # its time is up
                break
    finally:
        bar.close()
        log.close()

    unusable = processes.union(unusable)
    if not first_process:
        return None
    steps = max(first, step)
    return Summary(
        styles=_export(config, painter, steps, folder),
        model=config.model,
        folder=folder,
        steps=steps,
        planned_steps=max(total_steps, steps),
        seconds=time.monotonic() - started,
        losses=means,
        content_pictures=len(crops),
        skipped_pictures=tuple(crops.name(number) for number in sorted(unusable)),
    )


class Batches:
    """The numbers of each step's crops, not all in memory at once. starts: of each step's first crop."""

    def __init__(self, starts: range, size: int) -> None:
        self.starts, self.size = starts, size

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(range(start, start + self.size)) for start in self.starts)


def style_of(number: int, config: Config, crops: int) -> int:
    """The style that a crop wears: each named one in turn, and, if there are extra ones, in the first half of all `crops`
    every third time one of those. The other half is the named ones' alone: extra ones would hold them back to the end."""
    if not config.extra_styles or number >= crops // 2:
        return number % len(config.styles)
    if number % 3 == 2:
        return len(config.styles) + number // 3 % config.extra_styles
    return (number - number // 3) % len(config.styles)


class Best:
    """The painter's trained numbers when its loss was least."""

    def __init__(self, painter: Painter) -> None:
        self.trained = [parameter for parameter in painter.parameters() if parameter.requires_grad]
        self.loss, self.values = math.inf, [parameter.detach().clone() for parameter in self.trained]

    def note(self, loss: float) -> None:
        """Keep the numbers if this is the least loss so far."""
        if loss < self.loss:
            self.loss, self.values = loss, [parameter.detach().clone() for parameter in self.trained]

    def restore(self) -> None:
        """Put the kept numbers back."""
        for parameter, value in zip(self.trained, self.values, strict=True):
            parameter.data.copy_(value)


def decayed(config: Config, progress: float) -> float:
    """What is left, 1 to 0, of a learning rate at a share, 0 to 1, of the training: all, or half of a cosine's period."""
    if config.learning_rate_decay == "none":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1)))


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16. `auto`: where the device has units for it; elsewhere it is slower than fp32."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch has no public ones
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)


def _export(config: Config, painter: Painter, steps: int, folder: Path) -> dict[str, Path]:
    """As `export`. Raises OutputError that says what is kept."""
    try:
        return export_styles(config, painter, steps)
    except OutputError as error:
        raise OutputError(f"{error}; {_kept(folder)}: make room, and continue with --resume") from error


def _reason(error: Exception) -> str | None:
    """What PyTorch's errors mean that are none of ours; None if it is a fault of the program."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text or "not enough memory" in text:
        return "out of memory; lower batch_size, image_size or style_size in the conf file"
    if "DataLoader" in text:
        return f"the process that reads the content pictures has failed ({text.splitlines()[0]}); continue with --resume"
    return None


def _say_nothing(_message: str) -> None: ...


def _check_outputs(config: Config, folder: Path, resume: bool, overwrite: bool) -> None:
    """Raises OutputError if a run or style of this name is there and nobody said what to do with it."""
    steps = steps_in(folder)
    if overwrite or (resume and steps):
        return
    if steps:
        raise OutputError(f"{folder} holds a run of {steps[-1]} steps; continue with --resume, or start again with --overwrite")
    for path in [*style_files_of(config).values(), body_file(config)]:
        try:
            there = path is not None and path.exists()
        except OSError as error:  # a folder that is closed, a name that is too long
            raise OutputError(f"cannot write {path}: {error.strerror}; name another place with --model-path") from error
        if there:
            raise OutputError(f"{path} exists; replace it with --overwrite, or choose another --name")


def _for_the_bar(means: dict[str, float], unusable: set[int]) -> dict[str, str]:
    losses = {name.removesuffix("_weight"): f"{means[name]:.3g}" for name in ("total", "content_weight", "style_weight")}
    return losses | ({"unusable": str(len(unusable))} if unusable else {})


def _check_finite(means: dict[str, float], before: dict[str, float], step: int, folder: Path) -> None:
    """Raises TrainingError if a loss is not finite. before: the means when they last were."""
    if not math.isfinite(means["total"]):
        raise _not_finite(before or means, step, folder)


def _not_finite(means: dict[str, float], step: int, folder: Path) -> TrainingError:
    """Blames the weight with the largest share of the loss, one that is not finite first."""
    shares = {name: mean if mean < math.inf else math.inf for name, mean in means.items() if name.endswith("_weight")}
    weight = max(shares, key=shares.__getitem__)
    return TrainingError(f"the losses are no longer finite at step {step}; lower {weight}, or learning_rate; {_kept(folder)}")


def _kept(folder: Path) -> str:
    """What can be gone on from."""
    steps = steps_in(folder)
    return f"the checkpoint of step {steps[-1]} is kept in {folder}" if steps else f"there is no checkpoint yet in {folder}"


@torch.no_grad()
def _paint_sample(painter: Painter, sample: Tensor, styles: int, half: bool) -> Tensor:
    """The sample photo, (1, 3, H, W), and what each style makes of it -> (1 + S, 3, H, W) in [0, 1], on the CPU."""
    with torch.autocast(sample.device.type, torch.bfloat16, enabled=half):
        painted = [painter(sample, torch.tensor([style], device=sample.device))[0] for style in range(styles)]
    return torch.cat([sample, *painted]).float().cpu()
