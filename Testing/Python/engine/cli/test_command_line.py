"""The command line itself: where its commands come from, what knowing them costs, and whose fault ends whom."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from DLCTPMLib import RESEARCH_USE_ONLY, __version__
from DLCTPMLib.cli.main import BAD_INPUT, COMMANDS, main
from DLCTPMLib.cli.shared.command import Command, build_parser, distinct
from DLCTPMLib.common.errors import InputError
from DLCTPMTrainingLib.cli.main import COMMANDS as TRAINING_COMMANDS
from DLCTPMTrainingLib.cli.main import build_parser as training_parser

REPOSITORY = Path(__file__).resolve().parents[4]
HEAVY = ("torch", "SimpleITK", "numpy", "scipy", "skimage", "matplotlib", "pydicom", "jinja2", "safetensors")
ENGINES = {"predict", "cohort", "segment", "register", "dose", "changes", "evaluate", "export", "info", "listen"}
TRAININGS = {"demo", "cohort", "train", "study", "robustness", "benchmark"}


def python(*arguments, path=()):
    folders = [*path, REPOSITORY / "DLCTPM", REPOSITORY / "DLCTPMTraining"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        cwd=sys.prefix,  # a checkout may hold the metadata of a build, which would count as installed
        check=False,
    )


@pytest.fixture
def installed(tmp_path):
    """Install a distribution with these entry points: gives the folder that holds it."""

    def install(name: str, **entries: str) -> Path:
        folder = tmp_path / name
        info = folder / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        lines = [f"{entry} = {value}" for entry, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[dlctpm.commands]", *lines, ""]))
        return folder

    return install


def offered(shown: str) -> list[str]:
    """Commands of a help text, in order."""
    return [line.split()[0] for line in shown.splitlines() if line.startswith("    ") and line[4] != " "]


def test_help_says_what_it_is_for_and_offers_each_command_once(installed):
    nothing = installed("dlctpm")  # in place of the distribution that may be installed here
    engine = python("-m", "DLCTPMLib", "--help", path=[nothing])
    assert RESEARCH_USE_ONLY.split(".")[0] in engine.stdout
    assert set(offered(engine.stdout)) == ENGINES
    both = python("-m", "DLCTPMTrainingLib", "--help", path=[nothing])
    assert sorted(offered(both.stdout)) == sorted(ENGINES | TRAININGS)
    assert python("-m", "DLCTPMLib", "--version").stdout.strip() == f"dlctpm {__version__}"


def test_an_installed_package_brings_commands_and_none_is_offered_twice(installed):
    entries = {"demo": "DLCTPMTrainingLib.cli.demo:COMMAND", "check": "DLCTPMTrainingLib.cli.cohort:CHECK"}
    here = installed("dlctpm", **entries)
    assert sorted(offered(python("-m", "DLCTPMLib", "--help", path=[here]).stdout)) == sorted(
        ENGINES | {"demo", "cohort"}
    )
    assert "check" in python("-m", "DLCTPMLib", "cohort", "--help", path=[here]).stdout
    both = python("-m", "DLCTPMTrainingLib", "--help", path=[here])
    assert sorted(offered(both.stdout)) == sorted(ENGINES | TRAININGS)
    assert both.stderr == ""


def test_a_broken_package_of_somebody_else_loses_its_own_command_only(installed, tmp_path):
    (tmp_path / "theirs.py").write_text(
        "from DLCTPMLib.cli.shared.command import Command\n"
        "def fails(parser):\n    raise KeyError('arguments')\n"
        "HALF = Command('half', '', fails, print)\nWHOLE = Command('whole', '', lambda parser: None, print)\n"
    )
    broken = {"gone": "nowhere.at.all:COMMAND", "half": "theirs:HALF", "text": "theirs:__name__"}
    theirs = installed("theirs", **broken, whole="theirs:WHOLE")
    shown = python("-m", "DLCTPMLib", "--help", path=[theirs, installed("dlctpm"), tmp_path])
    assert shown.returncode == 0
    assert set(offered(shown.stdout)) == ENGINES | {"whole"}
    lost = [line.split(" is left out")[0] for line in shown.stderr.splitlines()]
    assert lost == [f"warning: the command of {value}" for value in broken.values()]


def test_the_first_of_two_commands_of_one_name_stays():
    def named(name):
        return Command(name, "", lambda parser: None, lambda options, progress: None)

    first = [named("a"), named("b one")]
    assert distinct([*first, named("a"), named("a part"), named("b"), named("b one"), named("b two")])[:2] == first
    assert [c.name for c in distinct([*first, named("a part"), named("b"), named("b two")])] == [
        "a",
        "b one",
        "b two",
    ]
    assert build_parser([*first, named("b two")]).parse_args(["b", "two"]).part == "two"
    with pytest.raises(InputError, match="PART"):
        build_parser(first).parse_args(["b"])


def test_every_command_shows_examples_that_its_parser_takes(capsys):
    parser = training_parser()
    for command in [*COMMANDS, *TRAINING_COMMANDS]:
        assert command.examples, command.name
        for example in command.examples:
            program, *arguments = shlex.split(example)
            assert program == "dlctpm"
            assert parser.parse_args(arguments).run is command.run
        with pytest.raises(SystemExit):
            parser.parse_args([*command.name.split(), "--help"])
        assert capsys.readouterr().out.endswith("".join(f"  {example}\n" for example in command.examples))


def test_the_help_of_all_commands_has_an_example_of_each(capsys):
    with pytest.raises(SystemExit):
        training_parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    for command in [*COMMANDS, *TRAINING_COMMANDS]:
        assert f"\n  {command.examples[0]}\n" in shown
    assert "dlctpm COMMAND --help" in shown


def test_choices_read_as_what_is_typed(capsys):
    with pytest.raises(SystemExit):
        training_parser().parse_args(["predict", "--help"])
    shown = capsys.readouterr().out
    assert "--device auto|cpu|cuda|mps" in shown
    assert "{" not in shown


def test_a_folder_of_image_files_says_what_it_saw_and_which_command_takes_it(tmp_path, capsys):
    for name in ("b.nii.gz", "a.nrrd", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "out")]) == BAD_INPUT
    said = capsys.readouterr().err
    assert "it holds 2 image files (a.nrrd, b.nii.gz): give one of them" in said
    assert "'dlctpm cohort predict FOLDER --out RESULTS'" in said


def test_choices_with_commas_in_them_can_be_told_apart(capsys):
    with pytest.raises(SystemExit):
        training_parser().parse_args(["train", "--help"])
    assert "--inputs enhanced|enhanced,density" in capsys.readouterr().out


@pytest.mark.parametrize("library", ["DLCTPMLib", "DLCTPMTrainingLib"])
def test_knowing_every_command_imports_nothing_heavy(library):
    code = f"import sys, {library}.cli.main as line\n"
    code += "for command in ([], ['predict'], ['evaluate']):\n"
    code += "    try: line.main([*command, '--help'])\n    except SystemExit: pass\n"
    code += f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    assert python("-c", code).stderr.splitlines()[-1] == "[]"


def test_info_names_versions_devices_and_models_by_their_hash(capsys):
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["software"]["version"] == __version__
    assert found["packages"]["torch"] == version("torch")
    assert "cpu" in found["devices"]
    for model in found["models"]:
        sums = (
            REPOSITORY / "Resources" / "Models" / ("default" if "unet" in model["name"] else "paper") / "SHA256SUMS"
        )
        assert model["sha256"] == hashlib.sha256(sums.read_bytes()).hexdigest()
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{model['name']} {model['version']}" in shown for model in found["models"])
