"""Readers of image files, format by format."""

IMAGE_ENDINGS = (".seg.nrrd", ".nrrd", ".nhdr", ".nii.gz", ".nii", ".mha", ".mhd")
"""Endings of files that are images by their name alone."""
