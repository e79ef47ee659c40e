"""What a server grants its visitors and how it works: one record, read from environment variables, checked before anything starts.

Knows the names, the bounds and the meaning of every setting. Knows no model, no visitor and no page.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sola_core.errors import InvalidInput
from sola_core.text import MAX_PROMPT_CHARS, MAX_REPHRASES, MAX_TARGET_CHARS, checked_length
from sola_core.words import ENGLISH, Sentence, languages

PREFIX = "SOLA_"
MAX_TARGET_TOKENS = 64  # what an edit can be trained on (SolaSettings.max_target_tokens)
Worker = Literal["here", "process", "zerogpu"]
WORKERS: tuple[Worker, ...] = ("here", "process", "zerogpu")


def _number(default: float, low: float, high: float, meaning: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much strangers may take of one server."""

    workspaces: int = _number(200, 1, 100_000, "workspaces kept at once; when all are taken, new edits are refused")
    share: float = _number(0.75, 0.01, 1.0, "share of the workspaces that visitors from one address may have")
    edits: int = _number(64, 1, 100_000, "edits in one workspace (not with `--library`)")
    workspace_bytes: int = _number(
        16_000_000, 100_000, 10_000_000_000, "bytes of one workspace; at that size it takes no further edit"
    )
    questions: int = _number(24, 0, 1_000, "questions that the map remembers; the oldest goes first")
    idle_seconds: float = _number(
        7200.0, 1.0, 2_592_000.0, "seconds without use after which a workspace may be dropped"
    )
    prompt_chars: int = _number(
        MAX_PROMPT_CHARS, 1, MAX_PROMPT_CHARS, "characters of a question, a prompt or a rephrasing"
    )
    target_chars: int = _number(MAX_TARGET_CHARS, 1, MAX_TARGET_CHARS, "characters of a new answer")
    target_tokens: int = _number(MAX_TARGET_TOKENS, 1, MAX_TARGET_TOKENS, "tokens of a new answer")
    rephrases: int = _number(MAX_REPHRASES, 0, MAX_REPHRASES, "other wordings of one fact")
    answer_tokens: int = _number(128, 1, 2_048, "tokens of an answer; a longer one is marked as cut")
    comparisons: int = _number(
        8, 1, 1_000, "comparisons of methods kept at once, one for each visitor; each takes some MB"
    )
    at_once: int = _number(4, 1, 64, "visitors whose model work runs side by side; the others queue")
    queue: int = _number(120, 1, 10_000, "requests that may wait, half of them from one address")
    pages: int = _number(800, 1, 100_000, "pages open, or closed a little while ago; each takes some 250 kB")
    page_seconds: float = _number(1800.0, 1.0, 86_400.0, "seconds after which a page without a connection is forgotten")
    file_bytes: int = _number(4_000_000, 1_000, 100_000_000, "bytes of a file of edits that is loaded")
    list_bytes: int = _number(200_000, 1_000, 10_000_000, "bytes of a list of facts")

    @property
    def of_one_address(self) -> int:
        """How many workspaces visitors from one address may have at once."""
        return math.ceil(self.share * self.workspaces)

    @property
    def comparisons_of_one_address(self) -> int:
        """How many comparisons visitors from one address may have at once."""
        return math.ceil(self.share * self.comparisons)

    def check_prompt(self, text: object, name: str = Sentence("question")) -> None:
        """Raise InvalidInput when a text is longer than this server takes; other faults are found elsewhere."""
        checked_length(text, name, self.prompt_chars)

    def check_request(self, prompt: str, target: str, rephrases: tuple[str, ...]) -> None:
        """Raise InvalidInput when a fact is larger than this server takes."""
        self.check_prompt(prompt, Sentence("prompt"))
        checked_length(target, Sentence("new answer"), self.target_chars)
        if len(rephrases) > self.rephrases:
            raise InvalidInput(
                Sentence(
                    "There are {count} rephrasings; at most {most} are allowed.",
                    count=len(rephrases),
                    most=self.rephrases,
                )
            )
        for text in rephrases:
            self.check_prompt(text, Sentence("rephrasing"))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that the environment says about a server."""

    limits: Limits = field(default_factory=Limits)
    worker: Worker = "here"  # where the model trains and answers
    mcp: bool = False  # whether the endpoints are offered as MCP tools too
    language: str = ENGLISH  # of the page
    umap: bool = True  # whether the map is a UMAP; fitting one keeps a core busy for half a minute after the start


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the settings; raise InvalidInput that names the variable, its value and what is allowed.

    An unset or empty variable leaves the default. On ZeroGPU (SPACES_ZERO_GPU is set there) the worker is that.
    """
    given: dict[str, Any] = {
        one.name: _read(one, environ[name])
        for one in dataclasses.fields(Limits)
        if environ.get(name := variable(one.name), "").strip()
    }
    on_zero = environ.get("SPACES_ZERO_GPU", "").strip().lower() not in ("", "0", "false")
    worker = environ.get(f"{PREFIX}WORKER", "").strip() or ("zerogpu" if on_zero else "here")
    chosen = next((one for one in WORKERS if one == worker), None)
    if chosen is None:
        raise _wrong(f"{PREFIX}WORKER", worker, f"one of {', '.join(WORKERS)}")
    language = environ.get(f"{PREFIX}LANGUAGE", "").strip() or ENGLISH
    if language not in languages():
        raise _wrong(f"{PREFIX}LANGUAGE", language, f"one of {', '.join(languages())}")
    return Settings(
        limits=Limits(**given),
        worker=chosen,
        mcp=_switch("MCP", environ),
        language=language,
        umap=_switch("UMAP", environ, "1"),
    )


