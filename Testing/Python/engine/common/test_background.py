"""Work in the background."""

import threading

import pytest

from DLCTPMLib.common.background import background


def test_work_in_the_background_gives_its_result_or_its_error():
    gate = threading.Event()
    waiting = background(lambda: gate.wait(10))
    assert not waiting.done()  # this thread went on
    gate.set()
    assert waiting.result(10)
    with pytest.raises(ZeroDivisionError):
        background(lambda: 1 // 0).result(10)
