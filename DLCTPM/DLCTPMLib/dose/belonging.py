"""Whether dose, structures and CT belong together: of one patient, in one frame of reference, on one CT.

What a plain volume does not say cannot be compared, which is said; what is known to differ is refused, as two
examinations laid over each other give figures that look as good as any.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.belonging import Belonging
from DLCTPMLib.volumes.dicom.examination import hashed


@dataclass(frozen=True)
class Placed:
    """One input with what places it; ``belonging`` is None of a file that is not DICOM."""

    path: str
    belonging: Belonging | None


@dataclass(frozen=True)
class Relation:
    """How the inputs lie to each other.

    Attributes:
        structures_move: whether the transform moves the structures with the dose.
        notes: what could not be told, in sentences for the user.
    """

    structures_move: bool
    notes: list[str]


def related(
    dose: Placed,
    structures: Placed | None,
    ct: Placed | None,
    moved: bool,
    examination: dict,
    salt: str | None = None,
) -> Relation:
    """Compare what the inputs say of themselves.

    Args:
        dose: of the plan.
        structures: None where there are none.
        ct: the CT's DICOM series, None where it was not given.
        moved: whether a transform was given, which maps CT points to dose points.
        examination: of the prediction's ``result.json``: keyed hashes of the CT's study and series, may be empty.
        salt: key of these hashes.

    Raises:
        InputError: another patient, another frame of reference and no transform, structures of several frames.
    """
    given = [one for one in (ct, dose, structures) if one is not None and one.belonging is not None]
    _same_patient(given)
    notes: list[str] = []
    drawn_on_ct = None
    if structures is not None and structures.belonging is not None:
        if len(structures.belonging.frames) > 1:
            raise InputError(
                f"{structures.path}: its structures lie in {len(structures.belonging.frames)} frames of reference; "
                "export those of one CT"
            )
        drawn_on_ct = _drawn_on(structures.belonging, ct, examination, salt)
        if drawn_on_ct is False:
            notes.append(f"{structures.path} was drawn on another series than the CT that was predicted from")
    ct_frame, dose_frame, drawn_frame = _frame(ct), _frame(dose), _frame(structures)
    if not ct_frame and drawn_on_ct:
        ct_frame = drawn_frame
    move = moved and structures is not None and bool(drawn_frame) and drawn_frame == dose_frame != ct_frame
    reference, whose = (ct_frame, "the CT's") if ct_frame else (drawn_frame, "the structures'")
    if not moved and dose_frame and reference and dose_frame != reference:
        raise InputError(
            f"{dose.path}: lies in another frame of reference than {whose}, so in other coordinates; give the dose "
            "planned on this CT, or a registration with --transform"
        )
    if drawn_frame and ct_frame and drawn_frame != ct_frame and not move:
        raise InputError(
            f"{structures.path}: was drawn in another frame of reference than the CT's, so on another examination; "
            "give the one of this CT"
        )
    if moved and dose_frame and dose_frame == ct_frame:
        notes.append(f"the transform moves the dose although {dose.path} lies in the CT's frame of reference")
    if not moved and not (dose_frame and ct_frame):
        notes.append(
            f"whether {dose.path} was planned on this CT cannot be told: one of them names no frame of reference"
            + (" (--dicom names the CT's series)" if dose_frame else "")
        )
    return Relation(move, notes)


def ct_belonging(folder: str, series_uid: str) -> Belonging:
    """Of the CT's series in a DICOM folder.

    Raises:
        InputError: no DICOM series with SOP instances.
    """
    found = Belonging.of_series(Path(folder), series_uid) if Path(folder).is_dir() else Belonging()
    if not found.instances:
        raise InputError(f"{folder}: has no SOP instances, so is no DICOM series; give the CT's DICOM folder")
    return found


def _same_patient(given: list[Placed]) -> None:
    named = [one for one in given if one.belonging.patient_id]
    for other in named[1:]:
        if other.belonging.patient_id != named[0].belonging.patient_id:
            raise InputError(
                f"{other.path}: is of another patient than {named[0].path}; give the files of one patient"
            )


def _drawn_on(drawn: Belonging, ct: Placed | None, examination: dict, salt: str | None) -> bool | None:
    """Whether structures were drawn on the CT of the prediction; None where that cannot be told."""
    if ct is not None and ct.belonging is not None and drawn.instances:
        return bool(drawn.instances & ct.belonging.instances)
    if not drawn.series or "series" not in examination:
        return None
    return examination["series"] in {hashed(uid, salt) for uid in drawn.series}


def _frame(one: Placed | None) -> str:
    return next(iter(one.belonging.frames), "") if one is not None and one.belonging is not None else ""
