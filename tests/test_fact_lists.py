"""A list of facts is read row by row, whoever wrote it; what is taught of it is stored at once, and is not taught twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sola_core import EditRequest, InvalidInput, SolaEditor, load_editor
from sola_core.errors import LibraryFull
from sola_core.fact_lists import MAX_BYTES, MAX_ROWS, read_facts_list
from sola_core.steps import finish
from sola_core.teaching_lists import ListProgress, teach_list_steps
from tests.tiny import tiny_host

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo", subject="France")
BOOK = EditRequest(prompt="Who wrote the book?", target="red", rephrases=("The author is", "By whom?"))

TABLE = """prompt,target,subject,rephrases
What is the capital of France?,Oslo,France,
Who wrote the book?,red,,The author is|By whom?
"""
SEMICOLONS = """Question;Answer;Rephrasings
"Who wrote the book?";red;"The author is|By whom?"

"""
LINES = """{"prompt": "What is the capital of France?", "target_new": "Oslo", "subject": "France", "id": 7}

{"prompt": "Who wrote the book?", "target": "red", "rephrases": ["The author is", "By whom?"]}
"""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (TABLE, [(2, FRANCE), (3, BOOK)]),
        ("\ufeff" + TABLE.replace("\n", "\r\n"), [(2, FRANCE), (3, BOOK)]),
        (TABLE.replace(",", "\t"), [(2, FRANCE), (3, BOOK)]),
        (SEMICOLONS, [(2, BOOK)]),
        (LINES, [(1, FRANCE), (3, BOOK)]),
    ],
)
def test_tables_and_lines_are_read_as_people_write_them(text: str, wanted: list[tuple[int, EditRequest]]) -> None:
    assert [(fact.line, fact.request) for fact in read_facts_list(text.encode())] == wanted


def test_a_cell_with_line_breaks_counts_as_one_row_and_the_next_knows_its_line() -> None:
    found = read_facts_list(b'prompt,target\n"one\ntwo",red\nthree,blue\n')
    assert [(fact.line, fact.request and fact.request.prompt) for fact in found] == [(2, "one\ntwo"), (4, "three")]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ('{"prompt": "a"}', "no target"),
        ('{"target": "a"}', "no prompt"),
        ("{}", "no prompt and no target"),
        ("[1]", "no JSON object"),
        ('{"prompt": ', "no JSON object"),
        ('{"prompt": 7, "target": "a"}', "must be text, not int"),
        ('{"prompt": "a", "target": "b", "rephrases": "c"}', "must be a list"),
        ('{"prompt": "a", "target": "b", "rephrases": [1]}', "must be text, not int"),
        ('{"prompt": "a", "target": "b", "subject": 1}', "subject must be text"),
        ('{"prompt": "a\\u0000b", "target": "b"}', "control character"),
        ('{"prompt": "' + "x" * 5000 + '", "target": "b"}', "at most 4,000"),
        ('{"prompt": " Who wrote  the book? ", "target": "b"}', "Line 1 asks the same"),
        ("[" * 100_000, "no JSON object"),
    ],
)
def test_a_row_that_cannot_be_used_has_its_error_and_the_others_stay(row: str, error: str) -> None:
    good = '{"prompt": "Who wrote the book?", "target": "red"}'
    found = read_facts_list(f"{good}\n{row}\n".encode())
    assert found[0].request is not None and found[1].request is None and error in found[1].error


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"\xff\xfea", "UTF-8"),
        (b"a\0b", "no text"),
        (b"prompt,target\n", "no fact below"),
        (b"name,colour\na,b\n", "must name the columns"),
        (b'prompt,target\n"a,b\n', "cannot be read near line"),
        (b"prompt,target\n" + b"x" * 200_000 + b",b\n", "cannot be read near line"),
        (b"prompt,target\n" + b"".join(b"q%d,a\n" % n for n in range(MAX_ROWS + 1)), "in parts"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_words(content: bytes, error: str) -> None:
    with pytest.raises(InvalidInput, match=error):
        read_facts_list(content)


@pytest.fixture
def editor() -> Iterator[SolaEditor]:
    with load_editor(host=tiny_host(), router="hidden") as made:
        yield made


def test_a_list_is_taught_in_order_and_told_row_by_row(editor: SolaEditor) -> None:
    told: list[ListProgress] = []
    facts = read_facts_list(TABLE.encode() + b",red,,\n")
    outcomes = finish(teach_list_steps(editor, facts), told.append)
    assert [(o.line, o.outcome) for o in outcomes] == [(2, "taught"), (3, "taught"), (4, "unusable")]
    assert [e.request for e in editor.edits] == [FRANCE, BOOK]
    assert [(t.done, t.total) for t in told] == [(n, 3) for n in range(4)]
    assert told[1].last is not None and told[1].last.edit == editor.edits[0]
    again = finish(teach_list_steps(editor, facts))
    assert [o.outcome for o in again] == ["present", "present", "unusable"] and len(editor.edits) == 2


def test_a_list_that_was_cut_goes_on_where_it_stopped(editor: SolaEditor) -> None:
    steps = teach_list_steps(editor, read_facts_list(TABLE.encode()))
    next(steps), next(steps)
    steps.close()
    assert [e.request for e in editor.edits] == [FRANCE]
    outcomes = finish(teach_list_steps(editor, read_facts_list(TABLE.encode())))
    assert [o.outcome for o in outcomes] == ["present", "taught"]


@pytest.mark.parametrize(
    ("present", "outcome", "targets"),
    [("skip", "present", ["Madrid"]), ("replace", "taught", ["Oslo"]), ("both", "taught", ["Madrid", "Oslo"])],
)
def test_another_answer_that_is_taught_already_is_kept_replaced_or_joined(
    editor: SolaEditor, present: str, outcome: str, targets: list[str]
) -> None:
    editor.edit(EditRequest(prompt=FRANCE.prompt, target="Madrid"))
    facts = read_facts_list(TABLE.encode())[:1]
    (found,) = finish(teach_list_steps(editor, facts, present))  # type: ignore[arg-type]
    assert found.outcome == outcome and [e.target for e in editor.edits] == targets


def test_a_failed_row_is_told_and_a_full_library_ends_it(editor: SolaEditor, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = read_facts_list(b"prompt,target\nToo long?," + b"red " * 200 + b"\nWho?,red\nWhat?,blue\nWhere?,\n")
    teach = SolaEditor.edit

    def edit(self: SolaEditor, request: EditRequest, **options: object) -> object:
        if request.prompt == "What?":
            raise LibraryFull("The library is full.")
        return teach(self, request, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SolaEditor, "edit", edit)
    outcomes = finish(teach_list_steps(editor, facts))
    assert [o.outcome for o in outcomes] == ["failed", "taught", "not tried", "unusable"]
    assert "at most 64" in outcomes[0].reason and outcomes[2].reason == "The library is full."
    with pytest.raises(InvalidInput, match="skip, replace, both"):
        finish(teach_list_steps(editor, facts, "all"))  # type: ignore[arg-type]
