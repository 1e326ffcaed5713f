"""The training loop, with tiny settings: pictures drawn by code, the random loss network, crops of 32 pixels."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from livestyle.errors import OutputError, TrainingError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.architecture import Architecture
from livestyle.networks.body import Body
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.prediction.predictor import tensor_shapes
from livestyle.prediction.statistics import style_statistics
from livestyle.style_files.file_format import body_hash, load_body, load_predictor, load_rows, read_header, write_predictor_file
from livestyle.style_files.gallery import Gallery, bundled_folder
from livestyle.style_files.thumbnail import load_thumbnail
from livestyle.train.checkpoint import BestParameters, is_finite
from livestyle.train.config import read_config
from livestyle.train.content import drawn
from livestyle.train.export import export_styles, with_rescaled_weights
from livestyle.train.log import FolderLog, NoLog
from livestyle.train.loop import Summary, train
from livestyle.train.losses.loss_network import LossNetwork
from livestyle.train.painter import Painter, make_painter
from livestyle.train.schedule import learning_rate_factor, style_of_crop
from livestyle.train.setup import uses_bf16

Start = Callable[[list[str]], subprocess.Popen[str]]
Interrupt = Callable[[subprocess.Popen[str]], tuple[str, str]]
CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "naming": "run",
    "styles": {"one": {"picture": "drawn:stripes", "style_weight": 2, "origin": "drawn here"}, "two": "drawn:tiles"},
    "content": "drawn:scenes",
    "model": "lite",
    "model_path": "models",
    "loss_model": "random",
    "content_layers": ["conv2_2"],
    "style_layers": ["conv1_2", "conv2_2"],
    "tv_weight": 0.0001,
    "grid_weight": 0.01,
    "lattice_weight": 0.01,
    "image_size": 32,
    "batch_size": 2,
    "steps": 4,
    "zoom": 1.5,
    "learning_rate": 0.003,
    "precision": "fp32",
}
ONE: dict[str, Any] = {"styles": None, "style_image": "drawn:stripes", "naming": "stripes"}
SCRIPT = """
import sys, torch
from pathlib import Path
from livestyle.train.content import drawn
from livestyle.train.config import read_config
from livestyle.train.loop import train
if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    try:
        train(read_config(Path("conf/tiny.yml")), torch.device("cpu"))
    except KeyboardInterrupt as interrupt:
        print(interrupt)
        sys.exit(130)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "train_tiny.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts processes, which are terminated at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def popen(command: list[str]) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True))
        return started[-1]

    yield popen
    for process in started:
        process.terminate()  # torchrun terminates its own processes too
        process.communicate()


def run(resume: bool = False, overwrite: bool = False, **keys: Any) -> Summary:
    """Train with the keys of TINY, and these keys added or replaced."""
    summary = train(tiny(**keys), CPU, resume, overwrite, quiet=True, warn=lambda message: None)
    assert summary is not None
    return summary


def tiny(**keys: Any) -> Any:
    path = Path("conf/tiny.yml")
    path.write_text(yaml.safe_dump(TINY | keys, sort_keys=False))
    return read_config(path)


def weights(models: str, step: int, naming: str = "run") -> dict[str, torch.Tensor]:
    return load_file(f"{models}/{naming}.lite/step-{step:07d}.weights.safetensors")


def painted(models: str, step: int, photo: torch.Tensor) -> torch.Tensor:
    """Paint a photo in the second style, with the weights of a step."""
    painter = Painter(TransformerNetwork(ARCHITECTURES["lite"]), 2)
    painter.load_state_dict(weights(models, step))
    with torch.no_grad():
        result, _ = painter(photo, torch.tensor([1]))
    assert isinstance(result, torch.Tensor)
    return result


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_training_lowers_the_losses() -> None:
    first = run(**ONE, steps=1).losses
    last = run(**ONE, steps=60, overwrite=True).losses
    assert last["style_weight"] < 0.5 * first["style_weight"]
    assert last["total"] < 0.7 * first["total"]
    parts = ("content_weight", "style_weight", "tv_weight", "grid_weight", "lattice_weight", "overshoot_weight")
    assert last["total"] == pytest.approx(sum(last[name] for name in parts), rel=1e-4)


