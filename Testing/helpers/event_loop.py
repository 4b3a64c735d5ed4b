"""How long Qt's event loop stands still: what a user feels as a frozen panel."""

import time
from contextlib import contextmanager

TICK_MS = 20


class Gaps:
    """Longest time between two ticks of a 20 ms timer.

    Attributes:
        longest_s: in seconds.
        busy_s: most processor time of this thread between two ticks, in seconds: a standstill that is longer waited
            for a processor, or for something else.
    """

    def __init__(self):
        self.longest_s, self._last = 0.0, time.monotonic()
        self.busy_s, self._used = 0.0, time.thread_time()

    def tick(self) -> None:
        """The timer has fired."""
        now, used = time.monotonic(), time.thread_time()
        self.longest_s, self._last = max(self.longest_s, now - self._last), now
        self.busy_s, self._used = max(self.busy_s, used - self._used), used


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
