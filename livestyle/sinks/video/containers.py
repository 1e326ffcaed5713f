"""The containers that are written, and their options."""

from dataclasses import dataclass
from pathlib import Path

from livestyle.errors import OutputError


@dataclass(frozen=True)
class Container:
    """A container that we write."""

    format: str
    """FFmpeg's name of it."""
    sound: str
    """The encoder for sound that it cannot hold as it is."""
    subtitles: str
    """The codec for text that it cannot hold as it is."""
    fragmented: bool
    """Unplayable without its index, so written in fragments first."""
    options: dict[str, str]
    """While it runs."""


FRAGMENTS = {
    # delay_moov keeps times exact. frag_every_frame, which loses a little less, does not with two sound tracks:
    # it takes the end of a fragment from the wrong one of two waiting packets
    "movflags": "delay_moov+default_base_moof",
    "frag_duration": "100000",  # microseconds
    "flush_packets": "1",
    "max_interleave_delta": "1",  # we interleave; FFmpeg shall not hold packets back to do so
}
CLUSTERS = {"cluster_time_limit": "200", "flush_packets": "1", "max_interleave_delta": "1"}

CONTAINERS = {
    ".mp4": Container("mp4", "aac", "mov_text", True, FRAGMENTS),
    ".m4v": Container("mp4", "aac", "mov_text", True, FRAGMENTS),
    ".mov": Container("mov", "aac", "mov_text", True, FRAGMENTS),
    ".mkv": Container("matroska", "aac", "subrip", False, CLUSTERS),
    ".webm": Container("webm", "libopus", "webvtt", False, CLUSTERS),
}


def container_of(path: Path) -> Container:
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise OutputError(f"cannot write {path}: the containers are {', '.join(CONTAINERS)}")
    return container
