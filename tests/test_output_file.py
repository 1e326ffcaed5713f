"""Output files: partial files, locks, links, permissions, and which files exist at the end of a run."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from livestyle.errors import OutputError, OutputInUseError
from livestyle.output_file import OutputFile, is_partial, partial_files, write_whole

Commit = Callable[[OutputFile], None]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(output: OutputFile, data: bytes = b"new") -> None:
    """Write to the partial file by its path, as FFmpeg does, not by the locked descriptor."""
    output.partial.write_bytes(data)


@pytest.fixture(params=["partial", "rewritten", "rewritten by name"])
def commit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Commit:
    """Function that writes and completes a file, in each of the possible ways."""
    if request.param == "rewritten by name":  # as on systems without O_TMPFILE
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)

    def complete(output: OutputFile) -> None:
        write(output)
        if request.param == "partial":
            output.commit()
            return
        with output.rewritten() as path:
            path.write_bytes(b"new")

    return complete


def test_commit_replaces_the_file(tmp_path: Path, commit: Commit) -> None:
    output = OutputFile(tmp_path / "out.mp4")
    assert names(tmp_path) == ["out.partial.mp4"]
    commit(output)
    assert names(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"new"


def test_discard_deletes_and_keep_leaves_the_partial_file(tmp_path: Path) -> None:
    with OutputFile(tmp_path / "out.mp4") as output:
        write(output)
    assert names(tmp_path) == []
    with OutputFile(tmp_path / "out.mp4") as output:
        write(output)
        output.keep()
    assert names(tmp_path) == ["out.partial.mp4"]


def test_error_while_rewriting_leaves_the_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for by_name in (False, True):
        if by_name:
            monkeypatch.delattr(os, "O_TMPFILE", raising=False)
        output = OutputFile(tmp_path / f"{by_name}.mp4")
        write(output)
        with pytest.raises(IsADirectoryError), output.rewritten():
            tmp_path.write_bytes(b"an error")
        output.keep()
        assert output.partial.read_bytes() == b"new"
    assert names(tmp_path) == ["False.partial.mp4", "True.partial.mp4"]


def test_partial_file_of_an_earlier_run_is_not_modified(tmp_path: Path, commit: Commit) -> None:
    (tmp_path / "out.partial.mp4").write_bytes(b"of a run that was killed")
    (tmp_path / "out.partial-2.mp4").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_bytes(b"precious")
    output = OutputFile(tmp_path / "out.mp4")
    assert output.partial.name == "out.partial-3.mp4"
    assert "out.partial.mp4" in output.notes[0]
    commit(output)
    assert (tmp_path / "out.partial.mp4").read_bytes() == b"of a run that was killed"
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert names(tmp_path) == ["out.mp4", "out.partial-2.mp4", "out.partial.mp4", "precious"]


def test_dangling_link_with_the_partial_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out.partial.mp4").symlink_to(tmp_path / "elsewhere")
    with OutputFile(tmp_path / "out.mp4") as output:
        write(output)
        output.commit()
    assert not (tmp_path / "elsewhere").exists()


def test_second_run_for_the_same_output_is_refused(tmp_path: Path) -> None:
    with OutputFile(tmp_path / "out.mp4") as output:
        with pytest.raises(OutputInUseError, match="another run"):
            OutputFile(tmp_path / "out.mp4")
        write(output)
        with OutputFile(tmp_path / "out.mkv"), OutputFile(tmp_path / "out-2.mp4"):  # other outputs are not locked
            pass
        output.commit()
    assert names(tmp_path) == ["out.mp4"]
    OutputFile(tmp_path / "out.mp4").discard()  # now this one is not locked either


RACE = """
import sys
from pathlib import Path
from livestyle.errors import OutputInUseError
from livestyle.output_file import OutputFile
sys.stdin.readline()
try:
    output = OutputFile(Path(sys.argv[1]))
    print("writes", flush=True)
except OutputInUseError:
    print("refused", flush=True)
