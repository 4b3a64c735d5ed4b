"""Everything of the module "CT Perfusion Training" that touches Slicer, in pieces of one idea each.

What both modules need lies in ``DLCTPMSlicerLib``. Nothing here imports torch, NumPy or SimpleITK at file scope.
"""
