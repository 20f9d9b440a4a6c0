"""Exit codes of the command line, and errors that carry one."""

from enum import IntEnum

from ...core.errors import OppertuneError


class ExitCode(IntEnum):
    """What a script can tell from how a command ended."""

    OK = 0
    FAILED = 1
    """An error that nobody foresaw."""
    USAGE = 2
    """The command line itself is wrong."""
    INVALID = 3
    """A spec or a file does not validate; nothing was sent."""
    UNREACHABLE = 4
    """The broker does not answer."""
    NO_WORKER = 5
    """The command was published, and no worker took it up in time."""
    REFUSED = 6
    """A worker refused the command; the reason is printed."""
    TOPICS = 7
    """Topics are missing or not as they must be."""
    NOT_FOUND = 8
    """There is no such tuner."""


class CommandFailed(OppertuneError):  # noqa: N818 - named as in core.errors
    """A command of the command line could not do its work.

    Args:
        message: What went wrong, and what to do.
        code: The exit code.
    """

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code
