"""Makes the engine ready at first use (PyTorch, packages; never without consent) and says where it will compute."""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import json
from collections.abc import Callable

import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.command import MODULE_FOLDER, engineEnvironment, pythonProgram
from DLCTPMSlicerLib.engine.process import EngineProcess, EngineResult, Outcome

REQUIREMENTS = MODULE_FOLDER / "Resources" / "requirements.txt"
TORCH_REQUIREMENT = ">=2.2"
REQUESTER = "CT Perfusion Mapping"

DEVICE_PROBE = """
import json
found = {"device": "cpu", "name": "", "problem": ""}
try:
    import torch
    if torch.cuda.is_available():
        found["name"] = torch.cuda.get_device_name(0)
        try:
            (torch.zeros(8, device="cuda") + 1).sum().item()
            found["device"] = "cuda"
        except RuntimeError as error:
            found["problem"] = "unsupported"
    elif torch.backends.mps.is_available():
        found["device"] = "mps"
except Exception as error:
    found["problem"] = "broken"
    found["name"] = str(error).splitlines()[0] if str(error) else type(error).__name__
print("DEVICE " + json.dumps(found), flush=True)
"""
"""Asked of a child process, so that torch is never loaded into Slicer for it."""


class SetupError(RuntimeError):
    """The engine cannot be made ready; the message names the next step."""


def torchInstalled() -> bool:
    """Whether PyTorch is installed, told without loading it."""
    if importlib.util.find_spec("torch") is None:
        return False
    try:
        importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def missingPackages() -> list[str]:
    """Requirements of the engine that are not met, PyTorch aside."""
    missing = []
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        requirement = line.split("#")[0].strip()
        if requirement and not _isMet(requirement):
            missing.append(requirement)
    return missing


def slicerTooOld() -> str:
    """One sentence where this Slicer has no ``slicer.packaging``, which came with 5.12; else empty."""
    if importlib.util.find_spec("slicer.packaging") is not None:
        return ""
    version = f"{slicer.app.majorVersion}.{slicer.app.minorVersion}"
    return _("{requester} needs Slicer 5.12 or newer; this is Slicer {version}.").format(
        requester=REQUESTER, version=version
    )


def ensureEngine() -> None:
    """Install what the engine lacks, asking the user first; returns when everything is there.

    Raises:
        SetupError: it was declined or failed, or Slicer is too old; the message says what to do next.
    """
    if slicerTooOld():
        raise SetupError(slicerTooOld())
    try:
        if not torchInstalled():
            _installTorch()
        if missingPackages():
            _installPackages()
    except SetupError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise SetupError(
                _("The disk is full. PyTorch needs about 5 GB; free some space and try again.")
            ) from error
        raise SetupError(_("Installation failed: {reason}").format(reason=error)) from error
    except Exception as error:  # pip and other extensions raise anything; the user gets the next step
        raise SetupError(_installMessage(str(error))) from error


def findDevice(found: Callable[[str, str], None]) -> EngineProcess:
    """Find out in the background where the engine would compute.

    Args:
        found: called with "cuda", "mps" or "cpu", and a sentence for the panel. Not called if it is killed.
    """
    answers = []
    process = EngineProcess(
        [pythonProgram(), "-c", DEVICE_PROBE],
        environment=engineEnvironment(),
        onFinished=lambda result: answers.append(found(*deviceSentence(result))),
    )
    process.start()
    return process


def deviceSentence(result: EngineResult) -> tuple[str, str]:
    """What the device probe's output means: the device and a sentence."""
    line = next((line for line in result.details.splitlines() if line.startswith("DEVICE ")), None)
    if result.outcome is not Outcome.DONE or line is None:
        return "cpu", _("Python could not be started to look for a graphics card: {reason}").format(
            reason=result.message or result.details
        )
    answer = json.loads(line.removeprefix("DEVICE "))
    if answer["problem"] == "broken":
        return "cpu", _(
            "PyTorch is installed but does not start ({reason}). Reinstall it in the module PyTorch Util, "
            "then restart Slicer."
        ).format(reason=answer["name"])
    if answer["problem"] == "unsupported":
        return "cpu", _(
            "Computes on the processor: the installed PyTorch does not support the {card}. "
            "A newer PyTorch (module PyTorch Util) may."
        ).format(card=answer["name"])
    if answer["device"] == "cuda":
        return "cuda", _("Computes on the graphics card {card}.").format(card=answer["name"])
    if answer["device"] == "mps":
        return "mps", _("Computes on this Mac's graphics processor.")
    return "cpu", _("Computes on the processor (no graphics card that PyTorch can use).")


def _isMet(requirement: str) -> bool:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        return wanted.specifier.contains(importlib.metadata.version(wanted.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def _installTorch() -> None:
    try:
        import PyTorchUtils
    except ImportError as error:
        raise SetupError(
            _(
                "The PyTorch extension is missing. Install it in the Extensions Manager, "
                "restart Slicer, and try again."
            )
        ) from error
    if (
        PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT)
        is None
    ):
        raise SetupError(_("PyTorch is needed to compute and was not installed. Click again to install it."))
    if not torchInstalled():
        raise SetupError(_("PyTorch was installed but is not found yet. Restart Slicer and try again."))


def _installPackages() -> None:
    import slicer.packaging as packaging

    packaging.pip_ensure(packaging.load_requirements(REQUIREMENTS), requester=REQUESTER)
    missing = missingPackages()
    if missing:  # in Slicer's testing mode nothing is installed and nothing is said
        raise SetupError(
            _("The Python packages {names} are needed to compute and were not installed.").format(
                names=", ".join(missing)
            )
        )


def _installMessage(reason: str) -> str:
    lower = reason.lower()
    if "no space" in lower or "errno 28" in lower:
        return _("The disk is full. PyTorch needs about 5 GB; free some space and try again.")
    if any(word in lower for word in ("proxy", "connection", "ssl", "timed out", "getaddrinfo", "max retries")):
        return _(
            "The packages could not be downloaded. Check the internet connection; behind a proxy, set the "
            "environment variables HTTP_PROXY and HTTPS_PROXY before starting Slicer."
        )
    if "restart" in lower:
        return _("Slicer must be restarted to finish the installation; then try again.")
    return _("Installation failed: {reason}").format(reason=reason)
