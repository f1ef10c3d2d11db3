"""Errors for studies that are not there, are there already, or cannot be read."""

from collections.abc import Mapping

from hpsearch.core.addresses import Uri
from hpsearch.core.wire import Json
from hpsearch.core.words import closest, cut, listed, quoted
from hpsearch.errors import LedgerError
from hpsearch.ledger import codec
from hpsearch.ledger.record import StudyRecord

_MOST = 300
"""Characters that are shown of what is wrong with an entry."""


def unreadable(name: str, attrs: Mapping[str, Json], error: Exception) -> LedgerError:
    """The error for a study whose entries this version cannot read."""
    if isinstance(error, codec.NewerFormatError):
        return LedgerError(
            f"study {quoted(name)} was written by a newer hpsearch: its format is {error.found}, and this hpsearch "
            f"reads up to {codec.FORMAT}",
            code="newer-format",
            hint="upgrade hpsearch",
            study=name,
            format=error.found,
        )
    made_by, text = cut(codec.made_by(attrs)), cut(" ".join(str(error).split()), _MOST)
    reason = text if isinstance(error, ValueError) else f"{type(error).__name__}: {text or 'no message'}"
    return LedgerError(
        f"study {quoted(name)} breaks a rule of this hpsearch: {reason}",
        code="unreadable-study",
        hint=f"read it with the hpsearch that made it: {made_by}; or the ledger is damaged: restore a copy",
        study=name,
        made_by=made_by,
        reason=reason,
    )


def unknown_study(name: str, known: list[str], uri: Uri) -> LedgerError:
    """The error for a study that is not there, with the closest name."""
    near, shown = closest(name, known), str(uri)
    return LedgerError(
        f"no study {quoted(name)} in the ledger {shown}; it has {listed(known, most=10) or 'no studies yet'}",
        code="unknown-study",
        hint="`hpsearch list` shows what is there" if near is None else f"did you mean {quoted(near)}?",
        study=name,
        ledger=shown,
        known=known,
    )


def name_taken(record: StudyRecord, uri: Uri, *, ours: bool) -> LedgerError:
    """The error for a new study whose name is taken; `ours` says whether hpsearch has made that one."""
    shown = str(uri)
    way_on = f"`{record.command('resume')}` goes on with it" if ours else "hpsearch did not make it"
    return LedgerError(
        f"the ledger {shown} already has a study {quoted(record.name)}",
        code="name-taken",
        hint=f"change `name` in the study file; {way_on}",
        study=record.name,
        ledger=shown,
        made_by_hpsearch=ours,
    )
