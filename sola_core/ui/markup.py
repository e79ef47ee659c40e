"""The few pieces of HTML on the page, made so that no visitor's text is ever taken for markup.

Knows HTML and nothing of gradio; every value passes through `escaped`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sola_core.ui import texts
from sola_core.words import here, say

if TYPE_CHECKING:
    from sola_core.studio import About
    from sola_core.ui.differing import Piece


def escaped(text: str) -> str:
    """Return a text that HTML shows as it is."""
    return html.escape(text, quote=True)


def header(logo: Path, note: str) -> str:
    """Return the head of the page: name, what it is for, and the three steps."""
    steps = "".join(
        f'<li><span class="sola-mark" aria-hidden="true">{number}</span><div><b>{escaped(name)}</b> {escaped(words)}</div></li>'
        for number, (name, words) in enumerate(texts.HOW, 1)
    )
    return (
        f'<header class="sola-head"><div class="sola-brand"><span aria-hidden="true">{logo.read_text(encoding="utf-8")}</span>'
        f"<div><h1>{escaped(texts.TITLE)}</h1><p>{escaped(texts.TAGLINE)}</p></div></div>"
        f'<ol class="sola-how">{steps}</ol><p class="sola-note">{escaped(note)}</p></header>'
    )


def heading(number: str, text: str, hint: str = "") -> str:
    """Return the heading of a panel."""
    mark = f'<span class="sola-mark" aria-hidden="true">{escaped(number)}</span>' if number else ""
    below = f'<p class="sola-hint">{escaped(hint)}</p>' if hint else ""
    return f"<h2>{mark}{escaped(text)}</h2>{below}"


def subheading(text: str, hint: str) -> str:
    """Return the heading of a part of a panel."""
    return f'<h3 class="sola-part">{escaped(text)}</h3><p class="sola-hint">{escaped(hint)}</p>'


def note(text: str, kind: str = "plain") -> str:
    """Return a line of text, announced by screen readers; `kind` is plain, good or wait. Empty text gives nothing."""
    if not text:
        return ""
    sign = {"good": "✓ ", "wait": "… ", "stop": "■ "}.get(kind, "")
    return f'<p class="sola-line sola-{escaped(kind)}" role="status"><bdi>{sign}{escaped(text)}</bdi></p>'


def progress(text: str, done: int, total: int) -> str:
    """Return a progress bar with its words."""
    return (
        f'<div class="sola-progress" role="status"><progress max="{total:d}" value="{done:d}" '
        f'aria-label="{escaped(texts.LOSS_CHART)}"></progress><p>{escaped(text)}</p></div>'
    )


def badge(text: str, kind: str) -> str:
    """Return who answered or decided; `kind` is base, edit or router, shown by sign, shape and colour."""
    sign = {"edit": "◆", "router": "▸"}.get(kind, "○")
    return f'<p class="sola-badge sola-{escaped(kind)}"><span aria-hidden="true">{sign}</span> {escaped(text)}</p>'


def fact(number: int, prompt: str, target: str, detail: str, notes: Sequence[str], *, enabled: bool) -> str:
    """Return one edit of the list."""
    state = "" if enabled else f'<span class="sola-off">{escaped(say("off"))}</span>'
    below = "".join(f'<p class="sola-cover">{escaped(line)}</p>' for line in notes)
    return (
        f'<div class="sola-fact{"" if enabled else " sola-is-off"}"><p class="sola-fact-head">'
        f'<span class="sola-number">{number:d}</span><bdi class="sola-prompt">{escaped(prompt)}</bdi>{state}</p>'
        f'<p class="sola-target"><span aria-hidden="true">→</span> <bdi>{escaped(target)}</bdi></p>'
        f'<p class="sola-detail">{escaped(detail)}</p>{below}</div>'
    )


def marked(name: str, pieces: Sequence[Piece]) -> str:
    """Return a text in which the pieces that differ are bold and underlined, and said to differ where it is read aloud."""
    words = "".join(
        f'<mark class="sola-differs"><span class="sola-aloud"> [{escaped(texts.DIFFERS)}: </span>{escaped(piece.text)}'
        '<span class="sola-aloud">] </span></mark>'
        if piece.differs
        else escaped(piece.text)
        for piece in pieces
    )
    return f'<div>{whose(name)}<p class="sola-said"><bdi>{words}</bdi></p></div>'


def whose(name: str) -> str:
    """Return whose text or picture follows."""
    return f'<p class="sola-whose">{escaped(name)}</p>'


def beside(heading_of_part: str, parts: Sequence[str]) -> str:
    """Return pieces of markup beside each other under a heading."""
    return f'<h3 class="sola-part">{escaped(heading_of_part)}</h3><div class="sola-beside">{"".join(parts)}</div>'


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, the twin of a picture."""
    if not rows:
        return ""
    cells = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
    lines = "".join("<tr>" + "".join(f"<td><bdi>{escaped(c)}</bdi></td>" for c in row) + "</tr>" for row in rows)
    return (
        f'<div class="sola-table"><table><caption>{escaped(caption)}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def lines(table_of_lines: str, hint: str) -> str:
    """Return a table whose cells have lines of their own, with a hint under it."""
    return f'<div class="sola-lines">{table_of_lines}</div><p class="sola-hint">{escaped(hint)}</p>'


def known(parts: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return what is known of something: names, each with its lines."""
    items = "".join(
        f"<div><dt>{escaped(name)}</dt>" + "".join(f"<dd><bdi>{escaped(line)}</bdi></dd>" for line in lines) + "</div>"
        for name, lines in parts
    )
    return f'<dl class="sola-known">{items}</dl>'


def figures(parts: Sequence[tuple[str, str, str]]) -> str:
    """Return figures beside each other: name, value, what it means."""
    items = "".join(
        f"<div><dt>{escaped(name)}</dt><dd><b>{escaped(value)}</b><span>{escaped(means)}</span></dd></div>"
        for name, value, means in parts
    )
    return f'<dl class="sola-figures">{items}</dl>'


def footer(about: About, digest: str, router: str) -> str:
    """Return the foot of the page: all that is needed to repeat what was seen, `router` being the one in use now."""
    versions = ", ".join(f"{name} {here(version)}" for name, version in about.versions.items())
    fingerprint_name, digest_name, router_name = say("Host fingerprint"), say("State digest"), say("Router")
    parts = {
        say("Model"): about.model,
        say("Device"): f"{about.device}, {about.dtype}",
        router_name: router,
        say("Seed"): str(about.seed),
        say("Versions"): versions,
        fingerprint_name: about.fingerprint,
        digest_name: digest,
    }
    long = (fingerprint_name, digest_name)
    ids = {digest_name: " id=sola-digest", router_name: " id=sola-router"}
    items = "".join(
        f"<div{' class=sola-long' if name in long else ''}><dt>{escaped(name)}</dt>"
        f"<dd{ids.get(name, '')}>{escaped(value)}</dd></div>"
        for name, value in parts.items()
    )
    return f'<footer class="sola-foot"><dl>{items}</dl></footer>'
