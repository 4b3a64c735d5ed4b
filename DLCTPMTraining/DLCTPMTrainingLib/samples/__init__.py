"""What a network learns from: lungs on its grid with their SPECT."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    batches="LungBatches",
    from_images="cached_samples",
    lung_samples="Samples",
    sample_file="PatientFacts SampleSet",
)
