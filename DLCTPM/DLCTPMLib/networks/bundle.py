"""A trained model as a folder or zip laid out like a MONAI bundle. No pickle is ever opened.

configs/metadata.json     name, version, settings of network and preprocessing, training data, ranges, intended use
models/model.safetensors  the weights (half or single precision)
docs/README.md            the model card
LICENSE
SHA256SUMS                one line a file, as ``sha256sum`` writes; its own hash identifies the model
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from DLCTPMLib.common.atomic_output import whole_folder
from DLCTPMLib.common.errors import InputError, naming
from DLCTPMLib.common.resources import resource_folder
from DLCTPMLib.networks.balance import LungBalance
from DLCTPMLib.networks.metadata import check_metadata
from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.networks.settings import network_settings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

if TYPE_CHECKING:
    from DLCTPMLib.networks.parts import PerfusionNetwork

METADATA = "configs/metadata.json"
WEIGHTS = "models/model.safetensors"
CARD = "docs/README.md"
LICENSE = "LICENSE"
SUMS = "SHA256SUMS"
REQUIRED = (METADATA, WEIGHTS, CARD, LICENSE, SUMS)
PICKLES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".joblib", ".npy", ".npz"}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
IGNORED = {".DS_Store", "Thumbs.db"}
LARGEST_BUNDLE = 2**30
_DAMAGE = (RuntimeError, ValueError, TypeError, KeyError, OverflowError, AttributeError)
"""What safetensors and PyTorch raise of a damaged file, beside ``SafetensorError``."""
DEFAULT_MODEL = "default"


@dataclass(frozen=True)
class ModelBundle:
    """A verified model.

    Attributes:
        path: where it came from.
        sha256: hash of its SHA256SUMS, hence of everything in it.
        metadata: the content of ``configs/metadata.json``.
        card: the model card, Markdown.
    """

    path: Path
    sha256: str
    metadata: dict
    card: str
    _weights: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.metadata["name"]

    @property
    def version(self) -> str:
        """The model's version."""
        return self.metadata["version"]

    @property
    def intended_use(self) -> str:
        """What the model may be used for, a sentence for every report."""
        return self.metadata["intended_use"]

    @property
    def preprocessing(self) -> PreprocessingSettings:
        """The preprocessing the model was trained with; a prediction must use the same."""
        return PreprocessingSettings.from_dict(self.metadata["preprocessing"])

    @property
    def bf16_max_error(self) -> float | None:
        """Largest change of the map by bfloat16 as measured when the model was made; None if never measured."""
        return self.metadata.get("bf16_max_error")

    @property
    def scale(self) -> LearnedScale | None:
        """How its maps lie beside the SPECTs of patients it was not trained on; None if that was never measured."""
        told = self.metadata.get("scale")
        return LearnedScale.from_dict(told) if told else None

    @property
    def balance(self) -> LungBalance | None:
        """How its maps of right and left lung are brought to one level; None where they stay as they are."""
        told = self.metadata.get("balance")
        return LungBalance.from_dict(told) if told else None

    @property
    def parameters(self) -> int:
        """Numbers that the network learned, counted in the header of its weights; statistics of its norms are none.

        Raises:
            InputError: if the weights are damaged.
        """
        length = int.from_bytes(self._weights[:8], "little")
        try:
            header = json.loads(self._weights[8 : 8 + length])
            shapes = {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
            return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(STATISTICS))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{self.path}: {WEIGHTS} is damaged, download the model again") from error

    @property
    def members(self) -> list[dict]:
        """Settings of every network, as ``network_dict`` gives them; a model of one network has one member."""
        return self.metadata.get("members") or [self.metadata["network"]]

    @property
    def members_about(self) -> list[dict]:
        """Of every network its settings (``network``) and, as far as it is known, ``patients``, ``lungs`` and
        ``origin`` of those it was trained on, ``epochs``, and the ``fold`` (K of N) that it was not trained on.
        """
        training = self.metadata.get("members_training") or [self.metadata.get("training", {})]
        if len(training) != len(self.members):
            training = [{}] * len(self.members)
        return [{"network": network, **_known(told)} for network, told in zip(self.members, training, strict=True)]

    def network(self) -> PerfusionNetwork:
        """The network with its weights, in evaluation mode on the CPU; of an ensemble the first member."""
        return self.networks()[0]

    def networks(self) -> list[PerfusionNetwork]:
        """All members with their weights, in evaluation mode on the CPU."""
        import safetensors.torch  # heavy, and listing models needs no network
        import torch

        from DLCTPMLib.networks.registry import build_network

        every = [network_settings(member) for member in self.members]
        try:
            weights = safetensors.torch.load(self._weights)
            with torch.device("meta"):  # sizes only: a network that the weights do not fit may be too large to build
                _check_sizes(_joined_states([build_network(settings).state_dict() for settings in every]), weights)
            networks = [build_network(settings).eval() for settings in every]
            for number, network in enumerate(networks):
                names = network.state_dict()
                network.load_state_dict({name: weights[_key(name, number, len(every))] for name in names})
        except (*_DAMAGE, safetensors.SafetensorError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{self.path}: {WEIGHTS} does not fit the network in {METADATA} ({reason}), download the model again"
            ) from error
        return networks

    def identity(self) -> dict:
        """Name, version, hash, intended use and networks, as every output carries them."""
        return {
            "name": self.name,
            "version": self.version,
            "sha256": self.sha256,
            "intended_use": self.intended_use,
            "members": self.members_about,
        }