sys.stdin.readline()
"""


def test_only_one_of_several_simultaneous_runs_writes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(tmp_path / "out.mp4")]
    runs = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("\n")
        run.stdin.flush()
    said = []
    for run in runs:
        assert run.stdout is not None
        said.append(run.stdout.readline().strip())
    for run in runs:
        run.communicate("\n")
    assert sorted(said) == ["refused"] * 5 + ["writes"]


def test_symbolic_link_is_followed(tmp_path: Path, commit: Commit) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.mp4").write_bytes(b"old")
    (tmp_path / "out.mp4").symlink_to("there/real.mp4")
    (tmp_path / "new.mp4").symlink_to("there/created.mp4")
    commit(OutputFile(tmp_path / "out.mp4"))
    commit(OutputFile(tmp_path / "new.mp4"))
    assert (tmp_path / "out.mp4").is_symlink()
    assert (tmp_path / "there" / "real.mp4").read_bytes() == b"new"
    assert (tmp_path / "there" / "created.mp4").read_bytes() == b"new"
    assert names(tmp_path / "there") == ["created.mp4", "real.mp4"]


def test_unwritable_paths_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "nowhere.mp4").symlink_to("missing/out.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, says in {
        "loop.mp4": "loop",
        "folder.mp4": "folder",
        "pipe.mp4": "regular file",
        "missing/out.mp4": "no folder",
        "nowhere.mp4": "no folder",
        "loop.mp4/out.mp4": "no folder|symbolic",
        "x" * 300 + ".mp4": "too long",
    }.items():
        with pytest.raises(OutputError, match=says):
            OutputFile(tmp_path / name)
    assert len(names(tmp_path)) == 4


def test_permissions_are_kept(tmp_path: Path, commit: Commit) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        output = OutputFile(path)
        assert stat.S_IMODE(output.partial.stat().st_mode) & 0o077 <= mode & 0o077  # private from the start
        commit(output)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_existing_file_is_not_replaced_if_forbidden(tmp_path: Path, commit: Commit) -> None:
    output = OutputFile(tmp_path / "out.mp4", replace=False)
    (tmp_path / "out.mp4").write_bytes(b"of another program")
    with pytest.raises(OutputError, match=r"out\.partial\.mp4"):
        commit(output)
    output.keep()
    assert (tmp_path / "out.mp4").read_bytes() == b"of another program"
    assert (tmp_path / "out.partial.mp4").read_bytes() == b"new"
    assert names(tmp_path) == ["out.mp4", "out.partial.mp4"]


def test_new_file_is_written_if_replacing_is_forbidden(tmp_path: Path, commit: Commit) -> None:
    commit(OutputFile(tmp_path / "out.mp4", replace=False))
    assert names(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("letter", ["a", "ä", "😀"])
def test_longest_possible_names(tmp_path: Path, commit: Commit, letter: str) -> None:
    stem = letter * ((255 - 5) // len(letter.encode()))
    longest, other = f"{stem[:-1]}x.mp4", f"{stem[:-1]}y.mp4"
    with OutputFile(tmp_path / other):  # the shortened partial names differ
        commit(OutputFile(tmp_path / longest))
    assert names(tmp_path) == [longest]


def test_folder_that_is_deleted_during_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    output = OutputFile(folder / "out.mp4")
    output.partial.unlink()
    folder.rmdir()
    with pytest.raises(OutputError, match="cannot write"):
        output.commit()


def test_partial_names(tmp_path: Path) -> None:
    assert is_partial(Path("a/out.partial.mp4"))
    assert is_partial(Path("out.partial-12.mkv"))
    assert not is_partial(Path("partial.mp4"))
    assert not is_partial(Path("out.partials.mp4"))
    for name in ("out.partial.mp4", "out.partial-2.mp4", "out.partial.mkv", "out2.partial.mp4", "out.partial-x.mp4"):
        (tmp_path / name).touch()
    assert [path.name for path in partial_files(tmp_path / "out.mp4")] == ["out.partial-2.mp4", "out.partial.mp4"]


def test_write_whole_writes_and_replaces(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", b"1")
    write_whole(tmp_path / "a.txt", b"2")
    assert (tmp_path / "a.txt").read_bytes() == b"2"
    assert names(tmp_path) == ["a.txt"]