@pytest.mark.parametrize(("architecture", "divisor"), [("full", 1), ("lite", 2)])  # of a sigmoid's input: see OvershootOps
def test_painter_measures_the_overshoot_of_each_picture(architecture: str, divisor: int) -> None:
    torch.manual_seed(0)
    painter = Painter(TransformerNetwork(ARCHITECTURES[architecture]), 2).requires_grad_(False)
    photo = torch.rand(2, 3, 32, 40)
    painted, before = painter(photo, torch.tensor([0, 1]))
    torch.testing.assert_close(painted, painter.network(photo, painter.rows))
    assert before.max() < 0.5  # from single pixels only
    if architecture == "full":  # a bias would be cancelled by its last norm
        painter.rows[1, 1, -3:] = 20
    else:
        painter.network.convolutions["out"].bias += 20
    after = painter(photo, torch.tensor([0, 1]))[1]
    assert after[1].item() == pytest.approx((20 / divisor - 3) ** 2, rel=0.2)


def forward_tiny(ops: Any, photo: Any) -> Any:
    """One convolution with a norm, without tanh or sigmoid at the end."""
    return ops.painted(ops.norm(ops.conv("only", ops.centre(photo), 3, 3)))


def test_a_registered_architecture_is_trained_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    third = Architecture("third", "is for this test", made_for="cpu", forward=forward_tiny, bytes_per_pixel=100, strips=None)
    monkeypatch.setitem(ARCHITECTURES, "third", third)
    summary = run(model="third", steps=2, overshoot_weight=1)
    assert summary.styles["one"] == Path("models/one.third.safetensors")
    gallery = Gallery()
    header = gallery.models("one")["third"]
    assert load_rows(header).shape == (2, 3)
    assert load_body(gallery.body(header)).parameters["only.weight"].shape == (3, 3, 3, 3)


def test_file_of_a_single_style_includes_its_body_and_loads_by_name() -> None:
    summary = run(**ONE, origin="drawn here", licence="CC0")
    path = Path("models/stripes.lite.safetensors")
    assert summary.styles == {"stripes": path}
    header = Gallery().models("stripes")["lite"]
    assert header.has_rows
    assert header.has_body
    trained = weights("models", 4, "stripes")
    assert np.array_equal(load_rows(header), trained["rows"][0].numpy())
    body = load_body(header).parameters
    assert all(np.array_equal(body[name], trained[f"network.{name}"].half().float().numpy()) for name in body)
    assert (header.info["picture"], header.info["origin"], header.info["licence"]) == ("drawn:stripes", "drawn here", "CC0")
    training = json.loads(header.info["training"])
    assert (training["steps"], training["loss_model"], training["style_weight"]) == (4, "random", 6)


def test_several_styles_share_a_body() -> None:
    run()
    gallery = Gallery()
    one, two = gallery.models("one")["lite"], gallery.models("two")["lite"]
    assert not one.has_body
    assert not two.has_body
    assert one.body_hash == two.body_hash
    assert gallery.body(one).path == gallery.body(two).path
    assert gallery.body(one).path.name == "run.lite-body.safetensors"
    rows = weights("models", 4)["rows"]
    assert np.array_equal(load_rows(two), rows[1].numpy())
    assert not torch.equal(rows[0], rows[1])
    assert json.loads(one.info["training"])["style_weight"] == 2
    load_body(gallery.body(one))


