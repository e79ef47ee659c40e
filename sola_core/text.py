"""Canonical texts and the checks that every text from outside passes.

Knows nothing of models or storage.
"""

from __future__ import annotations

import unicodedata

from sola_core.errors import InvalidInput
from sola_core.records import EditRequest
from sola_core.words import Sentence

MAX_PROMPT_CHARS = 4_000  # a long paragraph; longer ones belong in a document, not in a key
MAX_TARGET_CHARS = 2_000  # the real cap is in tokens (SolaSettings.max_target_tokens)
MAX_SUBJECT_CHARS = 200
MAX_REPHRASES = 16


def canonical(text: str) -> str:
    """Return the canonical form by which keys are equal: NFC, trimmed, runs of white space to one; case kept."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def normalised_answer(text: str) -> str:
    """Return an answer as the try compares it: NFC, case-folded, punctuation stripped, white space to one.

    A text of nothing but punctuation keeps it: otherwise all such texts would be equal.
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    kept = "".join(" " if unicodedata.category(c).startswith("P") else c for c in folded)
    return " ".join(kept.split()) or " ".join(folded.split())


def checked_text(text: object, name: str, limit: int) -> str:
    """Return `text` trimmed; raise InvalidInput, naming `name`, when it is no usable text.

    Refused: another type, nothing but white space, more than `limit` characters, control characters other than
    tab and line ends, and halves of characters (lone surrogates), which no file can hold.
    """
    if not isinstance(text, str):
        raise InvalidInput(Sentence("The {name} must be text, not {kind}.", name=name, kind=type(text).__name__))
    checked_length(text, name, limit)
    for c in text:
        kind = unicodedata.category(c)
        if (kind == "Cc" and c not in "\t\n\r") or kind == "Cs":
            raise InvalidInput(
                Sentence(
                    "The {name} contains the control character U+{number:04X}. Remove it and try again.",
                    name=name,
                    number=ord(c),
                )
            )
    if not canonical(text) or not any(_visible(c) for c in text):
        raise InvalidInput(Sentence("The {name} is empty. Type something and try again.", name=name))
    return text.strip()


def checked_length(text: object, name: str, limit: int) -> None:
    """Raise InvalidInput, naming `name`, when a text has more than `limit` characters; what is no text passes."""
    if isinstance(text, str) and len(text) > limit:
        raise InvalidInput(
            Sentence(
                "The {name} has {count:,} characters; at most {limit:,} are allowed. Shorten it and try again.",
                name=name,
                count=len(text),
                limit=limit,
            )
        )


def _visible(c: str) -> bool:
    return unicodedata.category(c)[0] not in "CZ"


def checked_prompt(prompt: object) -> str:
    """Return a question fit for the model; raise InvalidInput otherwise."""
    return checked_text(prompt, Sentence("question"), MAX_PROMPT_CHARS)


def checked_request(request: EditRequest) -> EditRequest:
    """Return the request trimmed and without doubled rephrasings; raise InvalidInput when a part is unusable."""
    prompt = checked_text(request.prompt, Sentence("prompt"), MAX_PROMPT_CHARS)
    target = checked_text(request.target, Sentence("new answer"), MAX_TARGET_CHARS)
    subject = None
    if request.subject is not None and str(request.subject).strip():
        subject = checked_text(request.subject, Sentence("subject"), MAX_SUBJECT_CHARS)
    if len(request.rephrases) > MAX_REPHRASES:
        raise InvalidInput(
            Sentence(
                "There are {count} rephrasings; at most {most} are allowed.",
                count=len(request.rephrases),
                most=MAX_REPHRASES,
            )
        )
    seen, rephrases = {canonical(prompt)}, []
    for text in request.rephrases:
        text = checked_text(text, Sentence("rephrasing"), MAX_PROMPT_CHARS)
        if canonical(text) not in seen:
            seen.add(canonical(text))
            rephrases.append(text)
    return EditRequest(prompt=prompt, target=target, subject=subject, rephrases=tuple(rephrases))
