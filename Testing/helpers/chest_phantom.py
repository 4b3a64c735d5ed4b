"""A chest of ellipsoids with every hazard that a segmentation of the lungs meets, and the truth beside it."""

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.lungs.masks import side_masks
from DLCTPMLib.volumes.patient_axes import patient_array

SPACING = (3.0, 2.0, 2.0)  # z, y, x
SHAPE = (102, 150, 190)
DOME_MM = -60
"""Height of both domes of the diaphragm."""


class Phantom:
    """A chest in LPS millimetres: a body with two lungs, heart, domes, trachea and vessels, and hazards added.

    ``hu`` and ``truth`` (1 right, 2 left lung) are (z, y, x) along the patient's axes; what is ``flat`` has no noise.
    """

    def __init__(self, spacing=SPACING, shape=SHAPE):
        self.spacing = spacing
        self.z, self.y, self.x = np.meshgrid(
            *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)),
            indexing="ij",
        )
        self.hu = np.full(shape, -1000.0)
        self.truth = np.zeros(shape, np.uint8)
        self.flat = np.zeros(shape, bool)
        self.hu[(self.x / 165) ** 2 + (self.y / 110) ** 2 < 1] = 40
        for side, middle in ((1, -72), (2, 72)):
            lung = self.ball((middle, 5, 0), (56, 80, 130))
            lung &= ~self.ball((middle, 0, -150), (85, 100, 90)) & ~self.ball((20, -35, -45), (58, 48, 60))
            self.hu[lung] = -860
            self.truth[lung] = side
        self.airway = self.tube((0, 10, 160), (0, 10, 35), 9) | self.tube((0, 10, 38), (-42, 14, 0), 6.5)
        self.airway |= self.tube((0, 10, 38), (42, 14, 0), 6.5)
        wall = self.tube((0, 10, 160), (0, 10, 35), 11.5) | self.tube((0, 10, 38), (-40, 14, 2), 9)
        wall |= self.tube((0, 10, 38), (40, 14, 2), 9)
        self.hu[wall] = 40
        self.truth[wall | self.airway] = 0
        self.hu[self.airway] = -1000
        for side in (-1, 1):
            for end in ((90, 60, 60), (95, -30, -10), (85, 50, -70)):
                self.hu[self.tube((side * 30, 15, -10), (side * end[0], end[1], end[2]), 3) & (self.truth > 0)] = 40

    def ball(self, centre, radii):
        x, y, z = centre
        return ((self.x - x) / radii[0]) ** 2 + ((self.y - y) / radii[1]) ** 2 + ((self.z - z) / radii[2]) ** 2 < 1

    def tube(self, start, end, radius):
        start, end = np.array(start, float), np.array(end, float)
        along = end - start
        t = sum((c - s) * a for c, s, a in zip((self.x, self.y, self.z), start, along, strict=True))
        t = np.clip(t / (along @ along), 0, 1)
        away = sum((c - s - t * a) ** 2 for c, s, a in zip((self.x, self.y, self.z), start, along, strict=True))
        return away < radius**2

    def with_touching_lungs(self):
        bridge = self.ball((0, -52, 40), (30, 9, 30)) & (self.truth == 0)
        self.hu[bridge] = -860
        self.truth[bridge] = np.where(self.x < 0, 1, 2)[bridge]
        return self

    def with_stomach_gas(self):
        self.gas = self.ball((72, -5, -85), (30, 35, 20))
        self.hu[self.gas] = -1000
        return self

    def with_gas_under_the_dome(self, side=2, radii=(30, 35, 20), wall=4.5, level=None):
        """Gas in an organ under a dome, ``wall`` mm of tissue from the lung; with ``level``, fluid behind it."""
        middle = -72 if side == 1 else 72
        self.gas = self.ball((middle, -5, DOME_MM - wall - radii[2] + 2), radii)
        away = ndimage.distance_transform_edt(self.truth == 0, sampling=self.spacing)
        self.gas &= away > wall
        if level is not None:
            self.gas &= self.y < level
        self.hu[self.gas] = -985
        return self

    def with_air_in_a_fold_of_skin(self):
        self.fold = (np.abs(self.x - 140) < 5) & (np.abs(self.y) < 25) & (np.abs(self.z) < 60)
        self.hu[self.fold] = -1000
        return self

    def with_arms_at_the_sides(self):
        """Arms that touch the chest in front and behind, so that air is shut in between."""
        self.armpits = np.zeros(self.hu.shape, bool)
        for side in (-1, 1):
            arm = (self.x - side * 178) ** 2 + self.y**2 < 38**2
            inner = np.abs(self.y) < 22
            gap = (np.abs(self.x - side * 145) < 14) & inner
            self.hu[(arm | ((np.abs(self.x - side * 150) < 22) & (np.abs(self.y) < 38))) & (self.truth == 0)] = 40
            self.hu[gap] = -1000
            self.armpits |= gap
        return self

    def with_pneumothorax(self, depth=30, collapsed=None):
        """Free air in front of the right lung, and what is left of the lung denser where ``collapsed`` says so."""
        right = self.truth == 1
        first = np.where(right.any(axis=1), right.argmax(axis=1), right.shape[1])[:, None, :]
        self.free = right & (np.arange(right.shape[1])[:, None] < first + depth / self.spacing[1])
        if collapsed is not None:
            self.hu[right & ~self.free] = collapsed
        self.hu[self.free] = -1000
        return self

    def with_ribs(self):
        """Slanted ribs 8 mm outside the lungs, 25 mm apart, and a spine."""
        away = ndimage.distance_transform_edt(self.truth == 0, sampling=self.spacing)
        low = np.mod(self.z + 0.5 * self.y, 25) < 9
        self.hu[(away > 5) & (away < 13) & low & (np.abs(self.x) > 35) & (self.z > DOME_MM)] = 400
        self.hu[np.hypot(self.x, self.y - 70) < 16] = 300
        return self

    def with_effusion(self, side, depth, below):
        """Fluid in the lowest (dorsal) ``depth`` mm of one side beneath a height; ``dense`` tells where."""
        back = self.y[(self.truth == side)].max()
        self.dense = (self.truth == side) & (self.y > back - depth) & (self.z < below)
        self.hu[self.dense] = 15
        self.truth[self.dense] = 0
        return self

    def with_table(self):
        self.table = (np.abs(self.y - 128) < 14) & (np.abs(self.x) < 170)
        inner = (np.abs(self.y - 128) < 11) & (np.abs(self.x) < 166)
        self.hu[self.table] = -300
        self.hu[inner] = -940
        return self

    def with_padding(self, value=-3024, radius=140):
        outside = self.x**2 + self.y**2 > radius**2
        self.hu[outside] = value
        self.flat |= outside
        self.truth[outside] = 0
        return self

    def with_bullae(self):
        self.bullae = self.ball((-75, 10, 75), (28, 40, 35)) & (self.truth == 1)
        self.bullae |= self.ball((95, 40, -20), (20, 25, 30)) & (self.truth == 2)
        self.hu[self.bullae] = -1000
        return self

    def with_consolidation(self):
        self.hu[self.ball((-75, 10, 0), (20, 20, 20))] = 40  # inside the lung: belongs to it
        return self

    def without_left_lung(self):
        self.hu[self.truth == 2] = 40
        self.truth[self.truth == 2] = 0
        return self

    def image(self, noise=12.0, dtype=np.int16):
        hu = self.hu + np.random.default_rng(1).normal(0, noise, self.hu.shape)
        hu[self.flat] = self.hu[self.flat]
        image = sitk.GetImageFromArray((np.round(hu) if dtype == np.int16 else hu).astype(dtype))
        image.SetSpacing(self.spacing[::-1])
        image.SetOrigin([float(a.ravel()[0]) for a in (self.x, self.y, self.z)])
        return image


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def overlaps(lungs, phantom):
    """Dice of the right and the left lung with the phantom's."""
    return [dice(mask, phantom.truth == side) for side, mask in enumerate(side_masks(lungs.labels), start=1)]


def found(lungs):
    return patient_array(lungs.labels) > 0
