"""The routing table beside exported PEFT adapters: which adapter belongs to which questions, for engines that are not ours.

Knows the table as a file. Knows no router and no model; `peft_router` answers from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sola_core.errors import InvalidInput

ROUTES = "routes.json"
FORMAT = 1
_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")  # an edit id, which is a folder's name here


@dataclass(frozen=True, kw_only=True)
class RoutedAdapter:
    """One edit: the folder of its adapter, and what its keys are made of."""

    adapter: str  # the edit's id: the folder's name, and the name to serve it under
    key_texts: tuple[str, ...]  # the prompt, then other wordings
    subject: str | None
    enabled: bool


@dataclass(frozen=True, kw_only=True)
class PeftRoutes:
    """All that a router needs to say which adapter answers, and for which host the adapters are."""

    host_name: str
    host_fingerprint: str
    template: str  # digest of the chat template's tokens round a question
    router: str
    encoder: str  # what makes the keys; another encoder would route otherwise
    threshold: float
    edits: tuple[RoutedAdapter, ...]  # in order of teaching: of several with an equal key the last that is on answers

    def to_bytes(self) -> bytes:
        """Return the table as the bytes of its file."""
        return (json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=2) + "\n").encode()


def read_routes(folder: Path) -> PeftRoutes:
    """Read the table of a folder that `export --peft` wrote; raise InvalidInput when it is none."""
    file = folder / ROUTES
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"There is no {file}. Name a folder that `export --peft` wrote.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file} is no routing table. Export the edits again.") from error
    try:
        return _routes(stored)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{file} is no routing table of this version. Export the edits again.") from error


def _routes(stored: Mapping[str, Any]) -> PeftRoutes:
    if stored["format"] != FORMAT:
        raise ValueError(stored["format"])
    words = {name: _text(stored[name]) for name in ("host_name", "host_fingerprint", "template", "router", "encoder")}
    edits = tuple(map(_edit, stored["edits"]))
    if len({edit.adapter for edit in edits}) < len(edits):
        raise ValueError("two edits of one name")
    return PeftRoutes(**words, threshold=float(stored["threshold"]), edits=edits)


def _edit(stored: Mapping[str, Any]) -> RoutedAdapter:
    adapter, texts, enabled = _text(stored["adapter"]), tuple(map(_text, stored["key_texts"])), stored["enabled"]
    if not _NAME.fullmatch(adapter) or not texts or not isinstance(enabled, bool):
        raise ValueError(adapter)
    subject = stored["subject"]
    return RoutedAdapter(
        adapter=adapter, key_texts=texts, subject=None if subject is None else _text(subject), enabled=enabled
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value
