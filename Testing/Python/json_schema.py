"""The part of JSON Schema (draft 2020-12) that the schemas here use, so that a test needs no package for it."""

import re
from collections.abc import Iterator

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
LIMITS = {
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "exclusiveMinimum": lambda value, limit: value > limit,
    "exclusiveMaximum": lambda value, limit: value < limit,
    "multipleOf": lambda value, limit: value % limit == 0,
}
KNOWN = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "const", "enum", "pattern", "anyOf",
         "required", "dependentRequired", "properties", "additionalProperties", "items", "minItems", "maxItems",
         *LIMITS}  # fmt: skip


class SchemaCheck:
    """Values against one schema.

    Args:
        schema: whole, with its ``$defs``.
    """

    def __init__(self, schema: dict):
        self.schema = schema
        self._described: set[str] = set()

    def faults(self, value: object) -> list[str]:
        """What breaks the schema, with its place."""
        return list(self._faults(value, self.schema, ""))

    def undescribed(self, value: object) -> set[str]:
        """Places of a value, as ``.name.name[]``, of which the schema says nothing."""
        self._described = {""}
        self.faults(value)
        return set(places_of(value)) - self._described

    def _faults(self, value: object, schema: dict, place: str) -> Iterator[str]:
        if unknown := schema.keys() - KNOWN:
            raise NotImplementedError(f"{place}: {sorted(unknown)}")
        self._described.add(place)
        if "$ref" in schema:
            yield from self._faults(value, self.schema["$defs"][schema["$ref"].removeprefix("#/$defs/")], place)
        if "anyOf" in schema:
            ways = [list(self._faults(value, one, place)) for one in schema["anyOf"]]
            if all(ways):
                yield f"{place}: none of the ways it may be: {ways}"
        kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", TYPES)
        if not any(is_a(value, kind) for kind in kinds):
            yield f"{place}: {value!r} is no {' or '.join(kinds)}"
        if value not in schema.get("enum", [schema.get("const", value)]):
            yield f"{place}: {value!r} is not what it may be"
        if is_a(value, "number"):
            yield from (
                f"{place}: {value!r} against {name} {schema[name]}"
                for name, holds in LIMITS.items()
                if name in schema and not holds(value, schema[name])
            )
        if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
            yield f"{place}: {value!r} does not look like {schema['pattern']}"
        if isinstance(value, list):
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
                yield f"{place}: has {len(value)} items"
            for item in value:
                yield from self._faults(item, schema.get("items", {}), f"{place}[]")
        if isinstance(value, dict):
            yield from self._faults_of_object(value, schema, place)

    def _faults_of_object(self, value: dict, schema: dict, place: str) -> Iterator[str]:
        needed = {*schema.get("required", [])}
        needed.update(*(more for name, more in schema.get("dependentRequired", {}).items() if name in value))
        yield from (f"{place}: {name} is missing" for name in sorted(needed - value.keys()))
        for name, item in value.items():
            rule = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if rule is True:
                self._described.update(f"{place}.{name}{inner}" for inner in places_of(item))
            elif rule is not None:
                yield from self._faults(item, rule, f"{place}.{name}")


def is_a(value: object, kind: str) -> bool:
    """Whether a value is of a JSON type; true and false are no numbers."""
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def places_of(value: object) -> Iterator[str]:
    """Every place in a value, itself first."""
    yield ""
    if isinstance(value, dict):
        yield from (f".{name}{inner}" for name, item in value.items() for inner in places_of(item))
    if isinstance(value, list):
        yield from (f"[]{inner}" for item in value for inner in places_of(item))
