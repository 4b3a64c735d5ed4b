"""DL-CTPM's training library: virtual patients, cohorts, training. Research use only.

Nothing here imports Slicer; nothing heavy is imported before it is needed.
"""
