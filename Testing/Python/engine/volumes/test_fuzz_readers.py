"""Whatever a damaged or ill-meant file holds, a reader gives a good image or one sentence: never a traceback, a hang,
a death of the process, or a file outside its folders.

Files are read in a child process, so that a crash of a library is a finding and not the end of the test. The time is
FUZZ_SECONDS (an hour by ``make fuzz``); in ``make test`` the inputs are always the same ones.
"""

import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from damaged_files import READERS, SLOW, damage, write_samples
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.formats.any_format import read_file
from DLCTPMLib.volumes.transform_files import read_transform

HELPERS = Path(__file__).parents[3] / "helpers"
SECONDS = float(os.environ.get("FUZZ_SECONDS", 0))
INPUTS = 200
"""Damaged files in ``make test``."""

LONGEST_S = 20
"""Of processor time until a reader has answered; commands that train or draw a report get ``LONGEST_RUN_S``."""

LONGEST_RUN_S = 120

WAITED = 15
"""So many times as long by the clock may an answer take: on a busy machine a reader gets little of a processor."""


class Child:
    """A process that reads files; started again when it has died."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._process: subprocess.Popen | None = None

    def read(self, reader: str, path: Path) -> str:
        """What came of it; a death or a hang in words."""
        if self._process is None or self._process.poll() is not None:
            packages = os.pathsep.join([str(HELPERS), *sys.path])
            self._process = subprocess.Popen(
                [sys.executable, str(HELPERS / "fuzz_child.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": packages, "TMPDIR": str(self._folder)},
            )
            if (told := self._answer(json.dumps(["transform", "none.tfm"]), 120)) != "refused":  # its imports
                return f"start: {told}"
        return self._answer(json.dumps([reader, str(path)]), LONGEST_RUN_S if reader in SLOW else LONGEST_S)

    def _answer(self, question: str, seconds: float) -> str:
        self._process.stdin.write(question.encode() + b"\n")
        self._process.stdin.flush()
        used, start = self._used_s(), time.monotonic()
        while not select.select([self._process.stdout], [], [], 1.0)[0]:
            if self._used_s() - used > seconds or time.monotonic() - start > WAITED * seconds:
                self.end()
                return f"hung for {seconds:g} s"
        line = self._process.stdout.readline()
        return json.loads(line) if line else f"died ({self._process.wait()})"

    def _used_s(self) -> float:
        """Processor time of the process and of those it has waited for; the clock's where that is not told."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return time.monotonic()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process.stdin.close()


@pytest.mark.skipif(sys.platform == "win32", reason="select on pipes is POSIX")
@pytest.mark.timeout(int(SECONDS) + 600)
def test_damaged_files_are_read_well_or_refused_in_one_sentence(tmp_path):
    (tmp_path / "samples").mkdir()
    samples = write_samples(tmp_path / "samples")
    sources = [(reader, path) for reader in READERS for path in samples[reader]]
    weights = [0.1 if {reader, path.suffix} & SLOW else 1 for reader, path in sources]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    child, counts, findings = Child(scratch), {"good": 0, "refused": 0}, []
    start, seed = time.monotonic(), 0
    try:
        for reader, path in sources:
            assert child.read(reader, path) == "good", path
        before = {path for path in tmp_path.rglob("*") if scratch not in path.parents}
        draw = random.Random(20261128)
        while time.monotonic() - start < SECONDS if SECONDS else seed < INPUTS:
            seed = seed + 1 if not SECONDS else draw.getrandbits(48)
            reader, source = draw.choices(sources, weights)[0]
            with tempfile.TemporaryDirectory(dir=scratch, prefix="damaged") as folder:
                told = child.read(reader, damage(source, Path(folder), seed))
            counts[told] = counts.get(told, 0) + 1
            if told not in ("good", "refused"):
                findings.append(f"seed {seed}, {reader}, {source.name}: {told[-1500:]}")
                if len(findings) >= 20:
                    break
    finally:
        child.end()
    after = {path for path in tmp_path.rglob("*") if scratch not in path.parents}
    print(f"{sum(counts.values())} damaged files: {counts['good']} good, {counts['refused']} refused")
    assert not findings, "\n".join(findings)
    assert after == before
    assert [path.name for path in scratch.iterdir()] == []


quick = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
NUMBER = st.one_of(
    st.integers(-3, 40).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.sampled_from(["1,5", "", "x", "1e400", "-0", "99999999999999999999"]),
)


@quick
@given(
    dims=NUMBER,
    size=st.lists(NUMBER, min_size=0, max_size=5),
    matrix=st.lists(NUMBER, min_size=8, max_size=10),
    spacing=st.lists(NUMBER, min_size=2, max_size=4),
    kind=st.sampled_from(["MET_SHORT", "MET_DOUBLE", "MET_UCHAR_ARRAY", "x"]),
    data=st.sampled_from(["LOCAL", "LIST", "x%03d.raw 1 9 1", "a.raw", "../a.raw", ""]),
    content=st.binary(max_size=300),
)
def test_any_metaimage_header_is_an_image_or_a_sentence(dims, size, matrix, spacing, kind, data, content):
    text = (
        f"ObjectType = Image\nNDims = {dims}\nDimSize = {' '.join(size)}\nTransformMatrix = {' '.join(matrix)}\n"
        f"ElementSpacing = {' '.join(spacing)}\nElementType = {kind}\nElementDataFile = {data}\n"
    )
    _read_or_sentence(read_file, ".mha", text.encode() + content)


@quick
@given(
    dimension=NUMBER,
    sizes=st.lists(NUMBER, max_size=5),
    vectors=st.lists(
        st.one_of(st.just("none"), st.lists(NUMBER, min_size=2, max_size=4).map(lambda v: f"({','.join(v)})")),
        max_size=5,
    ),
    space=st.sampled_from(["left-posterior-superior", "RAS", "scanner-xyz", ""]),
    encoding=st.sampled_from(["raw", "gzip", "ascii", "bzip2", "hex", ""]),
    skip=NUMBER,
    content=st.binary(max_size=300),
)
def test_any_nrrd_header_is_an_image_or_a_sentence(dimension, sizes, vectors, space, encoding, skip, content):
    text = (
        f"NRRD0005\ntype: short\ndimension: {dimension}\nsizes: {' '.join(sizes)}\nspace: {space}\n"
        f"space directions: {' '.join(vectors)}\nencoding: {encoding}\nbyte skip: {skip}\nendian: little\n\n"
    )
    _read_or_sentence(read_file, ".nrrd", text.encode() + content)


@quick
@given(
    kind=st.sampled_from(["Euler3DTransform", "AffineTransform", "CompositeTransform", "ScaleTransform", "x"]),
    parameters=st.lists(NUMBER, max_size=13),
    fixed=st.lists(NUMBER, max_size=4),
)
def test_any_text_transform_is_a_map_or_a_sentence(kind, parameters, fixed):
    text = (
        f"#Insight Transform File V1.0\n#Transform 0\nTransform: {kind}_double_3_3\n"
        f"Parameters: {' '.join(parameters)}\nFixedParameters: {' '.join(fixed)}\n"
    )
    _read_or_sentence(read_transform, ".tfm", text.encode())


def _read_or_sentence(read, suffix: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(content)
        sentence = _sentence(read, path)
        assert sentence is None or ("\n" not in sentence and str(path) in sentence)


def _sentence(read, path: Path) -> str | None:
    try:
        read(path)
    except InputError as refused:
        return str(refused)
    return None
