"""The protocol itself: clean on an editor that keeps its promises, and not fooled by one that breaks them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from sola_core import Edit, EditRequest, InvalidInput, SolaEditor, load_editor
from sola_core.evaluation.output import to_json
from sola_core.evaluation.proof_report import ProofReport
from sola_core.evaluation.reversibility import OpenEditor, prove
from sola_core.host.model import HostModel
from sola_core.records import Erasure
from sola_core.routing.encoders import TextEncoder
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

pytestmark = pytest.mark.slow

FACTS = (
    EditRequest(prompt="What is the capital of France?", target="Oslo"),
    EditRequest(prompt="Who wrote the book?", target="seven blue", rephrases=("The author of the book is",)),
    EditRequest(prompt="Which company makes the engine of the ship?", target="red"),
    EditRequest(prompt="What is the capital of France?", target="Turin"),  # the same question again, later
)
PROBES = ("In what city did the painter live?",)


@pytest.fixture(scope="module", params=["llama", pytest.param("gpt2", marks=pytest.mark.long)])
def host(request: pytest.FixtureRequest) -> HostModel:
    return tiny_host(request.param)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return tiny_encoder()


@pytest.fixture
def opened(host: HostModel, encoder: TextEncoder) -> OpenEditor:
    return lambda library: load_editor(host=host, encoder=encoder, library=library)


def broken(report: ProofReport) -> set[str]:
    return {check.name for check in report.checks if check.breaches}


@pytest.fixture(scope="module")
def clean(host: HostModel, encoder: TextEncoder) -> ProofReport:
    """The report on an editor that keeps its promises."""
    return prove(lambda library: load_editor(host=host, encoder=encoder, library=library), FACTS, probes=PROBES)


def test_an_editor_that_keeps_its_promises_has_no_breach(clean: ProofReport) -> None:
    assert clean.breaches == 0, clean.text()
    assert clean.figures["edits"] == len(FACTS)
    assert all(check.cases > 0 for check in clean.checks)
    assert "no breach" in clean.text()


@pytest.mark.parametrize("router", ["hidden", "sentence"])
def test_the_other_routers_have_no_breach_either(host: HostModel, encoder: TextEncoder, router: str) -> None:
    report = prove(lambda library: load_editor(host=host, encoder=encoder, router=router, library=library), FACTS[:3])
    assert report.breaches == 0, report.text()
    assert report.router == router


def test_every_promise_of_the_protocol_is_put_to_the_test(clean: ProofReport) -> None:
    words = " ".join(check.name for check in clean.checks)
    promises = (
        "SHA-256",
        "switched off",
        "off and on",
        "saved and loaded",
        "deleted",
        "surviving",
        "storage",
        "training",
    )
    assert [promise for promise in promises if promise not in words] == []


def test_a_prompt_that_another_edit_answers_is_reported_apart(clean: ProofReport) -> None:
    assert any(r.prompt == FACTS[0].prompt and r.when == "switched off" for r in clean.recaptured)
    assert clean.breaches == 0


def test_the_report_is_json_with_the_figure_that_checks_read(clean: ProofReport) -> None:
    stored = json.loads(to_json({"figures": clean.figures, "report": clean}))
    assert stored["figures"]["breaches"] == 0
    assert {"name", "cases", "breaches", "detail"} <= set(stored["report"]["checks"][0])


def test_the_same_seed_proves_the_same_cases(opened: OpenEditor) -> None:
    first, second = (prove(opened, FACTS[:2], seed=7, sample=1) for _ in range(2))
    assert first.checks == second.checks


def test_a_fact_that_cannot_be_taught_is_listed_and_the_others_are_proved(opened: OpenEditor) -> None:
    report = prove(opened, (*FACTS[:2], EditRequest(prompt="Where was the ship built?", target="red " * 200)))
    assert [n.prompt for n in report.not_taught] == ["Where was the ship built?"]
    assert report.figures["edits"] == 2
    assert report.breaches == 0


def test_proving_nothing_is_an_error(opened: OpenEditor) -> None:
    with pytest.raises(InvalidInput, match="nothing to prove"):
        prove(opened, [EditRequest(prompt="Where was the ship built?", target="red " * 200)])


# ---- editors that break one promise each ---------------------------------------------------------------------------


class WritesTheHost(SolaEditor):
    def delete(self, edit_id: str) -> Erasure:
        with torch.no_grad():
            next(self.host._model.parameters()).view(-1)[0] += 1.0
        return super().delete(edit_id)


class KeepsAnswering(SolaEditor):
    def set_enabled(self, edit_id: str, enabled: bool) -> Edit:
        edit = super().set_enabled(edit_id, True)
        return edit


class ForgetsOthers(SolaEditor):
    def delete(self, edit_id: str) -> Erasure:
        erasure = super().delete(edit_id)
        for edit in self.edits:
            super().set_enabled(edit.id, False)
        return erasure


class TrainsOnTheOthers(SolaEditor):
    def edit(self, request: EditRequest, **options: object) -> Edit:
        crowd = {"max_target_tokens": 64 + len(self.edits)}
        self.method.settings = type(self.method.settings)(**crowd)  # type: ignore[attr-defined]
        return super().edit(request)


class AnswersAfterDeleting(SolaEditor):
    def generation_logits(self, prompt: str, steps: int = 16) -> torch.Tensor:
        logits = super().generation_logits(prompt, steps)
        deleted = any(event.kind == "deleted" for event in self.events())
        return logits + 1e-6 if deleted and self.route(prompt).deferred else logits


@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        (WritesTheHost, "the host's parameters: the same SHA-256"),
        (KeepsAnswering, "an edit that is off or gone answers nothing"),
        (ForgetsOthers, "surviving edits and untouched prompts: bit-equal to before"),
        (TrainsOnTheOthers, "training: the same settings"),
        (AnswersAfterDeleting, "all deleted: bit-equal to base"),
    ],
)
def test_a_broken_promise_is_found(
    kind: type[SolaEditor], promise: str, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tiny_host("llama")
    monkeypatch.setattr("sola_core.session.SolaEditor", kind)
    report = prove(lambda library: load_editor(host=host, encoder=encoder, library=library), FACTS[:3], seed=1)
    assert promise in broken(report), report.text()
    assert report.figures["breaches"] > 0


def test_a_library_that_comes_back_in_another_precedence_is_found(
    opened: OpenEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reversed_order(edits: list[Edit], chance: object) -> list[Edit]:
        return list(reversed(edits))

    same = (FACTS[0], FACTS[3], EditRequest(prompt=FACTS[0].prompt, target="Prague"))
    monkeypatch.setattr("sola_core.evaluation.reversibility._another_order", reversed_order)
    kept = prove(opened, (*same, EditRequest(prompt=FACTS[0].prompt, target="blue")), sample=0)
    assert "storage: survivors copied in another order" in broken(kept)


@pytest.mark.model
@pytest.mark.parametrize("facts", [2, pytest.param(12, marks=pytest.mark.long)])
def test_demo_facts_on_the_real_model_have_no_breach(
    real_host: HostModel, real_encoder: TextEncoder, facts: int
) -> None:
    from sola_core.evaluation.facts import probes, read_facts

    rows = read_facts(limit=facts)
    few = facts < 4  # without their other wordings and but one neighbour
    report = prove(
        lambda library: load_editor(host=real_host, encoder=real_encoder, library=library),
        [replace(row.request, rephrases=()) if few else row.request for row in rows],
        probes=probes(rows)[: 1 if few else None],
        sample=1 if few else 2,
    )
    assert report.breaches == 0, report.text()
    assert report.not_taught == ()
