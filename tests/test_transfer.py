"""Edits go into a file and come out of it elsewhere bit-equal; whatever else a file says, nothing of it is believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from sola_core import EditRequest, InvalidInput, SolaEditor, load_editor
from sola_core.errors import LibraryFull, LibraryMismatch
from sola_core.host.model import HostModel
from sola_core.library.store import Library
from sola_core.steps import finish
from sola_core.transfer import Tried
from tests.tiny import tiny_host

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo", subject="France")
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue", rephrases=("The author of the book is",))
SHIP = EditRequest(prompt="Where was the ship built? 😀 <b>", target="Turin")


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host()


@pytest.fixture(scope="module")
def taught(host: HostModel) -> Iterator[SolaEditor]:
    with load_editor(host=host, router="hidden") as editor:
        for request in (FRANCE, BOOK, SHIP):
            editor.edit(request)
        editor.set_enabled(editor.edits[1].id, False)
        yield editor


@pytest.fixture
def empty(host: HostModel) -> Iterator[SolaEditor]:
    with load_editor(host=host, router="hidden") as editor:
        yield editor


@pytest.mark.slow
def test_what_is_loaded_elsewhere_is_bit_equal_and_answers_the_same(taught: SolaEditor, empty: SolaEditor) -> None:
    told: list[Tried] = []
    imported = finish(empty.import_steps(taught.export()), told.append)
    assert (imported.skipped, imported.failures) == ((), ())
    assert [(t.done, t.total) for t in told] == [(n, 3) for n in range(4)]
    assert imported.edits == empty.edits
    assert [(e.request, e.enabled, e.digest) for e in empty.edits] == [
        (e.request, e.enabled, e.digest) for e in taught.edits
    ]
    assert empty.state_digest == taught.state_digest
    assert not {e.id for e in empty.edits} & {e.id for e in taught.edits}
    for old, new in zip(taught.edits, empty.edits, strict=True):
        before, after = taught.tensors(old.id), empty.tensors(new.id)
        assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
        assert torch.equal(taught.generation_logits(old.prompt), empty.generation_logits(new.prompt))


def test_some_of_the_edits_can_be_saved(taught: SolaEditor, empty: SolaEditor) -> None:
    wanted = [taught.edits[2].id, taught.edits[0].id]
    finish(empty.import_steps(taught.export(wanted)))
    assert [e.request for e in empty.edits] == [SHIP, FRANCE]
    with pytest.raises(InvalidInput, match="no edit to save"):
        taught.export([])


@pytest.mark.parametrize(("present", "prompts"), [("skip", 3), ("replace", 3), ("both", 4)])
def test_a_question_that_is_taught_here_is_skipped_replaced_or_kept_beside(
    taught: SolaEditor, empty: SolaEditor, present: Any, prompts: int
) -> None:
    own = empty.edit(EditRequest(prompt=f"  {FRANCE.prompt} ", target="Madrid"))
    imported = finish(empty.import_steps(taught.export(), present))
    assert len(empty.edits) == prompts
    assert imported.skipped == ((FRANCE,) if present == "skip" else ())
    assert (own.id in {e.id for e in empty.edits}) is (present != "replace")
    assert empty.answer(FRANCE.prompt).text == ("Madrid" if present == "skip" else "Oslo")


def test_an_adapter_that_does_not_hold_its_answer_is_listed_and_not_stored(
    taught: SolaEditor, empty: SolaEditor
) -> None:
    content = changed(taught.export(), lambda words: swap(words["edits"]))
    imported = finish(empty.import_steps(content))
    assert [request.prompt for request, _ in imported.failures] == [BOOK.prompt, FRANCE.prompt]
    assert "the model answered" in imported.failures[0][1]
    assert [e.request for e in empty.edits] == [SHIP]


def test_half_a_file_is_never_stored(taught: SolaEditor, empty: SolaEditor, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = empty.import_steps(taught.export())
    next(steps)
    next(steps)
    steps.close()
    assert empty.edits == ()
    calls = iter(range(10))
    new_id = Library._new_id

    def full(self: Library) -> str:
        if next(calls) == 2:
            raise LibraryFull("no room")
        return new_id(self)

    monkeypatch.setattr(Library, "_new_id", full)
    with pytest.raises(LibraryFull):
        finish(empty.import_steps(taught.export()))
    assert empty.edits == () and empty.route(FRANCE.prompt).reason == "no-edits"


def test_another_model_and_other_settings_are_refused(taught: SolaEditor) -> None:
    with (
        load_editor(host=tiny_host(seed=1), router="hidden") as other,
        pytest.raises(LibraryMismatch, match=r"another model .*tiny-llama"),
    ):
        finish(other.import_steps(taught.export()))
    with pytest.raises(InvalidInput, match="other settings"):
        finish(taught.import_steps(changed(taught.export(), lambda words: words["settings"].update(scale=99))))
    with pytest.raises(InvalidInput, match="skip, replace, both"):
        finish(taught.import_steps(taught.export(), "all"))  # type: ignore[arg-type]


# ---- files that lie --------------------------------------------------------------------------------------------------


def swap(edits: list[dict[str, Any]]) -> None:
    edits[0], edits[1] = edits[1], edits[0]


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def joined(header: Any, rest: bytes) -> bytes:
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(words).to_bytes(8, "little") + words + rest


def changed(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return the file with another manifest."""
    header, rest = parts(content)
    words = json.loads(header["__metadata__"]["manifest"])
    change(words)
    header["__metadata__"]["manifest"] = json.dumps(words)
    return joined(header, rest)


