"""Which part of an input goes into the output."""

from fractions import Fraction


class TimeRange:
    """The kept part, in the input's time: from origin_seconds, which becomes 0, up to end_seconds if there is one.

    duration_seconds: of the pictures, if it is limited; end_seconds is only known with the first of them.
    """

    def __init__(
        self, origin_seconds: Fraction, end_seconds: Fraction | None = None, duration_seconds: Fraction | int | None = None
    ) -> None:
        self.origin_seconds = origin_seconds
        self.end_seconds = end_seconds
        self.duration_seconds = duration_seconds

    def holds(self, time: Fraction) -> bool:
        # where nothing was left out at the start, a sound's priming before 0 belongs to it
        return (not self.origin_seconds or time >= self.origin_seconds) and (self.end_seconds is None or time < self.end_seconds)
