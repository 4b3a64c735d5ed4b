"""Two CTs one after the other, the module left and entered meanwhile: each map keeps its own lungs."""

from scenario_steps import chest_files, maps, predict, step, wait_idle

files = {}


def prepare(bench):
    files.update(chest_files())


def run(bench):
    cts = [bench.load_volume(files["ct"], name=name) for name in ("first", "second")]
    for ct in cts:
        bench.widget("ctSelector").setCurrentNode(ct)
        predict(bench, f"predict {ct.GetName()}")
    assert len(maps(bench)) == 2
    assert len({volume.GetName() for volume in maps(bench)}) == 2

    bench.widget("ctSelector").setCurrentNode(cts[0])
    with step(bench, "left during a prediction"):
        bench.click("predictButton")
        bench.panel.exit()
        bench.process()
        bench.panel.enter()
        wait_idle(bench)
    assert len(maps(bench)) == 3

    with step(bench, "scene closed during a prediction"):
        bench.click("predictButton")
        bench.slicer.mrmlScene.Clear(0)
        bench.process()
    assert maps(bench) == []
    ct = bench.load_volume(files["ct"], name="third")
    bench.widget("ctSelector").setCurrentNode(ct)
    predict(bench, "predict after the scene was closed")

    with step(bench, "reload", None):
        bench.module_widget.onReload()
        bench.process()
    use(bench, bench.panel.self())
    bench.widget("ctSelector").setCurrentNode(ct)
    predict(bench, "predict after reload")


def use(bench, widget):
    """Look for widgets in the panel that was made anew; the judge may still hold those of the old one."""
    bench.module_widget = widget
    bench.widget = lambda name: getattr(widget.ui, name)
