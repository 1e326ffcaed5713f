"""The output containers: what each can hold, and the options of FFmpeg's muxers. To add one, add an entry to CONTAINERS."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from livestyle.errors import OutputError


@dataclass(frozen=True)
class Container:
    """An output container.

    Its streams are copied where FFmpeg's muxer accepts them as they are, else converted to the codecs named here.
    """

    format: str
    """FFmpeg's name of the muxer."""
    audio_encoder: str
    """FFmpeg's name of the encoder for audio that the container cannot hold."""
    subtitle_codec: str
    """FFmpeg's name of the codec for text subtitles that the container cannot hold."""
    fragmented: bool
    """Whether the partial file is written in fragments, so that it plays if the run is interrupted, and rewritten at the end with
    the index in front."""
    options: dict[str, str]
    """Muxer options of the partial file."""
    codecs: tuple[str, ...] = ()
    """Names in ENCODERS that may be used, the default first. Empty: all, in the order of ENCODERS."""
    playable_audio: tuple[str, ...] | None = None
    """Prefixes of the names of the audio codecs that common players play in this container. None: all that it holds."""
    tags: tuple[str, ...] | None = None
    """File-level tags that FFmpeg's muxer writes, in lower case. None: all."""
    track_flags: int = 0
    """Bit mask of the disposition flags (AV_DISPOSITION_*) of a track that FFmpeg's muxer writes."""
    holds_attachments: bool = False
    """Whether attached files can be written, such as the fonts of subtitles."""
    cover: Literal["attachment", "video stream"] | None = None
    """How the container stores a cover picture; None if it cannot."""

    def partial_options(self, time_base: Fraction) -> dict[str, str]:
        """Muxer options of a file that must play whenever the process dies."""
        return self.options | self._exact_start(time_base)

    def final_options(self, time_base: Fraction) -> dict[str, str]:
        """Muxer options of the complete file that replaces fragments: the index in front."""
        return {"movflags": "faststart"} | self._exact_start(time_base)

    def _exact_start(self, time_base: Fraction) -> dict[str, str]:
        # a start time other than 0 is an edit list in units of the movie's time scale, which FFmpeg sets to milliseconds
        return {"movie_timescale": str(time_base.denominator)} if self.fragmented else {}


FRAGMENTS = {
    # With delay_moov times stay exact. frag_every_frame would lose a little less when the process dies, but with two audio
    # tracks times are wrong: FFmpeg takes the end of a fragment from the wrong one of two waiting packets.
    "movflags": "delay_moov+default_base_moof",
    "frag_duration": "100000",  # microseconds
    "flush_packets": "1",
    "max_interleave_delta": "1",  # packets arrive interleaved, FFmpeg must not hold them back to interleave them
}
CLUSTERS = {"cluster_time_limit": "200", "flush_packets": "1", "max_interleave_delta": "1"}

MP4_AUDIO = ("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus")
MP4_TAGS = (
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping", "lyrics",
    "description", "synopsis", "show", "episode_id", "network", "keywords", "season_number", "episode_sort", "media_type",
    "hd_video", "gapless_playback", "compilation", "track", "disc", "creation_time", "location",
)  # fmt: skip
MOV_TAGS = (
    "title", "artist", "album", "date", "comment", "genre", "copyright", "make", "model", "creation_time", "location",
)  # fmt: skip

MP4 = Container(
    "mp4",
    audio_encoder="aac",
    subtitle_codec="mov_text",
    fragmented=True,
    options=FRAGMENTS,
    playable_audio=MP4_AUDIO,
    tags=MP4_TAGS,
    track_flags=0x301CB,
    cover="video stream",
)

CONTAINERS = {
    ".mp4": MP4,
    ".m4v": MP4,
    ".mov": Container(
        "mov",
        audio_encoder="aac",
        subtitle_codec="mov_text",
        fragmented=True,
        options=FRAGMENTS,
        codecs=("h264", "hevc"),
        playable_audio=(*MP4_AUDIO, "pcm_"),  # MOV is also for editing, where PCM is usual
        tags=MOV_TAGS,
        track_flags=0x1,
    ),
    ".mkv": Container(
        "matroska",
        audio_encoder="aac",
        subtitle_codec="subrip",
        fragmented=False,
        options=CLUSTERS,
        track_flags=0x201CF,
        holds_attachments=True,
        cover="attachment",
    ),
    ".webm": Container(
        "webm",
        audio_encoder="libopus",
        subtitle_codec="webvtt",
        fragmented=False,
        options=CLUSTERS,
        codecs=("vp9", "av1"),
        track_flags=0x41,
    ),
}
"""The output containers, by file extension."""


def container_of(path: Path) -> Container:
    """The container for a path's extension. Raises OutputError if there is none."""
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise OutputError(f"cannot write {path}: the containers are {', '.join(CONTAINERS)}")
    return container
