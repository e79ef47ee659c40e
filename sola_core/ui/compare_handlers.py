"""What happens when a button of the Compare tab is pressed.

Knows the visitors' contests; how one is run is not its business.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Final

import gradio as gr

from sola_core.arena import LEAST_METHODS, MOST_METHODS, Arena
from sola_core.arena_records import MethodOutcome, RunProgress, TakenBack, TakingBack
from sola_core.errors import InvalidInput
from sola_core.registry import Visitor
from sola_core.studio import Studio
from sola_core.ui import border, compare_markup, compare_undo_words, compare_words, markup
from sola_core.ui import compare_texts as texts
from sola_core.ui.compare_figures import curves_figure, places_figure, undo_figure
from sola_core.ui.plot import shown
from sola_core.ui.visible import seen
from sola_core.words import say

REDRAW_SECONDS = 0.25
Shown = tuple[object, ...]
ASKED: Final = ("replies", "ask_note", "ask_stop")
TAKEN: Final = ("undo_status", "undo_group", "undo_chart", "undo_table", "undo_stop", "foreseen")
AHEAD: Final = ("undo_status", "undo_stop", "foreseen")
GROUPS: Final = ("results", "places", "after", "undo_group", "foresee")  # what comes and goes
PARTS: Final = (
    *("status", "results", "table", "curves", "places", "map", "details", "after", "number", "stop"),
    *ASKED,
    *TAKEN,
    "foresee",
)


class CompareHandlers:
    """The tab's buttons."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._registry = studio, studio.registry

    # ---- teaching ----

    def few(self) -> str:
        """Fill in some demo facts."""
        return self._demo(texts.FEW)

    def many(self) -> str:
        """Fill in more demo facts."""
        return self._demo(texts.MANY)

    def run(self, methods: object, facts: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Teach the facts to all methods chosen; every message but the first names every component."""
        visitor = border.visitor(self._registry, request, token)
        chosen = self._chosen(methods)
        listed = self._studio.arenas.read(border.text_field(facts, say("list of facts")))
        if any(fact.request is None for fact in listed):
            yield self._view(visitor, compare_markup.wrong_lines(listed))
            return
        wanted = [fact.request for fact in listed if fact.request is not None]
        prompts = [one.prompt for one in wanted]
        yield self._filled(compare_markup.progress(texts.OPENING, 0, 1), stop=gr.update(interactive=True))
        began, drawn, points = time.monotonic(), 0.0, -1
        with closing(self._studio.arenas.run_steps(visitor, chosen, wanted)) as steps:
            for at in steps:
                if time.monotonic() - drawn >= REDRAW_SECONDS:
                    drawn = time.monotonic()
                    count = sum(len(one.points) for one in at.outcomes)
                    yield self._running(at, prompts, redraw=count != points)
                    points = count
        words = compare_words.finished(at.outcomes, time.monotonic() - began)
        yield self._view(visitor, markup.note(words, "good"))

    def resume(self, token: object, request: gr.Request) -> Shown:
        """Show the contest that the visitor has, if there is one."""
        return self._view(border.visitor(self._registry, request, token), "")

    def opened(self, token: object, request: gr.Request) -> Shown:
        """Show, when the tab is opened, what belongs to the contest that the visitor has; while one runs, leave all as it is."""
        visitor = border.visitor(self._registry, request, token)
        if self._studio.arenas.runs(visitor):
            return (gr.skip(),) * len(GROUPS)
        rest = dict(zip(PARTS, self._view(visitor, ""), strict=True))
        return tuple(rest[name] for name in GROUPS)

    def unfinished(self, token: object, request: gr.Request) -> Shown:
        """Say that a contest was stopped or failed; an error has told its reason in a message of its own."""
        return self._view(border.visitor(self._registry, request, token), markup.note(texts.STOPPED, "stop"))

    # ---- asking ----

    def ask(self, question: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Stream all answers side by side."""
        visitor = border.visitor(self._registry, request, token)
        text = border.text_field(question, say("question"))
        self._studio.arenas.limits.check_prompt(text)
        with self._studio.arenas.visit(visitor) as arena:
            yield "", "", gr.update(interactive=True)
            drawn = 0.0
            with closing(arena.ask_steps(text, self._studio.arenas.answer_tokens)) as rounds:
                for asked in rounds:
                    ended = all(reply.answer is not None for reply in (asked.base, *asked.replies))
                    if ended or time.monotonic() - drawn >= REDRAW_SECONDS:
                        drawn = time.monotonic()
                        yield compare_markup.replies(asked), "", gr.update(interactive=not ended)

    def ask_unfinished(self) -> Shown:
        """Say that the answers were stopped or failed."""
        return markup.note(texts.ANSWER_STOPPED, "stop"), gr.update(interactive=False)

    # ---- taking back ----

    def take_back(self, number: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Take a fact back with every method that can, and show what remained."""
        visitor = border.visitor(self._registry, request, token)
        with self._studio.arenas.visit(visitor) as arena:
            wanted = border.whole_field(number, say("the number of a fact"), len(arena.facts) + 1)
            found: Sequence[TakenBack] = ()
            drawn, known = 0.0, 0
            yield self._taking(compare_markup.progress(texts.OPENING, 0, 1), (), running=True)
            with closing(arena.take_back_steps(wanted)) as steps:
                for at in steps:
                    found = at.found
                    if time.monotonic() - drawn >= REDRAW_SECONDS:
                        drawn = time.monotonic()
                        yield self._step(at, redraw=len(found) != known)
                        known = len(found)
            yield self._taking(self._took(arena), found)

    def undo_unfinished(self, token: object, request: gr.Request) -> Shown:
        """Say that taking back was stopped or failed, and show what was taken back before."""
        visitor = border.visitor(self._registry, request, token)
        return self._last_undo(visitor, markup.note(texts.UNDO_STOPPED, "stop"))

    def foresee(self, number: object, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Tell what taking a fact back will do to the others, with the methods that can tell; nothing is changed."""
        visitor = border.visitor(self._registry, request, token)
        with self._studio.arenas.visit(visitor) as arena:
            wanted = border.whole_field(number, say("the number of a fact"), len(arena.facts) + 1)
            drawn, found = 0.0, ()
            yield compare_markup.progress(texts.OPENING, 0, 1), gr.update(interactive=True), ""
            with closing(arena.foresee_steps(wanted)) as steps:
                while True:
                    try:
                        at = next(steps)
                    except StopIteration as end:
                        found = end.value
                        break
                    if time.monotonic() - drawn >= REDRAW_SECONDS:
                        drawn = time.monotonic()
                        bar = compare_markup.progress(compare_undo_words.foreseeing(at), at.done, at.total)
                        yield bar, gr.update(interactive=True), ""
            prompts = [one.prompt for one in arena.facts]
            yield "", gr.update(interactive=False), compare_markup.foreseen(found, prompts)

    def foresee_unfinished(self) -> Shown:
        """Say that looking ahead was stopped or failed."""
        return markup.note(texts.FORESEE_STOPPED, "stop"), gr.update(interactive=False), ""

    # ---- helpers in the order of use ----

    def _demo(self, count: int) -> str:
        facts = self._studio.facts[:count]
        return compare_words.fact_lines([(one.prompt, one.target_new or "") for one in facts])

    def _chosen(self, methods: object) -> list[str]:
        known = [one.name for one in self._studio.arenas.contenders]
        if not isinstance(methods, list) or not LEAST_METHODS <= len(methods) <= MOST_METHODS:
            raise InvalidInput(texts.CHOOSE_SOME)
        if not all(isinstance(one, str) and one in known for one in methods) or len(set(methods)) != len(methods):
            raise InvalidInput(texts.CHOOSE_SOME)
        return [name for name in known if name in methods]

    def _running(self, at: RunProgress, prompts: Sequence[str], *, redraw: bool) -> Shown:
        bar = compare_markup.progress(compare_words.running(at), at.done, at.total)
        return self._filled(bar, at.outcomes, prompts, stop=gr.update(interactive=True), redraw=redraw)

    def _view(self, visitor: Visitor, status: str) -> Shown:
        """Return the tab as it is at rest."""
        if not self._studio.arenas.has(visitor):
            return self._filled(status)
        with self._studio.arenas.visit(visitor) as arena:
            prompts = [one.prompt for one in arena.facts]
            undone = self._taking(self._took(arena), arena.last_undo[1] if arena.last_undo else ())
            foretell = bool(arena.foretell)
            return self._filled(status, arena.outcomes, prompts, undone=undone, kept=True, foretell=foretell)

    def _filled(
        self,
        status: str,
        outcomes: Sequence[MethodOutcome] = (),
        prompts: Sequence[str] = (),
        *,
        undone: Shown | None = None,
        kept: bool = False,
        foretell: bool = False,
        redraw: bool = True,
        stop: object = None,
    ) -> Shown:
        """Return one value for each of PARTS; the question's and the undo's parts are shown once there is a contest kept."""
        picture = gr.update(value=shown(curves_figure(outcomes, len(prompts)))) if outcomes and redraw else gr.skip()
        places = compare_words.placed(outcomes)
        number = min(3, len(prompts)) if kept else None
        return (
            status,
            gr.update(visible=seen(outcomes)),
            compare_markup.results(outcomes) if outcomes else "",
            picture,
            gr.update(visible=seen(places)),
            gr.update(value=shown(places_figure(places))) if places else gr.skip(),
            compare_markup.details(prompts, outcomes) if outcomes else "",
            gr.update(visible=seen(kept)),
            gr.update(choices=compare_undo_words.numbered(prompts) if kept else [], value=number),
            gr.update(interactive=False) if stop is None else stop,
            *("", "", gr.update(interactive=False)),
            *(undone or self._taking("", ())),
            gr.update(visible=seen(foretell)),
        )

    def _step(self, at: TakingBack, *, redraw: bool) -> Shown:
        bar = compare_markup.progress(compare_undo_words.taking_back(at), at.done, at.total)
        return self._taking(bar, at.found, running=True, redraw=redraw)

    def _took(self, arena: Arena) -> str:
        if arena.last_undo is None:
            return ""
        number, found = arena.last_undo
        return markup.note(compare_undo_words.taken_back(number, arena.facts[number - 1].prompt, found), "good")

    def _last_undo(self, visitor: Visitor, status: str) -> Shown:
        if not self._studio.arenas.has(visitor):
            return self._taking(status, ())
        with self._studio.arenas.visit(visitor) as arena:
            return self._taking(status, arena.last_undo[1] if arena.last_undo else ())

    def _taking(self, status: str, found: Sequence[TakenBack], *, running: bool = False, redraw: bool = True) -> Shown:
        """Return one value for each of TAKEN."""
        picture = gr.update(value=shown(undo_figure(found))) if found and redraw else gr.skip()
        table = compare_markup.taken_back(found) if found else ""
        return status, gr.update(visible=seen(found)), picture, table, gr.update(interactive=running), ""
