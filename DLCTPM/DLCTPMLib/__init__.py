"""DL-CTPM's engine: a perfusion map of the lungs from an ordinary chest CT. Research use only.

Nothing in this package imports Slicer, and nothing heavy is imported before it is needed. The front door, in the
order in which a CT goes through it: ``read_ct``, ``segment_lungs``, ``load_bundle``, ``map_perfusion``; with a SPECT
(``read_spect``) ``register`` and ``compare``. Images are ``SimpleITK.Image``; what the user can mend is an
``InputError``.
"""

from DLCTPMLib.common.lazy import lazily

__version__ = "0.1.0"

RESEARCH_USE_ONLY = "Research use only. Not a medical device; not for diagnosis or treatment decisions."

__getattr__, __dir__, __all__ = lazily(
    __name__,
    agreement__scores="compare",
    common__errors="InputError",
    lungs__masks="read_lungs",
    lungs__segmentation="segment_lungs",
    mapping__mapping="map_perfusion",
    networks__bundle="load_bundle",
    registration__search="register",
    volumes__reading="read_ct read_spect write_image",
)
