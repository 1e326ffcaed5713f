"""livestyle evaluate: tables checked against the yardstick, contact sheets, and errors."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from livestyle.cli import cli
from livestyle.errors import InputError, OutputError, StyleError, TooLargeError, TrainingError
from livestyle.pictures.contact_sheet import CAPTION, GAP
from livestyle.pictures.reading import read_picture
from livestyle.pictures.writing import write_picture
from livestyle.style_files.gallery import bundled_folder
from livestyle.stylizer import Stylizer
from livestyle.train.content import drawn
from livestyle.train.content.crops import to_tensor
from livestyle.train.measure.evaluate import Descent, Reading, override_weights, trained_weights
from livestyle.train.measure.optimize import Weights, iterations_to_reach, total_loss
from livestyle.train.measure.report import iterations_table, losses_table
from livestyle.train.measure.self_similarity import structural_distance
from livestyle.train.measure.shift_error import lattice, shift_error
from livestyle.train.measure.table import Table
from livestyle.train.measure.yardstick import Measure, open_yardstick, style_tensor

Evaluate = Callable[..., str]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """A function that runs livestyle evaluate with these arguments and returns stdout.

    The working directory has photos/a.png, photos/b.png, and styles/ with two pictures.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "styles"):
        Path(name).mkdir()
    first, second, *_ = drawn.draw_content("drawn:scenes")
    write_picture(Path("photos/a.png"), first[100:148, 60:124])
    write_picture(Path("photos/b.png"), second[100:148, 60:124])
    write_picture(Path("styles/wave.png"), drawn.draw_style("drawn:stripes"))
    write_picture(Path("styles/mosaic.png"), drawn.draw_style("drawn:tiles"))

    def call(*words: str) -> str:
        fixed = ("--pictures", "styles", "--loss-model", "random", "--device", "cpu")
        cli.main(["evaluate", *words, *fixed], standalone_mode=False)
        return capsys.readouterr().out

    return call


def test_table_has_mean_and_worst_of_the_yardstick(evaluate: Evaluate) -> None:
    report = json.loads(evaluate("photos", "-s", "wave", "--json", "--quiet"))
    yardstick = open_yardstick("random", None, torch.device("cpu"))
    grams = yardstick.grams(style_tensor(drawn.draw_style("drawn:stripes")))
    measures = []
    with Stylizer("wave", device="cpu") as stylizer:
        for name in ("a", "b"):
            photo = read_picture(Path(f"photos/{name}.png")).image
            painted, before = (to_tensor(image)[None] for image in (stylizer(photo), photo))
            measures.append(yardstick.measure(painted, before, grams))
    assert [reading["photo"] for reading in report["readings"]] == ["a.png", "b.png"]
    assert [reading["measure"]["style"] for reading in report["readings"]] == pytest.approx([m.style for m in measures])
    (row,) = report["tables"][0]["rows"]
    assert row["style loss"] == pytest.approx((measures[0].style + measures[1].style) / 2)
    assert row["content loss"] == pytest.approx((measures[0].content + measures[1].content) / 2)
    assert row["worst style"] == pytest.approx(max(m.style for m in measures))
    assert row["worst content"] == pytest.approx(max(m.content for m in measures))


def test_table_has_the_means_of_cfsd_shift_error_and_lattice(evaluate: Evaluate) -> None:
    rng = np.random.default_rng(0)
    for name, width in (("a", 87), ("b", 86)):  # the first is just large enough for the shifts
        write_picture(Path(f"photos/{name}.png"), rng.integers(0, 256, (86, width, 3)).astype(np.uint8))
    report = json.loads(evaluate("photos", "-s", "wave", "--json", "--quiet"))
    network = open_yardstick("random", None, torch.device("cpu")).network
    cfsds, lattices = [], []
    with Stylizer("wave", device="cpu") as stylizer:
        for name in ("a", "b"):
            photo = read_picture(Path(f"photos/{name}.png")).image
            painted = stylizer(photo)
            cfsds.append(structural_distance(network, photo, painted))
            lattices.append(lattice(painted))
            if name == "a":
                error = shift_error(stylizer, photo, painted)
    assert [reading["cfsd"] for reading in report["readings"]] == pytest.approx(cfsds)
    assert [reading["lattice"] for reading in report["readings"]] == pytest.approx(lattices)
    assert [reading["shift_error"] for reading in report["readings"]] == [pytest.approx(error), None]
    (row,) = report["tables"][0]["rows"]
    assert row["CFSD x 1000"] == pytest.approx(500 * sum(cfsds))
    assert row["shift error"] == pytest.approx(error)  # of the only photo that has one
    assert row["lattice"] == pytest.approx(sum(lattices) / 2)
    assert report["tables"][0]["notes"][-1] == "no shift error of 1 photo: less than 87x86 pixels"


