"""Optimising a picture with L-BFGS, iteration by iteration, and `livestyle optimize`."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from livestyle.cli import cli
from livestyle.errors import InputError, OutputError, TooLargeError, TrainingError
from livestyle.pictures.reading import read_picture
from livestyle.pictures.writing import write_picture
from livestyle.train.content import drawn
from livestyle.train.content.crops import to_tensor
from livestyle.train.losses.perceptual import total_variation_loss
from livestyle.train.measure.optimize import Weights, check_memory, iterations_to_reach, noise_like, optimize_picture, total_loss
from livestyle.train.measure.yardstick import Yardstick, open_yardstick, style_tensor

WEIGHTS = Weights(content=1, style=2, tv=0.001)


@pytest.fixture(scope="module")
def yardstick() -> Yardstick:
    return open_yardstick("random", None, torch.device("cpu"))


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return to_tensor(drawn.draw_content("drawn:scenes")[0][100:148, 60:124])[None]  # (1, 3, 48, 64)


@pytest.fixture(scope="module")
def style(yardstick: Yardstick) -> dict[str, torch.Tensor]:
    return yardstick.grams(style_tensor(drawn.draw_style("drawn:stripes"), 64))


def test_total_is_the_weighted_sum(yardstick: Yardstick, photo: torch.Tensor, style: dict[str, torch.Tensor]) -> None:
    painted = photo.flip(1)
    measure = yardstick.measure(painted, photo, style)
    wanted = measure.content + 2 * measure.style + 0.001 * total_variation_loss(painted).item()
    assert total_loss(yardstick, painted, photo, style, WEIGHTS) == pytest.approx(wanted, rel=1e-5)


def test_starts_from_the_photo_and_lowers_the_total(
    yardstick: Yardstick, photo: torch.Tensor, style: dict[str, torch.Tensor]
) -> None:
    steps = list(itertools.islice(optimize_picture(yardstick, photo, style, WEIGHTS), 16))
    assert [step.iteration for step in steps] == list(range(16))
    assert torch.equal(steps[0].picture, photo)
    assert steps[0].content == 0
    assert steps[-1].total < 0.5 * steps[0].total
    for step in steps[::5]:  # the losses belong to the picture of the same step
        assert 0 <= step.picture.min() <= step.picture.max() <= 1
        assert step.total == pytest.approx(total_loss(yardstick, step.picture, photo, style, WEIGHTS), rel=1e-4)


def test_first_iteration_follows_the_negative_gradient(
    yardstick: Yardstick, photo: torch.Tensor, style: dict[str, torch.Tensor]
) -> None:
    first, second = itertools.islice(optimize_picture(yardstick, photo, style, Weights(1, 2, 0)), 2)
    x = photo.clone().requires_grad_()
    by_layer, content = yardstick.losses(x, yardstick.content(photo), style)
    (gradient,) = torch.autograd.grad((content + 2 * sum(by_layer.values(), torch.zeros(1))).sum(), x)
    wanted = (photo - gradient * min(1.0, 1 / gradient.abs().sum().item())).clamp(0, 1)  # torch's first step
    assert torch.allclose(second.picture, wanted, atol=1e-6)
    assert not torch.equal(first.picture, second.picture)


def test_iterations_are_counted_from_the_photo(
    yardstick: Yardstick, photo: torch.Tensor, style: dict[str, torch.Tensor]
) -> None:
    totals = [step.total for step in itertools.islice(optimize_picture(yardstick, photo, style, WEIGHTS), 13)]
    least = list(itertools.accumulate(totals, min))
    wanted = next(n for n, total in enumerate(least) if total <= least[-1])
    assert wanted > 8
    assert iterations_to_reach(least[-1], yardstick, photo, style, WEIGHTS, 12) == wanted
    assert iterations_to_reach(least[-1], yardstick, photo, style, WEIGHTS, wanted - 1) is None
    assert iterations_to_reach(totals[0], yardstick, photo, style, WEIGHTS, 5) == 0


def test_from_noise_the_content_loss_falls(yardstick: Yardstick, photo: torch.Tensor, style: dict[str, torch.Tensor]) -> None:
    noise = noise_like(photo)
    assert torch.equal(noise, noise_like(photo))
    *_, last = itertools.islice(optimize_picture(yardstick, photo, style, Weights(1, 0, 0), noise), 40)
    assert last.content < 0.25 * yardstick.measure(noise, photo, style).content


def test_losses_that_are_not_finite_raise(yardstick: Yardstick, photo: torch.Tensor, style: dict[str, torch.Tensor]) -> None:
    with pytest.raises(TrainingError, match="no longer finite at iteration 0; lower --style-weight"):
        next(optimize_picture(yardstick, photo, style, Weights(style=float("inf"))))


def test_picture_that_does_not_fit_the_memory_is_refused_with_a_size_that_does(yardstick: Yardstick) -> None:
    check_memory(yardstick, 64, 64)
    with pytest.raises(TooLargeError, match=r"300000x400000 needs about .* GiB to be optimised") as caught:
        check_memory(yardstick, 400_000, 300_000)
    assert caught.value.fits is not None
    check_memory(yardstick, *reversed(caught.value.fits))


def start(*words: str | Path, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "livestyle", "optimize", *map(str, words)],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with photo.png and stripes.png."""
    write_picture(tmp_path / "photo.png", drawn.draw_content("drawn:scenes")[0][:48, :64])
    write_picture(tmp_path / "stripes.png", drawn.draw_style("drawn:stripes"))
    return tmp_path


