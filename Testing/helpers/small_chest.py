"""A chest small enough to be mapped in a second: a body, two lungs, a SPECT, an untrained model."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.bundle import save_bundle
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

SPACING = (5.0, 5.0, 6.0)
SIZE = (64, 48, 48)
ORIGIN = (-160.0, -120.0, 900.0)
CENTRES = {2: (-70.0, 0.0, 1040.0), 3: (70.0, 0.0, 1040.0)}  # CIP right lung at low x (LPS), left at high x
RADII = (48.0, 70.0, 105.0)


def points_mm() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """LPS x, y, z of every voxel, each of shape (z, y, x)."""
    axes = (np.arange(n) * s + o for n, s, o in zip(SIZE, SPACING, ORIGIN, strict=True))
    x, y, z = axes
    return tuple(np.meshgrid(z, y, x, indexing="ij")[::-1])


def on_grid(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    return image


def lung_labels() -> sitk.Image:
    """Two ellipsoids: CIP 2 on the patient's right, 3 on the left."""
    x, y, z = points_mm()
    labels = np.zeros(x.shape, np.uint16)
    for value, (cx, cy, cz) in CENTRES.items():
        inside = ((x - cx) / RADII[0]) ** 2 + ((y - cy) / RADII[1]) ** 2 + ((z - cz) / RADII[2]) ** 2 < 1
        labels[inside] = value
    return on_grid(labels)


def chest_ct() -> sitk.Image:
    """Air, a soft body, lungs from −870 HU in front to −750 HU at the back with some texture."""
    x, y, _ = points_mm()
    rng = np.random.default_rng(5)
    hu = np.full(x.shape, -1000.0)
    hu[(x / 150) ** 2 + (y / 105) ** 2 < 1] = 40
    lungs = sitk.GetArrayFromImage(lung_labels()) > 0
    hu[lungs] = (-810 + 0.8 * y)[lungs]
    return on_grid(np.round(hu + rng.normal(0, 15, x.shape)).astype(np.int16))


def perfusion_spect() -> sitk.Image:
    """Counts that grow towards the back, twice as many in the right lung, on a grid of 8 mm."""
    y = points_mm()[1]
    labels = sitk.GetArrayFromImage(lung_labels())
    counts = np.where(labels > 0, 1000 + 8 * y, 5) * np.where(labels == 2, 2, 1)
    image = sitk.SmoothingRecursiveGaussian(on_grid(counts.astype(np.float32)), 6.0)
    grid = sitk.Image([40, 30, 36], sitk.sitkFloat32)
    grid.SetSpacing([8.0] * 3)
    grid.SetOrigin(ORIGIN)
    return sitk.Resample(image, grid)


def untrained_model(folder: Path, name: str = "untrained") -> Path:
    """A verified bundle with a tiny network of seeded random weights on a small grid."""
    torch.manual_seed(3)
    network = Arnn(ArnnSettings(channels=(2, 2, 4, 4), kernel=3))
    metadata = {
        "name": name,
        "version": "0",
        "intended_use": "for tests only",
        "preprocessing": PreprocessingSettings(grid_shape=(32, 16, 16)).to_dict(),
        "simulated": True,
    }
    return save_bundle(folder, network, metadata, f"# {name}\n\nFor tests only.\n", "Apache-2.0\n", False)


def write_inputs(folder: Path) -> dict[str, str]:
    """CT, lungs, SPECT and model as files; their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in (("ct", chest_ct()), ("lungs", lung_labels()), ("spect", perfusion_spect())):
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"), True)
    untrained_model(folder / "model")
    return {
        **{name: str(folder / f"{name}.nrrd") for name in ("ct", "lungs", "spect")},
        "model": str(folder / "model"),
    }
