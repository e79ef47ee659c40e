"""The pieces of HTML of the Compare tab; every value passes through `escaped`.

Knows HTML and what is to be said, and nothing of gradio.
"""

from __future__ import annotations

from collections.abc import Sequence

from sola_core.arena_records import Asked, Contender, Foresight, MethodOutcome, Reply, TakenBack
from sola_core.fact_lists import ListedFact
from sola_core.ui import compare_texts as texts
from sola_core.ui import compare_undo_words as undo_words
from sola_core.ui import compare_words as words
from sola_core.ui.markup import badge, escaped, known, note, subheading, table
from sola_core.words import here


def progress(text: str, done: int, total: int) -> str:
    """Return a progress bar with its words."""
    return (
        f'<div class="sola-progress" role="status"><progress max="{max(1, total):d}" value="{done:d}" '
        f'aria-label="{escaped(texts.PROGRESS)}"></progress><p>{escaped(text)}</p></div>'
    )


def why(contenders: Sequence[Contender]) -> str:
    """Return what each method says of taking back."""
    return known(words.whys(contenders))


def wrong_lines(facts: Sequence[ListedFact]) -> str:
    """Return the lines that cannot be taught, each with what is wrong."""
    rows = [(str(fact.line), here(fact.error)) for fact in facts if fact.request is None]
    return note(texts.WRONG_LINES, "stop") + table(texts.LINES_TABLE, texts.LINES_HEAD, rows)


def results(outcomes: Sequence[MethodOutcome]) -> str:
    """Return what each method remembers, as a table."""
    return table(texts.RESULTS_TABLE, texts.RESULTS_HEAD, words.results(outcomes))


def details(prompts: Sequence[str], outcomes: Sequence[MethodOutcome]) -> str:
    """Return the twin of the curves, and each fact's fate."""
    head, rows = words.curve_rows(outcomes)
    facts_head, fact_rows = words.fact_rows(prompts, outcomes)
    places = table(texts.PLACES_TABLE, texts.PLACES_HEAD, words.place_rows(outcomes))
    return table(texts.CURVES_TABLE, head, rows) + table(texts.FACTS_TABLE, facts_head, fact_rows) + places


def replies(asked: Asked) -> str:
    """Return all answers beside each other, the untouched model's first."""
    return f'<div class="sola-replies">{"".join(map(_reply, (asked.base, *asked.replies)))}</div>'


def taken_back(found: Sequence[TakenBack]) -> str:
    """Return what taking a fact back did, as a table, and why some methods did not."""
    whys = undo_words.undo_whys(found)
    refused = subheading(texts.UNDO_WHY, "") + known(whys) if whys else ""
    legend = f'<p class="sola-hint">{escaped(texts.UNDO_LEGEND)}</p>'
    return legend + table(texts.UNDO_TABLE, texts.UNDO_HEAD, undo_words.undo_rows(found)) + refused


def foreseen(found: Sequence[Foresight], prompts: Sequence[str]) -> str:
    """Return what taking a fact back will do, before it is done."""
    rows = undo_words.foreseen_rows(found, prompts)
    hint = f'<p class="sola-hint">{escaped(texts.FORESEEN_HINT)}</p>'
    return note(undo_words.foreseen(found), "") + hint + table(texts.FORESEEN_TABLE, texts.FORESEEN_HEAD, rows)


def _reply(reply: Reply) -> str:
    own = bool(reply.method)
    label = words.name(reply.method) if own else texts.UNTOUCHED
    waiting = texts.WAITING if reply.answer is None else texts.NOTHING_SAID
    said = f"<bdi>{escaped(reply.text)}</bdi>" if reply.text else f'<span class="sola-faint">{escaped(waiting)}</span>'
    kind = "base" if not own or reply.route.deferred else "edit"
    return (
        f'<section class="sola-reply sola-reply-{kind}" aria-label="{escaped(label)}"><h4>{escaped(label)}</h4>'
        f"<p>{said}</p>{badge(words.who_answered(reply), kind)}{note(words.how_it_ended(reply), 'stop')}</section>"
    )