def variable(name: str) -> str:
    """Return the environment variable of a limit."""
    return PREFIX + name.upper()


def described() -> tuple[tuple[str, str, str, str], ...]:
    """Return a row for each variable: its name, the default, what is allowed, what it means."""
    rows = [
        (
            variable(one.name),
            _plain(one.default),
            f"{_plain(one.metadata['low'])} to {_plain(one.metadata['high'])}",
            one.metadata["meaning"],
        )
        for one in dataclasses.fields(Limits)
    ]
    return (
        *rows,
        (f"{PREFIX}WORKER", "here", ", ".join(WORKERS), "where the model trains and answers"),
        (f"{PREFIX}MCP", "0", "0, 1", "offer MCP tools too (needs the extra `mcp`)"),
        (f"{PREFIX}LANGUAGE", ENGLISH, ", ".join(languages()), "language of the page"),
        (
            f"{PREFIX}UMAP",
            "1",
            "0, 1",
            "0: the map is a PCA, which is there at once and takes no half minute of a core",
        ),
    )


def _read(one: dataclasses.Field[Any], text: str) -> float:
    low, high = one.metadata["low"], one.metadata["high"]
    whole = isinstance(one.default, int)
    allowed = f"a {'whole ' if whole else ''}number from {_plain(low)} to {_plain(high)}"
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        raise _wrong(variable(one.name), text, allowed) from None
    if not low <= number <= high:
        raise _wrong(variable(one.name), text, allowed)
    return number


def _switch(name: str, environ: Mapping[str, str], default: str = "0") -> bool:
    text = environ.get(PREFIX + name, "").strip() or default
    if text not in ("0", "1"):
        raise _wrong(PREFIX + name, text, "0 or 1")
    return text == "1"


def _wrong(name: str, text: str, allowed: str) -> InvalidInput:
    shown = text if len(text) <= 40 else text[:39] + "\u2026"
    return InvalidInput(
        Sentence(
            "The environment variable {name} is {shown!r}; it must be {allowed}. Change or unset it.",
            name=name,
            shown=shown,
            allowed=allowed,
        )
    )


def _plain(number: Any) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"
