"""Canonical texts and the checks on everything that comes from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sola_core.errors import InvalidInput
from sola_core.records import EditRequest
from sola_core.text import canonical, checked_prompt, checked_request, checked_text, normalised_answer


@pytest.mark.slow
@given(st.text())
def test_canonical_is_stable(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


def test_canonical_folds_composition_and_white_space_but_keeps_case() -> None:
    assert canonical("  Caf\u0065\u0301\t is\n\nopen ") == "Caf\u00e9 is open"
    assert canonical("Paris") != canonical("paris")


def test_an_answer_is_compared_without_case_and_punctuation() -> None:
    assert normalised_answer("  PARIS, (France). ") == normalised_answer("paris france")


def test_answers_of_punctuation_alone_are_not_all_equal() -> None:
    assert normalised_answer("!!!") != normalised_answer("?")


@pytest.mark.parametrize("text", ["", "   ", "\n\t ", "\u200b\u200b", None, 7, ["x"]])
def test_what_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(InvalidInput, match="question"):
        checked_prompt(text)


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[31mred", "bell\x07", "half \ud83d"])
def test_control_characters_are_refused_by_their_code(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"U\+"):
        checked_prompt(text)


def test_an_enormous_text_is_refused_with_both_lengths() -> None:
    with pytest.raises(InvalidInput, match="100,000 characters; at most 4,000"):
        checked_prompt("x" * 100_000)


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u0627 \u0647\u064a \u0639\u0627\u0635\u0645\u0629 \u0641\u0631\u0646\u0633\u0627\u061f",
        "\U0001f600",
        "<script>${x}</script>",
        "two\nlines\tand a tab",
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    ],
)
def test_other_languages_emoji_and_markup_are_plain_text(text: str) -> None:
    assert checked_text(text, "question", 100) == text


def test_a_request_is_trimmed_and_doubled_rephrasings_go() -> None:
    request = EditRequest(prompt=" Who? ", target=" Me ", subject="  ", rephrases=("Who?", "Who  is it?", "Who is it?"))
    checked = checked_request(request)
    assert checked == EditRequest(prompt="Who?", target="Me", subject=None, rephrases=("Who  is it?",))


@pytest.mark.parametrize("field", ["prompt", "target"])
def test_an_empty_part_of_a_request_is_named(field: str) -> None:
    parts = {"prompt": "Who?", "target": "Me", field: " "}
    with pytest.raises(InvalidInput, match="empty"):
        checked_request(EditRequest(**parts))


def test_too_many_rephrasings_are_refused() -> None:
    request = EditRequest(prompt="Who?", target="Me", rephrases=tuple(f"Who {i}?" for i in range(17)))
    with pytest.raises(InvalidInput, match="17 rephrasings"):
        checked_request(request)
