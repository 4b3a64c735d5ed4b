"""Pages and texts filled in from the Jinja2 templates under ``Resources/Templates``."""

from __future__ import annotations

import re
from functools import cache

import jinja2

from DLCTPMLib.common.resources import resource_path

MISSING = "–"
"""What stands in a table where a figure has no value."""

SIZES = ("size", "grid_shape")
"""Lists that are lengths along the axes of one box."""


def render_html(name: str, **values: object) -> str:
    """Fill in a page.

    Every value is escaped, since file names, DICOM texts and patient ids come from outside: what looks like HTML in
    them is shown, never run.

    Args:
        name: the template's file name, as "report.html.j2".
        values: what it names; one that is missing is an error of ours (``jinja2.UndefinedError``).

    Raises:
        InputError: if the installation has lost the templates.
    """
    return _environment().get_template(name).render(values)


def figure_text(value: float | None, decimals: int) -> str:
    """A number as reports write it: a true minus, thin spaces between thousands, a dash for None."""
    if value is None:
        return MISSING
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    return f"{rounded:,.{decimals}f}".replace("-", "−").replace(",", "\u202f")


def and_list(parts: list[str]) -> str:
    """Parts of a sentence as a list: "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def value_text(name: str, value: object) -> str:
    """A value of ``result.json`` or of settings as a table shows it.

    Lists of lengths (``SIZES``) are written with ×, lists of things with commas, so that neither reads as the other.
    """
    if isinstance(value, (list, tuple)):
        return (" × " if name in SIZES else ", ").join(str(item) for item in value) or MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        value = f"{value:.10g}"
    return MISSING if value is None else re.sub(r"^-(?=\d)", "−", str(value))


def name_text(name: str) -> str:
    """A setting's name as a table shows it: ``hir_scope`` as "HIR scope"."""
    return re.sub(r"\b(hir|hu)\b", lambda short: short[0].upper(), name.replace("_", " "))


_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def shown_text(text: str) -> str:
    """A text from outside without characters that no document can show, or that turn the order of a line round."""
    return _UNSHOWN.sub("\ufffd", text)


def _shown(value: object) -> object:
    return shown_text(value) if type(value) is str else value


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_path("Templates")),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters["figure"] = figure_text
    return environment
