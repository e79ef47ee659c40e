"""Chooses which edit, if any, answers a prompt, and says why.

Knows nothing about LoRA, libraries or the page; scores come from a scorer, thresholds from shipped data.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from sola_core.errors import InvalidInput, LibraryCorrupt
from sola_core.records import Candidate, KeyText, Route, RouteReason, ScoreKind
from sola_core.resources import asset
from sola_core.routing.codebook import Codebook
from sola_core.routing.hidden import HiddenScorer
from sola_core.routing.scope import ScopeCurve, ScopeScorer, ScopeWeights
from sola_core.routing.scorer import Scorer
from sola_core.routing.sentence import SentenceScorer
from sola_core.words import Sentence

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from sola_core.routing.encoders import TextEncoder

ROUTERS = ("scope", "sentence", "hidden")
LISTED = 32  # candidates that a route names
SHOWN = 40  # characters of an unknown name in a message


@dataclass(frozen=True, kw_only=True)
class RouterSettings:
    """The shipped thresholds, as the calibration wrote them."""

    scope: float
    sentence: float
    hidden: dict[str, float]  # by host fingerprint
    hidden_default: float  # for hosts that were not calibrated
    curve: ScopeCurve

    @classmethod
    def load(cls, path: Path | None = None) -> RouterSettings:
        """Read the settings from a file, by default the shipped `routers.json`."""
        stored = json.loads((path or asset("routers.json")).read_text(encoding="utf-8"))
        hidden = stored["hidden"]
        return cls(
            scope=float(stored["scope"]["threshold"]),
            sentence=float(stored["sentence"]["threshold"]),
            hidden={host: float(entry["threshold"]) for host, entry in hidden["hosts"].items()},
            hidden_default=float(hidden["default_threshold"]),
            curve=ScopeCurve(**stored["scope"]["curve"]),
        )


class Router:
    """One scorer, one threshold and the edits; safe to share between threads.

    A route is a pure function of the prompt and the present edits with their order of teaching: nothing that was
    deleted, and no order of insertion among edits with unequal keys and scores, leaves a trace in it.
    """

    def __init__(self, scorer: Scorer, threshold: float) -> None:
        self._scorer = scorer
        self._codebook = Codebook()
        self._lock = threading.RLock()
        self.threshold = threshold  # in the unit of `score_kind`; a score at the threshold is enough

    @property
    def name(self) -> str:
        """The router's name: hidden, sentence or scope."""
        return self._scorer.name

    @property
    def encoder_id(self) -> str:
        """What makes the keys; keys of another encoder id are of no use here."""
        return self._scorer.encoder_id

    @property
    def score_kind(self) -> ScoreKind:
        """Whether scores are cosines or probabilities."""
        return self._scorer.score_kind

    @property
    def reads(self) -> Literal["text", "hidden"]:
        """Whether a prompt is judged by its text or by a hidden state of the host."""
        return self._scorer.reads

    @property
    def any_enabled(self) -> bool:
        """Whether any edit could answer at all."""
        return self.any_of(None)

    def any_of(self, on: Collection[str] | None) -> bool:
        """Whether any edit could answer if exactly these were on; None: as the switches are."""
        with self._lock:
            return self._book(on).any_enabled

    def switches(self) -> list[tuple[str, bool]]:
        """Return the edits in order of teaching, each with whether it is on."""
        with self._lock:
            return [(edit_id, self._codebook.enabled(edit_id)) for edit_id in self._codebook]

    def encode(self, texts: Sequence[KeyText]) -> list[bytes | None]:
        """Return one opaque key per text; None for a text that cannot be represented."""
        return self._scorer.encode(texts)

    def add(
        self, edit_id: str, request_texts: Sequence[str], keys: Sequence[bytes | None], enabled: bool = True
    ) -> None:
        """Add an edit with its key texts and keys, as the one taught last."""
        with self._lock:
            self._codebook.add(edit_id, request_texts, enabled)
            try:
                self._scorer.add(edit_id, keys)
            except LibraryCorrupt:
                self._codebook.remove(edit_id)
                raise

    def remove(self, edit_id: str) -> None:
        """Forget an edit; raise UnknownEdit when it is not there."""
        with self._lock:
            self._codebook.remove(edit_id)
            self._scorer.remove(edit_id)

    def set_enabled(self, edit_id: str, enabled: bool) -> None:
        """Switch an edit on or off; raise UnknownEdit when it is not there."""
        with self._lock:
            self._codebook.set_enabled(edit_id, enabled)

    def route(self, prompt: str, activation: torch.Tensor | None = None, on: Collection[str] | None = None) -> Route:
        """Decide which edit answers: an equal key first, else the best enabled edit at or above the threshold.

        `activation` is the host's state, (dim,), for a router that reads hidden states and is asked inside the layer.
        With `on`, decide as if exactly these edits were switched on; no switch is moved.
        """
        with self._lock:
            book = self._book(on)
            scores = self._scores(prompt, activation, book, enough=LISTED)
            best = self._best(scores or {})
            chosen, reason = self._choose(prompt, book, scores, best)
            return Route(
                kind="base" if chosen is None else "edit",
                edit_ids=() if chosen is None else (chosen,),
                candidates=self._listed(scores or {}, book, best, chosen),
                not_scored=len(book) - len(scores or {}),
                threshold=self.threshold,
                router=self.name,
                score_kind=self.score_kind,
                reason=reason,
            )

    def scores(self, prompt: str, activation: torch.Tensor | None = None) -> tuple[Candidate, ...]:
        """Return every edit that has a score for this prompt, on or off, best first; ties: the one taught last first."""
        with self._lock:
            scores = self._scores(prompt, activation, self._codebook) or {}
            order = sorted(scores, key=lambda e: (scores[e], self._codebook.age(e)), reverse=True)
            return tuple(_candidate(e, scores[e], self._codebook) for e in order)

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the vector that the map draws for a text, (dim,)."""
        return self._scorer.embed(text)

    def _book(self, on: Collection[str] | None) -> Codebook:
        return self._codebook if on is None else self._codebook.as_if(on)

    def _scores(
        self, prompt: str, activation: torch.Tensor | None, book: Codebook, enough: int | None = None
    ) -> dict[str, float] | None:
        if not len(book):
            return {}
        if self.reads == "hidden" and activation is None and not book.any_enabled:
            return {}  # nothing can answer: spare the host a forward pass
        return self._scorer.scores(prompt, activation, enough=enough, threshold=self.threshold)

    def _choose(
        self, prompt: str, book: Codebook, scores: dict[str, float] | None, best: list[str]
    ) -> tuple[str | None, RouteReason]:
        if not book.any_enabled:
            return None, "no-edits"
        equal = next((e for e in book.equal(prompt) if book.enabled(e)), None)
        if equal is not None:
            return equal, "equal"
        if scores is None:
            return None, "unrepresentable"
        first = next((e for e in best if book.enabled(e)), None)
        if first is None:  # the whole list is switched off
            enabled = {e: score for e, score in scores.items() if book.enabled(e)}
            first = next(iter(self._best(enabled)), None)
        return (first, "score") if first is not None and scores[first] >= self.threshold else (None, "below")

    def _best(self, scores: dict[str, float]) -> list[str]:
        """Return the LISTED best edits, best first; with equal scores the one taught last first."""
        edits = list(scores)
        if len(edits) > LISTED:
            values = np.fromiter(scores.values(), dtype=np.float64, count=len(edits))
            least = np.partition(values, -LISTED)[-LISTED]
            edits = [edits[i] for i in np.flatnonzero(values >= least)]
        return sorted(edits, key=lambda e: (scores[e], self._codebook.age(e)), reverse=True)[:LISTED]

    def _listed(
        self, scores: dict[str, float], book: Codebook, best: list[str], chosen: str | None
    ) -> tuple[Candidate, ...]:
        """Return the best candidates; the edit that answers takes the last place if it is not among them."""
        if chosen in scores and chosen not in best:
            best = [*best[:-1], chosen]
        return tuple(_candidate(e, scores[e], book) for e in best)


def _candidate(edit_id: str, score: float, book: Codebook) -> Candidate:
    return Candidate(edit_id=edit_id, score=score, enabled=book.enabled(edit_id))


def checked_name(name: object) -> str:
    """Return the name of a router as it was given; raise InvalidInput when there is none of this name."""
    if not isinstance(name, str) or name not in ROUTERS:
        raise InvalidInput(
            Sentence(
                "There is no router called {name!r}. Choose one of: {names}.",
                name=str(name)[:SHOWN],
                names=", ".join(ROUTERS),
            )
        )
    return name


def make_router(
    name: str,
    *,
    encoder: TextEncoder | None,
    read_state: Callable[[str], torch.Tensor] | None,
    host_fingerprint: str,
    settings: RouterSettings | None = None,
) -> Router:
    """Return an empty router by name with its shipped threshold; `hidden` has one for each host.

    Raises InvalidInput for an unknown name, or when the encoder or `read_state` that it needs is not given.
    """
    settings = settings or RouterSettings.load()
    checked_name(name)
    if name == "hidden":
        if read_state is None:
            raise InvalidInput(Sentence("The router `hidden` needs a way to read the host's state. Give read_state."))
        threshold = settings.hidden.get(host_fingerprint, settings.hidden_default)
        return Router(HiddenScorer(read_state, host_fingerprint), threshold)
    if encoder is None:
        raise InvalidInput(Sentence("The router `{name}` needs the sentence encoder. Give encoder.", name=name))
    if name == "sentence":
        return Router(SentenceScorer(encoder), settings.sentence)
    return Router(ScopeScorer(encoder, ScopeWeights.shipped(), settings.curve), settings.scope)
