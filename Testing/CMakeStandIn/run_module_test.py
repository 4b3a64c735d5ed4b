"""Run a built scripted module's test on the stand-in, as Slicer's ctest entries do in Slicer.

run_module_test.py <built module file> generic    open and close its panel
run_module_test.py <built module file> unittest   run its own <Module>Test
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "SlicerStandIn"))


def main(path, kind):
    """Load the module and run what was asked for; exits with the errors that slots raised."""
    from stand_in.start import start

    start(views=False)
    import slicer
    from stand_in.modules import ScriptedModule
    from stand_in.probes import SlotErrors, settle

    with SlotErrors() as errors:
        module = ScriptedModule.load(path)
        if kind == "unittest":
            slicer.selfTests[module.name]()
        else:
            module.widgetRepresentation().enter()
            settle()
            module.widgetRepresentation().exit()
            module.unload()
        settle()
    if errors.tracebacks:
        sys.exit("".join(errors.tracebacks))


if __name__ == "__main__":
    main(*sys.argv[1:])
