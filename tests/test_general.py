"""What is left of the host's ability: untouched where no edit answers, and found out where one answers wrongly."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from sola_core import SolaEditor, load_editor
from sola_core.errors import InvalidInput
from sola_core.evaluation.general import GeneralReport, general, read_windows
from sola_core.evaluation.rows import Row
from sola_core.host.intervention import count_hooks
from sola_core.host.model import HostModel
from sola_core.host.scoring import score_text
from tests.tiny import FAMILIES, Family, tiny_host
from tests.tiny_encoder import tiny_encoder

FACT = Row(id="a", subject="France", prompt="What is the capital of France?", target_new="Oslo", target_true=None)
BOOK = Row(id="b", subject=None, prompt="Who wrote the book?", target_new=None, target_true=None)
TEXT = "The mother tongue of the painter is Dutch. In what city did the painter live?"


def run(*unrelated: Row, texts: tuple[str, ...] = (TEXT,), router: str = "hidden") -> GeneralReport:
    host = tiny_host()
    with load_editor(host=host, encoder=tiny_encoder(), router=router) as editor:
        report = general(editor, [FACT.request], windows=texts, unrelated=unrelated, tokens=8)
    assert count_hooks(host._model) == 0
    return report


def test_where_no_edit_answers_everything_is_the_base_models() -> None:
    report = run(BOOK)
    assert report.windows[0].edit_id is None and report.questions[0].edit_id is None
    assert report.windows[0].nats == report.windows[0].base_nats
    figures = report.figures
    assert figures["perplexity"] == figures["perplexity_base"] > 1
    assert (figures["identical_answers"], figures["bit_equal"], figures["edits"]) == (1.0, 1.0, 1)


def test_what_an_edit_wrongly_answers_is_counted_and_named() -> None:
    report = run(
        BOOK,
        Row(id="q", subject=None, prompt=FACT.prompt, target_new=None, target_true=None),
        texts=(FACT.prompt, TEXT),
    )
    assert [w.edit_id is None for w in report.windows] == [False, True]
    assert report.windows[0].nats != report.windows[0].base_nats
    figures = report.figures
    assert figures["perplexity"] != figures["perplexity_base"]
    assert (figures["identical_answers"], figures["bit_equal"], figures["routed_windows"]) == (0.5, 0.5, 0.5)
    assert "changed: 'What is the capital of France?'" in report.text()
    assert "routed to" in report.text()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_texts_likelihood_is_the_one_of_a_plain_forward_pass(family: Family) -> None:
    host = tiny_host(family)
    score = score_text(host, TEXT)
    ids = torch.tensor([host.target_ids(TEXT)[:-1]])
    with torch.no_grad():
        logits = host._model(input_ids=ids).logits[0].float()
    loss = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:])
    assert score.ids == tuple(ids[0, 1:].tolist())
    assert -score.mean_log_probability == pytest.approx(float(loss), rel=1e-4)


def test_perplexity_is_over_all_tokens_of_all_windows() -> None:
    report = run(texts=(TEXT, "blue red green"))
    nats, tokens = sum(w.nats for w in report.windows), sum(w.tokens for w in report.windows)
    assert report.figures["perplexity"] == pytest.approx(math.exp(nats / tokens))
    assert "bit_equal" not in report.figures


def test_a_fact_that_cannot_be_taught_is_counted(host: HostModel) -> None:
    too_long = Row(id="c", subject=None, prompt="Too long?", target_new="red " * 200, target_true=None)
    with editor_of(host) as editor:
        report = general(editor, [FACT.request, too_long.request], windows=[TEXT])
        assert (report.figures["edits"], report.figures["not_taught"]) == (1, 1)


def test_without_edits_or_without_anything_to_compare_it_says_so(host: HostModel) -> None:
    with editor_of(host) as editor:
        with pytest.raises(InvalidInput, match="No edit"):
            general(editor, windows=[TEXT])
        with pytest.raises(InvalidInput, match="nothing to compare"):
            general(editor, [FACT.request])
    with pytest.raises(InvalidInput, match="this one has 1"):
        score_text(host, "r")


def test_windows_are_spread_over_the_text_and_none_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(" = Head = \n\n" + "\n".join(f"word{i:03}" for i in range(100)), encoding="utf-8")
    every = read_windows(path, 1000, chars=40)
    assert all(25 < len(window) <= 40 for window in every)
    some = read_windows(path, 4, chars=40)
    assert len(some) == 4 and some[0] == every[0] and some[-1] in every[len(every) // 2 :]
    assert read_windows(path, 4) != () and "\n" not in read_windows(path, 1)[0]
    path.write_text("\n \n", encoding="utf-8")
    for bad in (path, tmp_path / "nothere.txt"):
        with pytest.raises(InvalidInput, match=bad.name):
            read_windows(bad, 4)


@pytest.fixture
def host() -> HostModel:
    return tiny_host()


def editor_of(host: HostModel) -> SolaEditor:
    return load_editor(host=host, encoder=tiny_encoder(), router="hidden")
