"""How a value of each type lies in a parameter node."""

import enum
import types
import typing
from pathlib import Path

import slicer
from slicer.parameterNodeWrapper.annotations import FloatRange


def members(kind):
    """The types of a union; none where it is no union."""
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else ()


def node_classes(kind):
    """The MRML node classes that a type (or union of types) allows; empty where it is no node type."""
    if members(kind):
        classes = [node_classes(member) for member in members(kind) if member is not type(None)]
        return [cls for group in classes for cls in group] if all(classes) else []
    return [kind] if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode) else []


class Serializer:
    """One parameter of one type, read from and written to a parameter node."""

    def __init__(self, kind):
        self.kind = kind

    def default(self):
        return self.kind()

    def check(self, value):
        if value is None:
            raise ValueError("Value must not be None")
        allowed = (int, float) if self.kind is float else self.kind
        if not isinstance(value, allowed) or (isinstance(value, bool) and self.kind is not bool):
            raise TypeError(f"Value must be of type {self.kind}, is {type(value)} {value!r}")

    def write(self, node, name, value):
        node.SetParameter(name, str(value))

    def read(self, node, name):
        return self.kind(node.GetParameter(name))

    def is_in(self, node, name):
        return node.HasParameter(name)


class BoolSerializer(Serializer):
    """True or False, as these words."""

    def read(self, node, name):
        return node.GetParameter(name) == "True"


class PathSerializer(Serializer):
    """A path as text."""

    def check(self, value):
        if not isinstance(value, Path):
            raise TypeError(f"Value must be a Path, is {value!r}")

    def default(self):
        return Path()


class EnumSerializer(Serializer):
    """The member's name."""

    def default(self):
        return next(iter(self.kind))

    def write(self, node, name, value):
        node.SetParameter(name, value.name)

    def read(self, node, name):
        return self.kind[node.GetParameter(name)]


class NodeSerializer(Serializer):
    """A node reference, so that the scene keeps it right when nodes are renumbered."""

    def default(self):
        return None

    def check(self, value):
        if value is not None and not isinstance(value, self.kind):
            raise TypeError(f"Value must be a {self.kind}, is {value!r}")

    def write(self, node, name, value):
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node, name):
        return node.GetNodeReference(name)


class NodeUnionSerializer(Serializer):
    """A node of one of several classes, or None: kept under the number of its class in the union."""

    def default(self):
        return None

    def check(self, value):
        if value is not None and not isinstance(value, tuple(node_classes(self.kind))):
            raise TypeError(f"Value must be a {self.kind}, is {value!r}")

    def write(self, node, name, value):
        for index, _ in enumerate(members(self.kind)):
            node.UnsetParameter(f"{name}.{index}")
            node.RemoveNodeReferenceIDs(f"{name}.{index}")
        for index, member in enumerate(members(self.kind)):
            if isinstance(value, member):
                node.SetParameter(f"{name}.{index}", "True" if value is None else "")
                if value is not None:
                    node.SetNodeReferenceID(f"{name}.{index}", value.GetID())
                return

    def read(self, node, name):
        return next(
            (
                node.GetNodeReference(f"{name}.{index}")
                for index, member in enumerate(members(self.kind))
                if member is not type(None) and node.HasParameter(f"{name}.{index}")
            ),
            None,
        )

    def is_in(self, node, name):
        return any(node.HasParameter(f"{name}.{index}") for index, _ in enumerate(members(self.kind)))


class RangeSerializer(Serializer):
    """Both ends, one parameter each."""

    def default(self):
        return FloatRange(0, 0)

    def write(self, node, name, value):
        node.SetParameter(f"{name}._minimum", str(value.minimum))
        node.SetParameter(f"{name}._maximum", str(value.maximum))

    def read(self, node, name):
        return FloatRange(*(float(node.GetParameter(f"{name}._{end}")) for end in ("minimum", "maximum")))

    def is_in(self, node, name):
        return node.HasParameter(f"{name}._minimum")


def serializer_for(kind):
    """The serializer of a type; raises Exception, as Slicer does, for a type that cannot be kept."""
    if node_classes(kind):
        return NodeUnionSerializer(kind) if members(kind) else NodeSerializer(kind)
    if kind is bool:
        return BoolSerializer(kind)
    if kind in (int, float, str):
        return Serializer(kind)
    if kind is Path:
        return PathSerializer(kind)
    if kind is FloatRange:
        return RangeSerializer(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return EnumSerializer(kind)
    raise Exception(f"A parameter node cannot keep {kind}")
