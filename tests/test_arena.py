"""The contest of methods on a tiny host: what is taught, asked and taken back, what a cancel leaves, and who sees what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from sola_core import EditRequest
from sola_core.arena import Arena, contenders
from sola_core.arena_records import RunProgress
from sola_core.arena_run import asked_after
from sola_core.arenas import Arenas
from sola_core.errors import InvalidInput, WorkspacesFull
from sola_core.fact_lists import read_fact_lines
from sola_core.host.intervention import count_hooks
from sola_core.host.model import HostModel
from sola_core.joint_session import JointEditor
from sola_core.records import Capabilities
from sola_core.registry import Visitor
from sola_core.session import SolaEditor, load_editor
from sola_core.settings import Limits
from sola_core.steps import finish
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

FACTS = (  # with a sign that the tiny encoder cannot read: each answers its own question and no other
    EditRequest(prompt="The capital of France: which city is it?", target="Oslo"),
    EditRequest(prompt="The author: who wrote the book?", target="Lyon"),
    EditRequest(prompt="The ship: where was it built?", target="Turin"),
)
ALIKE = (  # which the tiny encoder takes for one another
    EditRequest(prompt="What is the capital of France?", target="Oslo"),
    EditRequest(prompt="Who wrote the book?", target="Lyon"),
)
ME, OTHER = Visitor(key="session me", address="a"), Visitor(key="session other", address="b")


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host()


@pytest.fixture(autouse=True)
def the_host_is_as_it_was(host: HostModel) -> Iterator[None]:
    before = host.parameters_digest()
    yield
    assert host.parameters_digest() == before and count_hooks(host._model) == 0


def arenas(host: HostModel, **limits: float) -> Arenas:
    return Arenas(host, tiny_encoder(), limits=Limits(answer_tokens=8, **limits))  # type: ignore[arg-type]


def arena(host: HostModel, methods: Sequence[str], facts: Sequence[EditRequest] = FACTS) -> Arena:
    """Return a contest that has come to its end."""
    encoder = tiny_encoder()
    chosen = [one for one in contenders(encoder) if one.name in methods]
    made = Arena(chosen, facts, lambda method: load_editor(method=method, host=host, encoder=encoder))
    finish(made.run_steps())
    return made


def test_first_facts_are_asked_after_one_two_four_and_all() -> None:
    assert asked_after(1) == (1,)
    assert asked_after(10) == (1, 2, 4, 8, 10)
    assert asked_after(16) == (1, 2, 4, 8, 16)


def test_a_run_tells_how_far_it_is_and_what_became_of_each_fact(host: HostModel) -> None:
    encoder = tiny_encoder()
    chosen = [one for one in contenders(encoder) if one.name in ("sola", "lora")]
    made = Arena(chosen, FACTS, lambda method: load_editor(method=method, host=host, encoder=encoder))
    told: list[RunProgress] = []
    outcomes = finish(made.run_steps(), told.append)
    assert told[-1].done == told[-1].total and told[-1].left == 0
    assert [step.done for step in told] == sorted(step.done for step in told)
    assert {step.stage for step in told} == {"opening", "teaching", "asking"}
    assert any(step.left for step in told)
    for outcome in outcomes:
        assert outcome.taught == outcome.asked == 3 and outcome.seconds > 0
        assert [point.taught for point in outcome.points] == [1, 2, 3]
        assert [point.asked for point in outcome.points] == [1, 2, 3]
        assert outcome.points[-1].right == outcome.right
        assert outcome.elsewhere == 3
    sola, lora = outcomes
    assert sola.right == sola.exact == 3 and sola.elsewhere_same == 3
    assert lora.points[0].right == 1  # alone, a fact holds
    made.close()


def test_a_fact_that_cannot_be_taught_is_told_and_the_others_go_on(host: HostModel) -> None:
    made = arena(host, ("sola", "lora"), (FACTS[0], EditRequest(prompt="Who?", target="Rotterdam " * 200), FACTS[1]))
    for outcome in made.outcomes:
        assert [fact.outcome for fact in outcome.facts] == ["taught", "failed", "taught"]
        assert outcome.facts[1].reason and outcome.facts[1].right is False
    asked = finish(made.ask_steps(FACTS[1].prompt, 8))
    assert asked.replies[0].numbers == (3,)  # facts keep their numbers
    made.close()


def test_a_question_is_answered_by_all_side_by_side_each_with_its_route(host: HostModel) -> None:
    made = arena(host, ("sola", "retrieval", "lora"))
    rounds = list(made.ask_steps(FACTS[0].prompt, 8))
    asked = rounds[-1]
    assert [reply.method for reply in asked.replies] == ["sola", "retrieval", "lora"]
    assert all(reply.answer is not None for reply in (asked.base, *asked.replies))
    sola, retrieval, lora = asked.replies
    assert (sola.text, sola.route.kind, sola.numbers) == ("Oslo", "edit", (1,))
    assert retrieval.numbers == (1,) and lora.route.kind == "shared" and lora.numbers == (1, 2, 3)
    session = made._sessions["lora"]
    assert lora.text == session.answer(FACTS[0].prompt, 8).text
    assert asked.base.text == session.base_answer(FACTS[0].prompt, 8).text
    assert len(rounds) > 1 and len(rounds[0].replies[0].text) < len(sola.text)
    with pytest.raises(InvalidInput, match="empty"):
        finish(made.ask_steps("  "))
    made.close()


def test_taking_back_is_exact_where_it_is_promised_and_refused_with_its_reason_where_not(host: HostModel) -> None:
    made = arena(host, ("sola", "retrieval", "lora"))
    before = finish(made.ask_steps(FACTS[1].prompt, 8))
    sola, retrieval, lora = finish(made.take_back_steps(2))
    for found in (sola, retrieval):
        assert found.done and found.base_again and found.base_bits
        assert found.said_after == found.said_base
        assert (found.others, found.others_same, found.others_bits) == (2, 2, 2)
        assert found.anew is not None and found.anew.state
        assert (found.anew.asked, found.anew.bits) == (3, 3)
    assert sola.said_before == "Lyon"
    assert not lora.done and lora.reason == lora.capabilities.why and lora.anew is None
    assert lora.said_after == lora.said_before
    assert lora.start_over > 0
    after = finish(made.ask_steps(FACTS[1].prompt, 8))
    assert after.replies[0].text == after.base.text and after.replies[0].route.deferred
    assert after.replies[2].text == before.replies[2].text  # what could not be taken back is still there
    again = finish(made.take_back_steps(2))
    assert "before" in again[0].reason and not again[0].done
    assert finish(made.take_back_steps(1))[0].base_bits  # numbers still fit
    assert [reply.numbers for reply in finish(made.ask_steps(FACTS[2].prompt, 8)).replies[:2]] == [(3,), (3,)]
    made.close()


def test_where_another_fact_answers_afterwards_it_is_named(host: HostModel) -> None:
    made = arena(host, ("sola", "lora"), ALIKE)
    sola, _ = finish(made.take_back_steps(2))
    assert sola.done and sola.answered_by == (1,) and not sola.base_bits
    assert sola.anew is not None and sola.anew.state and sola.anew.bits == 2  # as if it had never been taught
    made.close()


def test_places_of_facts_are_followed_where_a_method_tells_of_them(
    host: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a method whose centres move: each further fact pushes all of them one step aside."""

    def entries(self: JointEditor) -> tuple[SimpleNamespace, ...]:
        many = len(self.edits)
        return tuple(
            SimpleNamespace(centre=np.array([10.0 * n, many, 0.0]), radius=1.0 + many, fact_ids=(edit.id,))
            for n, edit in enumerate(self.edits)
        )

    monkeypatch.setattr(JointEditor, "entries", entries)
    made = arena(host, ("sola", "lora"))
    sola, lora = made.outcomes
    assert [track.moved for track in lora.tracks] == [2.0, 1.0, 0.0]
    assert [point.radius for point in lora.tracks[0].points] == [2.0, 3.0, 4.0]
    assert [point.taught for point in lora.tracks[1].points] == [2, 3]
    first, last = lora.tracks[0].points[0], lora.tracks[0].points[-1]
    assert abs(((first.x - last.x) ** 2 + (first.y - last.y) ** 2) ** 0.5 - 2.0) < 1e-6  # nothing is lost in a plane
    assert [track.moved for track in sola.tracks] == [0.0, 0.0, 0.0]
    monkeypatch.undo()
    made.close()


