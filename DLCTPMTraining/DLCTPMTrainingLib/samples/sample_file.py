"""A cohort made ready for training as one file, which travels to a GPU machine and is read with NumPy alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError, naming
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.samples.lung_samples import Samples, read_arrays

FORMAT = "DL-CTPM samples, version 1"


@dataclass(frozen=True)
class PatientFacts:
    """What a model card tells of a patient, a part of a ``CohortRow``."""

    patient_id: str
    diagnosis: str = ""
    simulated: bool = False
    real_ct: bool = False

    @classmethod
    def of(cls, row: PatientFacts) -> PatientFacts:
        """What a line of a cohort table, or anything else with these attributes, tells of its patient."""
        return cls(row.patient_id, row.diagnosis, row.simulated, row.real_ct)


@dataclass(frozen=True)
class SampleSet:
    """Lungs to train with, and how they are used.

    Attributes:
        samples: lungs of all patients.
        patients: every patient of the cohort.
        training, validation: ids of the patients trained on and of those validated with.
        preprocessing: how the lungs were made.
        settings: what else the training was asked for when the file was made, as plain JSON values by name:
            ``network``, ``training``, ``name``, ``version``; may be empty.
    """

    samples: Samples
    patients: Sequence[PatientFacts]
    training: Sequence[str]
    validation: Sequence[str]
    preprocessing: PreprocessingSettings
    settings: dict

    @property
    def about(self) -> dict[str, int]:
        """Numbers of patients and of simulated ones."""
        return {"patients": len(self.patients), "simulated": sum(one.simulated for one in self.patients)}

    def save(self, path: Path) -> None:
        """Write one compressed file, which appears whole or not at all."""
        about = {
            "format": FORMAT,
            "patients": [asdict(patient) for patient in self.patients],
            "learning": list(self.training),  # these two names are as in files written before
            "watching": list(self.validation),
            "preprocessing": self.preprocessing.to_dict(),
            "settings": self.settings,
        }
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, about=np.array(json.dumps(about)), **self.samples.arrays())

    @classmethod
    def load(cls, path: Path) -> SampleSet:
        """Read what ``save`` wrote; nothing in the file is run.

        Raises:
            InputError: if it is not such a file, or is damaged.
        """
        if not Path(path).is_file():
            raise InputError(f"{path}: there is no such file, make one with dlctpm train COHORT.csv --export {path}")
        arrays = read_arrays(Path(path))
        try:
            about = json.loads(str(arrays.pop("about")))
            if about["format"] != FORMAT:
                raise InputError(f"{path}: is of another version ({about['format']}), export the cohort again")
            patients = [PatientFacts(**patient) for patient in about["patients"]]
            learning, watching = list(about["learning"]), list(about["watching"])
            settings = dict(about["settings"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path}: is not a file of samples as dlctpm train --export writes it, export the cohort again"
            ) from error
        with naming(path):
            preprocessing = PreprocessingSettings.from_dict(about.get("preprocessing"))
            loaded = cls(Samples.of_arrays(arrays, path), patients, learning, watching, preprocessing, settings)
        fault = loaded.fault()
        if fault:
            raise InputError(f"{path}: {fault}, export the cohort again")
        return loaded

    def fault(self) -> str:
        """What does not fit together, as half a sentence; empty if everything does."""
        kinds = {"patient_id": str, "diagnosis": str, "simulated": bool, "real_ct": bool}
        if not all(isinstance(getattr(one, name), kind) for one in self.patients for name, kind in kinds.items()):
            return "what it tells of its patients is of another kind than text, yes and no"
        kinds = {"network": dict, "training": dict, "name": str, "version": str}
        wrong = [name for name, kind in kinds.items() if not isinstance(self.settings.get(name, kind()), kind)]
        if wrong:
            return f"its settings have no usable {wrong[0]}"
        ids = {one.patient_id for one in self.patients}
        named = [*self.training, *self.validation]
        if not all(isinstance(one, str) for one in named) or not {*named, *self.samples.patient.tolist()} <= ids:
            return "it names patients that are not among its own"
        if not self.training or not len(self.samples.of_patients(self.training)):
            return "it has no lungs to train on"
        held = self.samples.enhanced.shape[1:]
        # cells of a fixed size lie on the grid that the largest lungs among the samples need
        cells = held[1:] if self.preprocessing.cell_mm else self.preprocessing.grid_shape
        shape = (len(self.preprocessing.inputs), *cells)
        if held != shape:
            return f"its lungs are not of {'×'.join(map(str, shape))} values as its settings say"
        return ""