def list_bundles(folder: Path | None = None) -> list[str]:
    """Names of the models that were shipped (or lie in ``folder``)."""
    folder = folder or resource_folder() / "Models"
    return sorted(entry.name for entry in folder.iterdir() if (entry / METADATA).is_file())


def load_bundle(model: str | Path | None = None) -> ModelBundle:
    """Open and verify a model: the name of a shipped one, or the path of a folder or zip.

    Raises:
        InputError: if it is missing, incomplete, altered, or holds anything that could run code.
    """
    path = _locate(model)
    files = _read_zip(path) if path.is_file() else _read_folder(path)
    for name in files:
        if PurePosixPath(name).suffix.lower() in PICKLES:
            raise InputError(f"{path}: {name} may hold code and is never opened, use a model with {WEIGHTS} only")
    for name in REQUIRED:
        if name not in files:
            raise InputError(f"{path}: {name} is missing, download the model again")
    _verify(path, files)
    try:
        metadata = json.loads(files[METADATA])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {METADATA} is not readable JSON ({error}), download the model again") from error
    with naming(f"{path}: {METADATA}"):
        check_metadata(metadata)
    return ModelBundle(
        path=path,
        sha256=hashlib.sha256(files[SUMS]).hexdigest(),
        metadata=metadata,
        card=files[CARD].decode("utf-8", errors="replace"),
        _weights=files[WEIGHTS],
    )


def save_bundle(
    folder: Path,
    network: PerfusionNetwork | Sequence[PerfusionNetwork],
    metadata: dict,
    card: str,
    license_text: str,
    half_precision: bool = True,
) -> Path:
    """Write a model as a bundle folder; it appears whole or not at all.

    Args:
        folder: the bundle; an older one of that name is replaced.
        network: the trained network, or the members of an ensemble.
        metadata: what ``configs/metadata.json`` shall say; settings of the network are added here.
        card: the model card, Markdown.
        license_text: the licence of the weights.
        half_precision: store the weights in 16 bits.
    """
    import safetensors.torch
    import torch

    from DLCTPMLib.networks.settings import network_dict

    networks = list(network) if isinstance(network, Sequence) else [network]
    state = {
        name: value.detach().cpu().to(torch.float16 if half_precision and value.is_floating_point() else value.dtype)
        for name, value in _joined_states([each.state_dict() for each in networks]).items()
    }
    members = [network_dict(each.settings) for each in networks]
    metadata = {**metadata, "network": members[0], **({"members": members} if len(members) > 1 else {})}
    files = {
        METADATA: (json.dumps(metadata, indent=2, ensure_ascii=False) + "\n").encode(),
        WEIGHTS: safetensors.torch.save({name: value.contiguous() for name, value in state.items()}),
        CARD: card.encode(),
        LICENSE: license_text.encode(),
    }
    files[SUMS] = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()
    folder = Path(folder)
    with whole_folder(folder) as whole:
        for name, data in files.items():
            (whole / name).parent.mkdir(parents=True, exist_ok=True)
            (whole / name).write_bytes(data)
    return folder


