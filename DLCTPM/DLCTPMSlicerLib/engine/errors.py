"""What a panel tells its user in one sentence."""


class NodeError(ValueError):
    """A node cannot be used; the message is a sentence for the user that says what to do."""
