"""Output files: written next to their final path under a temporary name, and renamed when complete.

    out.mp4 -> out.partial.mp4, or out.partial-2.mp4 ... if earlier runs left partial files

Each run creates its own partial file and locks it until it ends. So two runs never write to the same file, a second run for
the same output is refused at the start, and the partial file of a killed run is never modified.
"""

import hashlib
import os
import re
import stat
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from livestyle.errors import OutputError, OutputInUseError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_CREATE = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)  # O_EXCL: always a new file, links are not followed
LONGEST_NAME_BYTES = 255
LOCKED_BYTE = 2**40
"""Offset of the byte to lock on Windows: beyond the end of any file, as other processes cannot write a locked byte."""
LOCK_TRIES, LOCK_RETRY_SECONDS = 100, 0.01
"""Attempts to lock a folder, and the pause between them. A run holds this lock only while it creates its partial file."""


class OutputFile:
    """Reserves a final path and creates the partial file to write to.

    Call one of `commit`, `rewritten`, `keep` and `discard`. Leaving the context manager without any of them discards the file.

    path: the final path. If it is a symbolic link, the file that it points to is written.
    replace: whether `commit` may replace a file that exists at the final path.

    Raises OutputInUseError if another run is writing the same file, and OutputError if the folder is missing or not
    writable, or the path is a folder or a device.
    """

    def __init__(self, path: Path, *, replace: bool = True) -> None:
        self.notes: list[str] = []
        """Names the partial files that earlier runs left, if there are any."""
        self._replace = replace
        self._mode: int | None = None  # permissions of the file that is replaced
        try:
            self.path = Path(os.path.realpath(path)) if path.is_symlink() else path
            if self.path.is_symlink():
                raise OutputError(f"cannot write {path}: its symbolic links form a loop")
            if not self.path.parent.is_dir():
                raise OutputError(f"cannot write {path}: there is no folder {self.path.parent}")
            if self.path.exists():
                mode = self.path.stat().st_mode
                if not stat.S_ISREG(mode):
                    kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
                    raise OutputError(f"cannot write {path}: it is {kind}")
                self._mode = stat.S_IMODE(mode)
            with _folder_locked(self.path.parent):  # otherwise another run could find the new file before it is locked
                self.partial, self._descriptor = self._create()
                """`partial` is the path to write to until `commit`: an empty file that belongs to this run."""
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        self._is_open = True

    def commit(self) -> None:
        """Flush the partial file to the disk and move it to the final path, with the permissions of the file that it replaces.

        Raises OutputError if that fails, or if a file that must not be replaced was created at the path in the meantime.
        The partial file then stays.
        """
        self._commit(self._descriptor, self.partial)

    @contextmanager
    def rewritten(self) -> Iterator[Path]:
        """Yield the path of a second file, which is committed in place of the partial file if the block raises nothing.

        On Linux that file has no name in the folder until then, so a run that is killed leaves only the partial file.

        Raises OSError if it cannot be created, and OutputError as `commit` does; the partial file then stays.
        """
        hidden = self.path.with_name(f".{uuid.uuid4().hex}.partial{self.path.suffix}")  # its length does not depend on the name
        try:
            descriptor = os.open(self.path.parent, os.O_TMPFILE | os.O_RDWR, self._creation_mode)
            is_unnamed = True
        except (AttributeError, OSError):  # only on Linux, and not on every file system
            descriptor = os.open(hidden, _CREATE, self._creation_mode)
            is_unnamed = False
        try:
            yield Path(f"/proc/self/fd/{descriptor}") if is_unnamed else hidden
            if is_unnamed:
                # src_dir_fd makes Python follow the link in /proc
                os.link(f"/proc/self/fd/{descriptor}", hidden, src_dir_fd=descriptor)
            written, descriptor = descriptor, -1
            self._commit(written, hidden)
            self.discard()
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            hidden.unlink(missing_ok=True)

    def keep(self) -> None:
        """Flush the partial file to the disk and leave it in place."""
        if self._is_open:
            self._is_open = False
            with suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)

    def discard(self) -> None:
        """Delete the partial file, unless it was committed or kept."""
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)
            with suppress(OSError):
                self.partial.unlink()

    def __enter__(self) -> "OutputFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.discard()

    @property
    def _creation_mode(self) -> int:
        # as for the file that is replaced, so that a private file is private from the start
        return 0o666 if self._mode is None else self._mode & 0o666 | 0o600

    def _create(self) -> tuple[Path, int]:
        """Create and lock the partial file. Returns its path and descriptor. Raises OutputInUseError."""
        others = partial_files(self.path)
        for other in others:
            if _is_locked(other):
                raise OutputInUseError(f"another run is writing {self.path}, to {other}; wait for it, or use another name")
        if others:
            names = ", ".join(str(other) for other in others)
            self.notes.append(f"an earlier run did not finish and left {names}; delete what you do not need")
        number = 1
        while True:
            partial = _partial_path(self.path, number)
            try:
                descriptor = os.open(partial, _CREATE, self._creation_mode)
                break
            except FileExistsError:
                number += 1
        with suppress(OSError):  # not every file system has locks
            lock(descriptor)
        return partial, descriptor

    def _commit(self, descriptor: int, written: Path) -> None:
        """Move the file `written`, open as `descriptor`, to the final path.

        Closes the descriptor first, as Windows does not move open files.
        """
        try:
            try:
                os.fsync(descriptor)
                if self._mode is not None and sys.platform != "win32":
                    os.fchmod(descriptor, self._mode)
            finally:
                # set before closing: after an interrupt the descriptor must not be closed twice
                self._is_open = self._is_open and written != self.partial
                os.close(descriptor)
            if self._replace:
                os.replace(written, self.path)
            else:
                _move_to_free_name(written, self.path)
            _flush_folder(self.path.parent)
        except OSError as error:
            taken = isinstance(error, FileExistsError)
            reason = "another program created it meanwhile" if taken else error.strerror or error
            left = f"; what was written is in {self.partial}" if self.partial.exists() else ""
            raise OutputError(f"cannot write {self.path}: {reason}{left}") from error


