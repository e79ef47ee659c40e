"""What stands under two answers: the words that differ, and the first token's probabilities, from the very logits of the answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from sola_core import EditRequest, SolaEditor, load_editor
from sola_core.comparison import SideBySide, answer_twice
from sola_core.first_token import TOP, TokenChance
from sola_core.records import Answer, Route
from sola_core.steps import finish
from sola_core.ui import markup
from sola_core.ui.compared import PARTS, not_yet, show_compared
from sola_core.ui.differing import MAX_WORDS, best_first, differing, percent, token_words
from tests.tiny import FAMILIES, tiny_host
from tests.tiny_encoder import tiny_encoder

PROMPT = "What is the capital of France?"
HOSTILE = "<b>x</b> ${y}"


@pytest.fixture(scope="module", params=FAMILIES)
def editor(request: pytest.FixtureRequest) -> Iterator[SolaEditor]:
    with load_editor(host=tiny_host(request.param), encoder=tiny_encoder()) as found:
        found.edit(EditRequest(prompt=PROMPT, target="Oslo"))
        yield found


def chance(text: str, base: float = 0.5, edited: float = 0.5, *, ends: bool = False) -> TokenChance:
    return TokenChance(text=text, ends=ends, base=base, edited=edited)


def both(base: str, edited: str, *, ended: bool = True) -> SideBySide:
    def answer(text: str) -> Answer | None:
        if not ended:
            return None
        return Answer(
            text=text, route=Route(kind="base"), stopped="end", tokens=1, first_token_seconds=0.1, seconds=0.1
        )

    return SideBySide(
        question="q",
        route=Route(kind="base"),
        base_text=base,
        edited_text=edited,
        base=answer(base),
        edited=answer(edited),
        first=(chance(HOSTILE, 0.2, 0.7), chance("", 0.1, 0.0, ends=True)),
    )


# ---- the first token ----


def test_the_first_tokens_chances_are_those_of_the_logits_that_the_answers_are_made_from(editor: SolaEditor) -> None:
    first, *_, last = list(answer_twice(editor, PROMPT, 6))
    assert first.first and last.first == first.first
    edited = editor.next_token_logits(PROMPT).softmax(-1)
    base = editor.base_generation_logits(PROMPT, 1)[0].softmax(-1)
    wanted = [*edited.topk(TOP).indices.tolist(), *base.topk(TOP).indices.tolist()]
    wanted = list(dict.fromkeys(wanted))
    assert [(c.base, c.edited) for c in first.first] == [(float(base[i]), float(edited[i])) for i in wanted]
    assert all(c.base != c.edited for c in first.first)


def test_a_question_that_no_edit_answers_has_the_same_chances_twice_and_no_hook(
    editor: SolaEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks: list[object] = []
    monkeypatch.setattr(torch.nn.Module, "register_forward_hook", lambda *a, **k: hooks.append(a))
    monkeypatch.setattr(torch.nn.Module, "register_forward_pre_hook", lambda *a, **k: hooks.append(a))
    found = finish(answer_twice(editor, "seven twelve", 4))
    assert found.route.deferred and len(found.first) == TOP and hooks == []
    assert all(c.base == c.edited for c in found.first)


def test_answers_are_what_they_are_without_a_look_at_their_first_token(editor: SolaEditor) -> None:
    found = finish(answer_twice(editor, PROMPT, 6))
    assert found.edited_text == editor.answer(PROMPT, 6).text == "Oslo"
    assert found.base_text == editor.base_answer(PROMPT, 6).text


@pytest.mark.parametrize(
    ("text", "seen"),
    [(" Port", "␣Port"), ("\n\n", "⏎⏎"), ("\t", "⇥"), ("a\u202eb", "aU+202Eb"), ("\x07", "U+0007"), ("é", "é")],
)
def test_a_token_of_white_space_or_of_unseen_signs_can_be_read(text: str, seen: str) -> None:
    assert token_words(chance(text)) == seen


def test_a_token_that_ends_the_answer_or_is_no_whole_character_is_said_in_words() -> None:
    assert token_words(chance("<|im_end|>", ends=True)) == "(end of the answer)"
    assert token_words(chance("\ufffd\ufffd")) == "(part of a character)"
    assert token_words(chance("")) == "(nothing)"


def test_each_model_shows_its_own_best_tokens_best_first() -> None:
    chances = [chance(str(n), base=n / 100, edited=(9 - n) / 100) for n in range(8)]
    assert [name for name, _ in best_first(chances, edited=False)] == ["7", "6", "5", "4", "3"]
    assert [name for name, _ in best_first(chances, edited=True)] == ["0", "1", "2", "3", "4"]


def test_no_probability_is_rounded_to_all_or_nothing() -> None:
    assert [percent(p) for p in (0.0, 1e-9, 0.123, 0.99999, 1.0)] == [
        "0 %",
        "under 0.1 %",
        "12.3 %",
        "over 99.9 %",
        "100.0 %",
    ]


# ---- the words that differ ----


def test_the_words_that_differ_are_found_and_nothing_of_either_text_is_lost() -> None:
    base, edited = "  The capital is Paris.\nIt is big. ", "The capital is Port Anselm. It is big."
    found = differing(base, edited)
    assert found is not None
    assert "".join(p.text for p in found.base) == base and "".join(p.text for p in found.edited) == edited
    assert [p.text.strip() for p in found.base if p.differs] == ["Paris."]
    assert [p.text.strip() for p in found.edited if p.differs] == ["Port Anselm."]
    assert found.pairs == (("Paris.", "Port Anselm."),)


def test_equal_words_differ_nowhere_and_an_empty_answer_differs_everywhere() -> None:
    assert differing("a b", "a  b\n") is None
    found = differing("", "a b")
    assert found is not None and found.base == () and [p.differs for p in found.edited] == [True]


def test_answers_too_long_to_compare_are_left_unmarked() -> None:
    assert differing("a " * (MAX_WORDS + 1), "b") is None


def test_a_word_that_differs_is_marked_without_colour_and_is_never_markup() -> None:
    found = differing(f"x {HOSTILE}", "x")
    assert found is not None
    marked = markup.marked("Base", found.base)
    assert "<mark" in marked and "[differs: " in marked and "<b>" not in marked


# ---- the panel ----


def test_the_panel_is_filled_whole_or_hidden() -> None:
    full = show_compared(both("x", HOSTILE))
    assert len(full) == len(not_yet()) == PARTS
    assert all(part != {"__type__": "update"} for part in full)
    assert "<b>" not in f"{full[1]}{full[-1]}" and "differ" in str(full[1]) and "70.0 %" in str(full[-1])
    for nothing in (
        None,
        "x",
        {"first": 1},
        SideBySide(question="q", route=Route(kind="base"), base_text="", edited_text=""),
    ):
        assert show_compared(nothing) == not_yet()


def test_answers_that_were_stopped_show_their_first_token_and_mark_no_words() -> None:
    words, *_, table = show_compared(both("x", "y", ended=False))[1:]
    assert words == "" and "differ" not in str(table) and "70.0 %" in str(table)


def test_the_same_answers_mark_no_words() -> None:
    assert show_compared(both("x", "x"))[1] == ""
