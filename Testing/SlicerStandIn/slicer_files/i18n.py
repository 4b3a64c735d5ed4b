"""``slicer.i18n``: the stand-in speaks English only."""


def tr(text):
    """Slicer looks the text up in the user's language."""
    return text


def translate(_context, text):
    """Slicer looks the text up in the user's language."""
    return text


def getContext(path):
    """Slicer's name for the texts of a source file."""
    return path
