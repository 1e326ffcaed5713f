"""One network is measured on one engine: which look, which frames, and how often."""

from contextlib import closing

import pytest

from livestyle.bench.ceilings import Ceilings, floor_seconds
from livestyle.bench.networks import find_look, measure_network
from livestyle.bench.run import available_devices
from livestyle.engines.base import Batch, Done
from livestyle.engines.devices import open_engine
from livestyle.errors import StyleError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.style_files.gallery import bundled_folder
from livestyle.stylizer import Stylizer


def test_a_blend_is_measured_with_the_look_of_its_first_style() -> None:
    look = find_look("wave:.7,udnie:.3", "lite")
    with Stylizer("wave", "lite", "cpu") as stylizer:
        expected = stylizer.default_look
    assert look == expected
    with pytest.raises(StyleError, match="wavy"):
        find_look("wavy", "full")


def test_a_network_that_the_style_lacks_gets_random_weights() -> None:
    look = find_look(str(bundled_folder() / "wave.lite.safetensors"), "full")
    parameters = look.body.parameters
    assert look.body.architecture.name == "full"
    assert parameters.keys() == ARCHITECTURES["full"].parameters.keys()
    assert parameters["down1.weight"].std() == pytest.approx((2 / (3 * 81)) ** 0.5, rel=0.05)
    assert not any(parameters[name].any() for name in parameters if name.endswith(".bias"))
    assert (look.rows[0] == 1).all()
    assert (look.rows[1] == 0).all()


def test_full_is_measured_on_the_default_device() -> None:
    with closing(open_engine(available_devices()[0])) as engine:
        figures = measure_network(engine, find_look("wave", "full"), "256x256", Ceilings(1, 1), most_repeats=1)
    assert (figures.device, figures.model, figures.size) == (engine.name, "full", "256x256")
    assert figures.gflop == pytest.approx(23.43, rel=1e-3)
    assert figures.batch in engine.batches
    assert 0 < figures.batched_ms < float("inf")


class Recording:
    """An engine that returns the frames unchanged and records every batch."""

    name, precision, takes_nv12 = "recording", "float16", False
    batches: tuple[int, ...] = (2, 3)
    batches_in_flight, gpu = 1, 0

    def __init__(self) -> None:
        self.notes = ["painted in strips"]
        self.seen: list[list[bytes]] = []

    def prepare(self, body: Body) -> None:
        pass

    def submit(self, batch: Batch) -> Done:
        self.seen.append([frame.tobytes() for frame, _ in batch])
        return Done([frame for frame, _ in batch])

    def close(self) -> None:
        pass


def test_no_frame_is_measured_twice() -> None:
    engine, look = Recording(), find_look("wave", "lite")
    figures = measure_network(engine, look, "256x256", Ceilings(1, 1), most_repeats=30)
    counts = [len(frames) for frames in engine.seen]
    assert counts == [1] * 32 + [2] * 32 + [3] * 32  # each after two runs that are not counted
    for count in (1, 2, 3):
        shown = [frame for frames in engine.seen if len(frames) == count for frame in frames][2 * count :]
        assert len(set(shown)) == 30 * count
        assert all(len(frame) == 256 * 256 * 3 for frame in shown)
    assert figures.batch in (2, 3)  # single frames are measured too, but this engine has no batch of 1
    assert figures.notes == engine.notes
    # half precision: two bytes per value
    assert figures.floor_ms == pytest.approx(1000 * floor_seconds(look.body.architecture.plan(256, 256).costs, Ceilings(1, 1), 2))


def test_at_least_five_repeats_are_measured() -> None:
    engine = Recording()
    measure_network(engine, find_look("wave", "lite"), "256x256", Ceilings(1, 1), most_repeats=1)
    assert [len(frames) for frames in engine.seen] == [1] * 7 + [2] * 7 + [3] * 7
