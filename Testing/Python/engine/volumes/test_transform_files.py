"""Transforms survive their way through ITK's text files, and what is not a linear transform is refused."""

import numpy as np
import pytest
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.transform_files import as_affine, read_transform, write_transform

POINTS = np.random.default_rng(0).uniform(-200, 200, (5, 3)).tolist()


def same_map(a, b):
    return np.allclose([a.TransformPoint(p) for p in POINTS], [b.TransformPoint(p) for p in POINTS], atol=1e-9)


RIGID = sitk.Euler3DTransform((10, 20, 30), 0.1, -0.2, 0.3, (4, 5, 6))
AFFINE = sitk.AffineTransform([1.1, 0.1, 0, 0, 0.9, 0.05, 0, 0, 1.0], [1.0, 2.0, 3.0], [7.0, 8.0, 9.0])


@pytest.mark.parametrize(
    "transform",
    [
        RIGID,
        AFFINE,
        sitk.TranslationTransform(3, (1, 2, 3)),
        sitk.Transform(3, sitk.sitkIdentity),
        sitk.CompositeTransform([AFFINE, RIGID]),
        sitk.VersorRigid3DTransform((0, 0, 1), 0.4, (1, 2, 3)),
    ],
    ids=lambda transform: transform.GetName(),
)
def test_a_transform_comes_back_as_it_was(transform, tmp_path):
    write_transform(transform, tmp_path / "t.tfm")
    assert same_map(read_transform(tmp_path / "t.tfm"), transform)
    assert [path.name for path in tmp_path.iterdir()] == ["t.tfm"]


def test_the_file_is_itks_text_format_with_the_plainest_transform(tmp_path):
    write_transform(RIGID, tmp_path / "t.tfm")
    lines = (tmp_path / "t.tfm").read_text().splitlines()
    assert lines[0] == "#Insight Transform File V1.0"
    assert "Transform: AffineTransform_double_3_3" in lines
    assert same_map(sitk.ReadTransform(str(tmp_path / "t.tfm")), RIGID)


def test_the_centre_may_be_chosen():
    about = as_affine(RIGID, (1.0, 2.0, 3.0))
    assert about.GetCenter() == (1.0, 2.0, 3.0)
    assert same_map(about, RIGID)


def test_files_without_a_linear_transform_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_transform(tmp_path / "none.tfm")
    (tmp_path / "text.tfm").write_text("hello")
    with pytest.raises(InputError, match="not an ITK transform file"):
        read_transform(tmp_path / "text.tfm")
    sitk.WriteTransform(sitk.Euler2DTransform((1, 2), 0.1), str(tmp_path / "flat.tfm"))
    with pytest.raises(InputError, match=r"flat\.tfm.*three dimensions"):
        read_transform(tmp_path / "flat.tfm")
    sitk.WriteTransform(sitk.BSplineTransform(3), str(tmp_path / "bent.tfm"))
    with pytest.raises(InputError, match=r"bent\.tfm.*not a rigid or affine"):
        read_transform(tmp_path / "bent.tfm")


def test_names_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.tfm"):
        write_transform(RIGID, tmp_path / "t.nrrd")
    with pytest.raises(InputError, match="there is no folder"):
        write_transform(RIGID, tmp_path / "nowhere" / "t.tfm")


EULER = "Transform: Euler3DTransform_double_3_3\nParameters: "
HEAD = "#Insight Transform File V1.0\n#Transform 0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EULER + "0.1 0 0 3,5 4 5\nFixedParameters: 0 0 0\n", "decimal comma"),
        (EULER + "0 0 0\nFixedParameters: 0 0 0\n", "cut off"),
        (EULER + "0 0 0 1 2 3\n", "0 FixedParameters"),
        (EULER[:-12], "0 Parameters"),
        ("", "holds no transform"),
        (EULER + "0 0 0 -inf 0 0\nFixedParameters: 0 0 0\n", "not all finite"),
        (EULER + "nan 0 0 1 0 0\nFixedParameters: 0 0 0\n", "not all finite"),
        (EULER + "0 0 0 1e9 0 0\nFixedParameters: 0 0 0\n", "ten metres"),
        ("Transform: ScaleTransform_double_3_3\nParameters: 1 1 0\nFixedParameters: 0 0 0\n", "stretches by 0 to 1"),
        ("Transform: Unheard_double_3_3\nParameters: 1\nFixedParameters:\n", "not a rigid or affine"),
    ],
)
def test_a_damaged_transform_is_one_sentence_and_never_the_identity(tmp_path, text, message):
    path = tmp_path / "t.tfm"
    path.write_text(HEAD + text)
    with pytest.raises(InputError, match=message) as refused:
        read_transform(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("transform", [RIGID, AFFINE, sitk.CompositeTransform([RIGID, AFFINE, RIGID])])
@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".h5"])
def test_what_itk_wrote_is_read_as_itk_reads_it(tmp_path, transform, suffix):
    path = tmp_path / f"t{suffix}"
    sitk.WriteTransform(transform, str(path))
    assert same_map(read_transform(path), sitk.ReadTransform(str(path)))


def test_a_cut_off_binary_transform_is_one_sentence(tmp_path):
    path = tmp_path / "t.h5"
    sitk.WriteTransform(RIGID, str(path))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match="not an ITK transform file, or damaged"):
        read_transform(path)
