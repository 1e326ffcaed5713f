"""python -m livestyle, and the command that is installed.

Little is imported here, so that Ctrl-C ends in one line from the first moment on.
"""

import atexit
import os
import signal
import sys
import warnings

TYPE_CHECKING = False  # typing takes longer to import than all else here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

QUIET = {
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # FFmpeg's AV_LOG_QUIET
    "SVT_LOG": "1",  # errors only; there is no lower level that all versions know
    "QT_LOGGING_RULES": "default.warning=false",  # of OpenCV's windows: missing fonts
    "PYTHONWARNINGS": "ignore",  # in processes that are started
}
"""Libraries write to stderr by themselves unless the environment says otherwise. What matters is raised as an error of ours."""


def main() -> None:
    """Run the command line as a process of its own, and exit."""
    on_signals(lambda number, frame: end_before_work())
    atexit.register(on_signals, signal.SIG_IGN)  # as the last: from then on Python would let signals kill it
    if "--debug" not in sys.argv:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
    from livestyle.cli import main as run
    from livestyle.cli.streams import open_standard_streams
    from livestyle.streaming.channel import is_any_left_behind

    open_standard_streams()
    code = run()
    on_signals(lambda number, frame: end(code))  # all is written
    if code == 130 or is_any_left_behind():
        end(code)  # what is half imported, or still inside a library, would make the interpreter fail as it ends
    try:
        sys.stdout.flush()
    except OSError:  # said already; the interpreter would try again, and say so too
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def on_signals(handler: "Callable[[int, FrameType | None], object] | signal.Handlers") -> None:
    """Have the handler called for each signal that ends a program, but for those that are ignored, as under nohup."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def end_before_work() -> None:
    """End where nothing has begun. On a terminal ^C stands in front of the line."""
    end(130, '{"error": "interrupted"}\n' if "--json" in sys.argv else "", "\ninterrupted\n" if os.isatty(2) else "interrupted\n")


def end(code: int, output: str = "", message: str = "") -> None:
    """End the process here and now, with these last lines on stdout and stderr."""
    try:
        if sys.stdout is not None:
            sys.stdout.write(output)
            sys.stdout.flush()
        os.write(2, message.encode())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: it was just being flushed
        pass
    os._exit(code)


if __name__ == "__main__":
    main()
