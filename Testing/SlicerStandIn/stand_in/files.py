"""The part of Slicer's IO manager behind ``slicer.util.loadVolume``, ``loadScene``, ``saveNode`` and their kin."""

import os

import slicer

EXTENSIONS = (
    (".seg.nrrd", "SegmentationFile"),
    (".nrrd", "VolumeFile"),
    (".nhdr", "VolumeFile"),
    (".mha", "VolumeFile"),
    (".mhd", "VolumeFile"),
    (".nii", "VolumeFile"),
    (".nii.gz", "VolumeFile"),
    (".mrb", "SceneFile"),
    (".mrml", "SceneFile"),
    (".tfm", "TransformFile"),
    (".h5", "TransformFile"),
    (".csv", "TableFile"),
    (".tsv", "TableFile"),
    (".ctbl", "ColorTableFile"),
)


class IOManager:
    """Loads and saves by MRML's own storage nodes and module logics."""

    def __init__(self, core):
        self._core = core

    def fileType(self, path):
        """Slicer's name of the file's kind."""
        return next((kind for ending, kind in EXTENSIONS if str(path).lower().endswith(ending)), "NoFile")

    def fileWriterFileType(self, node):
        return node.GetClassName()

    def loadNodes(self, kind, properties, loaded=None, messages=None):
        """Read a file; the nodes go into the ``loaded`` collection."""
        path = str(properties["fileName"])
        name = properties.get("name") or os.path.basename(path).split(".")[0]
        nodes = getattr(self, f"_load_{kind}")(path, name, properties)
        if nodes is None:
            return False
        for node in nodes:
            if loaded is not None:
                loaded.AddItem(node)
        return True

    def _load_VolumeFile(self, path, name, properties):
        options = 2 if properties.get("singleFile") else 0
        options += 1 if properties.get("labelmap") else 0
        node = self._core.logics["Volumes"].AddArchetypeVolume(path, name, options)
        if node is None:
            return None
        if properties.get("show", True) and not node.IsA("vtkMRMLLabelMapVolumeNode"):
            slicer.util.setSliceViewerLayers(background=node, fit=True)
        return [node]

    def _load_SegmentationFile(self, path, name, properties):
        node = self._core.logics["Segmentations"].LoadSegmentationFromFile(path, True, name)
        return None if node is None else [node]

    def _load_SceneFile(self, path, _name, properties):
        scene = self._core.scene
        if properties.get("clear", False):
            scene.Clear(0)
        if path.endswith(".mrb"):
            return [] if scene.ReadFromMRB(path) else None
        scene.SetURL(path)
        return [] if scene.Import() else None

    def _load_TransformFile(self, path, name, _properties):
        node = self._core.logics["Transforms"].AddTransform(path, self._core.scene)
        return None if node is None else [node]

    def _load_with_storage(self, node_class, path, name):
        node = self._core.scene.AddNewNodeByClass(node_class, name)
        storage = node.CreateDefaultStorageNode()
        storage.UnRegister(None)
        storage.SetFileName(path)
        if storage.ReadData(node):
            return [node]
        self._core.scene.RemoveNode(node)
        return None

    def _load_TableFile(self, path, name, _properties):
        return self._load_with_storage("vtkMRMLTableNode", path, name)

    def _load_ColorTableFile(self, path, name, _properties):
        return self._load_with_storage("vtkMRMLColorTableNode", path, name)

    def saveNodes(self, kind, properties, messages=None):
        """Write a node, or the scene as a bundle."""
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return self._core.scene.WriteToMRB(path)
        node = self._core.scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(bool(properties["useCompression"]))
        return bool(storage.WriteData(node))
