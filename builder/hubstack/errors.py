"""What can go wrong, as one tree.

::

    HubstackError                exit code 1
    ├── UsageError               2   the command line asks for something that is not there
    ├── ProjectError             2   the project's files are wrong; carries every Problem found
    ├── EngineError              1   no engine, too old, or it broke
    ├── CommandFailed            1   a child process ended with a code other than 0
    ├── DeadlineExceeded         1   something waited longer than it may
    ├── TestFailed               1   an image does not do what its layers promise
    └── RegistryError            1   the registry's answer was final
        ├── RegistryUnreachable      connection, DNS or deadline, after every retry
        ├── RegistryDenied           401 or 403
        ├── DigestMismatch           content arrived as something else, twice
        └── TagTaken                 an immutable tag already names other content

Exceptions carry objects; the text is made where it is printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from hubstack.reference import Digest, ImageRef
from hubstack.source import Position


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault in the project's files: where, what, and how to mend it."""

    position: Position
    what: str
    remedy: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        warning = "warning: " if self.severity is Severity.WARNING else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.position}: {warning}{self.what}.{remedy}"


class HubstackError(Exception):
    """Anything that ends a command with a message and not with a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HubstackError):
    exit_code = 2


class ProjectError(HubstackError):
    """The project's files are wrong. ``problems`` holds all of them, by file and line."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.position.sort_key, p.what)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Cancelled(Exception):
    """Not an error: the run was cancelled (Ctrl-C, SIGTERM, --fail-fast) while a step was at work."""


class EngineError(HubstackError):
    pass


class CommandFailed(HubstackError):
    """A child process failed. ``tail`` holds its last lines, secrets already cut out."""

    def __init__(self, message: str, *, code: int, tail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.tail = tail


class DeadlineExceeded(HubstackError):
    pass


class TestFailed(HubstackError):
    __test__ = False  # pytest would collect a class of this name


class RegistryError(HubstackError):
    """``code`` is the registry's own word for it (distribution-spec, "Error Codes"), where it has sent one."""

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class RegistryUnreachable(RegistryError):
    pass


class RegistryDenied(RegistryError):
    pass


class DigestMismatch(RegistryError):
    pass


class TagTaken(RegistryError):
    """An immutable tag holds ``found`` where ``wanted`` should go (promise 5)."""

    def __init__(self, ref: ImageRef, *, found: Digest, wanted: Digest) -> None:
        super().__init__(
            f"{ref} already names {found}, and {wanted} was to go there",
            hint="Immutable tags are never overwritten. Remove the tag by hand if what it names is wrong.",
        )
        self.ref, self.found, self.wanted = ref, found, wanted
