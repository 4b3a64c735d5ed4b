"""The one exception family for what a user can correct."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence for that user: which file, what is wrong with it, what to do.
    It is raised where the fact is known and shown once, at the rim (``error: …``, exit status 2).
    """


class FailedChecksError(InputError):
    """The input is such that its result cannot be right.

    Attributes:
        sentences: what each check found, without the file's name and without an option.
    """

    def __init__(self, message: str, sentences: list[str]):
        super().__init__(message)
        self.sentences = sentences


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Put the file into an InputError that was raised where only its content is known."""
    try:
        yield
    except InputError as error:
        if str(source) in str(error):
            raise
        raise InputError(f"{source}: {error}") from error
