"""The error that the full mode shows to its user."""

__all__ = ["NodeError"]


class NodeError(RuntimeError):
    """The node could not be started, used or stopped; the message says what to do."""
