"""The real MRML scene, application logic and module logics, put together as Slicer's application does."""

import os

import slicer
import vtk

SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLVolumeRenderingDisplayableManager",
)

MODULE_LOGICS = {
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Units": "vtkSlicerUnitsLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Sequences": "vtkSlicerSequencesLogic",
}


class MrmlCore:
    """The scene and everything of Slicer that works on it without Qt.

    Attributes:
        scene: the ``vtkMRMLScene``.
        application_logic: the ``vtkSlicerApplicationLogic``.
        logics: module name → its logic.
    """

    def __init__(self, home):
        share, cache = os.path.join(home, "share"), os.path.join(home, "cache")
        for folder in (share, cache):
            os.makedirs(folder, exist_ok=True)
        self.scene = slicer.vtkMRMLScene()
        logic = self.application_logic = slicer.vtkSlicerApplicationLogic()
        logic.SetHomeDirectory(home)
        logic.SetShareDirectory(share)
        logic.SetTemporaryPath(cache)
        logic.SetMRMLScene(self.scene)
        self._add_crosshair()
        self.slice_logics, self.view_logics = vtk.vtkCollection(), vtk.vtkCollection()
        logic.SetSliceLogics(self.slice_logics)
        logic.SetViewLogics(self.view_logics)
        self._register_displayable_managers()
        self._make_files_readable(cache)
        vtk.vtkObject.GlobalWarningDisplayOff()  # the wheel has no terminology and colour files to find
        self.logics = {name: self._module_logic(name, cls, share) for name, cls in MODULE_LOGICS.items()}
        vtk.vtkObject.GlobalWarningDisplayOn()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        slicer.mrmlScene = self.scene

    def _add_crosshair(self):
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        crosshair.SetSingletonTag("default")
        self.scene.AddNode(crosshair)

    def _register_displayable_managers(self):
        for factory_class, managers in (
            (slicer.vtkMRMLSliceViewDisplayableManagerFactory, SLICE_MANAGERS),
            (slicer.vtkMRMLThreeDViewDisplayableManagerFactory, THREE_D_MANAGERS),
        ):
            factory = factory_class.GetInstance()
            factory.SetMRMLApplicationLogic(self.application_logic)
            for manager in managers:
                if not factory.IsDisplayableManagerRegistered(manager):
                    factory.RegisterDisplayableManager(manager)

    def _make_files_readable(self, cache):
        """Without cache and data-transfer managers a scene bundle (.mrb) cannot be read back."""
        self._cache_manager, self._data_io = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
        self._cache_manager.SetRemoteCacheDirectory(cache)
        self._cache_manager.SetMRMLScene(self.scene)
        self.scene.SetCacheManager(self._cache_manager)
        self._data_io.SetCacheManager(self._cache_manager)
        self.scene.SetDataIOManager(self._data_io)

    def _module_logic(self, name, class_name, share):
        logic = getattr(slicer, class_name)()
        if hasattr(logic, "SetModuleShareDirectory"):
            logic.SetModuleShareDirectory(share)
        logic.SetMRMLApplicationLogic(self.application_logic)
        self.application_logic.SetModuleLogic(name, logic)
        logic.SetMRMLScene(self.scene)
        if name == "Colors":
            self.application_logic.SetColorLogic(logic)
        return logic
