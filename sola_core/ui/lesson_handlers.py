"""What happens when a button of the lesson is pressed: the visitor's own workspace does it, the lesson's checks judge it.

Nothing that the browser kept is believed before it was opened here. Touches no edit but the one that the lesson taught.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from dataclasses import replace

import gradio as gr

from sola_core.comparison import SideBySide
from sola_core.errors import EditFailed, InvalidInput, UnknownEdit
from sola_core.evaluation.rows import Row
from sola_core.lesson import Fact, Happened, Lesson, Proved, observed, taught
from sola_core.lesson_checks import added, fits, gone_back, gone_on, judged, may_run
from sola_core.lesson_kept import checked_fact, kept, unkept
from sola_core.records import Edit
from sola_core.registry import Visitor
from sola_core.studio import Studio
from sola_core.text import checked_prompt
from sola_core.ui import border, lesson_words, markup, present
from sola_core.ui import lesson_texts as texts
from sola_core.ui.lesson_view import Shown, answers, only, running, view
from sola_core.words import say
from sola_core.workspace import Workspace

Run = Generator[Shown, None, Happened]


def boxes_of(fact: Row) -> tuple[str, str, str, str, str]:
    """Return what the boxes hold for a demo fact: prompt, target, other words, neighbour, subject."""
    request = fact.request
    words, near = fact.rephrases[:1], [probe.prompt for probe in fact.locality[:1]]
    return request.prompt, request.target, *(words or ("",)), *(near or ("",)), request.subject or ""


class LessonHandlers:
    """The lesson's buttons."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._registry = studio, studio.registry
        self._secret = secrets.token_bytes(32)  # of the seal; a server that starts anew begins all lessons anew

    # ---- moving about ----

    def choose(self, index: object) -> tuple[str, str, str, str, str]:
        """Fill the boxes with a demo fact."""
        return boxes_of(self._studio.facts[border.whole_field(index, say("the example"), len(self._studio.facts))])

    def resume(self, value: object, token: object, request: gr.Request) -> Shown:
        """Show the lesson where it was left."""
        return self._moved(value, token, request)

    def next(self, value: object, token: object, request: gr.Request) -> Shown:
        """Go on to the next step."""
        return self._moved(value, token, request, 1)

    def back(self, value: object, token: object, request: gr.Request) -> Shown:
        """Look at the step before again."""
        return self._moved(value, token, request, -1)

    def unfinished(self, value: object, token: object, request: gr.Request) -> Shown:
        """Say that the step was stopped or failed; an error has told its reason in a message of its own."""
        return self._moved(value, token, request, note=texts.STOPPED, focus="go")

    def again(self, value: object, token: object, request: gr.Request) -> Shown:
        """Begin anew; what this lesson taught is deleted, as the button says."""
        visitor = border.visitor(self._registry, request, token)
        with self._registry.visit(visitor) as workspace:
            lesson, note = self._opened(value, visitor, workspace)
            if lesson is not None and lesson.edit_id and not lesson.deleted:
                with suppress(UnknownEdit):  # deleted elsewhere in this moment
                    workspace.delete(lesson.edit_id)
        return view(None, "", {}, note=note, focus="go")

    def _moved(
        self, value: object, token: object, request: gr.Request, by: int = 0, *, note: str = "", focus: str = ""
    ) -> Shown:
        visitor = border.visitor(self._registry, request, token)
        with self._registry.visit(visitor) as workspace:
            lesson, why = self._opened(value, visitor, workspace)
            numbers = workspace.numbers()
        if lesson is not None and by:
            lesson = gone_on(lesson) if by > 0 else gone_back(lesson)
            focus = lesson_words.focus(lesson)
        return self._view(lesson, visitor, numbers, note=why or note, focus=focus)

    # ---- doing what a step is about ----

    def go(
        self,
        prompt: object,
        target: object,
        rephrase: object,
        neighbour: object,
        subject: object,
        wording: object,
        value: object,
        token: object,
        request: gr.Request,
    ) -> Generator[Shown, None, None]:
        """Do what the shown step is about, and check what really happened."""
        visitor = border.visitor(self._registry, request, token)
        with self._registry.visit(visitor) as workspace:
            lesson, note = self._opened(value, visitor, workspace)
            numbers = workspace.numbers()
        if note or (lesson is not None and not may_run(lesson)):
            yield self._view(lesson, visitor, numbers, note=note)
            return
        lesson = lesson or Lesson(fact=self._fact(prompt, target, rephrase, neighbour, subject))
        asked = (
            checked_prompt(border.text_field(wording, "question")) if lesson.step in ("rephrase", "neighbour") else ""
        )
        yield running(lesson)
        steps = {"teach": self._teach, "prove": self._prove, "off": self._off}.get(lesson.step)
        run = steps(lesson, visitor) if steps else self._ask(lesson, visitor, asked or lesson.fact.prompt)
        try:
            happened = yield from run
        except _NotBegun as refused:
            yield self._view(refused.lesson, visitor, numbers, note=refused.words, focus="go" if refused.lesson else "")
            return
        with self._registry.visit(visitor) as workspace:
            numbers = workspace.numbers()
        after = added(replace(lesson, deleted=lesson.deleted or lesson.step == "prove"), happened)
        focus = lesson_words.focus(after, missed=judged(after, after.step, happened) != "reached")
        yield self._view(after, visitor, numbers, happened=happened, focus=focus)

    def _ask(self, lesson: Lesson, visitor: Visitor, question: str) -> Run:
        with self._registry.visit(visitor) as workspace:
            both = yield from self._answers(lesson, workspace, question)
            snapshot = None
            if lesson.step in ("ask", "again"):
                yield only(outcome=markup.note(texts.MEASURING, "wait"))
                snapshot = workspace.snapshot(question)
            return observed(both, lesson, workspace.edits, snapshot)

    def _off(self, lesson: Lesson, visitor: Visitor) -> Run:
        with self._registry.visit(visitor) as workspace:
            workspace.set_enabled(lesson.edit_id, False)
            both = yield from self._answers(lesson, workspace, lesson.fact.prompt)
            return observed(both, lesson, workspace.edits)

    def _teach(self, lesson: Lesson, visitor: Visitor) -> Run:
        with self._registry.claim(visitor) as workspace:
            self._refuse_if_answered(lesson, workspace)
            with closing(workspace.teach(lesson.fact.request)) as steps:
                try:
                    while True:
                        step = next(steps)
                        bar = markup.progress(present.progress_text(step), step.step, step.total)
                        yield only(outcome=bar)
                except StopIteration as finished:
                    edit: Edit = finished.value
                except InvalidInput:
                    raise
                except EditFailed as error:
                    raise _NotBegun(lesson, str(error)) from error
            return taught(edit)

    def _prove(self, lesson: Lesson, visitor: Visitor) -> Run:
        with self._registry.visit(visitor) as workspace:
            erased = True
            if not lesson.deleted:
                erased = workspace.delete(lesson.edit_id) == "erased"
                lesson = replace(lesson, deleted=True)
            # told at once: a comparison that is stopped has deleted the edit all the same
            yield only(kept=self._kept(lesson, visitor), outcome=markup.note(texts.DELETING, "wait"))
            question = lesson.fact.prompt
            route = workspace.editor.route(question)
            return Proved(
                stored=any(edit.id == lesson.edit_id for edit in workspace.edits),
                erased=erased,
                answered_by="" if route.deferred else route.edit_id or "several",
                snapshot=workspace.snapshot(question),
            )

    def _answers(self, lesson: Lesson, workspace: Workspace, question: str) -> Generator[Shown, None, SideBySide]:
        if lesson.step == "ask":
            self._refuse_if_answered(lesson, workspace)
        numbers = workspace.numbers()
        with closing(workspace.ask(question)) as rounds:
            for both in rounds:
                who = present.who_answered(both.route, numbers)
                yield only(**answers(both.base_text, both.edited_text, who, "base" if both.route.deferred else "edit"))
        return both

    def _refuse_if_answered(self, lesson: Lesson, workspace: Workspace) -> None:
        route = workspace.editor.route(lesson.fact.prompt)
        if not route.deferred:
            number = workspace.numbers().get(route.edit_id or "", 0)
            begun = lesson if lesson.step != "ask" else None
            raise _NotBegun(begun, lesson_words.answered_already(number))

    # ---- what the browser keeps ----

    def _opened(self, value: object, visitor: Visitor, workspace: Workspace) -> tuple[Lesson | None, str]:
        """Return the lesson that the browser kept, or none and a kind word why."""
        if not value:
            return None, ""
        lesson = unkept(value, self._secret, visitor.key)
        if lesson is None:
            return None, texts.AGAIN
        return (lesson, "") if fits(lesson, workspace.edits) else (None, texts.EDIT_GONE)

    def _kept(self, lesson: Lesson | None, visitor: Visitor) -> object:
        return "" if lesson is None else kept(lesson, self._secret, visitor.key)

    def _view(
        self,
        lesson: Lesson | None,
        visitor: Visitor,
        numbers: Mapping[str, int],
        *,
        note: str = "",
        happened: Happened | None = None,
        focus: str = "",
    ) -> Shown:
        made = self._kept(lesson, visitor)
        return view(lesson, made, numbers, note=note, happened=happened, focus=focus)

    def _fact(self, prompt: object, target: object, rephrase: object, neighbour: object, subject: object) -> Fact:
        question, about = border.text_field(prompt, say("question")), border.text_field(subject, say("subject")).strip()
        return checked_fact(
            Fact(
                prompt=question,
                target=border.text_field(target, say("new answer")),
                rephrase=border.text_field(rephrase, say("question in other words")),
                neighbour=border.text_field(neighbour, say("question near by")),
                # one that was left over from another fact would only mislead the router
                subject=about if about.casefold() in question.casefold() else "",
            )
        )


class _NotBegun(Exception):
    """A step that could not be begun, and the lesson as it stands."""

    def __init__(self, lesson: Lesson | None, words: str) -> None:
        super().__init__(words)
        self.lesson, self.words = lesson, words
