"""How long Qt's event loop stands still: what a user feels as a frozen panel."""

import time
from contextlib import contextmanager

TICK_MS = 20


class Gaps:
    """Longest time between two ticks of a 20 ms timer.

    Attributes:
        longest_s: in seconds.
    """

    def __init__(self):
        self.longest_s, self._last = 0.0, time.monotonic()

    def tick(self) -> None:
        """The timer has fired."""
        now = time.monotonic()
        self.longest_s, self._last = max(self.longest_s, now - self._last), now


@contextmanager
def gaps():
    """Watch the event loop of this thread; gives ``Gaps``."""
    import qt

    found, timer = Gaps(), qt.QTimer()
    timer.setInterval(TICK_MS)
    timer.timeout.connect(found.tick)
    timer.start()
    try:
        yield found
        found.tick()
    finally:
        timer.stop()