def test_all_styles_at_several_sizes_with_one_sheet_per_size(evaluate: Evaluate) -> None:
    out = evaluate("photos/a.png", "photos/b.png", "--height", "24", "--height", "48", "--size", "40x40", "-o", "figures")
    lines = out.splitlines()
    assert [line.split()[:2] for line in lines[2:8]] == [
        [style, size] for style in ("mosaic", "wave") for size in ("24", "48", "40x40")
    ]
    assert sorted(path.name for path in Path("figures").iterdir()) == [
        *("sheet_24.jpg", "sheet_40x40.jpg", "sheet_48.jpg", "table.json", "table.txt")
    ]
    assert Path("figures/table.txt").read_text() == out
    assert len(json.loads(Path("figures/table.json").read_text())["readings"]) == 12
    height, width, _ = read_picture(Path("figures/sheet_48.jpg")).image.shape
    # rows: a heading, the style pictures at a photo's height, two photos; columns: the photo, two styles
    assert (height, width) == (CAPTION + 3 * (48 + CAPTION) + GAP, GAP + 3 * (64 + GAP))


def test_iterations_are_counted_from_the_photo(evaluate: Evaluate) -> None:
    words = ("photos/a.png", "-s", "wave", "--iterations", "--limit", "30", "--style-weight", "3", "--json", "--quiet")
    report = json.loads(evaluate(*words))
    yardstick = open_yardstick("random", None, torch.device("cpu"))
    grams = yardstick.grams(style_tensor(drawn.draw_style("drawn:stripes")))
    photo = read_picture(Path("photos/a.png")).image
    with Stylizer("wave", device="cpu") as stylizer:
        painted, before = (to_tensor(image)[None] for image in (stylizer(photo), photo))
    weights = Weights(0.6, 3, 0.0001)  # for content and total variation, the weights that the bundled style was trained with
    total = total_loss(yardstick, painted, before, grams, weights)
    descent = report["readings"][0]["descent"]
    assert descent["painted_total"] == pytest.approx(total, rel=1e-4)
    assert descent["iterations"] == iterations_to_reach(descent["painted_total"], yardstick, before, grams, weights, 30)
    assert report["tables"][1]["rows"][0]["weights"] == "0.6 3 0.0001"


