"""Free memory respects the limits of Linux control groups (containers). The tests write the files of control groups."""

from pathlib import Path

import psutil
import pytest

from livestyle.memory import free_bytes

MIB = 2**20
UNLIMITED_V1 = "9223372036854771712"


def write_files(folder: Path, **files: str) -> None:
    """Write the files of a control group: name -> text; __ in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Path of the file that stands for /proc/self/cgroup."""
    return tmp_path / "own"


def test_cgroup_v2_inactive_file_cache_counts_as_free(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/user.slice/run.scope\n")
    cached = f"anon {3 * MIB}\ninactive_file {5 * MIB}\nactive_file {MIB}"
    write_files(tmp_path / "user.slice/run.scope", memory__max=str(40 * MIB), memory__current=str(30 * MIB), memory__stat=cached)
    assert free_bytes(tmp_path, own) == 15 * MIB  # the kernel can free the inactive file cache


def test_cgroup_v2_the_tightest_limit_of_nested_groups_applies(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/outer/inner\n")
    write_files(tmp_path / "outer/inner", memory__max="max", memory__current=str(MIB), memory__stat="")
    write_files(tmp_path / "outer", memory__max=str(9 * MIB), memory__current=str(2 * MIB), memory__stat="")
    write_files(tmp_path, memory__max=str(50 * MIB), memory__current=str(4 * MIB))
    assert free_bytes(tmp_path, own) == 7 * MIB
    write_files(tmp_path / "outer/inner", memory__high=str(3 * MIB))  # above memory.high the kernel slows the process down
    assert free_bytes(tmp_path, own) == 2 * MIB


def test_cgroup_v2_limit_at_the_root_applies_inside_a_container(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/\n")
    write_files(tmp_path, memory__max=str(8 * MIB), memory__current=str(3 * MIB), memory__stat="inactive_file 0")
    assert free_bytes(tmp_path, own) == 5 * MIB


@pytest.mark.parametrize("path", ["/docker/0123", "/", "/../../elsewhere"])
def test_cgroup_v1_limit_is_found_whatever_path_the_process_reports(tmp_path: Path, own: Path, path: str) -> None:
    """Docker reports the path on the host, which does not exist inside the container, and an empty v2 hierarchy next to v1."""
    own.write_text(f"11:cpu,cpuacct:{path}\n4:memory:{path}\n0::/\n")
    numbers = {"memory__limit_in_bytes": str(20 * MIB), "memory__usage_in_bytes": str(19 * MIB)}
    write_files(tmp_path / "memory", **numbers, memory__stat=f"inactive_file 0\ntotal_inactive_file {6 * MIB}")
    assert free_bytes(tmp_path, own) == 7 * MIB


def test_cgroup_v1_the_tightest_limit_of_nested_groups_applies(tmp_path: Path, own: Path) -> None:
    own.write_text("4:memory:/batch/job\n")
    write_files(tmp_path / "memory", memory__limit_in_bytes=UNLIMITED_V1, memory__usage_in_bytes="0")
    write_files(tmp_path / "memory/batch", memory__limit_in_bytes=str(6 * MIB), memory__usage_in_bytes=str(MIB))
    write_files(tmp_path / "memory/batch/job", memory__limit_in_bytes=str(9 * MIB), memory__usage_in_bytes=str(MIB))
    assert free_bytes(tmp_path, own) == 5 * MIB


def test_free_memory_is_not_negative_above_the_limit(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/\n")
    write_files(tmp_path, memory__max=str(MIB), memory__current=str(2 * MIB))
    assert free_bytes(tmp_path, own) == 0


@pytest.mark.parametrize("text", ["", "0::/\n", "nonsense\n", "4:memory\n", "4:memory:/gone\n"])
def test_without_a_limit_free_memory_is_that_of_the_system(tmp_path: Path, own: Path, text: str) -> None:
    own.write_text(text)
    write_files(tmp_path, memory__max="max", memory__current="7", memory__stat="inactive_file many")
    system = psutil.virtual_memory()
    assert 0.5 * system.available < free_bytes(tmp_path, own) <= system.total
    assert free_bytes(tmp_path / "nowhere", tmp_path / "nothing") <= system.total
