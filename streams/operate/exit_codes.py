"""Exit codes of the command line: which one an error ends in."""

from enum import IntEnum

from ...core.errors import BrokerUnreachable, CommandFailed, InvalidArgument, OppertuneError, TopicsInvalid


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


_OF: dict[type[OppertuneError], ExitCode] = {
    BrokerUnreachable: ExitCode.UNREACHABLE,
    TopicsInvalid: ExitCode.TOPICS,
    InvalidArgument: ExitCode.USAGE,
}


def exit_code(error: OppertuneError) -> int:
    """In which code a command ends with an error."""
    if isinstance(error, CommandFailed):
        return error.code
    return next((code for kind, code in _OF.items() if isinstance(error, kind)), ExitCode.FAILED)
