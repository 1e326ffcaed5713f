"""The training loop: run the steps, log the losses, save checkpoints, and write the style files at the end."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from livestyle.errors import OutputError, TrainingError, printable
from livestyle.interrupt import ctrl_c_noted, ctrl_c_raised
from livestyle.train.checkpoint import BestParameters, describe_checkpoint, is_finite, remove_checkpoints, save_checkpoint
from livestyle.train.config import Config
from livestyle.train.export import export_styles, predictor_path
from livestyle.train.log import Log, NoLog, open_log
from livestyle.train.processes import Processes, join_processes
from livestyle.train.schedule import learning_rate_factor
from livestyle.train.setup import Setup, check_outputs, prepare, run_folder
from livestyle.train.step import paint_sample, training_step

BAR_EVERY, LOG_EVERY, CHECKPOINT_EVERY = 10, 50, 200  # steps; each is a multiple of the one before
FEW_STEPS = 500


@dataclass(frozen=True)
class Summary:
    """The result of a training."""

    styles: dict[str, Path]
    """The style files: style name -> path."""
    predictor: Path | None
    """The predictor's file; None without style pictures."""
    model: str
    """The name of the network's architecture."""
    folder: Path
    """The run's folder: log.txt, sample.jpg, TensorBoard events and the last checkpoint."""
    steps: int
    """The number of steps done, those of earlier calls included."""
    planned_steps: int
    """The number of steps planned: more than `steps` if the time limit was reached."""
    seconds: float
    """The duration of this call of `train`."""
    losses: dict[str, float]
    """Mean losses over the last steps, by name; empty if the run was already finished."""
    content_pictures: int
    skipped_pictures: tuple[str, ...]
    """The names of the content pictures that were tried and cannot be used: unreadable, of one colour, or too narrow."""


def print_warning(message: str) -> None:
    """Print a warning in one line on stderr."""
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
    """Train the styles of a conf file and write their style files into config.model_path.

    resume: continue from the run's last checkpoint, if there is one. The result equals that of an uninterrupted run, bit for
    bit, on the same machine. config.seconds limits each call separately. If the run is finished, only its style files are
    written again.
    overwrite: start again and replace an earlier run and its styles; without it, an earlier run or style raises OutputError.
    With resume, only the style files are replaced.
    quiet: no progress bar. preview: "file" updates the run's sample.jpg every few steps, "window" also shows it.
    warn: called with a line for each problem that does not end the training, such as a checkpoint that cannot be written.

    Ctrl-C saves a checkpoint after the current step, writes the styles with the parameters that had the lowest loss so far, and
    raises KeyboardInterrupt with a message that explains how to continue.
    If started by torchrun, all processes train together; all but the first print nothing and return None.
    Raises TrainingError if anything needed is missing, or the losses are no longer finite; OutputError if the folder cannot
    be written at the start, or the style files at the end.
    """
    fastest_kernels = torch.backends.cudnn.flags(enabled=True, benchmark=True)  # benchmarking pays off: all crops have one size
    with join_processes(device) as processes, ctrl_c_noted() as interrupted, fastest_kernels:
        if not processes.is_first:  # only the first process prints
            quiet, warn = True, _ignore
        try:
            return _train(config, processes, interrupted, resume, overwrite, quiet, preview, warn)
        except (RuntimeError, MemoryError) as error:
            reason = _explain(error)
            if reason is None:
                raise
            raise TrainingError(f"{reason}; {describe_checkpoint(run_folder(config))}") from error


def _train(
    config: Config,
    processes: Processes,
    interrupted: Callable[[], bool],
    resume: bool,
    overwrite: bool,
    quiet: bool,
    preview: str,
    warn: Callable[[str], None],
) -> Summary | None:
    started = time.monotonic()
    check_outputs(config, resume, overwrite)
    with ctrl_c_raised():
        setup = prepare(config, processes, resume)
    for note in setup.crops.notes:
        warn(note)
    training = Training(setup, interrupted, warn, sample_every=CHECKPOINT_EVERY if preview == "none" else BAR_EVERY)
    if setup.first_step < setup.total_steps:
        training.run(overwrite and not setup.is_resumed, quiet, preview == "window")
    skipped = processes.union(training.skipped)
    if not processes.is_first:
        return None
    return Summary(
        styles=training.export(),
        predictor=predictor_path(config),
        model=config.model,
        folder=run_folder(config),
        steps=training.step,
        planned_steps=max(setup.total_steps, training.step),
        seconds=time.monotonic() - started,
        losses=training.losses,
        content_pictures=len(setup.crops),
        skipped_pictures=tuple(setup.crops.name(number) for number in sorted(skipped)),
    )


