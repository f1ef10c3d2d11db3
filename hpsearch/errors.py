"""Every error a user can meet: a code, what happened with the value, and what to do. Imports nothing.

Exit codes (documented in the README; one per family):

====  =============================================================
code  meaning
====  =============================================================
0     done
1     a defect of hpsearch itself (traceback shown)
2     the command line or the study file is wrong
3     the data are missing or unusable
4     the model (a family or the user's own code) failed
5     the ledger is missing, damaged, locked, full or in use
6     MLflow cannot be reached or refuses what was asked
7     a worker or device failed beyond ``max_retries``
8     there is no result: no ranked trial, no champion, or too many failures
9     standard output cannot be written, as on a full disk
130   interrupted; ``hpsearch resume`` goes on
====  =============================================================
"""

_LONGEST = 20_000
"""Characters of a message: the last resort. What quotes a value cuts it to 80 already, see ``core.words.quoted``."""


class HpsearchError(Exception):
    """Base class of all errors that are shown without a traceback.

    Args:
        what: What happened, with the offending value.
        code: Names the mistake within its family, such as ``"too-few-rows"``. Scripts and tests rely on it; the prose
            of `what` and `hint` may change in any release.
        hint: What to do about it. Empty if `what` says it all.
        values: The values behind the prose, by name. They must pickle, because errors cross process boundaries.

    Attributes:
        code: Family and code, such as ``"data.too-few-rows"``; the family alone for an error without a code.
        spoken: The whole message in the words of a Python program, if one is to read it; else empty.
    """

    family = "hpsearch"
    exit_code = 1

    def __init__(self, what: str, *, code: str = "", hint: str = "", **values: object) -> None:
        super().__init__(what[:_LONGEST])
        self.what = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}…"
        self.hint = hint if len(hint) <= _LONGEST else f"{hint[:_LONGEST]}…"
        self.values = values
        self.spoken = ""
        self._code = code

    @property
    def code(self) -> str:
        return f"{self.family}.{self._code}" if self._code else self.family

    @property
    def written(self) -> str:
        """The whole message in the words of the command line and of study files."""
        return f"{self.what}\n  hint: {self.hint}" if self.hint else self.what

    def __str__(self) -> str:
        return self.spoken or self.written

    # The default protocol of pickle drops keyword arguments.
    def __reduce__(self) -> tuple[object, tuple[type, str, str, str, dict[str, object]]]:
        return _rebuild, (type(self), self.what, self._code, self.hint, self.values)


def _rebuild(
    kind: type["HpsearchError"], what: str, code: str, hint: str, values: dict[str, object]
) -> "HpsearchError":
    return kind(what, code=code, hint=hint, **values)


class SpecError(HpsearchError):
    """The study file, or a value given on the command line, breaks a rule."""

    family, exit_code = "study-file", 2


class DataError(HpsearchError):
    """The data source is missing, unreadable or unusable for the study."""

    family, exit_code = "data", 3


class ModelError(HpsearchError):
    """A build function failed, or returned something that cannot be trained."""

    family, exit_code = "model", 4


class LedgerError(HpsearchError):
    """The ledger is missing, damaged, locked, full or used by another driver."""

    family, exit_code = "ledger", 5


class TrackingError(HpsearchError):
    """MLflow cannot be reached or refuses what was asked."""

    family, exit_code = "tracking", 6


class ExecutorError(HpsearchError):
    """A worker or device failed more often than ``max_retries`` allows."""

    family, exit_code = "executor", 7


class StudyError(HpsearchError):
    """The study ended without what was asked for, such as a ranked trial."""

    family, exit_code = "study", 8


class OutputError(HpsearchError):
    """What a command shows cannot be written."""

    family, exit_code = "output", 9


class Interrupted(HpsearchError):  # noqa: N818 - it is no error of anybody's
    """The user stopped the study; everything finished is in the ledger."""

    family, exit_code = "interrupted", 130
