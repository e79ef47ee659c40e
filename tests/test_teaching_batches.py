"""Lists taught in batches: the answers, policies and failures of teaching row by row, and nothing lost when it is cut."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from sola_core import EditRequest, SolaEditor, load_editor
from sola_core.__main__ import main
from sola_core.editors.lora import Fit
from sola_core.editors.sola import Sola, SolaSettings
from sola_core.errors import InvalidInput, LibraryFull
from sola_core.fact_lists import ListedFact
from sola_core.host.model import HostModel
from sola_core.library import Library
from sola_core.records import TrainingStep
from sola_core.steps import finish
from sola_core.teaching_batches import teach_batches_steps
from sola_core.teaching_lists import ListedOutcome, ListProgress, teach_list_steps
from sola_core.worker.batches import BatchLimits, Finished, batches, windows
from tests.tiny import tiny_host, tiny_model, tiny_tokenizer

ROOT = Path(__file__).parent.parent
CITIES = ("Oslo", "Lyon", "Turin", "Madrid", "Dublin", "Prague", "Vienna", "Rotterdam Oslo")
REQUESTS = tuple(
    EditRequest(prompt=f"Where {'was the ship of the painter ' * (n % 3)}number {n} built?", target=city)
    for n, city in enumerate(CITIES)
)
SMALL = BatchLimits(rows=3, window=2)


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host()


@pytest.fixture
def editor(host: HostModel) -> Iterator[SolaEditor]:
    with load_editor(host=host, router="hidden") as made:
        yield made


def facts(*requests: EditRequest) -> tuple[ListedFact, ...]:
    return tuple(ListedFact(line=line, request=request) for line, request in enumerate(requests, start=2))


def kinds(outcomes: Sequence[ListedOutcome]) -> list[str]:
    return [outcome.outcome for outcome in outcomes]


# ---- how rows become batches ----


def test_rows_of_about_one_length_are_trained_together_within_the_bounds() -> None:
    lengths = [40, 9, 41, 8, 300, 10, 39, 7]
    found = batches(lengths, BatchLimits(rows=3, tokens=100))
    assert found == [[1, 3, 7], [5, 6], [0, 2], [4]]  # 10 with two of 40 would be 120 tokens; the longest row is alone
    assert batches([], BatchLimits()) == [] and batches([5], BatchLimits(tokens=1)) == [[0]]
    assert [len(batch) for batch in batches([9] * 40, BatchLimits())] == [16, 16, 8]


def test_no_window_holds_two_rows_with_a_key_in_common() -> None:
    a, b, c = (EditRequest(prompt=p, target="red") for p in ("a?", "b?", "c?"))
    also_a = EditRequest(prompt="d?", target="blue", rephrases=(" a? ",))
    broken = EditRequest(prompt="", target="")
    assert list(windows([a, b, c], 2)) == [range(2), range(2, 3)]
    assert list(windows([a, b, also_a, c], 9)) == [range(2), range(2, 4)]
    assert list(windows([a, broken, broken, EditRequest(prompt=None, target="x")], 9)) == [range(4)]  # type: ignore[arg-type]
    assert list(windows([a, a, a], 9)) == [range(1), range(1, 2), range(2, 3)] and list(windows([], 9)) == []


@pytest.mark.parametrize("steps", [4, 12])
def test_adapters_of_a_batch_are_close_to_those_trained_alone_after_as_many_steps(host: HostModel, steps: int) -> None:
    method = Sola()

    def fitted(requests: Sequence[EditRequest]) -> list[dict[str, torch.Tensor]]:
        rows = [method._row(request, host) for request in requests]
        fit = Fit(rows, host, layer=method._layers(host)[0], lr=0.03, scale=4.0, stored_dtype=torch.float16)
        for _ in fit.run(range(len(rows)), goal=0.0, max_steps=steps + 1):
            pass
        assert {row.steps for row in rows} == {steps}
        return [
            {
                f"{name} {part}": t.detach()
                for name, pair in row.pairs.items()
                for part, t in zip("AB", pair, strict=True)
            }
            for row in rows
        ]

    for together, request in zip(fitted(REQUESTS), REQUESTS, strict=True):
        (alone,) = fitted([request])
        for name, tensor in alone.items():
            assert tensor.any() and torch.linalg.norm(together[name] - tensor) < 1e-3 * torch.linalg.norm(tensor)


def test_batches_of_an_editor_are_told_with_their_places_and_nothing_is_stored_by_itself(editor: SolaEditor) -> None:
    told = list(editor.train_steps(REQUESTS, SMALL))
    places = [step.places for step in told if isinstance(step, Finished)]
    assert sorted(place for batch in places for place in batch) == list(range(8))
    assert all(len(batch) <= 3 and list(batch) == sorted(batch) for batch in places)
    assert set(places[0] + places[1]) == set(range(6))  # the second window begins when the first is done
    assert any(isinstance(step, TrainingStep) for step in told) and editor.edits == ()
    edits = editor.edit_many(REQUESTS)
    assert [edit.target for edit in edits] == list(CITIES)


# ---- lists ----


def test_a_list_in_batches_gives_the_answers_of_one_by_one(editor: SolaEditor, host: HostModel) -> None:
    told: list[ListProgress] = []
    off = ListedFact(
        line=11, request=EditRequest(prompt="Which company makes the engine?", target="red"), enabled=False
    )
    outcomes = finish(teach_batches_steps(editor, (*facts(*REQUESTS), off), limits=SMALL), told.append)
    assert kinds(outcomes) == ["taught"] * 9 and [o.line for o in outcomes] == [*range(2, 10), 11]
    assert [o.edit and o.edit.request for o in outcomes[:8]] == list(REQUESTS)
    assert [e.enabled for e in editor.edits if e.target == "red"] == [False]
    done = [step.done for step in told]
    assert done == sorted(done) and done[-1] == 9 and len(set(done)) == 10 and len(done) > 30
    with load_editor(host=host, router="hidden") as alone:
        assert kinds(finish(teach_list_steps(alone, facts(*REQUESTS)))) == ["taught"] * 8
        for request in REQUESTS:
            assert editor.answer(request.prompt).text == alone.answer(request.prompt).text == request.target


@pytest.mark.parametrize("policy", ["skip", "replace", "both"])
def test_rows_with_a_key_in_common_keep_their_order_and_their_policy(
    editor: SolaEditor, host: HostModel, policy: str
) -> None:
    prompt = "Who wrote the book?"
    rows = facts(
        EditRequest(prompt=f"{prompt} {'long ' * 30}", target="Lyon", rephrases=(prompt,)),
        EditRequest(prompt=prompt, target="Oslo"),
        EditRequest(prompt=prompt, target="Oslo"),
        EditRequest(prompt="By whom is it?", target="Turin", rephrases=(prompt,)),
        EditRequest(prompt=f" {prompt} ", target="Madrid"),
    )
    with load_editor(host=host, router="hidden") as alone:
        theirs = finish(teach_list_steps(alone, rows, policy))  # type: ignore[arg-type]
        ours = finish(teach_batches_steps(editor, rows, policy))  # type: ignore[arg-type]
        assert kinds(ours) == kinds(theirs) and ours[2].outcome == "present"
        assert [edit.request for edit in editor.edits] == [edit.request for edit in alone.edits]
        answering = [next(e.target for e in one.edits if e.id == one.route(prompt).edit_id) for one in (editor, alone)]
        assert answering == [{"skip": "Turin"}.get(policy, "Madrid")] * 2
    again = finish(teach_batches_steps(editor, rows[:1]))
    assert kinds(again) == ["present"]


def test_a_fact_that_fails_in_the_middle_of_a_batch_fails_alone(host: HostModel) -> None:
    quick = Sola(SolaSettings(goals=(0.05,), max_steps=3))  # too few passes for most of them
    rows = (*REQUESTS[:3], EditRequest(prompt="Too long?", target="red " * 200), *REQUESTS[3:])
    library = Library.open(":memory:", host_name=host.name, host_fingerprint=host.fingerprint)
    with SolaEditor(method=quick, host=host, library=library, router="hidden") as editor:
        outcomes = finish(teach_batches_steps(editor, facts(*rows)))
        failed = [outcome for outcome in outcomes if outcome.outcome == "failed"]
        assert "at most 64" in outcomes[3].reason and any("did not learn" in outcome.reason for outcome in failed)
        held = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome.outcome == "taught"]
        assert len(held) == len(rows) - len(failed) > 0 and {e.prompt for e in editor.edits} == {r.prompt for r in held}
        assert [editor.answer(row.prompt).text for row in held] == [row.target for row in held]


def test_a_list_that_is_closed_in_a_batch_keeps_what_is_stored_and_goes_on(editor: SolaEditor) -> None:
    steps = teach_batches_steps(editor, facts(*REQUESTS), limits=SMALL)
    while next(steps).done < 3:
        pass
    for _ in range(4):  # some steps into the second batch
        next(steps)
    steps.close()
    assert len(editor.edits) == 3 and not editor.host.lock.locked()
    outcomes = finish(teach_batches_steps(editor, facts(*REQUESTS), limits=SMALL))
    assert sorted(kinds(outcomes)) == ["present"] * 3 + ["taught"] * 5 and len(editor.edits) == 8


def test_a_library_that_is_full_in_the_middle_of_a_batch_ends_the_list(
    editor: SolaEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SolaEditor.store

    def limited(self: SolaEditor, *given: object, **options: object) -> object:
        if len(self.edits) == 4:
            raise LibraryFull("The library is full.")
        return store(self, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SolaEditor, "store", limited)
    rows = (*facts(*REQUESTS), ListedFact(line=10, request=None, error="It has no target."))
    outcomes = finish(teach_batches_steps(editor, rows, limits=SMALL))
    assert sorted(kinds(outcomes)) == ["not tried"] * 4 + ["taught"] * 4 + ["unusable"] and len(editor.edits) == 4
    assert {o.reason for o in outcomes if o.outcome == "not tried"} == {"The library is full."}
    with pytest.raises(InvalidInput, match="skip, replace, both"):
        finish(teach_batches_steps(editor, rows, "all"))  # type: ignore[arg-type]


# ---- the command ----


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a tiny model, as a user's own would."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tokenizer = tiny_tokenizer(chat=True)
    tiny_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def words(model: Path, folder: Path, *more: str) -> list[str]:
    """The command that teaches the list of `folder` into its library."""
    lines = [json.dumps({"prompt": request.prompt, "target": request.target}) for request in REQUESTS]
    (folder / "facts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    where = ["--library", str(folder / "facts.db"), "--model", str(model), "--router", "hidden", "--device", "cpu"]
    return ["teach", str(folder / "facts.jsonl"), *where, *more]


@pytest.mark.long
@pytest.mark.slow
def test_a_process_that_is_killed_in_a_batch_loses_that_batch_alone(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words(model, tmp_path, "--batch-rows", "3")
    done = subprocess.run([sys.executable, "-m", "tests.kill_teaching", "5", *command], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert main([*command, "--json"]) == 0
    outcomes = json.loads(capsys.readouterr().out)
    assert sorted(row["outcome"] for row in outcomes) == ["present"] * 4 + ["taught"] * 4
    assert [row["edit"]["target"] for row in outcomes] == list(CITIES)
    assert main(command) == 0 and "0 taught, 8 were there already" in capsys.readouterr().out


@pytest.mark.slow
def test_one_by_one_gives_the_bits_of_single_edits(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(model, tmp_path, "--one-by-one", "--progress")) == 0
    shown = capsys.readouterr()
    assert "8 taught" in shown.out and "8/8" in shown.err and "/s, " in shown.err
    place = {"model": str(model), "device": "cpu", "router": "hidden"}
    with load_editor(**place, library=tmp_path / "facts.db") as listed, load_editor(**place) as alone:
        for request in REQUESTS:
            alone.edit(request)
        assert alone.state_digest == listed.state_digest
        assert [edit.request for edit in listed.edits] == list(REQUESTS)
    assert main(words(model, tmp_path, "--one-by-one", "--engine", "ray")) == 2


def test_ctrl_c_says_what_is_stored(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SolaEditor.store

    def interrupted(self: SolaEditor, *given: object, **options: object) -> object:
        if len(self.edits) == 2:
            raise KeyboardInterrupt  # the signal itself is ignored by what was started in the background
        return store(self, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SolaEditor, "store", interrupted)
    assert main(words(model, tmp_path)) == 130
    err = capsys.readouterr().err
    assert "2 taught and stored; given again" in err and "stopped" in err