def test_style_files_hold_a_thumbnail_of_their_picture() -> None:
    y, x = np.mgrid[0:120, 0:180]
    painting = np.stack([x, y * 2, 255 - x], -1).astype(np.uint8)  # RGB, smooth
    cv2.imwrite("painting.png", painting[:, :, ::-1])
    run(styles={"one": "painting.png", "two": "drawn:tiles"}, steps=1, style_size=96)
    gallery = Gallery()
    one, two = (load_thumbnail(gallery.models(name)["lite"]) for name in ("one", "two"))
    assert one is not None
    assert two is not None
    assert (one.shape, two.shape) == ((96, 144, 3), (96, 96, 3))
    expected = cv2.resize(painting, (144, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(one.astype(int) - expected).mean() < 3  # JPEG; a wrong order of channels would differ more
    assert not gallery.body(gallery.models("one")["lite"]).has_thumbnail


def test_missing_style_picture_at_export_leaves_out_the_thumbnail() -> None:
    cv2.imwrite("painting.png", drawn.stripes())
    config = tiny(styles={"one": "painting.png"}, naming="one")
    Path("painting.png").unlink()
    files = export_styles(config, Painter(TransformerNetwork(ARCHITECTURES["lite"]), 1), steps=4)
    assert not read_header(files["one"]).has_thumbnail


@pytest.mark.parametrize("model", ["full", "lite"])
def test_rescaled_weights_paint_the_same(model: str) -> None:
    torch.manual_seed(0)
    network = TransformerNetwork(ARCHITECTURES[model])
    first = network.body()
    normed = {name for name in first.parameters if name.rpartition(".")[0] in first.architecture.normed}
    grown = {name: value * np.float32(16 if name in normed else 1) for name, value in first.parameters.items()}
    small = with_rescaled_weights(Body(first.architecture, grown))
    photo = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        bodies = (Body(first.architecture, each) for each in (grown, small.parameters))
        one, other = (TransformerNetwork.of(body)(photo, network.plain_rows()) for body in bodies)
    assert (one - other).abs().max() < 0.02  # the norms' eps has a larger share at low contrast
    assert all(np.array_equal(value, first.parameters[name]) for name, value in small.parameters.items())  # powers of two
    again = with_rescaled_weights(small).parameters
    assert all(np.array_equal(value, again[name]) for name, value in small.parameters.items())


def test_fixed_seed_gives_the_same_run() -> None:
    state = torch.random.get_rng_state()
    run(model_path="a")
    torch.manual_seed(99)  # the global generator must not matter
    run(model_path="b")
    run(model_path="c", seed=1)
    assert_equal(weights("a", 4), weights("b", 4))
    assert not torch.equal(weights("a", 4)["network.stem1.weight"], weights("c", 4)["network.stem1.weight"])
    torch.random.set_rng_state(state)


def test_resumed_run_equals_an_uninterrupted_one() -> None:
    run(model_path="straight", steps=7)
    run(model_path="stopped", steps=3)
    run(model_path="stopped", steps=7, resume=True)
    assert_equal(weights("straight", 7), weights("stopped", 7))
    name = "run.lite/step-0000007.optimizer.safetensors"
    assert_equal(load_file(f"straight/{name}"), load_file(f"stopped/{name}"))
    assert sorted(path.name for path in Path("stopped/run.lite").glob("step*")) == [
        "step-0000007.optimizer.safetensors",
        "step-0000007.weights.safetensors",
    ]


def test_resume_of_a_finished_run_writes_the_style_files_again() -> None:
    run(steps=4)
    trained = weights("models", 4)
    for path in Path("models").glob("*.safetensors"):
        path.unlink()
    summary = run(steps=2, resume=True)
    assert summary.steps == 4
    assert all(path.exists() for path in summary.styles.values())
    assert_equal(weights("models", 4), trained)


def test_resume_without_a_checkpoint_starts_but_overwrites_no_style() -> None:
    assert run(resume=True).steps == 4
    for path in Path("models/run.lite").glob("step-*"):
        path.unlink()
    with pytest.raises(OutputError, match=r"one\.lite\.safetensors exists"):
        run(resume=True)


def test_resume_with_overwrite_keeps_the_checkpoint() -> None:
    run(steps=3)
    with pytest.raises(TrainingError, match="the checkpoint of step 3 is kept"):
        run(steps=30, learning_rate=1e11, resume=True, overwrite=True)
    assert weights("models", 3)


def test_is_finite_checks_the_optimizer_state() -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2)).backward()
    optimizer.step()
    assert is_finite(model, [optimizer])
    optimizer.state[model.weight]["exp_avg_sq"][0, 0] = float("inf")
    assert not is_finite(model, [optimizer])


def test_checkpoint_of_step_0_has_no_optimizer_state() -> None:
    run(steps=3)
    Path("from/run.lite").mkdir(parents=True)
    save_file(weights("models", 3), "from/run.lite/step-0000000.weights.safetensors")
    save_file({}, "from/run.lite/step-0000000.optimizer.safetensors")
    assert run(steps=3, model_path="from", resume=True).losses["total"] < run(steps=3, model_path="new").losses["total"]


def test_run_resumed_after_ctrl_c_equals_an_uninterrupted_one(start: Start, interrupt: Interrupt) -> None:
    tiny(steps=100_000)
    command = [sys.executable, "train_tiny.py", str(torch.get_num_threads())]
    process = start(command)
    output, errors = interrupt(process)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "continue with --resume" in output
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no process of the group is left
    (stopped,) = Path("models/run.lite").glob("step-*.weights.safetensors")
    step = int(stopped.name[5:12])
    assert "the best so far is in models/one.lite.safetensors and 1 more" in output
    assert {"one", "two"} <= set(Gallery().names)
    run(steps=step + 3, resume=True)
    run(steps=step + 3, model_path="straight")
    assert_equal(weights("models", step + 3), weights("straight", step + 3))


