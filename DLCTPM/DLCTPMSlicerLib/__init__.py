"""Everything of the module "CT Perfusion Mapping" that touches Slicer, in pieces of one idea each.

The engine (``DLCTPMLib``) never imports this package. Nothing here imports torch or SimpleITK at file scope.
"""
