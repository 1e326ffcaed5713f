"""Which pictures a video file promises and does not give."""

import heapq
from collections import deque
from fractions import Fraction
from typing import Any

from av.packet import Packet

HAS_DENSE_PACKETS = ("matroska", "flv", "avi")
"""Containers in which one packet follows the other, so that a hole between two shows that something was skipped."""

LARGEST_HEADER_BYTES = 100
"""Between two packets of such a container."""

FLV_HEADER_BYTES = 11

SOUND_GAP_SECONDS = Fraction(1, 10)
"""Sound has no longer gap than this, but where something is lost."""

LEAST_PICTURE_BYTES = 20
"""Smaller packets say that a picture is repeated."""

UNEVEN = Fraction(3, 2)
"""A gap is longer than this many pictures last."""

REORDERING_SECONDS = Fraction(1, 2)
"""How far a packet may be, in time, from what was lost next to it."""

MOST_OUT_OF_ORDER = 16

FEW = 5
"""Of fewer pictures nothing is known about the usual step between them."""

JOINT_SECONDS = 1
"""So near to where a clock jumps nothing is called lost."""


class Losses:
    """Compares the pictures with the packets and their times, as both come along.

    A gap between two pictures alone is no loss: screen recordings are full of them. One is where the file shows, at the
    same place, that something is missing: a packet that gave no picture, bytes that the demuxer skipped, packets that it
    calls corrupt.
    """

    def __init__(
        self, container: str, picture_seconds: Fraction | None, begins_anywhere: bool, counts_from: Fraction | None
    ) -> None:
        """picture_seconds: how long a picture lasts that does not say. begins_anywhere: the first ones may need earlier ones.
        counts_from: what is lost before that time does not count."""
        self.lost = 0
        self.packet_bytes = 0
        """In all packets so far."""
        self.skipped = False
        """Whether the demuxer skipped bytes."""
        self._dense = any(name in container for name in HAS_DENSE_PACKETS)
        self._has_empty_packets = "avi" in container  # a hole may be pictures that are repeated
        self._least_header = FLV_HEADER_BYTES if "flv" in container else -(1 << 62)  # several frames may share a place
        self._shows_sound_gaps = container in ("ogg", "asf", "mpeg")  # nothing else there shows what is lost
        self._sound_end: Fraction | None = None
        self._picture_seconds = picture_seconds or Fraction(0)
        self._steps: deque[Fraction] = deque(maxlen=15)
        """Between the latest pictures."""
        self._begins_anywhere = begins_anywhere
        self._counts_from = counts_from
        self.read_to = 0
        """Where the last packet ends in the file, in bytes."""
        self._suspicion = False
        self._suspect: deque[tuple[Fraction, Fraction]] = deque(maxlen=100)
        self._promised: list[Fraction] = []
        """Times of the packets of which no picture has come yet; a heap."""
        self._joint: Fraction | None = None
        self._first_key: Fraction | None = None
        """The time of the first packet, if it is a keyframe and pictures are to be expected from it on."""
        self._last_packet: Fraction | None = None
        self._came: list[tuple[Fraction, Fraction]] = []
        """The latest pictures' times and durations; a heap."""
        self._last: tuple[Fraction, Fraction] | None = None
        """Those of the picture that was compared last."""

    def packet(self, packet: "Packet[Any]", is_picture: bool, jumped: bool) -> None:
        """Every packet, in the order of demuxing."""
        if jumped:
            self._joint = packet.pts * packet.time_base if packet.pts is not None else self._joint
            self._suspicion = False
            self._suspect.clear()
        self.packet_bytes += packet.size
        self._suspicion |= packet.is_corrupt or self._skipped(packet)
        if self._shows_sound_gaps and packet.stream.type == "audio" and packet.pts is not None:
            self._sound(packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base)
        if not is_picture or packet.pts is None:
            return
        time = packet.pts * packet.time_base
        if self._last_packet is None and packet.is_keyframe and not packet.is_discard and not self._begins_anywhere:
            self._first_key = time
        if self._suspicion and not jumped:
            before = time if self._last_packet is None else self._last_packet
            self._suspect.append((min(before, time) - REORDERING_SECONDS, max(before, time) + REORDERING_SECONDS))
        self._suspicion = False
        self._last_packet = time
        if packet.size > LEAST_PICTURE_BYTES and not packet.is_discard:
            heapq.heappush(self._promised, time)

    def _sound(self, time: Fraction, duration: Fraction) -> None:
        if self._sound_end is not None and time - self._sound_end > SOUND_GAP_SECONDS:
            self._suspect.append((self._sound_end, time))
        self._sound_end = time + duration if self._sound_end is None else max(self._sound_end, time + duration)

    def _skipped(self, packet: "Packet[Any]") -> bool:
        if packet.pos is None or packet.pos < 0:
            return False
        hole = packet.pos - self.read_to if self.read_to else self._least_header
        self.read_to = packet.pos + packet.size
        # less than a header: the demuxer read too much, and went back to look for the next packet
        skipped = self._dense and not self._least_header <= hole <= LARGEST_HEADER_BYTES
        self.skipped |= skipped
        return skipped and not self._has_empty_packets

    def picture(self, time: Fraction, duration: Fraction | None) -> None:
        """Every picture. Damaged files give some of them out of order."""
        heapq.heappush(self._came, (time, duration or Fraction(0)))
        if len(self._came) > MOST_OUT_OF_ORDER:
            self._compare(*heapq.heappop(self._came))

    def end(self, end_seconds: Fraction) -> None:
        """The decoder is empty, and the file's packets end at that time."""
        while self._came:
            self._compare(*heapq.heappop(self._came))
        if self._last is None:
            return
        last, each = self._last[0], self._each(self._last[1])
        if not each:
            return
        # of a field's packet comes no picture of its own
        promised = sum(promised > last + each * 3 / 4 for promised in self._promised)
        if self._suspicion and end_seconds - last > (1 + UNEVEN) * each:
            promised = max(promised, round((end_seconds - last) / each) - 1)
        self.lost += promised

    def _each(self, duration: Fraction) -> Fraction:
        """How long a picture lasts here: as most of the latest did, else as it says itself."""
        return sorted(self._steps)[len(self._steps) // 2] if len(self._steps) >= FEW else duration or self._picture_seconds

    def _compare(self, time: Fraction, duration: Fraction) -> None:
        """In the order in which they are shown."""
        inside = 0
        last, lasts = self._last or (self._first_key, None)
        while self._promised and self._promised[0] <= time:
            promised = heapq.heappop(self._promised)
            inside += promised < time and last is not None and (promised > last if self._last else promised >= last)
        self._last = time, duration
        if last is None:
            return
        each = self._each(duration if lasts is None else lasts)
        gap = time - last
        if lasts is not None and gap > 0:
            self._steps.append(gap)
        if not each or self._is_at_joint(last, time):
            return
        missing = round(gap / each) - (lasts is not None) if lasts is None or gap > UNEVEN * each else 0
        if not any(low < time and last < high for low, high in self._suspect):
            missing = min(missing, inside)
        if self._counts_from is None or time > self._counts_from:
            self.lost += max(0, missing)

    def _is_at_joint(self, last: Fraction, time: Fraction) -> bool:
        return self._joint is not None and last - JOINT_SECONDS < self._joint < time + JOINT_SECONDS
