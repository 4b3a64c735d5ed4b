"""Seconds that the Slicer panel adds to the engine's own on one CT; prints one line of JSON.

    python Testing/SlicerStandIn/measure.py CT

- ``open_s``: opening the panel, which keeps the application waiting;
- ``click_to_overlay_s``: from the click on "Predict perfusion" until the slice views are drawn with the map;
- ``engine_s``: the sum of the engine's own stages in that run (``timings_s`` of its ``result.json``);
- ``overhead_s``: the difference: writing the CT, starting the child process with its imports, reading, showing;
- ``command_s``: the command line as a whole on the same file, process start included;
- ``surfaces_s``: making the lungs' surfaces for the 3D view, after the overlay is on the screen;
- ``contours_s``: making high- and low-functional lung a segmentation;
- ``region_table_s``, ``slider_blocked_s``: after the threshold moved, the time until the region table follows, and
  the longest that the panel's thread was busy meanwhile.

On the stand-in, not in Slicer: see README.md beside this file.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "Testing" / "SlicerStandIn"), str(REPOSITORY / "DLCTPM")]

LIMIT_S = 1800
BEAT_MS = 5


def main(ct_path):
    """Measure on the CT of this file."""
    from stand_in.start import start

    running = start()
    import slicer
    from stand_in.modules import ScriptedModule
    from stand_in.probes import settle, wait_until

    module = ScriptedModule.load(REPOSITORY / "DLCTPM" / "DLCTPM.py")
    began = time.perf_counter()
    module.widgetRepresentation().enter()
    opening = time.perf_counter() - began
    panel = module.widgetRepresentation().self()
    panel.ui.ctSelector.setCurrentNode(slicer.util.loadVolume(ct_path))
    settle()

    began = time.perf_counter()
    panel.ui.predictButton.click()
    wait_until(lambda: not panel.panel.activity.busy, LIMIT_S, "the prediction")
    perfusion = panel._parameterNode.perfusionVolume
    if perfusion is None:
        sys.exit(panel.ui.statusLabel.text)
    if running.layout is not None:
        for name in running.layout.sliceViewNames():
            running.layout.sliceWidget(name).sliceView().picture()
    click_to_overlay = time.perf_counter() - began
    engine = sum(json.loads(perfusion.GetAttribute("DLCTPM.Result"))["timings_s"].values())
    surfaces = measure_surfaces(panel)
    began = time.perf_counter()
    panel.ui.contoursButton.click()
    wait_until(lambda: not panel.panel.activity.busy, LIMIT_S, "the contours")
    contours = time.perf_counter() - began
    follows, blocked = measure_slider(panel)
    print(
        json.dumps(
            {
                "open_s": round(opening, 2),
                "click_to_overlay_s": round(click_to_overlay, 2),
                "engine_s": round(engine, 2),
                "overhead_s": round(click_to_overlay - engine, 2),
                "command_s": round(command_seconds(ct_path), 2),
                "surfaces_s": round(surfaces, 2),
                "contours_s": round(contours, 2),
                "region_table_s": round(follows, 2),
                "slider_blocked_s": round(blocked, 3),
            }
        )
    )
    module.unload()


def measure_surfaces(panel):
    """Seconds that the lungs' surfaces take, which are made once the overlay is on the screen."""
    from stand_in.probes import settle, wait_until

    panel.panel.results._surfaces.stop()
    began = time.perf_counter()
    panel.panel.results.showSurfaces()
    wait_until(lambda: not panel.panel.results._making.running, LIMIT_S, "the surfaces")
    settle()
    return time.perf_counter() - began


def measure_slider(panel):
    """Seconds until the region table follows the threshold, and the longest pause of the event loop meanwhile."""
    import qt
    from stand_in.probes import wait_until

    beats = [time.perf_counter()]
    timer = qt.QTimer()
    timer.setInterval(BEAT_MS)
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start()
    table = panel.ui.regionsTable
    before, began = table.item(0, 4).text(), time.perf_counter()
    panel.ui.thresholdSlider.value = 0.5
    wait_until(lambda: table.item(0, 4).text() != before, LIMIT_S, "the region table")
    follows = time.perf_counter() - began
    timer.stop()
    pauses = [after - before for before, after in zip(beats, [*beats[1:], time.perf_counter()], strict=True)]
    return follows, max(pauses)


def command_seconds(ct_path):
    """Seconds of ``dlctpm predict`` on the same file."""
    from DLCTPMSlicerLib.engine.command import engineCommand, engineEnvironment

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = engineCommand(["predict", ct_path, "--out", str(Path(folder) / "out")])
        subprocess.run(command, env=engineEnvironment(), check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1])
