"""`python -m livestyle`, and the installed command `livestyle`.

Imports little before the signal handlers are set, so that Ctrl-C prints one line, and no traceback, from the start on.
"""

import atexit
import os
import signal
import sys
import warnings

TYPE_CHECKING = False  # importing typing would take longer than all other imports here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

QUIET_ENVIRONMENT = {
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # FFmpeg's AV_LOG_QUIET
    "SVT_LOG": "1",  # errors only; not every version has a lower level
    "QT_LOGGING_RULES": "default.warning=false",  # OpenCV's windows warn about missing fonts
    "PYTHONWARNINGS": "ignore",  # in child processes
}
"""Environment variables that stop libraries from writing to stderr; what matters is raised as a LivestyleError."""


def main() -> None:
    """Run the command line, and exit the process."""
    on_signals(lambda number, frame: exit_before_start())
    # called last, as it is registered first: after that Python restores the default handlers, which end the process
    atexit.register(on_signals, signal.SIG_IGN)
    if "--debug" not in sys.argv:
        for name, value in QUIET_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
    from livestyle.cli import main as run
    from livestyle.cli.streams import open_standard_streams
    from livestyle.streaming.channel import is_any_left_behind

    open_standard_streams()
    code = run()
    on_signals(lambda number, frame: exit_now(code))  # all output is written
    if code == 130 or is_any_left_behind():
        exit_now(code)  # a shutdown of the interpreter crashes with half-imported modules or threads inside a library
    try:
        sys.stdout.flush()
    except OSError:  # already reported; the interpreter would flush again, and print a second error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def on_signals(handler: "Callable[[int, FrameType | None], object] | signal.Handlers") -> None:
    """Set the handler of SIGINT, SIGTERM and SIGHUP. Signals that are ignored stay ignored, as under nohup."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def exit_before_start() -> None:
    """Print "interrupted" and exit with code 130. On a terminal, which shows ^C, the message goes to the next line."""
    output = '{"error": "interrupted"}\n' if "--json" in sys.argv else ""
    exit_now(130, output, "\ninterrupted\n" if os.isatty(2) else "interrupted\n")


def exit_now(code: int, output: str = "", message: str = "") -> None:
    """Write `output` to stdout and `message` to stderr, and exit without shutting down the interpreter."""
    try:
        if sys.stdout is not None:
            sys.stdout.write(output)
            sys.stdout.flush()
        os.write(2, message.encode())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: the signal arrived during a flush
        pass
    os._exit(code)


if __name__ == "__main__":
    main()