WORDS = ("photo.png", "--style-image", "stripes.png", "--style-size", "64", "--loss-model", "random", "--device", "cpu")


def test_optimize_command_paints(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    words = [*WORDS, "-o", "out.png", "--iterations", "8", "--from", "noise", "--size", "32", "--json"]
    cli.main(["optimize", *words], standalone_mode=False)
    shown = capfd.readouterr()
    summary = json.loads(shown.out)
    assert summary["written"] == "out.png"
    assert summary["iterations"] == 8
    assert summary["losses"].keys() == {"style", "content", "total"}
    assert read_picture(folder / "out.png").image.shape == (32, 43, 3)
    assert "8/8" in shown.err
    assert "style=" in shown.err


def test_ctrl_c_writes_the_best_picture_so_far(folder: Path) -> None:
    run = start(*WORDS, "-o", "out.png", "--iterations", "1000000", cwd=folder)
    assert run.stderr is not None
    shown = b""
    while not re.search(rb"[1-9]\d/1000000", shown):  # the bar, after ten iterations
        shown += (more := os.read(run.stderr.fileno(), 4096))
        assert more, shown
    run.send_signal(signal.SIGINT)
    _, err = run.communicate()
    assert run.returncode == 130
    assert "stopped after iteration" in err.splitlines()[-1]
    painted, original = (read_picture(folder / name).image for name in ("out.png", "photo.png"))
    assert painted.shape == original.shape
    assert np.abs(painted.astype(int) - original).mean() > 1


def test_errors_are_one_line(folder: Path) -> None:
    write_picture(folder / "grey.png", np.full((40, 40, 3), 90, np.uint8))
    write_picture(folder / "dot.png", np.full((1, 1, 3), 90, np.uint8))
    write_picture(folder / "strip.png", np.random.default_rng(0).integers(0, 256, (20, 900, 3)).astype(np.uint8))
    good, stripes, out = folder / "photo.png", folder / "stripes.png", folder / "out.png"
    cases = [
        (folder / "none.png", stripes, out, InputError, "cannot read .*none.png: No such file"),
        (good, folder / "none.png", out, InputError, "cannot read .*none.png: No such file"),
        (folder / "grey.png", stripes, out, TrainingError, "grey.png is of one colour"),
        (good, folder / "grey.png", out, TrainingError, "grey.png is of one colour"),
        (folder / "dot.png", stripes, out, TrainingError, "dot.png is too small, 1x1"),
        (good, folder / "dot.png", out, TrainingError, "dot.png is too small, 1x1"),
        (good, folder / "strip.png", out, TrainingError, "strip.png is a strip, 900x20"),
        (good, stripes, good, OutputError, "is the input itself"),
        (good, stripes, stripes, OutputError, "is the input itself"),
        (good, stripes, folder / "out.gif", OutputError, "cannot write .*out.gif"),
        (good, stripes, Path("-"), OutputError, "cannot write -:"),
    ]
    for photo, style_image, output, error, message in cases:
        words = ["optimize", str(photo), "--style-image", str(style_image), "-o", str(output), "--loss-model", "random"]
        with pytest.raises(error, match=message):
            cli.main(words, standalone_mode=False)
    words = ["optimize", str(good), "--style-image", str(stripes), "-o", str(out), "--loss-model", "vgg"]
    with pytest.raises(TrainingError, match="no loss network 'vgg'; choose from own, vgg_16"):
        cli.main(words, standalone_mode=False)
    assert not out.exists()
