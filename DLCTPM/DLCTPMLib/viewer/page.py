"""The interactive view as a page holds it: the panes' data and NiiVue as text, and the script that a click starts."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass

from DLCTPMLib.common.resources import resource_path
from DLCTPMLib.viewer.panes import SPACING_MM, Pane, ViewedImages, viewer_panes


@dataclass(frozen=True)
class Viewer:
    """What ``Templates/viewer.html.j2`` is filled in with.

    Attributes:
        panes: the volumes.
    """

    panes: list[Pane]

    @classmethod
    def of(cls, images: ViewedImages) -> Viewer:
        """The view of a patient's images."""
        return cls(viewer_panes(images))

    @property
    def data(self) -> list[dict]:
        """The panes for the script, in plain JSON values."""
        return [
            {
                "name": pane.name,
                "unit": pane.unit,
                "colours": pane.colours,
                "low": pane.low,
                "high": pane.high,
                "decimals": pane.decimals,
                "nifti": base64.b64encode(pane.nifti).decode("ascii"),
            }
            for pane in self.panes
        ]

    @property
    def names(self) -> list[str]:
        """What is shown."""
        return [pane.name for pane in self.panes]

    @property
    def spacing_mm(self) -> float:
        """Of the voxels."""
        return SPACING_MM

    @property
    def engine(self) -> str:
        """NiiVue, gzipped, as text that no parser of HTML can stumble over."""
        script = resource_path("Viewer/niivue.umd.js").read_bytes()
        return base64.b64encode(gzip.compress(script, 9, mtime=0)).decode("ascii")

    @property
    def script(self) -> str:
        """The script of the view."""
        return resource_path("Viewer/viewer.js").read_text(encoding="utf-8")

    @property
    def licence(self) -> str:
        """Of NiiVue and of what it is built of."""
        return resource_path("Viewer/LICENSE.txt").read_text(encoding="utf-8")
