"""Fan-out: policies, isolation of failures, joined threads. Tests wait for events; none sleeps."""

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from threading import Event

import av
import numpy as np
import pytest
from clock import Clock

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter
from livestyle.streaming.channel import THREAD_NAME, is_any_left_behind
from livestyle.streaming.fan_out import QUEUED_FRAMES, FanOut, Output, Policy

SECONDS = 60  # limit for waiting: a thread that takes longer hangs
INFO = StreamInfo(64, 48, rate=Fraction(10), time_base=Fraction(1, 10))
POLICIES = list(Policy)


@pytest.fixture(autouse=True)
def _all_threads_joined() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def frame(number: int) -> Frame:
    return Frame(np.full((48, 64, 3), number % 250, np.uint8), Fraction(number, 10))


def join_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(SECONDS)


class Memory:
    """A sink that records its calls.

    fail_at: number of the frame at which `write` raises `error`. close_error: raised by `close`.
    block_at: number of the frame at which `write` blocks until `release` is set.
    """

    def __init__(
        self,
        fail_at: int | None = None,
        error: BaseException | None = None,
        close_error: Exception | None = None,
        block_at: int | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.frames: list[Frame] = []
        self.closed_with: list[BaseException | None] = []
        self.threads: set[int] = set()
        self.blocked, self.release, self.closed = Event(), Event(), Event()
        self._fail_at, self._error, self._close_error, self._block_at = fail_at, error, close_error, block_at

    @property
    def numbers(self) -> list[int]:
        return [int(frame.pts_seconds * 10) for frame in self.frames]

    def write(self, frame: Frame) -> None:
        self.threads.add(threading.get_ident())
        assert not self.closed_with
        if len(self.frames) == self._block_at:
            self.blocked.set()
            assert self.release.wait(SECONDS)
        if len(self.frames) == self._fail_at:
            assert self._error is not None
            raise self._error
        self.frames.append(frame)

    def close(self, error: BaseException | None = None) -> None:
        self.threads.add(threading.get_ident())
        self.closed_with.append(error)
        self.notes.append(f"{len(self.frames)} frames")
        self.closed.set()
        if self._close_error is not None:
            raise self._close_error


class Failures(list[tuple[str, BaseException]]):
    """An on_failure that collects (name, error). It must be called in the thread that created it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def __call__(self, name: str, error: BaseException) -> None:
        assert threading.get_ident() == self._thread
        self.append((name, error))


# policies


@pytest.mark.parametrize("policy", POLICIES)
def test_frames_arrive_in_order_and_uncopied_in_one_thread(policy: Policy) -> None:
    sink = Memory()
    fan_out = FanOut([Output("sink", sink, policy)])
    frames = [frame(number) for number in range(QUEUED_FRAMES)]  # as many as the queue holds, in case the thread starts late
    for written in frames:
        fan_out.write(written)
    fan_out.close()
    assert all(found is written for found, written in zip(sink.frames, frames, strict=True))
    assert sink.closed_with == [None]
    assert len(sink.threads) == 1
    assert (sink.threads == {threading.get_ident()}) == (policy is Policy.INLINE)


def test_wait_loses_no_frame_and_blocks_the_caller_while_its_queue_is_full() -> None:
    sink = Memory(block_at=0)
    fan_out = FanOut([Output("recording", sink, Policy.WAIT)])
    written = []

    def write_all() -> None:
        for number in range(200):
            fan_out.write(frame(number))
            written.append(number)

    caller = threading.Thread(target=write_all)
    caller.start()
    assert sink.blocked.wait(SECONDS)
    sink.release.set()
    caller.join(SECONDS)
    fan_out.close()
    assert sink.numbers == written == list(range(200))
    assert fan_out.dropped["recording"] == 0


def test_wait_blocks_the_caller_at_the_capacity_of_its_queue() -> None:
    sink = Memory(block_at=0)
    fan_out = FanOut([Output("recording", sink, Policy.WAIT)])
    accepted = [Event() for _ in range(QUEUED_FRAMES + 2)]

    def write_all() -> None:
        for number, event in enumerate(accepted):
            fan_out.write(frame(number))
            event.set()

    caller = threading.Thread(target=write_all)
    caller.start()
    assert sink.blocked.wait(SECONDS)
    assert accepted[QUEUED_FRAMES].wait(SECONDS)  # one is being written, the others fill the queue
    assert not accepted[-1].is_set()
    sink.release.set()
    caller.join(SECONDS)
    assert accepted[-1].is_set()
    fan_out.close()


def test_a_slow_output_that_drops_does_not_delay_the_others() -> None:
    slow, fast, window = Memory(block_at=0), Memory(), Memory()
    fan_out = FanOut(
        [
            Output("slow", slow, Policy.DROP_OLDEST),
            Output("fast", fast, Policy.WAIT),
            Output("window", window, Policy.INLINE),
        ]
    )
    fan_out.write(frame(0))
    assert slow.blocked.wait(SECONDS)
    for number in range(1, 50):
        fan_out.write(frame(number))
    fan_out.remove("fast")  # complete, while the slow one is still writing its first frame
    assert fast.numbers == window.numbers == list(range(50))
    assert slow.numbers == []
    assert fan_out.dropped == {"slow": 49 - QUEUED_FRAMES}
    slow.release.set()
    fan_out.close()
    assert slow.numbers == [0, *range(50 - QUEUED_FRAMES, 50)]  # the newest frames are kept
    assert fan_out.dropped["slow"] == 49 - QUEUED_FRAMES


# failures


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("error", [OutputError("disk full"), ZeroDivisionError("a bug")], ids=repr)
def test_a_sink_that_fails_in_write_is_closed_removed_and_reported_once(policy: Policy, error: Exception) -> None:
    failures = Failures()
    broken, good = Memory(fail_at=2, error=error, close_error=OutputError("close fails too")), Memory()
    fan_out = FanOut([Output("broken", broken, policy), Output("good", good, Policy.WAIT)], failures)
    for number in range(3):
        fan_out.write(frame(number))
    assert broken.closed.wait(SECONDS)
    for number in range(3, 20):
        fan_out.write(frame(number))
    fan_out.close()
    fan_out.close()
    assert failures == [("broken", error)]
    assert broken.closed_with == [error]
    assert broken.numbers == [0, 1]
    assert good.numbers == list(range(20))
    assert good.closed_with == [None]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_sink_that_fails_in_close_is_reported_once_and_the_others_complete(policy: Policy) -> None:
    failures, error = Failures(), OutputError("cannot move the file")
    sinks = {"first": Memory(), "broken": Memory(close_error=error), "last": Memory()}
    fan_out = FanOut([Output(name, sink, policy) for name, sink in sinks.items()], failures)
    fan_out.write(frame(0))
    fan_out.close()
    fan_out.close()
    assert failures == [("broken", error)]
    assert [sink.closed_with for sink in sinks.values()] == [[None]] * 3
    assert fan_out.notes == ["1 frames"]  # equal notes are listed once


@pytest.mark.parametrize("policy", [Policy.WAIT, Policy.DROP_OLDEST])
def test_a_failure_is_reported_without_a_further_frame(policy: Policy) -> None:
    failures, error = Failures(), OutputError("disk full")
    broken = Memory(fail_at=0, error=error)
    fan_out = FanOut([Output("broken", broken, policy)], failures)
    fan_out.write(frame(0))
    join_threads()
    fan_out.report_failures()
    assert failures == [("broken", error)]
    fan_out.close()
    assert len(failures) == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_by_default_the_error_of_a_sink_is_raised(policy: Policy) -> None:
    error = OutputError("disk full")
    fan_out = FanOut([Output("broken", Memory(fail_at=1, error=error), policy)])
    fan_out.write(frame(0))

    def write_and_close() -> None:
        for number in range(1, QUEUED_FRAMES + 1):
            fan_out.write(frame(number))
        fan_out.close()

    with pytest.raises(OutputError, match="disk full"):
        write_and_close()
    fan_out.close()


def test_a_raised_failure_delays_no_output_and_hides_no_other_failure() -> None:
    first, second = (Memory(fail_at=1, error=OutputError(name)) for name in ("first", "second"))
    good = Memory()
    fan_out = FanOut(Output(str(place), sink, Policy.INLINE) for place, sink in enumerate((first, second, good)))
    fan_out.write(frame(0))
    with pytest.raises(OutputError, match="first"):
        fan_out.write(frame(1))
    with pytest.raises(OutputError, match="second"):
        fan_out.write(frame(2))
    fan_out.write(frame(3))
    fan_out.close()
    assert good.numbers == [0, 1, 2, 3]


def test_a_thread_that_raises_system_exit_is_a_failure_and_does_not_block_the_caller() -> None:
    failures, error = Failures(), SystemExit(3)
    fan_out = FanOut([Output("broken", Memory(fail_at=0, error=error), Policy.WAIT)], failures)
    for number in range(3 * QUEUED_FRAMES):
        fan_out.write(frame(number))
    fan_out.close()
    assert failures == [("broken", error)]


def test_a_full_queue_does_not_block_the_caller_after_a_failure() -> None:
    failures = Failures()
    broken = Memory(fail_at=0, error=OutputError("disk full"), block_at=0)
    fan_out = FanOut([Output("broken", broken, Policy.WAIT)], failures)
    for number in range(QUEUED_FRAMES):
        fan_out.write(frame(number))
    assert broken.blocked.wait(SECONDS)
    fan_out.write(frame(9))  # now the queue is full, and one frame is in the sink
    release = threading.Thread(target=broken.release.set)
    release.start()
    fan_out.write(frame(10))  # waits until the sink fails
    release.join()
    fan_out.close()
    assert [name for name, _ in failures] == ["broken"]


def test_keyboard_interrupt_in_an_inline_sink_passes_to_the_caller() -> None:
    window, recording = Memory(fail_at=1, error=KeyboardInterrupt()), Memory()
    fan_out = FanOut([Output("recording", recording, Policy.WAIT), Output("window", window, Policy.INLINE)], Failures())
    fan_out.write(frame(0))
    with pytest.raises(KeyboardInterrupt) as caught:
        fan_out.write(frame(1))
    fan_out.close(caught.value)
    assert recording.numbers == [0, 1]
    assert recording.closed_with == window.closed_with == [caught.value]


def test_a_sink_that_cannot_be_opened_leaves_the_fan_out_as_it_is(tmp_path: Path) -> None:
    sink = Memory()
    fan_out = FanOut([Output("good", sink, Policy.WAIT)])
    with pytest.raises(OutputError, match="no folder"):
        fan_out.add(Output("recording", VideoWriter(tmp_path / "missing/out.mp4", INFO), Policy.WAIT))
    fan_out.write(frame(0))
    fan_out.close()
    assert sink.numbers == [0]


# outputs that are added and removed


@pytest.mark.parametrize("policy", POLICIES)
def test_outputs_are_added_and_removed_while_it_runs(policy: Policy) -> None:
    always, sometimes, again = Memory(), Memory(), Memory()
    fan_out = FanOut([Output("always", always, Policy.WAIT)])
    fan_out.write(frame(0))
    fan_out.add(Output("recording", sometimes, policy))
    fan_out.write(frame(1))
    fan_out.write(frame(2))
    fan_out.remove("recording")
    assert sometimes.numbers == [1, 2]
    assert sometimes.closed_with == [None]
    fan_out.write(frame(3))
    fan_out.add(Output("recording", again, policy))
    fan_out.write(frame(4))
    fan_out.close()
    assert again.numbers == [4]
    assert always.numbers == [0, 1, 2, 3, 4]
    assert fan_out.notes == ["2 frames", "5 frames", "1 frames"]  # in the order in which the outputs ended


@pytest.mark.parametrize("policy", POLICIES)
def test_remove_raises_the_error_of_its_sink_alone(policy: Policy) -> None:
    failures, error = Failures(), OutputError("cannot move the file")
    broken, good = Memory(close_error=error), Memory()
    fan_out = FanOut([Output("broken", broken, policy), Output("good", good, policy)], failures)
    fan_out.write(frame(0))
    with pytest.raises(OutputError, match="cannot move"):
        fan_out.remove("broken")
    with pytest.raises(KeyError):
        fan_out.remove("broken")
    fan_out.write(frame(1))
    fan_out.close()
    assert failures == []
    assert good.numbers == [0, 1]


def test_remove_raises_a_failure_that_was_not_reported() -> None:
    failures, error = Failures(), OutputError("disk full")
    broken = Memory(fail_at=0, error=error)
    fan_out = FanOut([Output("broken", broken, Policy.WAIT)], failures)
    fan_out._writers["broken"].write(frame(0))
    assert broken.closed.wait(SECONDS)
    with pytest.raises(OutputError, match="disk full"):
        fan_out.remove("broken")
    fan_out.close()
    assert failures == []


def test_two_outputs_of_one_name_are_refused() -> None:
    fan_out = FanOut([Output("window", Memory(), Policy.INLINE)])
    with pytest.raises(ValueError, match="window"):
        fan_out.add(Output("window", Memory(), Policy.WAIT))
    fan_out.close()


# the end


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InterruptedError("unplugged")], ids=repr)
@pytest.mark.parametrize("policy", POLICIES)
def test_close_with_an_error_writes_what_is_queued_and_closes_all_sinks_with_it(policy: Policy, error: BaseException) -> None:
    sinks = [Memory(), Memory()]
    fan_out = FanOut(Output(str(number), sink, policy) for number, sink in enumerate(sinks))
    for number in range(QUEUED_FRAMES):
        fan_out.write(frame(number))
    fan_out.close(error)
    for sink in sinks:
        assert sink.numbers == list(range(QUEUED_FRAMES))
        assert sink.closed_with == [error]


@pytest.mark.parametrize("policy", POLICIES)
def test_an_interrupted_run_leaves_files_that_play(policy: Policy, tmp_path: Path) -> None:
    writers = [VideoWriter(tmp_path / name, INFO) for name in ("one.mp4", "two.mkv")]
    fan_out = FanOut(Output(writer.path.name, writer, policy) for writer in writers)
    for number in range(QUEUED_FRAMES):
        fan_out.write(frame(number))
    fan_out.close(KeyboardInterrupt())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.partial.mp4", "two.partial.mkv"]
    for path in tmp_path.iterdir():
        with av.open(str(path)) as container:
            assert [round(found.time * 10) for found in container.decode(video=0)] == list(range(QUEUED_FRAMES))


@pytest.mark.parametrize("policy", [Policy.WAIT, Policy.DROP_OLDEST])
def test_end_lets_the_outputs_end_without_waiting(policy: Policy) -> None:
    """So that they end while the caller still waits for the source."""
    slow, good = Memory(block_at=0), Memory()
    fan_out = FanOut([Output("slow", slow, policy, join_timeout_seconds=SECONDS), Output("good", good, policy)])
    fan_out.write(frame(0))
    assert slow.blocked.wait(SECONDS)
    fan_out.end()
    assert good.closed.wait(SECONDS)
    assert not slow.closed_with
    slow.release.set()
    fan_out.close()
    assert (slow.numbers, good.numbers) == ([0], [0])
    assert (slow.closed_with, good.closed_with) == ([None], [None])


def test_the_time_to_end_is_counted_from_the_first_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that several stuck outputs, or a stuck source before them, take no longer than one."""
    clock = Clock()
    monkeypatch.setattr("livestyle.streaming.fan_out.time.monotonic", clock)
    failures, sink = Failures(), Memory(block_at=0)
    fan_out = FanOut([Output("stuck", sink, Policy.WAIT, SECONDS)], failures)
    fan_out.write(frame(0))
    assert sink.blocked.wait(SECONDS)
    fan_out.end()
    clock.now += SECONDS
    too_late = threading.Timer(5, sink.release.set)  # ends a `close` that waits, so that there is no failure
    too_late.start()
    fan_out.close()
    too_late.cancel()
    too_late.join()
    assert [name for name, _ in failures] == ["stuck"]
    sink.release.set()
    assert sink.closed.wait(SECONDS)
    join_threads()


@pytest.mark.parametrize("end", [FanOut.close, lambda fan_out: fan_out.close(KeyboardInterrupt())], ids=["end", "interrupt"])
@pytest.mark.parametrize("policy", [Policy.WAIT, Policy.DROP_OLDEST])
def test_a_stuck_sink_is_left_behind_and_reported(policy: Policy, end: Callable[[FanOut], None]) -> None:
    failures, sink, good = Failures(), Memory(block_at=0), Memory()
    outputs = [Output("stuck", sink, policy, join_timeout_seconds=0), Output("good", good, Policy.WAIT)]
    fan_out = FanOut(outputs, failures)
    fan_out.write(frame(0))
    assert sink.blocked.wait(SECONDS)
    end(fan_out)
    assert [name for name, _ in failures] == ["stuck"]
    assert isinstance(failures[0][1], OutputError)
    assert good.numbers == [0]
    assert len(good.closed_with) == 1
    assert is_any_left_behind()
    assert not sink.closed_with  # it is still being used
    sink.release.set()
    assert sink.closed.wait(SECONDS)  # then its thread closes it and ends
    join_threads()
    assert not is_any_left_behind()
