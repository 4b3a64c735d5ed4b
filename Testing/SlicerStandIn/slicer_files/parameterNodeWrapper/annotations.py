"""What may be written beside a parameter's type: its default, its bounds, how a widget shows it."""

import typing
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass
class Default:
    """The value a new parameter node starts with."""

    value: Any


@dataclass
class Decimals:
    """Decimal places that the widget shows."""

    value: int


@dataclass
class SingleStep:
    """Step of the widget's arrows."""

    value: float


@dataclass
class FloatRange:
    """Two ends of a range."""

    minimum: float
    maximum: float


@dataclass
class Minimum:
    """Smallest value allowed."""

    minimum: float

    def validate(self, value):
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclass
class Maximum:
    """Largest value allowed."""

    maximum: float

    def validate(self, value):
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclass
class WithinRange:
    """Smallest and largest value allowed."""

    minimum: float
    maximum: float

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclass
class RangeBounds:
    """Bounds of both ends of a range."""

    minimum: float
    maximum: float

    def validate(self, value):
        # Slicer's own words, an upper end out of bounds passing with them
        if value.minimum < self.minimum and value.maximum <= self.maximum:
            raise ValueError(f"Range must be within [{self.minimum}, {self.maximum}], is {value}")


@dataclass
class Choice:
    """The values allowed."""

    choices: list

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {self.choices}")


def split(annotated_type):
    """A type and the list of what is written beside it."""
    arguments = typing.get_args(Annotated[annotated_type, None])
    return arguments[0], list(arguments[1:-1])


def first(annotations, kind):
    """The first annotation of a kind, None where there is none."""
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)
