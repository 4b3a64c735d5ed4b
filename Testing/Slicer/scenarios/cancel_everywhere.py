"""Cancel at once, at every tenth of a prediction, in a comparison: the scene is as before, and the next run works."""

from scenario_steps import census, chest_files, leftovers, predict, step, wait_idle

TENTHS = range(10)
STAYS = "vtkMRMLLinearTransformNode"
"""A comparison that is cancelled after its registration leaves the SPECT registered, and says so."""
files = {}


def prepare(bench):
    files.update(chest_files())


def run(bench):
    ct = bench.load_volume(files["ct"], name="CT")
    bench.widget("ctSelector").setCurrentNode(ct)
    for tenth in TENTHS:
        cancel(bench, "predictButton", tenth)
    predict(bench)
    spect = bench.load_volume(files["spect"], name="SPECT", show=False)
    bench.widget("spectSelector").setCurrentNode(spect)
    for tenth in (0, 3, 6):
        cancel(bench, "evaluateButton", tenth)
    with step(bench, "evaluate"):
        bench.click("evaluateButton")
        wait_idle(bench)
    assert bench.widget("metricsTable").rowCount > 0


def cancel(bench, button, tenth):
    """Click, cancel when that part is done, and find the scene as before."""
    before, bar = census(bench), bench.widget("progressBar")
    with step(bench, f"cancel {button} at {tenth / 10:.0%}"):
        bench.click(button)
        bench.wait_until(lambda: tenth == 0 or (bar.maximum > 0 and bar.value >= tenth / 10 * bar.maximum), 120)
        bench.click("cancelButton")
        wait_idle(bench, 30)
    after = census(bench)
    if button == "evaluateButton":
        before[STAYS] = after[STAYS]
    assert after == before, {
        name: (before.get(name), after[name]) for name in after if after[name] != before.get(name)
    }
    assert leftovers(bench) == []