def test_what_taking_back_measured_would_tell_of_a_method_that_promises_too_much(host: HostModel) -> None:
    """A method that says exact and takes nothing away must be found out."""
    from sola_core.editors.sequential import Sequential

    made = arena(host, ("sola", "lora"))
    session = made._sessions["lora"]
    promise = Capabilities(delete="exact", switch="none", shares_weights=True, why="")

    class Liar(Sequential):
        capabilities = promise

        def removed_steps(self, state, fact, left, host):  # type: ignore[no-untyped-def]
            yield from ()
            return state

    session.method = session._planner.method = Liar("lora", session.method.settings)  # type: ignore[union-attr,attr-defined]
    session.capabilities = promise
    _, lora = finish(made.take_back_steps(1))
    assert lora.done and not lora.base_bits
    assert lora.anew is not None and lora.anew.bits < lora.anew.asked and not lora.anew.state
    made.close()


def test_a_taking_back_that_is_cancelled_changes_nothing(host: HostModel) -> None:
    made = arena(host, ("sola", "retrieval"))
    digests = [session.state_digest for session in made._sessions.values()]
    for stop in (1, 4, 12, 20):  # before, while a fact is taken out of a copy, and while another learns the others
        running = made.take_back_steps(1)
        for _ in range(stop):
            next(running)
        running.close()
        assert [session.state_digest for session in made._sessions.values()] == digests
        assert made.last_undo is None
    assert finish(made.take_back_steps(1))[0].done  # and nothing is held
    made.close()


