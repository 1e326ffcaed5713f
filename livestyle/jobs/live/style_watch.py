"""Notice styles that are added to the gallery's folders, or replaced there, during a live run."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from livestyle.errors import StyleError
from livestyle.look import Look
from livestyle.style_files.file_format import STYLE_SUFFIX
from livestyle.stylizer import Stylizer

INTERVAL_SECONDS = 0.5


class StyleWatch:
    """Looks for changed style files, by their sizes and times of modification.

    clock: the time in seconds.
    """

    def __init__(self, stylizer: Stylizer, clock: Callable[[], float]) -> None:
        self._stylizer, self._clock = stylizer, clock
        self._files = self._list()
        self._next_at = clock() + INTERVAL_SECONDS

    def changed(self) -> list[Look]:
        """Return the looks of the styles whose files are new or changed since the last call. The stylizer reads them again.

        Looks at the folders at most twice a second. A file that is still being copied is skipped; it changes again.
        """
        if self._clock() < self._next_at:
            return []
        self._next_at = self._clock() + INTERVAL_SECONDS
        files = self._list()
        changed = {path for path, state in files.items() if self._files.get(path) != state}
        if files == self._files:
            return []
        self._files = files
        self._stylizer.reload_styles()
        names = {header.name for header in self._stylizer.gallery.files if header.has_rows and str(header.path) in changed}
        looks = []
        for name in sorted(names):
            with suppress(StyleError):  # for another network, or without its body
                looks.append(self._stylizer.look(name))
        return looks

    def _list(self) -> dict[str, tuple[int, int]]:
        """The size and the time of modification of each style file: path -> bytes, nanoseconds."""
        files: dict[str, tuple[int, int]] = {}
        for folder in self._stylizer.gallery.folders:
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(STYLE_SUFFIX):
                        with suppress(OSError):
                            status = entry.stat()
                            files[str(Path(folder, entry.name))] = (status.st_size, status.st_mtime_ns)
        return files