class Training:
    """Runs the steps of one call of `train`, until the last step, the time limit or Ctrl-C.

    sample_every: the number of steps between two sample pictures.
    """

    def __init__(self, setup: Setup, interrupted: Callable[[], bool], warn: Callable[[str], None], sample_every: int) -> None:
        self.setup, self.interrupted, self.warn, self.sample_every = setup, interrupted, warn, sample_every
        self.folder = run_folder(setup.config)
        self.step = setup.first_step
        """The number of steps done, those of earlier calls included."""
        self.losses: dict[str, float] = {}
        """Mean losses over the steps since the last line of the log, by name."""
        self.skipped: set[int] = set()
        """The numbers of this process's content pictures that cannot be used."""
        self._recent: list[Tensor] = []  # the losses of the steps since the log's last line
        self._best = BestParameters(setup.painter)
        self._least_steps = max(1, math.ceil(setup.config.least_share * setup.total_steps))  # run even after the time limit
        self._elapsed_seconds = 0.0

    def run(self, start_again: bool, quiet: bool, window: bool) -> None:
        """Run the remaining steps. start_again: delete earlier checkpoints. window: show the samples in a window.

        Raises KeyboardInterrupt after Ctrl-C, once the style files are written.
        """
        setup, first_process = self.setup, self.setup.processes.is_first
        if setup.total_steps < FEW_STEPS and setup.config.finetune == "all":
            planned = "only 1 step is planned" if setup.total_steps == 1 else f"only {setup.total_steps} steps are planned"
            self.warn(f"{planned}; a style needs {FEW_STEPS} or more: raise --steps, or epoch in the conf file")
        model = setup.processes.wrap(setup.painter)
        batches = setup.load_batches()
        log: Log = open_log(self.folder, setup.first_step, window, self.warn) if first_process else NoLog()
        if start_again and first_process:
            remove_checkpoints(self.folder)  # after open_log, which raises OutputError if another training runs here
        if not quiet:
            print(printable(f"log.txt, sample.jpg and checkpoints: {self.folder}"), file=sys.stderr)
        bar = tqdm(
            batches,
            setup.config.naming,
            initial=setup.first_step,
            total=setup.total_steps,
            unit="step",
            disable=quiet,
            dynamic_ncols=True,
        )
        started = time.monotonic()
        try:
            for first_crop, batch in zip(setup.batch_starts, bar, strict=True):
                factor = learning_rate_factor(setup.config, self._progress())
                step_losses = training_step(setup, model, batch, first_crop, factor)
                self.step += 1
                self.skipped |= batch.skipped
                self._recent.append(torch.stack(list(step_losses.values())).detach())
                # the same on all processes, or their learning rates would differ
                self._elapsed_seconds = setup.processes.largest(time.monotonic() - started)
                is_last = self._is_last()
                stop = bool(setup.processes.largest(self.interrupted()))
                self._report(list(step_losses), bar, log, is_last, stop)
                if first_process:
                    self._save(log, is_last, stop)
                if stop and not is_last:
                    self._stop()
                if is_last and self.step < setup.total_steps:  # the time limit
                    break
        finally:
            bar.close()
            log.close()

    def _steps_of_call(self) -> int:
        return self.step - self.setup.first_step

    def _progress(self) -> float:
        """The progress of the training, 0 to 1: by steps or by time, whichever is higher.

        By time it is the share of the time limit, but at most the share of `_least_steps` that is done.
        """
        by_time = min(self._elapsed_seconds / self.setup.config.seconds, self._steps_of_call() / self._least_steps)
        return max(self.step / self.setup.total_steps, by_time)

    def _is_last(self) -> bool:
        time_is_up = self._elapsed_seconds >= self.setup.config.seconds and self._steps_of_call() >= self._least_steps
        return self.step == self.setup.total_steps or time_is_up

    def _report(self, names: list[str], bar: "tqdm[Any]", log: Log, is_last: bool, stop: bool) -> None:
        """Update the progress bar, the best parameters and the log. Raises TrainingError if the losses are not finite."""
        if self.step % BAR_EVERY == 0 or self._steps_of_call() == 1 or stop or is_last:
            before = self.losses
            self.losses = dict(zip(names, torch.stack(self._recent).mean(0).tolist(), strict=True))
            if not math.isfinite(self.losses["total"]):
                raise self._not_finite(before or self.losses)
            bar.set_postfix(self._bar_values(), refresh=False)
            self._best.update(float(torch.stack(self._recent[-BAR_EVERY:])[:, -1].mean()))
        if self.step % LOG_EVERY == 0 or is_last:
            log.losses(self.step, self.losses)
            self._recent.clear()

    def _bar_values(self) -> dict[str, str]:
        shown = ("total", "content_weight", "style_weight")
        values = {name.removesuffix("_weight"): f"{self.losses[name]:.3g}" for name in shown}
        return values | ({"unusable": str(len(self.skipped))} if self.skipped else {})

    def _save(self, log: Log, is_last: bool, stop: bool) -> None:
        """Save a checkpoint and a sample if they are due. Raises TrainingError if a parameter is not finite."""
        setup, painter = self.setup, self.setup.painter
        if self.step % CHECKPOINT_EVERY == 0 or stop or is_last:
            if not is_finite(painter, setup.optimizers):
                raise self._not_finite(self.losses)
            try:
                save_checkpoint(self.folder, self.step, painter, setup.optimizers, setup.config.styles)
            except OutputError as error:  # a full disk: the training continues without this checkpoint
                self.warn(f"{error}; {describe_checkpoint(self.folder)}")
        if self.step % self.sample_every == 0 or stop or is_last:
            pictures = paint_sample(setup)
            log.sample(self.step, pictures, setup.objective.yardstick_by_style(pictures.to(setup.device)))

    def _stop(self) -> None:
        """Write the styles with the best parameters so far, and raise KeyboardInterrupt."""
        self._best.restore()
        files = list(self.export().values()) if self.setup.processes.is_first else [self.folder]
        file, *others = files or [self.folder]
        raise KeyboardInterrupt(
            f"stopped after step {self.step} of {self.setup.total_steps}: the best so far is in {file}"
            f"{f' and {len(others)} more' if others else ''}; continue with --resume"
        )

    def export(self) -> dict[str, Path]:
        """Write the style files. Returns style name -> path. Raises OutputError, which also names the checkpoint."""
        try:
            return export_styles(self.setup.config, self.setup.painter, self.step)
        except OutputError as error:
            advice = f"{describe_checkpoint(self.folder)}: make room, and continue with --resume"
            raise OutputError(f"{error}; {advice}") from error

    def _not_finite(self, losses: dict[str, float]) -> TrainingError:
        """An error that names the weight with the largest share of the total loss; a share that is not finite is the largest."""
        shares = {name: loss if loss < math.inf else math.inf for name, loss in losses.items() if name.endswith("_weight")}
        weight = max(shares, key=shares.__getitem__)
        advice = f"lower {weight}, or learning_rate; {describe_checkpoint(self.folder)}"
        return TrainingError(f"the losses are no longer finite at step {self.step}; {advice}")


def _explain(error: Exception) -> str | None:
    """The cause of an error from PyTorch, and what to do; None for an unknown error, which is a bug in the program."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text or "not enough memory" in text:
        return "out of memory; lower batch_size, image_size or style_size in the conf file"
    if "DataLoader" in text:
        return f"the process that reads the content pictures has failed ({text.splitlines()[0]}); continue with --resume"
    return None


def _ignore(_message: str) -> None: ...
