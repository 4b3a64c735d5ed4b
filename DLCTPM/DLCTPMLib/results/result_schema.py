"""A ``result.json`` that comes back as an input is held against ``Resources/Schemas/result.schema.json`` first.

Of JSON Schema (draft 2020-12) this knows the words that the schema is written with, and refuses a schema with others.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from DLCTPMLib.common.resources import resource_folder

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int, float),
    "null": (type(None),),
}
_SILENT = {"$schema", "$id", "$defs", "title", "description", "additionalProperties"}
"""Words that ask nothing by themselves; additional properties are looked at with the properties."""


@cache
def result_schema() -> dict:
    """The schema as shipped."""
    return json.loads((resource_folder() / "Schemas" / "result.schema.json").read_text(encoding="utf-8"))


def fault_in(result: Any) -> str:
    """The first thing in a result that is not as the schema says, as half a sentence; empty if nothing is."""
    return _fault(result, result_schema(), "")


def _fault(value: Any, schema: dict, place: str) -> str:
    for word, wanted in schema.items():
        if word in _SILENT:
            continue
        fault = _inside(word, wanted, value, schema, place)
        if fault is None:
            if _HOLDS[word](value, wanted):
                continue
            fault = (
                f"{place or 'it'} is not as its schema says ({word} {json.dumps(wanted, ensure_ascii=False)[:80]})"
            )
        if fault:
            return fault
    if "properties" not in schema and isinstance(value, dict):
        return _additional(value, schema, {}, place)
    return ""


def _inside(word: str, wanted: Any, value: Any, schema: dict, place: str) -> str | None:
    """What the parts of a value are found to be; None for a word that asks something of the value itself."""
    if word == "$ref":
        return _fault(value, result_schema()["$defs"][wanted.rpartition("/")[2]], place)
    if word == "anyOf":
        faults = [_fault(value, way, place) for way in wanted]
        return min(faults, key=len) if all(faults) else ""
    if word == "items":
        items = enumerate(value) if isinstance(value, list) else ()
        return next(filter(None, (_fault(item, wanted, f"{place}[{n}]") for n, item in items)), "")
    if word != "properties":
        return None
    if not isinstance(value, dict):
        return ""
    named = (_fault(value[name], part, _joined(place, name)) for name, part in wanted.items() if name in value)
    return next(filter(None, named), "") or _additional(value, schema, wanted, place)


def _additional(value: dict, schema: dict, named: dict, place: str) -> str:
    wanted = schema.get("additionalProperties")
    if not isinstance(wanted, dict):
        return ""
    others = (_fault(part, wanted, _joined(place, name)) for name, part in value.items() if name not in named)
    return next(filter(None, others), "")


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _of_type(value: Any, kinds: str | list[str]) -> bool:
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)):
            return kind != "integer" or isinstance(value, int) or value.is_integer()
    return False


def _same(value: Any, wanted: Any) -> bool:
    """Equality as JSON has it, where true is not 1."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _if_number(rule: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: not _of_type(value, "number") or rule(value, wanted)


def _if_kind(kind: type, rule: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: not isinstance(value, kind) or rule(value, wanted)


_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "type": _of_type,
    "const": _same,
    "enum": lambda value, wanted: any(_same(value, one) for one in wanted),
    "required": _if_kind(dict, lambda value, names: all(name in value for name in names)),
    "dependentRequired": _if_kind(
        dict, lambda value, asked: all(n in value for name, needed in asked.items() if name in value for n in needed)
    ),
    "pattern": _if_kind(str, lambda value, pattern: re.search(pattern, value) is not None),
    "minItems": _if_kind(list, lambda value, count: len(value) >= count),
    "maxItems": _if_kind(list, lambda value, count: len(value) <= count),
    "minimum": _if_number(lambda value, limit: value >= limit),
    "maximum": _if_number(lambda value, limit: value <= limit),
    "exclusiveMinimum": _if_number(lambda value, limit: value > limit),
    "exclusiveMaximum": _if_number(lambda value, limit: value < limit),
    "multipleOf": _if_number(lambda value, step: math.isfinite(value) and value % step == 0),
}
