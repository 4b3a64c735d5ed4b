"""In the place of Slicer's DICOM database, which belongs to the desktop application: files by their instance UIDs."""

from pathlib import Path

import pydicom

INSTANCE_UIDS = "DICOM.instanceUIDs"
"""Attribute that Slicer's DICOM module gives to a volume."""


class DicomDatabase:
    """The database of one folder of DICOM files."""

    def __init__(self, folder):
        paths = [path for path in Path(folder).iterdir() if path.is_file()]
        self.files = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in paths}

    def fileForInstance(self, uid):
        """As Slicer's: the path, empty where there is none."""
        return str(self.files.get(uid, ""))

    def claim(self, volume):
        """Mark a volume as the DICOM module does that loads it."""
        volume.SetAttribute(INSTANCE_UIDS, " ".join(self.files))
