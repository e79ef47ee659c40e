"""Files as users of EasyEdit, ROME and MEMIT have them become the same rows; what is no record is refused with its place.

Every record here is made up; only the field names are those of the formats.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sola_core.errors import InvalidInput
from sola_core.evaluation.datasets import Probe, Row, read_rows
from sola_core.evaluation.facts import read_facts
from sola_core.evaluation.formats import FORMATS

ZSRE = {
    "subject": "Velm Harrow",
    "src": "Which river does Velm Harrow cross?",
    "pred": "Ond",
    "rephrase": "What river is crossed by Velm Harrow?",
    "alt": "Tarn",
    "answers": ["Lisk", "River Lisk"],
    "loc": "nq question: who painted the green door",
    "loc_ans": "Ida Moss",
    "cond": "Lisk >> Tarn || Which river does Velm Harrow cross?",
    "portability": {"Recalled Relation": "(Tarn, mouth, sea)", "New Question": "Which sea?", "New Answer": "the Grey"},
}
ROME = {
    "case_id": 41,
    "pararel_idx": 7,
    "requested_rewrite": {
        "prompt": "The home town of {} is",
        "relation_id": "P0",
        "target_new": {"str": "Quill", "id": "Q1"},
        "target_true": {"str": "Marrow", "id": "Q2"},
        "subject": "Oda Finch",
    },
    "paraphrase_prompts": ["It rained. Oda Finch grew up in", "Oda Finch hails from"],
    "neighborhood_prompts": ["The home town of Per Lunt is"],
    "attribute_prompts": ["The home town of Eli Roe is"],
    "generation_prompts": ["Oda Finch's favourite place is"],
}
KNOWEDIT = {
    "subject": "Brask",
    "prompt": "The capital of Brask is",
    "target_new": "Toll",
    "ground_truth": ["Ness", "City of Ness"],
    "rephrase_prompt": "Brask's capital is called",
    "portability": {
        "Reasoning": [{"prompt": "The mayor of Brask's capital is", "ground_truth": [["Una", "Una Voss"]]}],
        "Subject_Aliasing": [{"prompt": "The capital of Braskland is", "ground_truth": ["Toll"]}],
        "Logical_Generalization": [],
    },
    "locality": {
        "Relation_Specificity": [{"prompt": "The language of Brask is", "ground_truth": [["Braskish"]]}],
        "Forgetfulness": [{"prompt": "The capital of Brask, which is not Toll, is", "ground_truth": "Ness"}],
    },
}
COUNTERFACT = {
    "case_id": 3,
    "subject": "Ny Orr",
    "prompt": "Ny Orr plays the",
    "target_new": "flute",
    "ground_truth": "drum",
    "rephrase_prompt": "The instrument of Ny Orr is the",
    "locality_prompt": "Abe Tull plays the",
    "locality_ground_truth": "drum",
}
WIKIBIO = {
    "concept": "Sten Vey",
    "text": "This is a passage about Sten Vey.",
    "labels": "Sten Vey built boats.",
    "locality": {"Relation_Specificity": [{"prompt": "Sten Vey was born in", "ground_truth": ["Hull"]}]},
}
DEMO = {"prompt": "Who keeps the key?", "target": "Ann", "neighbours": ["Who keeps the lock?"], "rephrases": ["Keyer?"]}


def read(tmp_path: Path, *records: object, lines: bool = False) -> tuple[Row, ...]:
    path = tmp_path / ("data.jsonl" if lines else "data.json")
    path.write_text("\n".join(map(json.dumps, records)) if lines else json.dumps(records, indent=1), encoding="utf-8")
    return read_rows(path)


def test_zsre_as_mend_and_easyedit_have_it(tmp_path: Path) -> None:
    (row,) = read(tmp_path, ZSRE)
    assert row == Row(
        id="1",
        subject="Velm Harrow",
        prompt="Which river does Velm Harrow cross?",
        target_new="Tarn",
        target_true="Lisk",
        rephrases=("What river is crossed by Velm Harrow?",),
        locality=(Probe(prompt="who painted the green door?", answer="Ida Moss", kind="nq"),),
        portability=(Probe(prompt="Which sea?", answer="the Grey", kind="one_hop"),),
    )


def test_zsre_without_an_alternative_teaches_the_answer_as_rome_and_memit_do(tmp_path: Path) -> None:
    plain = {name: value for name, value in ZSRE.items() if name not in {"alt", "pred", "portability"}}
    (row,) = read(tmp_path, plain)
    assert (row.target_new, row.target_true) == ("Lisk", None)


def test_a_zsre_row_with_an_empty_alternative_teaches_nothing(tmp_path: Path) -> None:
    first, second = read(tmp_path, {**ZSRE, "alt": ""}, ZSRE)
    assert first.target_new is None and second.target_new == "Tarn"
    assert [row.id for row in read_facts(tmp_path / "data.json")] == ["2"]


def test_romes_counterfact(tmp_path: Path) -> None:
    (row,) = read(tmp_path, ROME)
    assert row == Row(
        id="41",
        subject="Oda Finch",
        prompt="The home town of Oda Finch is",
        target_new="Quill",
        target_true="Marrow",
        rephrases=("It rained. Oda Finch grew up in", "Oda Finch hails from"),
        locality=(Probe(prompt="The home town of Per Lunt is", answer="Marrow", kind="neighborhood"),),
    )


def test_romes_zsre_rows_get_their_question_back(tmp_path: Path) -> None:
    rewrite = {**ROME["requested_rewrite"], "target_true": {"str": "<|endoftext|>"}}  # type: ignore[dict-item]
    spread = [
        {"prompt": "nq question: who painted the green door?", "target": " Ida"},
        {"prompt": "nq question: who painted the green door? Ida", "target": " Moss"},
    ]
    (row,) = read(tmp_path, {**ROME, "requested_rewrite": rewrite, "neighborhood_prompts": spread})
    assert row.target_true is None
    assert row.locality == (Probe(prompt="who painted the green door?", answer="Ida Moss", kind="nq"),)


def test_knowedit_keeps_the_kinds_of_its_probes(tmp_path: Path) -> None:
    (row,) = read(tmp_path, KNOWEDIT)
    assert (row.subject, row.prompt, row.target_new, row.target_true) == (
        "Brask",
        "The capital of Brask is",
        "Toll",
        "Ness",
    )
    assert row.rephrases == ("Brask's capital is called",)
    assert row.locality == (
        Probe(prompt="The language of Brask is", answer="Braskish", kind="Relation_Specificity"),
        Probe(prompt="The capital of Brask, which is not Toll, is", answer="Ness", kind="Forgetfulness"),
    )
    assert row.portability == (
        Probe(prompt="The mayor of Brask's capital is", answer="Una", kind="Reasoning", aliases=("Una Voss",)),
        Probe(prompt="The capital of Braskland is", answer="Toll", kind="Subject_Aliasing"),
    )


def test_knowedit_without_probes_or_with_parallel_lists_of_them(tmp_path: Path) -> None:
    bare = {"prompt": "p", "target_new": "t", "subject": "s", "rephrase": ["q", ""], "portability": {}}
    lists = {"Relation_Specifity": {"prompt": ["a", "b"], "ground_truth": ["1", "2"]}}
    first, second = read(tmp_path, bare, {**bare, "locality": lists})
    assert (first.rephrases, first.locality, first.portability, first.target_true) == (("q",), (), (), None)
    assert [(p.prompt, p.answer, p.kind) for p in second.locality] == [
        ("a", "1", "Relation_Specificity"),
        ("b", "2", "Relation_Specificity"),
    ]


def test_knowedits_wikibio_has_other_names_for_the_same(tmp_path: Path) -> None:
    (row,) = read(tmp_path, WIKIBIO)
    assert (row.subject, row.prompt, row.target_new) == ("Sten Vey", WIKIBIO["text"], "Sten Vey built boats.")
    assert row.locality[0].answer == "Hull"


def test_easyedits_flat_counterfact(tmp_path: Path) -> None:
    (row,) = read(tmp_path, {**COUNTERFACT, "portability_prompt": "Its maker is", "portability_ground_truth": "Bo"})
    assert (row.id, row.target_new, row.target_true) == ("3", "flute", "drum")
    assert row.rephrases == ("The instrument of Ny Orr is the",)
    assert row.locality == (Probe(prompt="Abe Tull plays the", answer="drum", kind="neighborhood"),)
    assert row.portability == (Probe(prompt="Its maker is", answer="Bo", kind="one_hop"),)


def test_a_question_of_natural_questions_is_told_by_its_mark_in_any_format(tmp_path: Path) -> None:
    (row,) = read(tmp_path, {**COUNTERFACT, "locality_prompt": "nq question: who came first"})
    assert row.locality == (Probe(prompt="who came first?", answer="drum", kind="nq"),)


def test_demo_facts_are_read_like_any_other_file(tmp_path: Path) -> None:
    (row,) = read(tmp_path, DEMO)
    assert (row.id, row.target_new, row.rephrases) == ("fact-1", "Ann", ("Keyer?",))
    assert row.locality == (Probe(prompt="Who keeps the lock?", answer=None, kind="neighborhood"),)


def test_an_array_and_a_record_a_line_give_the_same_rows_and_formats_may_be_mixed(tmp_path: Path) -> None:
    records = (ZSRE, ROME, KNOWEDIT, COUNTERFACT, WIKIBIO, DEMO, {"prompt": "own", "target_new": "schema"})
    rows = read(tmp_path, *records)
    assert rows == read(tmp_path, *records, lines=True)
    assert [row.target_new for row in rows] == [
        *("Tarn", "Quill", "Toll", "flute"),
        *("Sten Vey built boats.", "Ann", "schema"),
    ]


def test_a_byte_order_mark_and_empty_lines_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(b"\xef\xbb\xbf\n\n  " + json.dumps([ROME, ZSRE]).encode())
    assert [row.target_new for row in read_rows(path)] == ["Quill", "Tarn"]
    assert len(read_rows(path, limit=1)) == 1


def test_a_record_of_no_known_format_names_the_formats_and_its_own_fields(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"data\.json, record 2") as refused:
        read(tmp_path, ROME, {"question": "who?", "reply": "me"})
    text = str(refused.value)
    assert all(known.name in text and all(field in text for field in known.needs) for known in FORMATS)
    assert "'question', 'reply'" in text and "\n" not in text


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({**KNOWEDIT, "prompt": 5}, "prompt must be text, not int"),
        ({k: v for k, v in KNOWEDIT.items() if k != "target_new"}, "looks like KnowEdit, but has no 'target_new'"),
        ({k: v for k, v in ZSRE.items() if k != "answers"}, "looks like zsRE, but has no 'answers'"),
        ({"locality_ground_truth": "x", "prompt": "p"}, "has no 'target_new' and no 'locality_prompt'"),
        ({**ROME, "requested_rewrite": {"prompt": "{} is", "subject": "s"}}, "the field 'target_true' is missing"),
        ({**ROME, "requested_rewrite": "x"}, "requested_rewrite must be an object"),
        ({**KNOWEDIT, "locality": {"Forgetfulness": ["x"]}}, "Forgetfulness must be a list of objects"),
        ({**KNOWEDIT, "locality": {"Forgetfulness": [{}]}}, "the field 'prompt' is missing"),
        ({"prompt": "p", "locality": "x"}, "locality must be a list"),
        ({"prompt": "p", "rephrases": "x"}, "rephrases must be a list"),
        ([ZSRE], "not an object"),
    ],
)
def test_what_is_wrong_with_a_record_is_said_with_its_place(tmp_path: Path, record: object, complaint: str) -> None:
    for lines, place in ((True, r"data\.jsonl, line 2"), (False, r"data\.json, record 2")):
        with pytest.raises(InvalidInput, match=place) as refused:
            read(tmp_path, ROME, record, lines=lines)
        assert complaint in str(refused.value) and "\n" not in str(refused.value)


def test_json_that_breaks_off_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('[\n{"prompt": "p"},\n{"prompt": \n', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"data\.json, line [34] is no JSON"):
        read_rows(path)
    path.write_text('{"prompt": "p"}\n\n{"prompt": }\n{"prompt": "q"}', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"data\.json, line 3 is no JSON: .*column 12"):
        read_rows(path)
    assert len(read_rows(path, limit=1)) == 1  # what comes after the limit is not read
