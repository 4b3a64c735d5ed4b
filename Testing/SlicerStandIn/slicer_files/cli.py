"""``slicer.cli``: there are no CLI modules here; a test may add one whose logic is written in Python."""


def createNode(cliModule, parameters=None):
    """A parameter node of the CLI module."""
    node = cliModule.logic().CreateNodeInScene()
    setNodeParameters(node, parameters or {})
    return node


def setNodeParameters(node, parameters):
    """Write parameters of the types that Slicer takes; NumPy scalars are refused here (Slicer drops them)."""
    import slicer

    for name, value in parameters.items():
        if isinstance(value, bool):
            node.SetParameterAsBool(name, value)
        elif isinstance(value, str):
            node.SetParameterAsString(name, value)
        elif type(value) is int:
            node.SetParameterAsInt(name, value)
        elif type(value) is float:
            node.SetParameterAsDouble(name, value)
        elif isinstance(value, slicer.vtkMRMLNode):
            node.SetParameterAsNode(name, value)
        elif isinstance(value, (list, tuple)):
            node.SetParameterAsString(name, str(value)[1:-1])
        else:
            raise TypeError(f"CLI parameter {name} has type {type(value).__name__}, which Slicer would drop")


def run(
    module, node=None, parameters=None, wait_for_completion=False, update_display=True, delete_temporary_files=True
):
    """Run a CLI module; a test's stand-in for one runs at once or when its own logic says."""
    if node is None:
        node = createNode(module, parameters)
    else:
        setNodeParameters(node, parameters or {})
    logic = module.logic()
    logic.SetDeleteTemporaryFiles(int(delete_temporary_files))
    logic.SetHideWindow(1)
    if wait_for_completion:
        logic.ApplyAndWait(node, update_display)
    else:
        logic.Apply(node, update_display)
    return node


def runSync(module, node=None, parameters=None, **options):
    """Run a CLI module and wait."""
    return run(module, node, parameters, wait_for_completion=True, **options)