def test_one_fact_is_taken_back_at_a_time(host: HostModel) -> None:
    made = arena(host, ("sola", "lora"))
    running = made.take_back_steps(1)
    next(running)
    with pytest.raises(InvalidInput, match="already"):
        finish(made.take_back_steps(2))
    running.close()
    for number in (0, 4, -1):
        with pytest.raises(InvalidInput, match="no fact of this number"):
            finish(made.take_back_steps(number))
    made.close()


@pytest.mark.parametrize("stop", [1, 3, 9, 25])
def test_a_run_that_is_cancelled_leaves_no_session(host: HostModel, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    monkeypatch.setattr(SolaEditor, "close", lambda self: closed.append(self))
    kept = arenas(host)
    running = kept.run_steps(ME, ["sola", "lora"], FACTS)
    for _ in range(stop):
        next(running)
    running.close()
    assert not kept.has(ME) and len(kept) == 0 and not kept._running
    assert len(closed) == (1 if stop > 1 else 0)  # SoLA's session, once it was opened
    finish(kept.run_steps(ME, ["sola", "lora"], FACTS[:1]))
    assert kept.has(ME)
    kept.close()


def test_visitors_do_not_see_each_others_comparisons(host: HostModel) -> None:
    kept = arenas(host)
    finish(kept.run_steps(ME, ["sola", "lora"], FACTS[:1]))
    assert kept.has(ME) and not kept.has(OTHER)
    with pytest.raises(InvalidInput, match="no longer kept"), kept.visit(OTHER):
        pass
    finish(kept.run_steps(OTHER, ["sola", "retrieval"], FACTS[1:2]))
    with kept.visit(ME) as mine, kept.visit(OTHER) as theirs:
        assert mine.facts == FACTS[:1] and theirs.facts == FACTS[1:2]
        assert finish(mine.ask_steps(FACTS[1].prompt, 8)).replies[0].route.deferred
    kept.close()


def test_a_visitor_has_one_comparison_and_the_server_a_few(host: HostModel) -> None:
    now = [0.0]
    kept = Arenas(host, tiny_encoder(), limits=Limits(comparisons=2, share=0.5), clock=lambda: now[0])
    for _ in range(3):
        finish(kept.run_steps(ME, ["sola", "lora"], FACTS[:1]))
    assert len(kept) == 1
    neighbour = Visitor(key="session neighbour", address="a")
    with pytest.raises(WorkspacesFull):  # of the same address
        finish(kept.run_steps(neighbour, ["sola", "lora"], FACTS[:1]))
    finish(kept.run_steps(OTHER, ["sola", "lora"], FACTS[:1]))
    third = Visitor(key="session third", address="c")
    with pytest.raises(WorkspacesFull):
        finish(kept.run_steps(third, ["sola", "lora"], FACTS[:1]))
    assert kept.has(ME)
    now[0] = 400.0  # left alone for a while
    with kept.visit(OTHER):
        finish(kept.run_steps(third, ["sola", "lora"], FACTS[:1]))
    assert not kept.has(ME) and kept.has(OTHER) and kept.has(third)
    now[0] = 4000.0
    assert not kept.has(third) and len(kept) == 0
    kept.close()


@pytest.mark.parametrize(
    "methods", [[], ["sola"], ["sola", "sola"], ["sola", "nobody"], ["sola", "lora", "finetune", "retrieval", "sola"]]
)
def test_two_to_four_known_methods_are_compared(host: HostModel, methods: list[str]) -> None:
    kept = arenas(host)
    with pytest.raises(InvalidInput):
        finish(kept.run_steps(ME, methods, FACTS))
    with pytest.raises(InvalidInput):
        finish(kept.run_steps(ME, ["sola", "lora"], FACTS * 7))
    with pytest.raises(InvalidInput):
        finish(kept.run_steps(ME, ["sola", "lora"], ()))
    assert not kept._running


def test_facts_are_read_line_by_line_and_what_is_wrong_is_told_by_its_line() -> None:
    found = read_fact_lines("Who? | Oslo\n\n no bar\n | x\nA | b | Lyon\nWho?|Turin\nq|" + "\nMore | x", 2)
    assert [(one.line, one.request is not None) for one in found] == [
        *((1, True), (3, False), (4, False), (5, True), (6, False), (7, False), (8, False)),
    ]
    assert found[0].request == EditRequest(prompt="Who?", target="Oslo")
    assert found[3].request == EditRequest(prompt="A | b", target="Lyon")
    assert "Put a |" in found[1].error and "Line 1 asks" in found[4].error and "At most 2" in found[6].error
    with pytest.raises(InvalidInput, match="no fact yet"):
        read_fact_lines(" \n ", 2)


def test_a_server_takes_no_longer_facts_here_than_elsewhere(host: HostModel) -> None:
    fact, *_ = arenas(host, prompt_chars=10).read("What is the capital of France? | Oslo")
    assert fact.request is None and "at most 10" in fact.error


def test_what_taking_back_will_do_is_told_before_and_comes_true(host: HostModel) -> None:
    made = arena(host, ["sola", "rls"])
    assert made.foretell == ("rls",)
    rls = made._sessions["rls"]
    before = rls.state_digest
    (foresight,) = finish(made.foresee_steps(2))
    assert rls.state_digest == before and len(rls.edits) == 3  # nothing was changed
    assert (foresight.method, foresight.number, [one.number for one in foresight.others]) == ("rls", 2, [1, 3])
    assert all(min(one.now, one.then) >= 0.0 for one in foresight.others)
    finish(made.take_back_steps(2))
    for one in foresight.others:
        fact = FACTS[one.number - 1]
        assert made._sessions["rls"].answer(fact.prompt, 24).text == one.answer_then
    for number in (2, 9):  # taken back already, and never there
        with pytest.raises(InvalidInput, match="No method here can tell"):
            finish(made.foresee_steps(number))
    running = made.foresee_steps(1)
    next(running)
    running.close()
    assert len(made._sessions["rls"].edits) == 2


def test_a_method_that_cannot_tell_beforehand_is_not_asked_to(host: HostModel) -> None:
    made = arena(host, ["sola", "lora"])
    assert made.foretell == ()
    with pytest.raises(InvalidInput, match="No method here can tell"):
        finish(made.foresee_steps(1))