def write_whole(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file atomically: it appears at its path complete, or not at all.

    replace: whether a file that has this name may be replaced. Raises OutputError if it cannot be written.
    """
    with OutputFile(path, replace=replace) as output:
        try:
            output.partial.write_bytes(data)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        output.commit()


def refuse_same_file(source: Path, target: Path) -> None:
    """Raise OutputError if both paths are the same file, also if one is a link to the other."""
    if source.exists() and target.exists() and source.samefile(target):
        raise OutputError(f"{target} is the input itself; name another output")


def make_folders(files: Iterable[Path]) -> None:
    """Create the folders of these files, with their parents. Raises OutputError, also if an existing one is not writable."""
    for folder in dict.fromkeys(file.parent for file in files):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot create the folder {folder}: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise OutputError(f"cannot write into the folder {folder}: it is not writable")


def partial_files(path: Path) -> list[Path]:
    """Existing partial files of an output, from runs that are still running or did not finish. path: the final path."""
    first = _partial_path(path, 1)
    name = re.compile(re.escape(first.stem) + r"(-\d+)?" + re.escape(first.suffix))
    try:
        return sorted(entry for entry in first.parent.iterdir() if name.fullmatch(entry.name))
    except OSError:  # the folder can be written but not listed
        return []


def is_partial(path: Path) -> bool:
    """Whether a path has the name of a partial file."""
    return re.search(r"\.partial(-\d+)?$", path.stem) is not None


def _partial_path(path: Path, number: int) -> Path:
    """Path of a partial file. A long name is shortened, and gets a digest of the full name."""
    stem, suffix = path.stem, path.suffix
    room = LONGEST_NAME_BYTES - len(os.fsencode(f".partial-9999{suffix}"))
    if len(os.fsencode(stem)) > room:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]  # names that differ only at their end stay different
        stem = os.fsencode(stem)[: room - 9].decode(errors="ignore") + f"~{digest}"
    return path.with_name(f"{stem}.partial{'' if number == 1 else f'-{number}'}{suffix}")


def _move_to_free_name(source: Path, target: Path) -> None:
    """Move a file without replacing another one. Raises FileExistsError if the target exists."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except (OSError, AttributeError, NotImplementedError):  # no hard links; a file created after this check is replaced
        if os.path.lexists(target):
            raise FileExistsError from None
        source.rename(target)
    else:
        source.unlink()


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows does not open folders, and not every file system flushes them
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Prevent other runs from creating partial files in the folder, where the system can lock folders."""
    if sys.platform == "win32":
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # the folder cannot be listed
        yield
        return
    try:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOCK_RETRY_SECONDS)
            except OSError:  # some network file systems have no locks
                break
            else:
                break
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int) -> None:
    """Lock an open file until the descriptor is closed. Raises OSError if another process has locked it."""
    if sys.platform == "win32":
        os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_locked(path: Path) -> bool:
    """Whether another run has locked a partial file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:  # a link, or a file of another user
        return False
    try:
        lock(descriptor)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
