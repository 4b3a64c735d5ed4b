"""DL-CTPM's engine: a perfusion map of the lungs from an ordinary chest CT. Research use only.

Nothing in this package imports Slicer, and nothing heavy is imported before it is needed.
"""

__version__ = "0.1.0"

RESEARCH_USE_ONLY = "Research use only. Not a medical device; not for diagnosis or treatment decisions."
