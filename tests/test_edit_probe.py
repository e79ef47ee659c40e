"""Probing one edit: what is asked, what counts as right, and that a stopped probe leaves nothing behind."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import pytest

from sola_core import EditRequest, SolaEditor, load_editor
from sola_core.edit_details import details_of, sharing
from sola_core.edit_probe import MEASURES, OTHERS, Probing, probe_prompts, probe_steps
from sola_core.errors import InvalidInput, UnknownEdit
from sola_core.evaluation.rows import Probe, Row
from sola_core.records import Edit
from sola_core.steps import finish
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo", rephrases=("The capital of France is",))
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue")
FACT = Row(
    id="f",
    subject="France",
    prompt=FRANCE.prompt,
    target_new="Oslo",
    target_true=None,
    rephrases=("Which city is the capital of France?", "The capital of  France is"),
    locality=(Probe(prompt="The river of Spain is", answer=None, kind="nq"),),
)
STRANGE = "เมืองหลวงคืออะไร"  # the encoder cannot read it: only an equal wording could be routed


@pytest.fixture
def editor() -> Iterator[SolaEditor]:
    with load_editor(host=tiny_host(), encoder=tiny_encoder()) as found:
        found.edit(FRANCE)
        found.edit(BOOK)
        yield found


def run(editor: SolaEditor, *args: object, edit: int = 0, tokens: int = 8) -> Probing:
    return finish(probe_steps(editor, editor.edits[edit].id, *args, max_new_tokens=tokens))  # type: ignore[arg-type]


# ---- what is asked ----


def prompts(editor: SolaEditor, **changes: object) -> list[tuple[str, str, str]]:
    edits = editor.edits
    given: dict[str, object] = {"fact": None, "wordings": (), "neighbours": (), "nearest": [edits[1].id]} | changes
    asked = probe_prompts(edits[0], edits, **given)  # type: ignore[arg-type]
    return [(p.measure, p.source, p.text) for p in asked]


def test_without_an_example_and_own_lines_nothing_is_made_up(editor: SolaEditor) -> None:
    assert prompts(editor) == [
        ("reliability", "own", FRANCE.prompt),
        ("taught", "taught", FRANCE.rephrases[0]),
        ("locality", "edit", BOOK.prompt),
    ]


def test_a_wording_that_was_taught_is_never_counted_as_an_untaught_one(editor: SolaEditor) -> None:
    found = prompts(editor, fact=FACT, wordings=("The capital of France is ", "France, capital?"))
    assert [text for measure, _, text in found if measure == "generality"] == [FACT.rephrases[0], "France, capital?"]
    assert [text for measure, _, text in found if measure == "taught"] == [FRANCE.rephrases[0]]


def test_neighbours_are_the_examples_the_visitors_and_the_nearest_other_edits(editor: SolaEditor) -> None:
    found = prompts(editor, fact=FACT, neighbours=("Where is it?",))
    assert [(source, text) for measure, source, text in found if measure == "locality"] == [
        ("example", FACT.locality[0].prompt),
        ("visitor", "Where is it?"),
        ("edit", BOOK.prompt),
    ]


def test_only_a_few_other_edits_are_asked_and_none_with_a_wording_of_this_one(editor: SolaEditor) -> None:
    edit = editor.edits[0]
    many = [replace(edit, id=f"x{n}", request=EditRequest(prompt=f"Q{n}?", target="red")) for n in range(9)]
    twin = replace(edit, id="twin", request=EditRequest(prompt=FRANCE.rephrases[0], target="red"))
    near = ["twin", *(one.id for one in many), "gone"]
    asked = probe_prompts(edit, [edit, twin, *many], None, (), (), near)
    assert [p.text for p in asked if p.source == "edit"] == [f"Q{n}?" for n in range(OTHERS)]
    assert [p.owner for p in asked if p.source == "edit"] == [f"x{n}" for n in range(OTHERS)]


def test_a_neighbour_that_the_edit_was_taught_with_is_refused_in_words(editor: SolaEditor) -> None:
    with pytest.raises(InvalidInput, match="has to answer it"):
        prompts(editor, neighbours=("The capital  of France is",))


@pytest.mark.parametrize("wrong", ["x" * 5000, "a\x00b", " \n "])
def test_unusable_texts_are_refused_before_anything_is_asked(editor: SolaEditor, wrong: str) -> None:
    for given in ({"wordings": (wrong,)}, {"neighbours": (wrong,)}):
        with pytest.raises(InvalidInput):
            prompts(editor, **given)


# ---- what counts ----


def test_a_good_edit_answers_its_wordings_and_leaves_its_neighbours_alone(editor: SolaEditor) -> None:
    found = run(editor, None, (), (STRANGE,))
    assert {measure: found.count(measure) for measure in MEASURES} == {
        "reliability": (1, 1),
        "taught": (0, 1),  # routed, but a tiny random model says something else
        "generality": (0, 0),
        "locality": (2, 2),
    }
    assert found.ended and found.total == 4
    by_text = {one.prompt.text: one for one in found.answered}
    assert by_text[FRANCE.rephrases[0]].route.edit_id == editor.edits[0].id
    assert by_text[FRANCE.prompt].route.edit_id == editor.edits[0].id
    assert by_text[STRANGE].route.deferred and by_text[STRANGE].text == by_text[STRANGE].base_text
    assert by_text[BOOK.prompt].route.edit_id == editor.edits[1].id and by_text[BOOK.prompt].base_text is None


def test_an_edit_that_is_off_fails_its_own_question_and_its_own_question_no_longer_counts_for_others(
    editor: SolaEditor,
) -> None:
    editor.set_enabled(editor.edits[0].id, False)
    assert run(editor).count("reliability") == (0, 1)
    (other,) = [one for one in run(editor, edit=1).answered if one.prompt.source == "edit"]
    assert other.prompt.owner is None and other.base_text is not None  # nobody has to answer it: it must stay


def test_a_neighbour_that_this_edit_answers_is_counted_as_touched(
    editor: SolaEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = editor.edits[0]
    plan, forced = editor._routed.plan, editor._routed.intervention(edit.id)

    def everything(prompt: str, on: Collection[str] | None = None) -> object:
        made = plan(prompt, on)
        made.route = replace(made.route, kind="edit", edit_ids=(edit.id,))
        made.intervention = forced
        return made

    monkeypatch.setattr(editor._routed, "plan", everything)
    found = run(editor, None, (), (STRANGE,))
    assert found.count("locality") == (0, 2) and found.count("reliability") == (1, 1)


def test_where_the_router_scores_nothing_the_newest_other_edits_are_asked(editor: SolaEditor) -> None:
    strange = editor.edit(EditRequest(prompt=STRANGE, target="red"))
    editor.set_enabled(strange.id, False)
    assert [one.prompt.text for one in run(editor, edit=2).answered] == [STRANGE, BOOK.prompt, FRANCE.prompt]


def test_an_answer_that_is_cut_is_not_right(editor: SolaEditor) -> None:
    (own, *_) = run(editor, tokens=1).answered
    assert own.stopped == "limit" and not own.right


def test_a_probe_can_be_stopped_and_changes_nothing(editor: SolaEditor) -> None:
    before = editor.state_digest
    steps = probe_steps(editor, editor.edits[0].id, FACT, max_new_tokens=8)
    seen = [len(next(steps).answered) for _ in range(4)]
    steps.close()
    assert seen[0] == 0 and editor.state_digest == before
    assert not editor.host.lock.locked()


def test_an_unknown_edit_is_not_probed(editor: SolaEditor) -> None:
    with pytest.raises(UnknownEdit):
        next(probe_steps(editor, "nobody"))


# ---- details ----


def test_details_count_the_bytes_that_the_library_counts(editor: SolaEditor) -> None:
    found = [details_of(editor, edit.id) for edit in editor.edits]
    assert sum(one.adapter_bytes for one in found) == editor.sizes.adapters
    assert sum(sum(one.key_bytes.values()) for one in found) == editor.sizes.keys
    assert set(found[0].key_bytes) == {"scope"} and found[0].parameters == found[1].parameters > 0
    editor.use_router("sentence")
    assert set(details_of(editor, editor.edits[0].id).key_bytes) == {"scope", "sentence"}


def test_details_name_the_edits_that_share_a_wording(editor: SolaEditor) -> None:
    edits: list[Edit] = list(editor.edits)
    twin = replace(edits[0], id="twin", request=EditRequest(prompt="The capital  of France is", target="x"))
    assert sharing(edits[0], [*edits, twin]) == (twin,)
    assert details_of(editor, edits[0].id).sharing == ()
    with pytest.raises(UnknownEdit):
        details_of(editor, "nobody")
