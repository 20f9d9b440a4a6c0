"""Every error that is raised on purpose, named by what the caller should do about it.

::

    OppertuneError
    ├── InvalidInput (ValueError)             correct what was passed in
    │   ├── InvalidParameter                  … the definition of a parameter
    │   │   └── InvalidParameterType (TypeError)
    │   ├── InvalidArgument                   … an argument of an algorithm or a method
    │   │   └── InvalidArgumentType (TypeError)
    │   ├── InvalidContext (TypeError)        … a context that is not JSON
    │   └── InvalidReward                     … a reward that is not a finite number
    ├── UnknownRequest (ValueError)           name a request that is open
    ├── TooManyRequests (RuntimeError)        answer or abandon some, then ask again
    ├── UnknownAlgorithm (KeyError)           name one that is registered
    ├── MissingExtra (ImportError)            install the extra that the message names
    ├── NotStreamable (TypeError)             use it in-process only, or cover the attribute that the message names
    ├── StateMismatch (ValueError)            restore the state into an instance like the one that wrote it
    │   └── InvalidState                      … and nothing can: it is damaged, or of another version
    ├── AlgorithmFault (RuntimeError)         repair the algorithm: it broke its contract
    ├── OverBudget (RuntimeError)             make the tuner smaller: its state outgrew what a record may hold
    ├── AccountsDoNotBalance (RuntimeError)   report it: a fault of ours, the process must end
    ├── BrokerUnreachable (ConnectionError)   start the broker, or name the right address
    ├── Refused (RuntimeError)                do what the message says, then start the worker or client again
    ├── Fenced (RuntimeError)                 drop the partition: another worker owns it
    │   └── Forgotten                         … or nobody wrote to it for long: restore it (streams/worker/writer.py)
    ├── TopicsInvalid (RuntimeError)          create or mend the topics that the message names
    ├── TopicRecreated (RuntimeError)         adopt the new topic, or bring back the old one
    ├── CommandFailed                         do what the message says: a command line's, with its exit code
    ├── ProcessEnded                          read the log of the demo's process (streams/operate/demo/processes.py)
    └── SettingRefused (RuntimeError)         try another setting of the demo (streams/operate/demo/workload.py)

    Exception
    ├── Disposed                              no error: what became of a record (streams/processor/disposition.py)
    ├── OwnFault                              whose error its cause is: a learner's (streams/processor/own_code.py)
    └── Unclear                               a spec that readers do not read alike (streams/operate/specs/notation.py)

Those with a path beside them are of one package only, and stand there.

The demo has two of its own, ``ProcessEnded`` and ``SettingRefused``. In which exit code of the command line an error
ends is in ``streams/operate/exit_codes.py``.

Where the original library raised a class of the standard library, ours inherits it, so code written for it still works.
"""

# ruff: noqa: N818 - an error is named by what the caller should do; a suffix on each would say nothing


class OppertuneError(Exception):
    """Root of all errors that this library raises on purpose."""


class InvalidInput(OppertuneError, ValueError):
    """Something that was passed in is wrong: correct it and call again. Nothing has changed."""


class InvalidParameter(InvalidInput):
    """The definition of a parameter contradicts itself."""


class InvalidParameterType(InvalidParameter, TypeError):
    """A field of a parameter has the wrong type."""


class InvalidArgument(InvalidInput):
    """An argument of an algorithm or a method has an impossible value."""


class InvalidArgumentType(InvalidArgument, TypeError):
    """An argument of an algorithm or a method has the wrong type."""


class InvalidContext(InvalidInput, TypeError):
    """The data of a context is not JSON, so it has no id."""


class InvalidReward(InvalidInput):
    """A reward is not a finite number. The request stays open, the learner as it was."""


class UnknownRequest(OppertuneError, ValueError):
    """No open request has this id, or none is open for this context: it was never made, or is closed."""


class TooManyRequests(OppertuneError, RuntimeError):
    """The bound on open requests is reached: tell or abandon some first."""


class UnknownAlgorithm(OppertuneError, KeyError):
    """No algorithm of this name is registered or installed."""

    __str__ = Exception.__str__  # KeyError would print the repr of the message


class MissingExtra(OppertuneError, ImportError):
    """An optional dependency is not installed; the message names the extra to install.

    Attributes:
        extra: Name of the extra, as in ``pip install 'oppertune-streams[extra]'``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed: pip install 'oppertune-streams[{extra}]'")
        self.extra = extra


class NotStreamable(OppertuneError, TypeError):
    """A learner keeps something that can't be written as JSON-safe state; the message names it."""


class StateMismatch(OppertuneError, ValueError):
    """A state was written by an instance with other parameters, or of another algorithm or shape."""


class InvalidState(StateMismatch):
    """A state is damaged, or of a format version that this library does not read."""


class AlgorithmFault(OppertuneError, RuntimeError):
    """An algorithm returned something that its contract forbids, such as a prediction without a parameter."""


class OverBudget(OppertuneError, RuntimeError):
    """A tuner's state outgrew the budget of a record: fewer contexts, instances, metrics or remembered rewards fit."""


class AccountsDoNotBalance(OppertuneError, RuntimeError):
    """Dispositions, gaps and losses do not add up to the applied offset: stop, and report it as a fault of ours."""


class BrokerUnreachable(OppertuneError, ConnectionError):
    """No broker answers, or it does not answer in time."""


class Refused(OppertuneError, RuntimeError):
    """A worker, or a client, cannot go on as things are; the message says what to do."""


class Fenced(OppertuneError, RuntimeError):
    """A newer producer of the same partition exists: nothing that this one still writes will be seen."""


class TopicsInvalid(OppertuneError, RuntimeError):
    """Topics are missing, or not as they must be."""


class TopicRecreated(OppertuneError, RuntimeError):
    """A source topic is not the one whose offsets were applied: its new records would look applied already.

    Attributes:
        topic: Its name, without the prefix.
        partition: The partition that noticed.
    """

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(
            f"topic {topic!r} was deleted and created again (seen on partition {partition}); to go on with the new one,"
            f" and give up what was in the old one, run: oppertune topics adopt {topic}"
        )
        self.topic = topic
        self.partition = partition


class CommandFailed(OppertuneError):
    """A command of the command line could not do its work; the message says what to do.

    Attributes:
        code: The exit code to end with.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
