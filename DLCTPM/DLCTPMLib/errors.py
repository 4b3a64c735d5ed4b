"""The one exception family for what a user can mend."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence for that user: which file, what is wrong with it, what to do.
    It is raised where the fact is known and shown once, at the rim (``error: …``, exit status 2).
    """
