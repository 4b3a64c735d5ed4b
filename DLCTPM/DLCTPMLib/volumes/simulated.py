"""The mark of a virtual patient's images, by which reading knows them again, whatever file they came in.

NRRD and MetaImage hold it as a key of the header, NIfTI in its description, DICOM as *Synthetic Data*. It is lost
where another program writes the image anew without these.
"""

from __future__ import annotations

import pydicom
import SimpleITK as sitk

KEY = "simulated"
"""Key in the header of an NRRD or MetaImage; its text begins with yes or no."""
VIRTUAL_PATIENT = "yes: virtual patient, not a person; research use only"

_NOTES, _DESCRIPTION = "ITK_FileNotes", "DL-CTPM simulated"
"""What ITK writes into NIfTI's description, at most 80 characters."""


def mark(image: sitk.Image, text: str = VIRTUAL_PATIENT) -> None:
    """Set the mark, which is written with the image.

    Args:
        image: changed in place; its voxels stay.
        text: begins with "yes".
    """
    image.SetMetaData(KEY, text)
    image.SetMetaData(_NOTES, _DESCRIPTION)


def is_marked(image: sitk.Image) -> bool:
    """Whether an image as read, with the keys of its file, has the mark."""
    starts = {KEY: "yes", _NOTES: _DESCRIPTION}
    return any(image.HasMetaDataKey(key) and image.GetMetaData(key).startswith(starts[key]) for key in starts)


def is_synthetic(header: pydicom.Dataset) -> bool:
    """Whether a DICOM image says that it was made artificially (Synthetic Data, PS3.3 C.12.1.1)."""
    return str(header.get("SyntheticData", "") or "").strip().upper() == "YES"
