"""What the tests of a study share."""

from dataclasses import replace

import pytest

from DLCTPMTrainingLib.cohorts.simulate import simulate_cohort

ACUTE = "SYNTH-0006"


@pytest.fixture(scope="package")
def cohort(tmp_path_factory):
    """Twelve virtual patients, coarse and quick; one has acute embolism."""

    def coarse(settings):
        settings = replace(settings, core_spacing_mm=5.0, ct_spacing_mm=(5.0, 5.0, 5.0))
        return replace(settings, diagnosis="acute pulmonary embolism") if settings.patient_id == ACUTE else settings

    return simulate_cohort(12, 3, tmp_path_factory.mktemp("cohort"), adjust=coarse)
