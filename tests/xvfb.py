"""An X server without a screen, whose pixels the tests set and whose monitors they choose."""

import ctypes
import ctypes.util
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np

from livestyle.frame import Image

WIDTH, HEIGHT = 320, 240
IS_MISSING = shutil.which("Xvfb") is None


class Xvfb:
    """The server of the display `name`. `pixels` is the memory of its screen, (HEIGHT, WIDTH, 4): blue, green, red, unused."""

    def __init__(self, folder: Path) -> None:
        reader, writer = os.pipe()
        words = ["Xvfb", "-displayfd", str(writer), "-fbdir", str(folder), "-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
        words += ["-nolisten", "tcp", "-noreset"]
        self._process = subprocess.Popen(words, pass_fds=[writer], stderr=subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()
        assert number, "Xvfb did not start"
        self.name = f":{number}"
        path = folder / "Xvfb_screen0"  # xwd format: a header, a colour table, pixels
        header = struct.unpack(">25I", path.read_bytes()[:100])
        assert (header[4], header[5], header[12]) == (WIDTH, HEIGHT, 4 * WIDTH)
        self.pixels: Image = np.memmap(path, np.uint8, "r+", header[0] + 12 * header[19], (HEIGHT, WIDTH, 4))

    def split(self, *monitors: tuple[int, int]) -> bool:
        """Add monitors of these (left, width) and the full height; the second is the primary one. False without libXrandr."""
        names = [ctypes.util.find_library(name) for name in ("X11", "Xrandr")]
        if None in names:
            return False
        x11, xrandr = map(ctypes.CDLL, names)
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XDefaultRootWindow.restype = x11.XInternAtom.restype = ctypes.c_ulong

        class MonitorInfo(ctypes.Structure):
            _fields_ = (
                ("name", ctypes.c_ulong),
                *((name, ctypes.c_int) for name in ("primary", "automatic", "noutput")),
                *((name, ctypes.c_int) for name in ("x", "y", "width", "height", "mwidth", "mheight")),
                ("outputs", ctypes.c_void_p),
            )

        connection = ctypes.c_void_p(x11.XOpenDisplay(self.name.encode()))
        root = ctypes.c_ulong(x11.XDefaultRootWindow(connection))
        for number, (left, width) in enumerate(monitors):
            name = x11.XInternAtom(connection, f"monitor {number}".encode(), False)
            info = MonitorInfo(name, number == 1, 0, 0, left, 0, width, HEIGHT, 100, 100, None)
            xrandr.XRRSetMonitor(connection, root, ctypes.byref(info))
        x11.XSync(connection, False)
        x11.XCloseDisplay(connection)
        return True

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