def test_learning_rate_after_resume_follows_the_same_cosine() -> None:
    config = tiny(steps=5, learning_rate_decay="cosine")
    with pytest.raises(KeyboardInterrupt, match=r"after step 1 of 5: the best so far is in models/one\.lite.* continue with -"):
        train(config, CPU, quiet=True, warn=lambda message: signal.raise_signal(signal.SIGINT))
    run(steps=5, learning_rate_decay="cosine", resume=True)
    run(steps=5, learning_rate_decay="cosine", model_path="straight")
    assert_equal(weights("models", 5), weights("straight", 5))


def test_second_ctrl_c_changes_nothing() -> None:
    def press_twice(_message: str) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="after step 1 of 5: the best so far is in"):
        train(tiny(steps=5), CPU, quiet=True, warn=press_twice)
    assert {"one", "two"} <= set(Gallery().names)
    assert run(steps=5, resume=True, overwrite=True).steps == 5


def test_two_processes_train_as_one_with_twice_the_batch_size(start: Start) -> None:
    tiny(steps=2)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "train_tiny.py", "1"]
    process = start(command)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert errors.count("warning: only 2 steps are planned") == 1  # only the first process prints
    run(steps=2, batch_size=4, model_path="alone")
    run(steps=2, batch_size=2, model_path="half")  # the crops of the first process only
    # not bit for bit: where a gradient consists of rounding errors only, Adam still takes steps of full length
    photo = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    together, alone, half = (painted(models, 2, photo) for models in ("models", "alone", "half"))
    assert (together - alone).abs().mean() < 0.1 * (half - alone).abs().mean()
    assert [path.name for path in sorted(Path("models").glob("*.safetensors"))] == [
        "one.lite.safetensors",
        "run.lite-body.safetensors",
        "two.lite.safetensors",
    ]


def test_losses_that_are_not_finite_stop_the_run_and_keep_the_checkpoint() -> None:
    run(steps=4)
    kept = weights("models", 4)
    with pytest.raises(TrainingError, match=r"finite at step \d+; lower \w+_weight, or learning_rate; .* step 4 is kept"):
        run(steps=30, learning_rate=1e11, resume=True)
    assert_equal(weights("models", 4), kept)
    assert len(list(Path("models/run.lite").glob("step-*"))) == 2


def test_error_names_the_weight_with_the_largest_share() -> None:
    with pytest.raises(TrainingError, match=r"lower tv_weight, or learning_rate; there is no checkpoint yet"):
        run(steps=12, learning_rate=1e11, tv_weight=1e11)


def test_summary_names_skipped_content_pictures() -> None:
    Path("photos").mkdir()
    for number in range(2):
        cv2.imwrite(f"photos/{number}.jpg", drawn.draw_content("drawn:scenes")[number])
    cv2.imwrite("photos/white.jpg", np.full((40, 40, 3), 255, np.uint8))
    Path("photos/broken.jpg").write_text("no picture")
    summary = run(content="photos", steps=4)
    assert summary.content_pictures == 4
    assert summary.skipped_pictures == (str(Path("photos/broken.jpg").absolute()), str(Path("photos/white.jpg").absolute()))


def test_an_epoch_has_every_content_picture_once() -> None:
    assert run(steps=None, epoch=1, batch_size=10).steps == 2  # of 24 scenes


def test_earlier_run_is_not_overwritten_without_overwrite() -> None:
    run()
    with pytest.raises(OutputError, match=r"models/run\.lite holds a run of 4 steps; continue with --resume, or start again"):
        run()
    for path in Path("models/run.lite").iterdir():
        path.unlink()
    with pytest.raises(OutputError, match=r"models/one\.lite\.safetensors exists; replace it with --overwrite"):
        run()
    assert run(steps=2, overwrite=True).steps == 2


