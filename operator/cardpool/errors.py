"""The package's exceptions: only the unexpected is raised, expected outcomes are values."""

from __future__ import annotations


class CardpoolError(Exception):
    """Base of every error that cardpool raises itself."""


class ApiError(CardpoolError):
    """The API server answered with an error status; ``code`` is the HTTP status, ``reason`` Kubernetes' own word."""

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class UnreachableError(CardpoolError):
    """No usable answer came from the API server: the outcome of a write is unknown."""


class LeaseLostError(CardpoolError):
    """The lease is no longer surely ours: nothing may be written."""


class SettingsError(CardpoolError):
    """A setting or flag is wrong; the message names it and says what to do."""


class InputError(CardpoolError):
    """A file or manifest handed to the command line cannot be used; the message names file and field."""
