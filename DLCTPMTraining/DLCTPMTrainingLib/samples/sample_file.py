"""A cohort made ready for training as one file, which travels to a GPU machine and is read with NumPy alone."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.samples.lung_samples import Samples

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
        try:
            with np.load(path, allow_pickle=False) as arrays:
                values = dict(arrays)
            about = json.loads(str(values.pop("about")))
            if about["format"] != FORMAT:
                raise InputError(f"{path}: is of another version ({about['format']}), export the cohort again")
            return cls(
                Samples(**values),
                [PatientFacts(**patient) for patient in about["patients"]],
                about["learning"],
                about["watching"],
                PreprocessingSettings.from_dict(about["preprocessing"]),
                about["settings"],
            )
        except (KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path}: is not a whole file of samples as dlctpm train --export writes it, export the cohort again"
            ) from error