def test_tables_after_ctrl_c_cover_the_photos_that_are_done(evaluate: Evaluate) -> None:
    rng = np.random.default_rng(0)
    for name, height, width in (("a", 300, 400), ("b", 1600, 1200)):  # the second takes many seconds
        write_picture(Path(f"photos/{name}.png"), rng.integers(0, 256, (height, width, 3)).astype(np.uint8))
    words = ("photos", "--pictures", "styles", "-s", "wave", "--loss-model", "random", "--device", "cpu", "--iterations")
    run = subprocess.Popen(
        [sys.executable, "-P", "-m", "livestyle", "evaluate", *words, "-o", "out"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip
    assert run.stderr is not None
    shown = ""
    while "1/2" not in shown:  # the bar
        shown += (more := run.stderr.read(1))
        assert more, shown
    run.send_signal(signal.SIGINT)
    out, err = run.communicate()
    assert run.returncode == 130
    assert err.splitlines()[-1] == "stopped after 1 of 2 pictures, which the tables cover"
    assert [reading["photo"] for reading in json.loads(Path("out/table.json").read_text())["readings"]] == ["a.png"]
    assert Path("out/table.txt").read_text() == out


def test_tables_are_written_although_a_sheet_is_too_large(evaluate: Evaluate, capsys: pytest.CaptureFixture[str]) -> None:
    Path("styles/wave.png").rename("styles/wave.PNG")
    size = ("--size", "33000x32")  # two side by side are wider than a JPEG can be
    with pytest.raises(OutputError, match="the picture has 660"):
        evaluate("photos/a.png", "-s", "wave", *size, *size, "-o", "figures", "--quiet")
    assert "mean and worst of 1 photo\n" in (out := capsys.readouterr().out)
    assert Path("figures/table.txt").read_text() == out


def test_invalid_arguments_are_refused(evaluate: Evaluate) -> None:
    write_picture(Path("photos/grey.png"), np.full((40, 40, 3), 90, np.uint8))
    lite_only = str(bundled_folder() / "wave.lite.safetensors")
    cases: list[tuple[tuple[str, ...], type[Exception], str]] = [
        (("none.png",), InputError, "cannot read none.png"),
        (("photos/grey.png",), TrainingError, "grey.png is of one colour"),
        (("photos/a.png", "-s", "scream"), InputError, "no picture of the style scream in styles; put scream.jpg there"),
        (("photos/a.png", "-s", "wave:.5,mosaic:.5"), InputError, "no picture of the style"),
        (("photos/a.png", "-s", lite_only, "--model", "full"), StyleError, "the model full is not available"),
        (("photos/a.png", "-s", lite_only, "--model", "full", "--clip", "photos/a.png"), InputError, "a.png"),
        (("photos/a.png", "-o", "photos/a.png"), OutputError, "cannot make the folder"),
        (("photos/a.png", "--iterations", "--size", "65535x65535"), TooLargeError, "needs about .* to be optimised"),
        (("photos/a.png", "--size", "65535x65535"), TooLargeError, "needs about .* to be measured"),
        (("photos/a.png", "--height", "48", "--size", "8x8"), TrainingError, "would be painted at 8x8; the minimum is 16"),
    ]
    for words, error, message in cases:
        with pytest.raises(error, match=message):
            evaluate(*words, "--quiet")
    evaluate("photos/a.png", "-s", "wave", "-o", "figures", "--quiet")
    with pytest.raises(OutputError, match=r"table\.txt exists; use -y"):
        evaluate("photos/a.png", "-s", "wave", "-o", "figures", "-n")


def test_photo_that_cannot_be_measured_is_skipped(
    evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/broken.png").write_text("no picture")
    fixed = ("--pictures", "styles", "--loss-model", "random", "--device", "cpu", "-s", "wave", "--json")
    assert cli.main(["evaluate", "photos", *fixed], standalone_mode=False) == 1
    out, err = capsys.readouterr()
    assert "note: skipped: photos/broken.png " in err
    report = json.loads(out)
    assert [reading["photo"] for reading in report["readings"]] == ["a.png", "b.png"]
    assert len(report["skipped"]) == 1


def reading(style: str, style_loss: float, content_loss: float, iterations: int | None = None, photo: str = "a") -> Reading:
    measure = Measure(style_loss, content_loss, {})
    return Reading(style, photo, "own", measure, cfsd=0.004, shift_error=7.0, lattice=0.1, descent=Descent(8.0, 2.0, iterations))


def test_ratios_to_the_original_are_given_for_vgg_19_only() -> None:
    readings = [reading("wave", 0.64, 2.018), reading("ash", 1.0, 1.0)]
    table = losses_table(readings, "vgg_19")
    assert [row[-2:] for row in table.rows] == [pytest.approx([2.0, 2.0]), [None, None]]  # the original's wave has .320 and 1.009
    assert "test5.jpg at 712x476" in table.notes[-1]
    assert "content/original" not in losses_table(readings, "random").columns
    assert "test5.jpg" not in "".join(losses_table(readings, "random").notes)


def test_iterations_above_the_limit_are_counted_separately() -> None:
    weights = {"wave": Weights(1, 5, 0)}
    readings = [reading("wave", 1, 1, count, photo=str(count)) for count in (40, None, 60)]
    (row,) = iterations_table(readings, weights, 99).rows
    assert row == ["wave", "own", "1 5 0", 8.0, 2.0, 60, 40, None, 1]
    (row,) = iterations_table(readings[1:], weights, 99).rows
    assert row[5] is None


def test_weights_of_untrusted_files_default_to_the_usual_ones() -> None:
    good = {"weighting": "relative", "content_weight": 2, "style_weight": 1.75, "tv_weight": 0}
    assert trained_weights({"training": json.dumps(good)}) == Weights(2, 1.75, 0)
    bad = [{}, [], 3, good | {"weighting": "absolute"}, good | {"tv_weight": float("nan")}, good | {"style_weight": [1]}]
    for training in [*map(json.dumps, bad), "{", "[" * 100_000]:
        assert trained_weights({"training": training}) == Weights()
    assert trained_weights({}) == Weights()
    assert override_weights(Weights(2, 3, 4), {"style_weight": 0.0, "tv_weight": None}) == Weights(2, 0, 4)


def test_table_as_text_and_as_dict() -> None:
    table = Table("Title", ("name", "loss", "count"), [["a", 0.5, 3], ["long name", None, 12]], ("a note",))
    assert str(table).splitlines() == [
        "Title",
        "name        loss  count",
        "a          0.500      3",
        "long name      -     12",
        "a note",
    ]
    assert table.as_dict()["rows"][1] == {"name": "long name", "loss": None, "count": 12}


def test_steadiness_tables_have_a_column_per_clip_and_a_row_for_the_unpainted_clips(evaluate: Evaluate) -> None:
    Path("photos/a.png").rename("photos/pan.png")  # the name of a drawn clip
    report = json.loads(evaluate("photos/pan.png", "-s", "wave", "--steady", "--json", "--quiet"))
    painted, clip = report["tables"][1]["rows"]
    assert list(painted) == ["style", "pan", "zoom", "rotation", "passing", "pan 2"]
    assert clip["style"] == "(the clip)"
    assert all(0 < clip[name] < 0.2 < painted[name] for name in ("pan", "zoom", "rotation", "passing"))  # x 1000
    assert clip["pan 2"] == pytest.approx(2, abs=0.1)  # the sensor noise that was added
    far, far_clip = report["tables"][2]["rows"]
    assert list(far) == ["style", "pan", "zoom", "rotation", "passing"]
    assert all(painted[name] < far[name] for name in ("pan", "zoom", "rotation", "passing"))
    assert all(0 <= far_clip[name] < 0.1 for name in ("pan", "zoom", "rotation", "passing"))  # ten pans move by whole pixels
