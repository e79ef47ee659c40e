"""The errors people meet: each says what was wrong and what to do next.

Knows nothing of the page or the command line; those two turn a `SolaError` into a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sola_core.records import Edit


class SolaError(Exception):
    """Base of every error that this library raises on purpose; its text is meant for people."""


class InvalidInput(SolaError):
    """A prompt, target, limit or file row cannot be used as it stands."""


class EditFailed(SolaError):
    """An edit could not be made; nothing of it was stored."""


class InvalidRequest(EditFailed, InvalidInput):
    """The request itself is unusable (empty, too long, control characters ...)."""


class BatchFailed(EditFailed):
    """Some of many edits could not be made; the others are stored.

    `edits`: those that hold; `failures`: index of the request -> its error.
    """

    def __init__(self, edits: Sequence[Edit], failures: Mapping[int, EditFailed]) -> None:
        listed = "; ".join(f"row {i + 1}: {error}" for i, error in list(failures.items())[:3])
        super().__init__(f"{len(failures)} of {len(edits) + len(failures)} facts could not be taught ({listed}).")
        self.edits, self.failures = tuple(edits), dict(failures)


class UnknownEdit(SolaError):
    """No edit has this id in this library."""


class NotReversible(SolaError):
    """The method cannot take this edit back; the text says why."""


class HostError(SolaError):
    """The language model (or the encoder) cannot be had or used."""


class HostUnavailable(HostError):
    """Its files could not be fetched, or there is no room to keep them."""


class HostCorrupt(HostError):
    """Its files are not the ones we know (checksum, shape or format)."""


class LibraryError(SolaError):
    """The library file cannot be used."""


class LibraryCorrupt(LibraryError):
    """The file is not a SoLA library, or it is damaged."""


class LibraryMismatch(LibraryError):
    """The library belongs to another host model."""


class LibraryFull(LibraryError):
    """There is no room (disk or limit) for another edit; nothing was stored."""


class LibraryBusy(LibraryError):
    """Another process is writing to the library."""


class LibraryExchanged(SolaError):
    """A page shows another library than the one that is open now."""


class SwitchRefused(SolaError):
    """The model cannot be changed now, or not to this one; the one in use stays."""


class SessionRequired(SolaError):
    """A request on a shared server came without a session of its own."""


class WorkspacesFull(SolaError):
    """The server holds as many workspaces as it may; nothing was stored."""