def test_overwrite_deletes_checkpoints_of_later_steps() -> None:
    run(steps=6)
    run(steps=2, overwrite=True)
    assert len(list(Path("models/run.lite").glob("step-0000002.*"))) == len(list(Path("models/run.lite").glob("step-*"))) == 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"styles": {"one": "drawn:stripes"}}, "not of this conf file's network and styles"),
        ({"styles": {"two": "drawn:tiles", "one": "drawn:stripes"}}, "but of one, two"),
    ],
)
def test_resume_refuses_other_styles(keys: dict[str, Any], message: str) -> None:
    run()
    with pytest.raises(TrainingError, match=message):
        run(**keys, resume=True)


def test_resume_refuses_a_damaged_checkpoint() -> None:
    run()
    path = Path("models/run.lite/step-0000004.optimizer.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TrainingError, match=r"cannot continue from .*optimizer\.safetensors: it is damaged"):
        run(resume=True)


def test_step_with_one_of_two_files_is_ignored() -> None:
    run(steps=3)
    Path("models/run.lite/step-0000009.weights.safetensors").touch()  # as if killed before the optimizer's file
    assert run(steps=5, resume=True).steps == 5


def test_warns_of_few_steps_but_not_of_a_missing_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if it were not installed
    warnings: list[str] = []
    train(tiny(), CPU, quiet=True, warn=warnings.append)
    assert [warning.split(";")[0] for warning in warnings] == ["only 4 steps are planned"]
    assert Path("models/run.lite/log.txt").read_text().startswith("step 4 content/conv2_2 ")
    assert not list(Path("models/run.lite").glob("events*"))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from livestyle.train.config import read_config
from livestyle.train.loop import train
if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
    train(read_config(Path("conf/tiny.yml")), torch.device("cpu"), resume=True, overwrite=True, quiet=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE as on Linux")
def test_full_disk_loses_the_checkpoint_but_not_the_training() -> None:
    run(**ONE, steps=2)
    tiny(**ONE, steps=4)  # the batches, files in shared memory, must be smaller than the limit
    Path("full.py").write_text(FULL_DISK)
    size = Path("models/stripes.lite/step-0000002.weights.safetensors").stat().st_size
    done = subprocess.run([sys.executable, "full.py", str(size - 1)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "step-0000004.weights.safetensors: File too large; the checkpoint of step 2 is kept" in done.stderr
    header = read_header(Path("models/stripes.lite.safetensors"))
    assert json.loads(header.info["training"])["steps"] == 4
    assert sorted(path.name for path in Path("models/stripes.lite").glob("*step*")) == [
        "step-0000002.optimizer.safetensors",
        "step-0000002.weights.safetensors",
    ]


def test_checkpoint_is_kept_if_style_files_cannot_be_written() -> None:
    Path("models/one.lite.safetensors").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"one.lite.*; the checkpoint of step 4 is kept in models/run.lite: .* with --resume"):
        run(overwrite=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_training_continues_without_a_log_that_cannot_be_written() -> None:
    Path("models/run.lite").mkdir(parents=True)
    Path("models/run.lite/log.txt").symlink_to("/dev/full")
    warnings: list[str] = []
    summary = train(tiny(), CPU, quiet=True, warn=warnings.append)
    assert summary is not None
    assert summary.steps == 4
    assert warnings[-1].startswith("the log ends here: ")
    assert len(warnings) == 2


def test_second_training_of_the_same_name_is_refused() -> None:
    Path("models/run.lite").mkdir(parents=True)
    other = FolderLog(Path("models/run.lite"), NoLog())
    with pytest.raises(OutputError, match=r"another training is running in models/run.lite; wait for it, or take another"):
        run(overwrite=True)
    other.close()
    assert run(overwrite=True).steps == 4


def test_content_deleted_during_training_is_skipped() -> None:
    Path("photos").mkdir()
    for number in range(3):
        cv2.imwrite(f"photos/{number}.png", drawn.draw_content("drawn:scenes")[number])

    def remove(_message: str) -> None:  # called by the warning about few steps, after listing the content, before the first step
        Path("photos/0.png").unlink()
        Path("photos/1.png").write_bytes(Path("photos/1.png").read_bytes()[:50])

    summary = train(tiny(content="photos", steps=3), CPU, quiet=True, warn=remove)
    assert summary is not None
    assert summary.steps == 3
    assert [Path(name).name for name in summary.skipped_pictures] == ["0.png", "1.png"]


def test_least_share_of_the_steps_is_made_after_the_time_limit() -> None:
    summary = run(steps=30, seconds=1.0, least_share=1.0, learning_rate_decay="cosine")
    assert (summary.steps, summary.planned_steps) == (30, 30)
    summary = run(steps=100_000, seconds=1.0, least_share=1e-4, overwrite=True)
    assert 10 <= summary.steps < summary.planned_steps == 100_000
    assert read_config(Path("minute"), {"styles": {"a": "drawn:tiles"}}).least_share == 0.1
    # a time limit from the command line is exact
    assert read_config(Path("minute"), {"styles": {"a": "drawn:tiles"}, "seconds": 9}).least_share == 0


def test_writes_tensorboard_events_and_a_sample() -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run()
    log = events.EventAccumulator("models/run.lite")
    log.Reload()
    assert {"content/conv2_2", "style/conv1_2", "style/conv2_2", "tv", "grid", "total"} < set(log.Tags()["scalars"])
    assert [event.step for event in log.Scalars("total")] == [4]
    assert log.Tags()["images"]
    assert {"yardstick/one/style", "yardstick/one/content", "yardstick/two/style"} < set(log.Tags()["scalars"])
    sample = cv2.imread("models/run.lite/sample.jpg")
    assert sample is not None
    assert sample.shape == (32, 3 * 32, 3)  # the photo, and its painting in two styles


def test_progress_bar_shows_losses(capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny(), CPU, warn=lambda message: None)
    shown = capfd.readouterr().err
    assert "4/4" in shown
    assert "style=" in shown
    assert "step/s" in shown or "s/step" in shown


def test_unwritable_model_path_is_an_error() -> None:
    Path("file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder file/run\.lite"):
        run(model_path="file")


def test_damaged_style_picture_is_an_error() -> None:
    Path("style.jpg").write_text("no picture")
    with pytest.raises(TrainingError, match=r"cannot read the style picture: .*style\.jpg"):
        run(styles={"one": "style.jpg"})


@pytest.mark.parametrize(
    ("picture", "message"),
    [(np.full((64, 64, 3), 90, np.uint8), "is of one colour"), (np.zeros((1, 1, 3), np.uint8), "is too small, 1x1")],
)
def test_style_picture_of_one_colour_or_pixel_is_an_error(picture: np.ndarray, message: str) -> None:
    cv2.imwrite("style.png", picture)
    with pytest.raises(TrainingError, match=message):
        run(styles={"one": "style.png"})


def test_original_conf_trains_full_with_vgg_19(folder: Path) -> None:
    """The keys of the original program's conf file, with fewer steps and smaller crops."""
    (folder / "img").mkdir()
    (folder / "train2014").mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite("img/wave.jpg", rng.integers(0, 256, (40, 60, 3), np.uint8))
    for number in range(4):
        cv2.imwrite(f"train2014/{number}.jpg", rng.integers(0, 256, (50, 40, 3), np.uint8))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convolutions = LossNetwork("vgg_19", ["conv4_3"]).convolutions.values()
    indices = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23]  # torchvision's
    state: dict[str, torch.Tensor] = {}
    for index, convolution in zip(indices, convolutions, strict=True):
        state |= {f"features.{index}.{key}": value for key, value in convolution.state_dict().items()}
    save_file(state, "vgg.safetensors")
    scopes = {
        "content_layers": ["vgg_16/conv3/conv3_3"],
        "style_layers": [f"vgg_16/conv{layer[0]}/conv{layer}" for layer in ("1_2", "2_2", "3_3", "4_3")],
    }
    original: dict[str, Any] = {"style_image": "img/wave.jpg", "naming": "wave", "model_path": "models"} | scopes
    original |= {"content_weight": 1.0, "style_weight": 220.0, "tv_weight": 0.0, "image_size": 32, "batch_size": 2, "epoch": 1}
    original |= {"loss_model": "vgg_16", "checkpoint_exclude_scopes": "vgg_16/fc", "loss_model_file": "pretrained/vgg_16.ckpt"}
    Path("conf/wave.yml").write_text(yaml.safe_dump(original))
    config = read_config(Path("conf/wave.yml"), {"loss_model": "vgg_19", "loss_model_file": "vgg.safetensors"})
    summary = train(config, CPU, quiet=True, warn=lambda message: None)
    assert summary is not None
    assert summary.steps == 2
    assert summary.styles == {"wave": Path("models/wave.full.safetensors")}
    assert Gallery().models("wave")["full"].has_body
    assert all(path.stat().st_size < 16 * 2**20 for path in Path("models/wave").glob("step-*"))


def test_cosine_decay_goes_from_1_to_0() -> None:
    config = dataclasses.replace(tiny(), learning_rate_decay="cosine")
    assert [learning_rate_factor(config, progress) for progress in (0, 0.5, 1, 1.2)] == pytest.approx([1, 0.5, 0, 0])
    assert learning_rate_factor(dataclasses.replace(config, learning_rate_decay="none"), 0.75) == 1


def test_rows_may_have_their_own_learning_rate() -> None:
    run(steps=1, learning_rate=1e-6)  # Adam's first step has the length of the rate
    slow = weights("models", 1)["rows"]
    run(steps=1, learning_rate=1e-6, rows_learning_rate=0.1, model_path="fast")
    fast = weights("fast", 1)
    assert (slow[:, 0] - 1).abs().max() < 1e-4
    assert (fast["rows"][:, 0] - 1).abs().max() == pytest.approx(0.1, rel=0.01)
    stem = weights("models", 1)["network.stem1.weight"]
    assert torch.allclose(fast["network.stem1.weight"], stem, atol=1e-5)


def test_training_rows_only_leaves_the_body_unchanged() -> None:
    run()
    body = load_body(read_header(Path("models/run.lite-body.safetensors"))).parameters
    keys: dict[str, Any] = {"naming": "new", "styles": {"new": "drawn:tiles"}, "start": "models/run.lite-body.safetensors"}
    keys |= {"finetune": "rows", "learning_rate": 0.03}
    first = run(**keys, model_path="stopped", steps=1).losses
    last = run(**keys, model_path="stopped", steps=60, resume=True).losses
    assert last["total"] < 0.9 * first["total"]
    header = read_header(Path("stopped/new.lite.safetensors"))
    assert header.has_body  # the style is a single file, for sharing
    trained = load_body(header).parameters
    assert all(trained[name].tobytes() == body[name].tobytes() for name in body)
    assert header.body_hash == Gallery().models("one")["lite"].body_hash  # so the styles can be blended
    run(**keys, model_path="straight", steps=60)
    assert_equal(weights("straight", 60, "new"), weights("stopped", 60, "new"))


def predictor_of_brightness() -> dict[str, np.ndarray]:
    """The tensors of a predictor for `lite` that predicts the first of the statistics for every value of the rows."""
    shapes = tensor_shapes(ARCHITECTURES["lite"].row_length)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for name in ("hidden.0.weight", "hidden.1.weight"):
        tensors[name][0, 0] = 1
    tensors["rows.weight"][:, 0] = 1
    return tensors | {"scale": np.ones(shapes["scale"], np.float32)}


def test_rows_start_from_the_style_of_the_same_name_or_from_a_prediction_or_from_the_mean() -> None:
    run()
    painter = make_painter(tiny(start="models/run.lite-body.safetensors", styles={"two": "drawn:tiles", "new": "drawn:stripes"}))
    one, two = (load_rows(Gallery().models(name)["lite"]) for name in ("one", "two"))
    assert np.array_equal(painter.rows[0].detach(), two)
    assert np.allclose(painter.rows[1].detach(), (one + two) / 2)
    write_predictor_file(Path("models/any name.safetensors"), painter.network.body(), predictor_of_brightness(), {})
    config = tiny(start="models/run.lite-body.safetensors", styles={"two": "drawn:tiles", "new": "drawn:stripes"})
    predicted = make_painter(config).rows.detach()
    assert np.array_equal(predicted[0], two)
    statistics = style_statistics(drawn.stripes(), "stripes")
    assert torch.allclose(predicted[1], torch.tensor(statistics[0]).half().float(), rtol=1e-3)
    with pytest.raises(TrainingError, match="it is of the network lite, not full"):
        make_painter(tiny(start="models/run.lite-body.safetensors", model="full"))
    with pytest.raises(TrainingError, match=r"cannot start from .*log\.txt: .*is not a style file"):
        make_painter(tiny(start="models/run.lite/log.txt"))


@pytest.fixture
def style_pictures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of two small paintings, style_pictures, with a subfolder and a file that cannot be read."""
    monkeypatch.setattr("livestyle.train.setup.PREDICTOR_SAMPLE", 3)
    (folder / "style_pictures/more").mkdir(parents=True)
    cv2.imwrite("style_pictures/stripes.png", drawn.stripes()[:80])
    cv2.imwrite("style_pictures/more/tiles.png", drawn.tiles()[:, :60])
    Path("style_pictures/broken.jpg").write_text("no picture")


@pytest.mark.usefixtures("style_pictures")
def test_joint_training_of_body_rows_and_predictor_resumes_bit_for_bit() -> None:
    keys = {"style_pictures": "style_pictures", "steady_weight": 20.0, "steps": 6}  # the rows of crops 2 and 5 are predicted
    losses = run(**keys, model_path="straight").losses
    assert losses["steady_weight"] == pytest.approx(20 * losses["steady"], rel=1e-4)
    with pytest.raises(KeyboardInterrupt):  # after the first step
        train(tiny(**keys, model_path="stopped"), CPU, quiet=True, warn=lambda message: signal.raise_signal(signal.SIGINT))
    before = weights("stopped", 1)
    run(**keys, model_path="stopped", resume=True)
    trained = weights("straight", 6)
    assert_equal(trained, weights("stopped", 6))
    assert torch.equal(trained["predictor.scale"], before["predictor.scale"])
    assert not torch.equal(trained["predictor.hidden.0.weight"], before["predictor.hidden.0.weight"])
    names = {path.name for path in Path("straight").glob("*.safetensors")}
    assert names == {f"{name}.safetensors" for name in ("one.lite", "two.lite", "run.lite-body", "run.lite-predictor")}
    assert set(Gallery([Path("straight")]).names) == {"one", "two"}
    path = Path("straight/run.lite-predictor.safetensors")
    assert path.stat().st_size <= 4 * 2**20
    body = load_body(read_header(Path("straight/run.lite-body.safetensors")))
    header = read_header(path)
    assert header.body_hash == body_hash(body.parameters)
    predictor = load_predictor(header).tensors
    assert all(np.array_equal(value, trained[f"predictor.{name}"].half().float()) for name, value in predictor.items())


@pytest.mark.usefixtures("style_pictures")
def test_training_the_predictor_only_leaves_body_and_styles_unchanged() -> None:
    Path("models").mkdir()
    for name in ("seven.lite-body", "wave.lite"):
        shutil.copy(bundled_folder() / f"{name}.safetensors", "models")
    before = {path: path.read_bytes() for path in Path("models").glob("*.safetensors")}
    keys: dict[str, Any] = {"start": "models/seven.lite-body.safetensors", "finetune": "predictor", "styles": None}
    keys |= {"style_pictures": "style_pictures"}
    first = run(**keys, steps=1).losses
    summary = run(**keys, steps=12, resume=True)
    assert (summary.styles, summary.predictor) == ({}, Path("models/run.lite-predictor.safetensors"))
    assert summary.folder == Path("models/run.lite-predictor")
    assert all(path.read_bytes() == content for path, content in before.items())
    again = run(**keys, steps=1, naming="more").losses  # the same crops, from the predictor in the folder
    assert again["style_weight"] < 0.9 * first["style_weight"]


def test_rows_of_every_third_crop_are_predicted_in_the_first_half() -> None:
    config = dataclasses.replace(tiny(), style_pictures=Path("paintings"))
    assert [style_of_crop(number, config, 18) for number in range(9)] == [0, 1, None, 0, 1, None, 0, 1, None]
    assert [style_of_crop(number, config, 18) for number in range(9, 13)] == [1, 0, 1, 0]
    assert [style_of_crop(number, tiny(), 8) for number in range(4)] == [0, 1, 0, 1]
    alone = dataclasses.replace(config, finetune="predictor")
    assert [style_of_crop(number, alone, 4) for number in range(4)] == [None] * 4


def test_training_ends_at_the_time_limit() -> None:
    summary = run(steps=100_000, seconds=1.0, learning_rate_decay="cosine")
    assert 1 <= summary.steps < 100_000
    assert Gallery().models("one")["lite"].has_rows


def test_best_parameters_are_restored() -> None:
    painter = Painter(TransformerNetwork(ARCHITECTURES["lite"]), 1)
    best = BestParameters(painter)
    for loss, value in ((3.0, 1.0), (2.0, 2.0), (2.5, 3.0)):
        with torch.no_grad():
            painter.rows.fill_(value)
        best.update(loss)
    best.restore()
    assert torch.all(painter.rows == 2)


def test_bf16_trains_on_the_cpu() -> None:
    assert uses_bf16("bf16", CPU)
    assert not uses_bf16("fp32", CPU)
    losses = run(**ONE, precision="bf16", steps=3).losses
    assert np.isfinite(list(losses.values())).all()
