"""A certificate is true of the library that it was made of, holds no text, and does not pass when anything is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sola_core import EditRequest, InvalidInput, SolaEditor, load_editor
from sola_core.evaluation.certificate import Certificate, Certifying, certify_steps, compared, read_certificate
from sola_core.host.model import HostModel
from sola_core.steps import finish
from tests.tiny import tiny_host

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo")
AGAIN = EditRequest(prompt="What is the capital of France?", target="Madrid")
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue")
CHECKS = {
    "an edit that is off answers nothing": 3,
    "switched off: bit-equal to the untouched model": 1,
    "off and on again: the same state digest": 3,
    "off and on again: bit-equal to before": 2,
    "all switches as before: the same state digest": 1,
    "all deleted: the digest of a library that never had an edit": 1,
    "all deleted: bit-equal to the untouched model": 3,
    "the model's parameters: the same SHA-256": 1,
}


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host()


@pytest.fixture(scope="module")
def taught(host: HostModel) -> Iterator[SolaEditor]:
    """An editor with two edits of one question and one, switched off, of another."""
    with load_editor(host=host, router="hidden") as editor:
        for request in (FRANCE, AGAIN, BOOK):
            editor.edit(request)
        editor.set_enabled(editor.edits[2].id, False)
        yield editor


@pytest.fixture(scope="module")
def certificate(taught: SolaEditor) -> Certificate:
    return finish(certify_steps(taught))


@pytest.mark.slow
def test_every_edit_is_taken_back_and_the_library_is_only_read(taught: SolaEditor, certificate: Certificate) -> None:
    assert {check.name: check.cases for check in certificate.checks} == CHECKS
    assert certificate.breaches == 0 and "3 edits" in certificate.text() and "no breach" in certificate.text()
    assert certificate.state_digest == taught.state_digest
    assert [w.digest for w in certificate.witnesses] == [e.digest for e in taught.edits]
    assert [w.enabled for w in certificate.witnesses] == [True, True, False]
    assert [w.off is None for w in certificate.witnesses] == [True, True, False]  # the other edit answers instead
    for witness in certificate.witnesses:
        assert witness.deleted == witness.base != witness.edited
    assert len(taught.edits) == 3 and [event.kind for event in taught.events()].count("deleted") == 0


def test_it_is_written_and_read_back_without_any_text(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(certificate.to_json())
    assert read_certificate(tmp_path / "c.json") == certificate
    for word in ("France", "Oslo", "book", "blue"):
        assert word not in certificate.to_json()


@pytest.mark.slow
def test_the_same_library_gives_the_same_certificate_and_another_does_not(
    taught: SolaEditor, certificate: Certificate, host: HostModel
) -> None:
    first, again = finish(certify_steps(taught)), finish(certify_steps(taught))
    assert first.surroundings == again.surroundings and compared(first, again) == []
    with load_editor(host=host, router="hidden") as other:
        other.edit(FRANCE)
        found = compared(certificate, finish(certify_steps(other)))
    assert any("state digest differs" in line for line in found) and "the edits are not the same" in found
    others = tuple(replace(witness, base=witness.edited) for witness in certificate.witnesses)
    assert len(compared(certificate, replace(certificate, witnesses=others))) == 3
    elsewhere = {**certificate.surroundings, "torch": "1.0"}  # other versions: logits are not compared
    assert compared(certificate, replace(certificate, witnesses=others, surroundings=elsewhere)) == []


def test_a_model_that_changes_while_it_is_looked_at_is_a_breach(host: HostModel) -> None:
    weight: Any = host._model.get_submodule(host.module_name(2)).weight
    before = weight.detach().clone()

    def spoil(at: Certifying) -> None:
        if (at.stage, at.done) == ("all deleted", 0):
            with torch.no_grad():
                weight.mul_(1.5)

    with load_editor(host=host, router="hidden") as editor:
        editor.edit(BOOK)
        try:
            certificate = finish(certify_steps(editor), spoil)
        finally:
            with torch.no_grad():
                weight.copy_(before)
    broken = {check.name for check in certificate.checks if check.breaches}
    assert broken == {"the model's parameters: the same SHA-256", "all deleted: bit-equal to the untouched model"}
    assert "BREACHES" in certificate.text()


def test_an_empty_library_has_nothing_to_prove(host: HostModel) -> None:
    with load_editor(host=host, router="hidden") as editor, pytest.raises(InvalidInput, match="no fact is taught"):
        finish(certify_steps(editor))


def with_(**changed: object) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.update(changed)


@pytest.mark.parametrize(
    "change",
    [
        with_(state_digest="0" * 64),
        with_(state_digest="x"),
        with_(parameters_after="0" * 64),
        with_(router="scope"),
        with_(made="2020-01-01"),
        with_(witnesses=[]),
        with_(witnesses=7),
        with_(checks=[]),
        with_(checks=[{"name": "x"}]),
        with_(format="other"),
        with_(version=9),
        with_(more="x"),
        with_(sha256="0" * 64),
        lambda body: body.pop("sha256"),
        lambda body: body["witnesses"][0].update(base=["0" * 64]),
        lambda body: body["witnesses"].pop(),
        lambda body: body["checks"][0].update(breaches=1),
    ],
)
def test_a_certificate_that_was_changed_is_refused(
    change: Callable[[dict[str, Any]], None], certificate: Certificate, tmp_path: Path
) -> None:
    body = json.loads(certificate.to_json())
    change(body)
    (tmp_path / "c.json").write_text(json.dumps(body))
    with pytest.raises(InvalidInput):
        read_certificate(tmp_path / "c.json")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"nul", b"\xff", b"[" * 100_000, b" " * 8_000_001])
def test_a_file_that_is_no_certificate_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(InvalidInput, match="no certificate"):
        read_certificate(tmp_path / "c.json")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_certificate(tmp_path / "nothing.json")
