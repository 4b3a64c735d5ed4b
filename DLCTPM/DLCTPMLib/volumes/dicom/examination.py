"""Which examination a DICOM image is of, and the pseudonym by which results may name it (docs/privacy.md)."""

from __future__ import annotations

import datetime
import hmac
from dataclasses import dataclass

import pydicom

SALT = "DL-CTPM"
"""Where the user gives no secret of their own: then whoever has a UID can compute its pseudonym, too."""

DIGITS = 16
"""Hexadecimal digits of a pseudonym: two of a million examinations share one with a probability of 3 in 10⁸."""

MEANING = (
    "Keyed hashes (HMAC-SHA-256) of the UIDs of study and series, and of the Patient ID where a secret was given: "
    "pseudonymous, not anonymous, as whoever has these and the salt finds them again."
)


@dataclass(frozen=True)
class Examination:
    """What names an examination; it stays in memory, results get ``pseudonym``.

    Attributes:
        study_uid, series_uid: empty where the header has none.
        date: StudyDate as ISO 8601, empty where the header has none that is a date.
        patient_id: PatientID, empty where the header has none.
    """

    study_uid: str
    series_uid: str
    date: str
    patient_id: str = ""

    @classmethod
    def of(cls, header: pydicom.Dataset) -> Examination:
        """The examination of an image by its header."""
        study, series, date, patient = (
            str(header.get(keyword, "") or "").strip()
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "StudyDate", "PatientID")
        )
        try:
            day = datetime.datetime.strptime(date.replace(".", ""), "%Y%m%d").date().isoformat()
        except ValueError:
            day = ""
        return cls(study, series, day, patient)

    def pseudonym(self, salt: str | None, with_date: bool) -> dict[str, str]:
        """Hashes of the UIDs, what they are, and the date if it is asked for and known; empty without UIDs.

        The patient's ID is hashed under a secret only: IDs are short, and whoever knows the key tries them all.
        """
        uids = {"study": self.study_uid, "series": self.series_uid, "patient": self.patient_id if salt else ""}
        named = {name: hashed(uid, salt) for name, uid in uids.items() if uid}
        if named:
            named["meaning"] = MEANING
        return named | ({"date": self.date} if with_date and self.date else {})


def hashed(uid: str, salt: str | None) -> str:
    """The pseudonym of a UID: the first digits of its HMAC-SHA-256 with the salt as the key."""
    return hmac.new((salt or SALT).encode(), uid.encode(), "sha256").hexdigest()[:DIGITS]