def _known(training: dict) -> dict:
    """What outputs tell of a training, of what a bundle says of it."""
    names = {"patients": "patients", "lungs": "lungs", "origin": "origin", "epochs_done": "epochs", "fold": "fold"}
    return {name: training[key] for key, name in names.items() if training.get(key) is not None}


def _key(name: str, number: int, members: int) -> str:
    """A weight's name in the file: with the member's number before it where there are several."""
    return f"{number}.{name}" if members > 1 else name


def _joined_states(states: Sequence[dict]) -> dict:
    """The state dictionaries of all members as one."""
    return {
        _key(name, number, len(states)): value for number, state in enumerate(states) for name, value in state.items()
    }


def _check_sizes(wanted: dict, given: dict) -> None:
    """Raise ValueError where two state dictionaries differ in a name or a shape."""
    for name in [*wanted, *given]:
        shapes = [tuple(each[name].shape) if name in each else None for each in (wanted, given)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name} has the shape {shapes[1]}, needed is {shapes[0]}")


def _locate(model: str | Path | None) -> Path:
    shipped = resource_folder() / "Models"
    name = DEFAULT_MODEL if model is None else str(model)
    if not name:
        raise InputError("the name of the model is empty; give a model folder, its zip, or the name of a shipped one")
    for path in (Path(name), shipped / name):
        if (path / METADATA).is_file() or (path.is_file() and zipfile.is_zipfile(path)):
            return path
    if Path(name).is_dir():
        raise InputError(f"{name}: {METADATA} is missing, give the folder of a DL-CTPM model bundle")
    if Path(name).is_file():
        raise InputError(f"{name}: not a DL-CTPM model, give the folder or zip of a model bundle")
    known = ", ".join(list_bundles(shipped)) or "none"
    raise InputError(f"{name}: no such model, give a model folder, its zip, or one of those shipped: {known}")


def _read_folder(path: Path) -> dict[str, bytes]:
    found = {entry.relative_to(path).as_posix(): entry for entry in sorted(path.rglob("*")) if entry.is_file()}
    return {name: entry.read_bytes() for name, entry in found.items() if entry.name not in IGNORED}


def _read_zip(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_BUNDLE:
                raise InputError(f"{path}: larger than any model bundle, give the zip of one model")
            files = {
                entry.filename: archive.read(entry)
                for entry in archive.infolist()
                if not entry.is_dir()
                and PurePosixPath(entry.filename).name not in IGNORED
                and not entry.filename.startswith("__MACOSX/")
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path}: the zip is damaged ({error}), download the model again") from error
    tops = {name.split("/", 1)[0] for name in files}
    if len(tops) == 1 and all("/" in name for name in files):  # a zip of the folder instead of its content
        return {name.split("/", 1)[1]: data for name, data in files.items()}
    return files


def _verify(path: Path, files: dict[str, bytes]) -> None:
    listed = {}
    for line in files[SUMS].decode("utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    for name, data in files.items():
        if name == SUMS:
            continue
        if name not in listed:
            raise InputError(f"{path}: {name} is not listed in {SUMS}, download the model again")
        if hashlib.sha256(data).hexdigest() != listed[name]:
            raise InputError(f"{path}: {name} does not match its SHA-256 in {SUMS}, download the model again")
    for name in listed:
        if name not in files:
            raise InputError(f"{path}: {name} is missing, download the model again")
