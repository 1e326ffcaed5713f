"""The part of an input's time that goes into the output."""

from fractions import Fraction


class TimeRange:
    """The times from origin_seconds, which becomes 0 in the output, to end_seconds, which is excluded; in the input's time.

    end_seconds: None if nothing is cut off at the end, or until the first frame is known.
    duration_seconds: the requested length from the first frame on, for whoever sets end_seconds when that frame is known.
    """

    def __init__(
        self, origin_seconds: Fraction, end_seconds: Fraction | None = None, duration_seconds: Fraction | int | None = None
    ) -> None:
        self.origin_seconds = origin_seconds
        self.end_seconds = end_seconds
        self.duration_seconds = duration_seconds

    def __contains__(self, seconds: Fraction) -> bool:
        # where nothing is cut off at the start, the audio's priming before 0 belongs to it
        return (not self.origin_seconds or seconds >= self.origin_seconds) and (
            self.end_seconds is None or seconds < self.end_seconds
        )
