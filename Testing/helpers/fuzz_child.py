"""A child process of the fuzz target: reads files as it is told, one line of JSON in, one out, until it dies."""

import json
import sys
import traceback

import numpy as np
import SimpleITK as sitk
from damaged_files import image, voxels
from program_files import PROGRAM_FILES, read_program_file

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.memory import is_out_of_memory
from DLCTPMLib.dose.files import read_dose
from DLCTPMLib.dose.structures import read_structures
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.volumes.reading import read_ct, read_spect
from DLCTPMLib.volumes.transform_files import linear_map, read_transform


def good_image(read: sitk.Image) -> bool:
    """Finite voxels on a grid of finite numbers with axes at right angles."""
    axes = np.array(read.GetDirection()).reshape(3, 3)
    return bool(
        np.isfinite(sitk.GetArrayViewFromImage(read)).all()
        and np.isfinite([*read.GetSpacing(), *read.GetOrigin()]).all()
        and min(read.GetSpacing()) > 0
        and np.abs(axes.T @ axes - np.eye(3)).max() < 0.05
    )


def outcome(reader: str, path: str) -> str:
    """ "good" or "refused"; anything else is a finding."""
    said = "LPS" if path.endswith(".vtk") else None  # a format that cannot say how a volume lies
    try:
        if reader in PROGRAM_FILES:
            read_program_file(reader, path)
            good = True
        elif reader == "ct":
            good = good_image(read_ct(path, orientation=said).image)
        elif reader == "spect":
            good = good_image(read_spect(path).image)
        elif reader == "lungs":
            good = good_image(read_lungs(path, image(voxels()), orientation=said).labels)
        elif reader == "dose":
            good = good_image(read_dose([path]).image)
        elif reader == "structures":
            structures = read_structures(path)
            good = all(structures.mask(name, image(voxels())).any() for name in structures.named(["*"]))
        else:
            good = all(np.isfinite(part).all() for part in linear_map(read_transform(path)))
    except InputError as refused:
        sentence = str(refused)
        return "refused" if "\n" not in sentence and "Traceback" not in sentence else f"several lines: {sentence!r}"
    except BaseException as error:
        if is_out_of_memory(error):
            return "refused"
        return traceback.format_exc()
    return "good" if good else "accepted what is no good image"


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(outcome(*json.loads(line))), flush=True)