def first(header: dict[str, Any]) -> dict[str, Any]:
    return next(entry for name, entry in header.items() if name.startswith("0/"))


def reheaded(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def make(content: bytes) -> bytes:
        header, rest = parts(content)
        change(header)
        return joined(header, rest)

    return make


def reworded(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    return lambda content: changed(content, change)


def number(value: float) -> Callable[[bytes], bytes]:
    """Put one number into the first tensor."""

    def make(content: bytes) -> bytes:
        header, rest = parts(content)
        raw = torch.tensor([value], dtype=torch.float16).view(torch.uint8).numpy().tobytes()
        return joined(header, raw + rest[2:])

    return make


def deep(content: bytes) -> bytes:
    return joined(b"[" * 400_000 + b"]" * 400_000, b"")


LIES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda content: b"",
    "seven bytes": lambda content: content[:7],
    "cut in the header": lambda content: content[:200],
    "cut in the tensors": lambda content: content[:-5],
    "more at the end": lambda content: content + b"\0",
    "a pickle": lambda content: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "a zip": lambda content: b"PK\x03\x04" + content,
    "a header of 2 ** 63": lambda content: (2**63).to_bytes(8, "little") + content[8:],
    "a header over the limit": lambda content: joined(b"{" + b" " * 1_000_001 + b"}", b""),
    "a header of zeros": lambda content: bytes(64),
    "a nest of lists": deep,
    "a header that is a list": lambda content: joined([], b""),
    "a header that is no text": lambda content: joined(b"\xff\xfe{}", b""),
    "no metadata": reheaded(lambda h: h.pop("__metadata__")),
    "metadata that is text": reheaded(lambda h: h.update(__metadata__="x")),
    "a manifest that is no JSON": reheaded(lambda h: h.update(__metadata__={"manifest": "{"})),
    "a manifest that is a number": reheaded(lambda h: h.update(__metadata__={"manifest": "1"})),
    "a manifest of another kind": reworded(lambda w: w.update(format="pt")),
    "a later version": reworded(lambda w: w.update(version=2)),
    "no host": reworded(lambda w: w.pop("host")),
    "a host that is text": reworded(lambda w: w.update(host="tiny-llama-0")),
    "another method": reworded(lambda w: w.update(method="grace")),
    "settings that are a list": reworded(lambda w: w.update(settings=[])),
    "enormous settings": reworded(lambda w: w.update(settings={"x": "y" * 5000})),
    "no edits": reworded(lambda w: w.update(edits=[])),
    "edits that are text": reworded(lambda w: w.update(edits="abc")),
    "fewer edits than tensors": reworded(lambda w: w["edits"].pop()),
    "more edits than tensors": reworded(lambda w: w["edits"].append(w["edits"][0])),
    "three thousand edits": reworded(lambda w: w.update(edits=w["edits"] * 1000)),
    "an edit that is a number": reworded(lambda w: w["edits"].__setitem__(0, 7)),
    "a prompt that is a number": reworded(lambda w: w["edits"][0].update(prompt=7)),
    "an empty prompt": reworded(lambda w: w["edits"][0].update(prompt="  ")),
    "an enormous prompt": reworded(lambda w: w["edits"][0].update(prompt="x" * 5000)),
    "a control character": reworded(lambda w: w["edits"][0].update(prompt="a\0b")),
    "half a character": reworded(lambda w: w["edits"][0].update(prompt="a\ud800")),
    "no target": reworded(lambda w: w["edits"][0].pop("target")),
    "an enormous target": reworded(lambda w: w["edits"][0].update(target="x" * 5000)),
    "a subject that is a list": reworded(lambda w: w["edits"][0].update(subject=["x"])),
    "rephrasings that are text": reworded(lambda w: w["edits"][0].update(rephrases="ab")),
    "a rephrasing that is a number": reworded(lambda w: w["edits"][0].update(rephrases=[1])),
    "a hundred rephrasings": reworded(lambda w: w["edits"][0].update(rephrases=[f"r{n}" for n in range(100)])),
    "a switch that is text": reworded(lambda w: w["edits"][0].update(enabled="yes")),
    "a tensor of no edit": reheaded(lambda h: h.update({"9/a": first(h)})),
    "a tensor named otherwise": reheaded(lambda h: h.update({"00/a": first(h)})),
    "a tensor with a path as its name": reheaded(lambda h: h.update({"../../etc/passwd": first(h)})),
    "two tensors of the same bytes": reheaded(lambda h: h.update({"0/more": first(h)})),
    "a tensor of doubles": reheaded(lambda h: first(h).update(dtype="F64")),
    "a tensor of another type": reheaded(lambda h: first(h).update(dtype="BF16")),
    "a tensor of another shape": reheaded(lambda h: first(h).update(shape=first(h)["shape"][::-1])),
    "a tensor with a side of 0": reheaded(lambda h: first(h).update(shape=[0, 4])),
    "a tensor with a negative side": reheaded(lambda h: first(h).update(shape=[-4, -8])),
    "a tensor of 10 ** 18 numbers": reheaded(lambda h: first(h).update(shape=[10**9, 10**9])),
    "a tensor of three sides": reheaded(lambda h: first(h).update(shape=[1, 4, 8])),
    "a tensor before the file": reheaded(lambda h: first(h).update(data_offsets=[-8, 0])),
    "a tensor behind the file": reheaded(lambda h: first(h).update(data_offsets=[10**9, 10**9 + 8])),
    "a tensor that is text": reheaded(lambda h: h.update({"0/a": "x"})),
    "not a number": number(float("nan")),
    "infinity": number(float("inf")),
    "a number out of range": number(60_000.0),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_file_that_is_not_what_it_must_be_is_refused_whole(
    lie: Callable[[bytes], bytes], taught: SolaEditor, empty: SolaEditor
) -> None:
    content = lie(taught.export())
    with pytest.raises((InvalidInput, LibraryMismatch)) as caught:
        finish(empty.import_steps(content))
    assert str(caught.value).endswith((".", "again.")) and empty.edits == ()


def test_ids_digests_and_keys_in_a_file_are_not_believed(taught: SolaEditor, empty: SolaEditor) -> None:
    def forge(words: dict[str, Any]) -> None:
        for edit in words["edits"]:
            edit.update(id=taught.edits[0].id, digest="0" * 64, keys=["00"], created=0)

    imported = finish(empty.import_steps(changed(taught.export(), forge)))
    assert [e.digest for e in imported.edits] == [e.digest for e in taught.edits]
    assert not {e.id for e in imported.edits} & {e.id for e in taught.edits}
