"""Describe what is missing or broken in a video file: compare what was decoded with what its header declares."""

from fractions import Fraction
from pathlib import Path

from livestyle.frame import StreamInfo
from livestyle.sources.video.decoding import Decoding
from livestyle.sources.video.header import HIGHEST_RATE, declared_end, declares_duration
from livestyle.sources.video.losses import HAS_DENSE_PACKETS
from livestyle.sources.video.truncation import is_cut_off

ONE_PACKET_ONE_FRAME = {"h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9"}
"""Decoders that output one frame per packet of an MP4 or Matroska file. A packet without a frame is a lost frame, even if the
decoder reports no error."""

LONGEST_TAIL_SECONDS = Fraction(1, 2)
"""The packets of a complete file may end this long before its declared end, because that is rounded."""

LARGEST_INDEX, LARGEST_TRAILER = 0.05, 0.5
"""Largest share of a file that may follow its last packet: for an index alone, and for an index with attachments."""

OGG_BYTES, OGG_OVERHEAD = 2048, 0.025
"""An Ogg file has at most OGG_BYTES, plus this share of its size, besides its packets and headers. If it has more, pages are
broken: FFmpeg skips them without an error."""

MOST_HIDDEN_FRAMES = 4
"""An MP4's edit list may hide up to this many frames after the first one shown: frames that other frames are predicted from."""


def counted(number: int, noun: str) -> str:
    """Number and noun, in the plural unless the number is 1: "1 frame", "2 frames"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def find_damage(path: Path, decoding: Decoding, info: StreamInfo, stream_end: Fraction | None, complete: bool) -> list[str]:
    """Describe what was lost in the part of the file that was read, one line per kind of damage; an empty list if nothing was.

    stream_end: the declared end of the video stream, in seconds of the file's clock; None if unknown.
    complete: whether the file was read to its end.
    """
    tally, losses, name = decoding.tally, decoding.losses, decoding.container.format.name
    damage: list[str] = []
    undecodable, missing = tally.undecodable, losses.lost
    one_each = decoding.codec.name in ONE_PACKET_ONE_FRAME and ("mov" in name or "matroska" in name)
    if complete and one_each and not tally.interlaced:  # a packet may hold one field
        undecodable = max(undecodable, tally.packets - tally.frames)
    if complete and "avi" in name:
        missing = max(missing, _missing_in_avi(decoding))
    if missing > undecodable:
        damage.append(f"{counted(missing, 'frame')} of the file {'is' if missing == 1 else 'are'} missing")
    elif undecodable:
        damage.append(f"{counted(undecodable, 'packet')} could not be decoded")
    if tally.corrupt:
        damage.append(f"{counted(tally.corrupt, 'frame')} could be decoded only partly")
    if tally.read_errors:
        damage.append(f"{counted(tally.read_errors, 'part')} of the file could not be read")
    if complete:
        damage += _damage_at_end(path, decoding, info, stream_end, is_damaged=bool(damage))
    return damage


def _missing_in_avi(decoding: Decoding) -> int:
    """The number of frames that an AVI declares but does not have. AVI has no presentation times in which a gap would show."""
    stream = decoding.stream
    if not stream.frames or not stream.time_base:
        return 0
    missing = stream.frames - round(decoding.tally.video_end_seconds / stream.time_base)
    return missing if missing > (0 if decoding.losses.skipped else 1) else 0


def _damage_at_end(
    path: Path, decoding: Decoding, info: StreamInfo, stream_end: Fraction | None, is_damaged: bool
) -> list[str]:
    """Describe the damage that shows only once the file was read to its end.

    Up to two lines: wrong times; and the first of these that applies: hidden frames, an early end, parts that were not read.

    is_damaged: whether other damage was found already.
    """
    tally, losses, container = decoding.tally, decoding.losses, decoding.container
    name, size, cut_off = container.format.name, path.stat().st_size, is_cut_off(path, container.format.name)
    frame_seconds = 1 / info.rate if info.rate else Fraction(0)
    unread = max(0, size - losses.read_to) / size
    damage: list[str] = []
    span = (decoding.last_time or Fraction(0)) - info.origin_seconds
    if span * HIGHEST_RATE < tally.frames - 1:
        damage.append(f"the file's times are wrong: {counted(tally.frames, 'frame')} in {float(span):.3g} s")
    if "mov" in name and decoding.begin is None and not (cut_off or is_damaged or damage):
        hidden = _hidden_by_edits(decoding, frame_seconds, stream_end)
        if hidden is not None:
            return [hidden]
    end = declared_end(container) if declares_duration(container) else None
    if "mov" in name and not cut_off and 0 < decoding.stream.frames <= tally.seen:
        end = None  # everything in the index was read; FFmpeg before 8 does not know the last frame's duration
    if end is not None and end - tally.end_seconds > _longest_tail(name, cut_off, frame_seconds, unread):
        damage.append(f"the file is cut off: it ends at {float(tally.end_seconds):.2f} s of {float(end):.2f} s")
    elif any(container in name for container in HAS_DENSE_PACKETS) and unread > LARGEST_TRAILER:
        damage.append(f"the last {unread:.0%} of the file were not read")
    elif name == "ogg" and decoding.begin is None:
        headers = [stream.codec_context.extradata for stream in container.streams if stream.codec_context]
        lost = size - losses.packet_bytes - sum(len(header or b"") for header in headers)
        if lost > OGG_BYTES + size * OGG_OVERHEAD:
            damage.append(f"{lost / size:.1%} of the file could not be read")
    return damage


def _longest_tail(name: str, cut_off: bool, frame_seconds: Fraction, unread: float) -> Fraction:
    """Seconds by which the last packet may end before the declared end without a loss; -1 if any end is a loss.

    name: FFmpeg's name of the format. unread: share of the file's bytes after the last packet that was read.
    """
    if "mov" in name:
        return Fraction(-1) if cut_off else Fraction(1)
    if cut_off:
        return frame_seconds / 2
    return frame_seconds * 3 / 2 if unread > LARGEST_INDEX else LONGEST_TAIL_SECONDS


def _hidden_by_edits(decoding: Decoding, frame_seconds: Fraction, stream_end: Fraction | None) -> str | None:
    """Describe the frames that an MP4's times or its edit list hide; None if it hides no more than usual.

    Frames hidden before the first one shown do not count: they were cut on purpose.
    """
    tally, stream = decoding.tally, decoding.stream
    hidden = tally.hidden + max(0, stream.frames - tally.seen)
    if hidden > MOST_HIDDEN_FRAMES:
        return f"the file's times hide {counted(hidden, 'frame')} of {max(stream.frames, tally.seen)}"
    if stream_end is None or decoding.last_time is None or not tally.discarded:
        return None
    last = max(decoding.last_time + frame_seconds, tally.video_end_seconds)
    if stream_end - last <= max(LONGEST_TAIL_SECONDS / 2, 3 * frame_seconds):
        return None
    return f"the file's frames end at {float(last):.2f} s of {float(stream_end):.2f} s"
