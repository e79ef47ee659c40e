"""The pieces of HTML that a report is made of: tables, lists to browse, words for figures.

Knows HTML and no measurement. Every value passes through `escaped`: a text of the data is never taken for markup.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LISTED = 2000  # cases that a page lists

WORDS = {
    "reliability": "taught facts that are answered exactly as taught",
    "generality": "the same in other words",
    "locality": "other questions that keep the base model's answer, letter by letter",
    "router_right": "questions about a fact that its own edit answers",
    "router_wrong": "... that another edit answers",
    "router_missed": "... that no edit answers",
    "router_false_fire": "other questions that an edit answers",
    "edit_seconds_median": "seconds to teach a fact, tried and stored",
    "edits": "facts",
    "not_taught": "facts that could not be taught",
    "oracle_reliability": "reliability with the right edit forced",
    "oracle_generality": "generality with the right edit forced",
    "no_edit_reliability": "reliability of the untouched model",
    "no_edit_generality": "generality of the untouched model",
    "recall": "rephrasings routed to their own fact",
    "recall_alias": "questions with the subject under another name, routed to their own fact",
    "wrong_edit": "questions about a fact that are routed to another one",
    "false_fire": "other questions that are routed anywhere",
    "auc": "chance that a fact's own score is above the best score of another question",
    "routing_ms": "milliseconds for a decision (median), reading the prompt included",
    "perplexity": "per token of running text, with the edits stored",
    "perplexity_base": "the same of the untouched model",
    "routed_windows": "pieces of running text that are routed to an edit",
    "identical_answers": "unrelated questions with the base model's answer, letter by letter",
    "bit_equal": "unrelated questions whose first logits are the base model's, bit for bit",
    "routed_questions": "unrelated questions that are routed to an edit",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that went wrong, to be looked at."""

    kind: str
    prompt: str
    verdict: str  # a few words: what happened
    details: tuple[tuple[str, str], ...]  # name and text, such as ("wanted", "Oslo")


def escaped(text: object) -> str:
    """Return a text that HTML shows as it is."""
    return html.escape(str(text), quote=True)


def number(value: object) -> str:
    """Return a number as people read it; "" for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """Return a table; all columns but the first `texts` hold numbers."""
    marks = ["" if i < texts else ' class="number"' for i in range(len(head))]
    cells = "".join(f'<th scope="col"{mark}>{escaped(name)}</th>' for name, mark in zip(head, marks, strict=True))
    lines = "".join(
        "<tr>"
        + "".join(f"<td{mark}><bdi>{escaped(cell)}</bdi></td>" for cell, mark in zip(row, marks, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="table"><table><caption>{escaped(caption)}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def figures_table(figures: Mapping[str, object]) -> str:
    """Return all figures with their names in words where there are any."""
    rows = [(name, number(value), WORDS.get(name, "")) for name, value in figures.items()]
    lines = "".join(
        f'<tr><td class="name">{escaped(name).replace("_", "_<wbr>")}</td><td class="number">{escaped(value)}</td>'
        f'<td class="words">{escaped(words)}</td></tr>'
        for name, value, words in rows
    )
    head = '<th scope="col">figure</th><th scope="col" class="number">value</th><th scope="col">what it counts</th>'
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def section(title: str, *parts: str) -> str:
    """Return a part of the page under its heading; nothing when all parts are empty."""
    inside = "".join(parts)
    return f"<section><h2>{escaped(title)}</h2>{inside}</section>" if inside else ""


def note(text: str) -> str:
    """Return a line that explains what follows."""
    return f'<p class="note">{escaped(text)}</p>'


def charts(*names: str, height: int = 320, label: str = "") -> str:
    """Return the places that charts are drawn into, side by side where there is room."""
    boxes = "".join(
        f'<div class="chart" id="{escaped(name)}" style="height:{height:d}px" role="img" aria-label="{escaped(label or name)}">'
        "</div>"
        for name in names
    )
    return f'<div class="charts">{boxes}</div>' if names else ""


def twin(inside: str) -> str:
    """Return a chart's table, folded away."""
    return f"<details><summary>The same as a table</summary>{inside}</details>"


def browser(cases: Sequence[Case]) -> str:
    """Return the cases as a list with a search box and a filter by kind; without any, a line that says so."""
    if not cases:
        return '<p class="good"><span aria-hidden="true">✓</span> None.</p>'
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.kind] = counts.get(case.kind, 0) + 1
    options = "".join(
        f'<option value="{escaped(kind)}">{escaped(kind)} ({count:,})</option>' for kind, count in counts.items()
    )
    left = len(cases) - LISTED
    more = note(f"The first {LISTED:,}; {left:,} more are in the JSON.") if left > 0 else ""
    return (
        '<div class="browser"><div class="filters"><label>Search <input type="search" id="search" autocomplete="off"></label>'
        f'<label>Kind <select id="kind"><option value="">all ({len(cases):,})</option>{options}</select></label>'
        f'<p id="shown" role="status"></p></div>{more}'
        f'<ol id="cases">{"".join(map(_case, cases[:LISTED]))}</ol></div>'
    )


def settings(*parts: object) -> str:
    """Return what is needed to repeat a run: every plain value of some mappings."""
    pairs: dict[str, object] = {}
    for part in parts:
        pairs.update(part if isinstance(part, Mapping) else {})
    plain = {name: value for name, value in pairs.items() if isinstance(value, str | int | float)}
    items = "".join(
        f"<div><dt>{escaped(name.replace('_', ' '))}</dt><dd>{escaped(value)}</dd></div>"
        for name, value in plain.items()
    )
    return f"<footer><dl>{items}</dl></footer>" if items else ""


def _case(case: Case) -> str:
    details = "".join(
        f"<div><dt>{escaped(name)}</dt><dd><bdi>{escaped(text) or '&nbsp;'}</bdi></dd></div>"
        for name, text in case.details
    )
    return (
        f'<li data-kind="{escaped(case.kind)}"><p class="tags"><span class="tag">{escaped(case.kind)}</span>'
        f"<span>{escaped(case.verdict)}</span></p>"
        f'<p class="prompt"><bdi>{escaped(case.prompt)}</bdi></p><dl>{details}</dl></li>'
    )
