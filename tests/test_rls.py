"""RLSEdit: its equations, removal that leaves nothing, previews that come true, and what the running text gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sola_core import EditRequest, load_editor
from sola_core.editors.joint import Fact
from sola_core.editors.rls import Ledger, Rls, RlsSettings, Written
from sola_core.editors.rls_preview import fits, preview, preview_answers_steps
from sola_core.editors.rls_sums import MAX_COLUMNS, Anchor, OutOfRange, Pairs, Sums, fixed, real
from sola_core.editors.rls_target import ValueSettings, key_columns, key_texts, keys_of, residual_steps
from sola_core.errors import UnknownEdit
from sola_core.host.covariance import second_moment_steps
from sola_core.host.model import HostModel
from sola_core.joint_session import JointEditor
from sola_core.library.digest import edit_digest
from sola_core.steps import finish
from tests.tiny import tiny_host

IN, OUT = 48, 24
FACTS = (
    EditRequest(prompt="What is the capital of France?", target="Oslo", subject="France"),
    EditRequest(prompt="Who wrote the book?", target="Lyon", subject="the book"),
    EditRequest(prompt="Where was the ship built?", target="Turin"),
    EditRequest(prompt="Which company makes the engine?", target="seven", subject="engine"),
)
ELSEWHERE = "The mother tongue of the painter is Dutch."


@pytest.fixture(scope="module")
def host() -> HostModel:
    return tiny_host("llama")


def made_pairs(count: int, seed: int = 0, columns: int = 1) -> list[Pairs]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Pairs(
            keys=fixed(torch.randn(IN, columns, generator=generator)),
            residuals=fixed(torch.randn(OUT, columns, generator=generator)),
        )
        for _ in range(count)
    ]


def moment_of(seed: int = 1) -> Tensor:
    """A second moment as hosts have it: a few directions hold nearly all of it."""
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(400, IN, generator=generator, dtype=torch.float64) * torch.arange(1, IN + 1) ** -1.0
    return keys.T @ keys / 400


def anchor_of(kind: str, **changes: float) -> Anchor:
    settings = {"weight": 2.0, "ridge": 0.05, "null_share": 0.1, **changes}
    return Anchor.of(kind, moment_of(), **settings)  # type: ignore[arg-type]


def shuffled(count: int, seed: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()


# ---- the sums ------------------------------------------------------------------------------------------------------


def test_of_a_thousand_facts_two_hundred_taken_back_leave_what_the_other_eight_hundred_alone_give() -> None:
    pairs, anchor = made_pairs(1000), anchor_of("covariance")
    gone = set(shuffled(1000, 3)[:200])
    sums = Sums.none(IN, OUT)
    for i in shuffled(1000, 4):
        sums = sums.changed(added=[pairs[i]])
    for i in gone:
        sums = sums.changed(removed=[pairs[i]])
    other = Sums.none(IN, OUT).changed(added=[pairs[i] for i in shuffled(1000, 5) if i not in gone])
    assert torch.equal(sums.g, other.g) and torch.equal(sums.n, other.n) and sums.columns == 800
    ours, theirs = anchor.update(sums).float(), anchor.update(other).float()
    assert torch.equal(ours, theirs)  # bit by bit
    assert edit_digest(EditRequest(prompt="", target=""), {"update": ours}) == edit_digest(
        EditRequest(prompt="", target=""), {"update": theirs}
    )
    assert not torch.equal(ours, anchor.update(other.changed(added=[pairs[min(gone)]])).float())
    for i in shuffled(1000, 6):
        if i not in gone:
            sums = sums.changed(removed=[pairs[i]])
    assert not sums.g.any() and not sums.n.any() and not anchor.update(sums).any()


@pytest.mark.parametrize("kind", ["covariance", "ridge"])
def test_the_update_minimises_the_objective_of_the_paper(kind: str) -> None:
    pairs, anchor = made_pairs(20, columns=2), anchor_of(kind)
    keys, residuals = (torch.cat([real(p) for p in parts], 1) for parts in _parts(pairs))
    held = torch.zeros(IN, IN, dtype=torch.float64) if anchor.held is None else anchor.held
    root = torch.linalg.cholesky(held + 1e-14 * torch.eye(IN)) if anchor.held is not None else held
    d = anchor.update(Sums.none(IN, OUT).changed(added=pairs)).clone().requires_grad_()
    loss = (d @ keys - residuals).square().sum() + anchor.ridge * d.square().sum() + (d @ root).square().sum()
    loss.backward()
    assert d.grad is not None and float(d.grad.abs().max()) < 1e-8
    assert float(d.detach().abs().max()) > 1e-3


def test_memit_and_alphaedit_are_the_same_sums_with_another_anchor() -> None:
    pairs = made_pairs(6)
    sums = Sums.none(IN, OUT).changed(added=pairs)
    keys, residuals = (torch.cat([real(p) for p in parts], 1) for parts in _parts(pairs))
    w, moment = 3.0, moment_of()
    memit = anchor_of("covariance", weight=w, ridge=0.0).update(sums)
    assert torch.allclose(memit, residuals @ keys.T @ torch.linalg.inv(w * moment + keys @ keys.T), atol=1e-9)
    alpha = anchor_of("null-space", ridge=0.05)
    assert alpha.basis is not None and 6 < alpha.basis.shape[1] < IN
    p = alpha.basis @ alpha.basis.T
    eye = torch.eye(IN, dtype=torch.float64)
    theirs = torch.linalg.solve(p @ keys @ keys.T + alpha.ridge * eye, p @ keys @ residuals.T).T
    assert torch.allclose(alpha.update(sums), theirs @ p, atol=1e-9)
    _, vectors = torch.linalg.eigh(moment)
    assert torch.linalg.norm(alpha.update(sums) @ vectors[:, -5:]) < 1e-9  # what the host often meets does not move
    assert torch.linalg.norm(memit @ vectors[:, -5:]) > 1e-6


def _parts(pairs: Sequence[Pairs]) -> tuple[list[Tensor], list[Tensor]]:
    return [p.keys for p in pairs], [p.residuals for p in pairs]


@pytest.mark.parametrize("kind", ["covariance", "null-space", "ridge"])
def test_the_formula_for_a_removal_gives_what_solving_anew_gives(kind: str) -> None:
    pairs, anchor = made_pairs(30, columns=2), anchor_of(kind)
    sums = Sums.none(IN, OUT).changed(added=pairs)
    update = anchor.update(sums)
    foreseen = update + anchor.solver(sums).without(update, pairs[7])
    after = anchor.update(sums.changed(removed=[pairs[7]]))
    assert torch.allclose(foreseen, after, atol=1e-10)
    assert not torch.allclose(update, after, atol=1e-4)


def test_numbers_that_do_not_fit_are_refused() -> None:
    assert int(fixed(torch.tensor([255.9]))[0]) == round(255.9 * 2**16)
    for bad in (256.0, float("nan"), float("inf")):
        with pytest.raises(OutOfRange):
            fixed(torch.tensor([bad]))
    largest = torch.full((4, 1), 2**24 - 1, dtype=torch.int32)
    full = Sums.none(4, 4).changed(added=[Pairs(keys=largest, residuals=-largest)] * 1000)
    assert int(full.g[0, 0]) == 1000 * (2**24 - 1) ** 2 and int(full.n[0, 0]) == -int(full.g[0, 0])
    assert MAX_COLUMNS * (2**24) ** 2 <= 2**63
    with pytest.raises(OutOfRange):
        full.changed(added=[Pairs(keys=largest.expand(4, MAX_COLUMNS), residuals=largest.expand(4, MAX_COLUMNS))])
    with pytest.raises(AssertionError):  # what was never added cannot be taken back
        Sums.none(IN, OUT).changed(added=made_pairs(1)).changed(removed=made_pairs(1, seed=9))


# ---- one fact ------------------------------------------------------------------------------------------------------


def test_keys_stand_at_the_subjects_last_token_and_at_the_answers_tokens(host: HostModel) -> None:
    request = EditRequest(prompt="  What is the capital of France?", target="Rotterdam blue", subject="france")
    ids = host.prompt_ids(request.prompt).ids
    (column,) = key_columns(request.prompt, request, host, ("subject",))
    before, after = (host.format.text(ids[:i].tolist()) for i in (column, column + 1))
    assert "France" in after and "France" not in before
    words = len(host.target_ids(request.target)) - 1
    assert key_columns(request.prompt, request, host, ("subject", "end", "answer")) == [
        column,
        *range(len(ids) - 1, len(ids) + words),
    ]
    for unknown in (None, "Sweden"):
        nobody = EditRequest(prompt=request.prompt, target=request.target, subject=unknown)
        assert key_columns(request.prompt, nobody, host, ("subject",)) == [len(ids) - 1]


@pytest.mark.slow
def test_the_keys_of_a_right_answer_are_those_that_answering_meets(host: HostModel) -> None:
    editor = editor_of(host)
    for fact in FACTS[1:]:
        editor.edit(fact)
    edit = editor.edit(FACTS[0])
    assert edit.training.held
    module, seen = host.module_name(editor.method.layer(host)), []  # type: ignore[attr-defined]

    def look(_: object, args: tuple[Tensor, ...]) -> None:
        seen.append(args[0][0].clone())

    handle = host._model.get_submodule(module).register_forward_pre_hook(look)
    editor.answer(FACTS[0].prompt, 12)
    handle.remove()
    met = torch.cat(seen)
    columns = key_columns(FACTS[0].prompt, FACTS[0], host, ("subject", "answer"))
    wanted = keys_of(FACTS[0], [FACTS[0].prompt], host, module, ("subject", "answer"))
    assert torch.allclose(met[columns].T, wanted, atol=1e-4)


@pytest.mark.slow
def test_a_facts_numbers_depend_on_no_other_fact(host: HostModel) -> None:
    method = Rls()
    alone = finish(method.learn_steps(Ledger(), [Fact(id="a", request=FACTS[1])], host)).state
    state = Ledger()
    for fact in FACTS[:2]:
        state = finish(method.learn_steps(state, [Fact(id=fact.prompt, request=fact)], host)).state
    assert torch.equal(alone.facts[0].pairs.keys, state.facts[1].pairs.keys)
    assert torch.equal(alone.facts[0].pairs.residuals, state.facts[1].pairs.residuals)
    assert not torch.equal(alone.facts[0].pairs.keys, state.facts[0].pairs.keys)


@pytest.mark.slow
def test_the_residual_is_kept_within_its_bound_and_serves_all_wordings(host: HostModel) -> None:
    request = EditRequest(prompt=FACTS[2].prompt, target="Turin", rephrases=("In what city was the ship built?",))
    texts = key_texts(request, ("It is late.",))
    assert texts == [*request.key_texts, f"It is late. {request.prompt}"]
    free, losses = finish(residual_steps(request, texts, 1, host, ValueSettings()))
    bound, _ = finish(residual_steps(request, texts, 1, host, ValueSettings(clamp=0.05)))
    assert losses[-1] < losses[0] and float(bound.norm()) < 0.2 * float(free.norm())
    sites = free.shape[1] // len(texts)
    assert torch.equal(free[:, :sites], free[:, -sites:])  # every wording asks for the same


# ---- the session ---------------------------------------------------------------------------------------------------


def editor_of(host: HostModel, **changes: object) -> JointEditor:
    return JointEditor(method=Rls(RlsSettings(**changes)), host=host)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("anchor", ["covariance", "null-space", "ridge"])
def test_after_removals_in_any_order_the_weight_is_that_of_another_history(host: HostModel, anchor: str) -> None:
    ours, theirs = editor_of(host, anchor=anchor), editor_of(host, anchor=anchor)
    edits = [ours.edit(fact) for fact in FACTS]
    ours.delete(edits[2].id)
    ours.delete(edits[0].id)
    for fact in (FACTS[3], FACTS[1]):
        theirs.edit(fact)
    assert torch.equal(ours.state_tensors()["update"], theirs.state_tensors()["update"])
    assert ours.state_digest == theirs.state_digest
    assert torch.equal(ours.generation_logits(FACTS[0].prompt, 4), theirs.generation_logits(FACTS[0].prompt, 4))
    for edit in ours.edits:
        ours.delete(edit.id)
    assert ours.state_tensors() == {} and ours.plan(FACTS[0].prompt).intervention is None
    assert ours.state_digest == editor_of(host).state_digest


def test_without_the_guard_the_weight_acts_as_the_sum_of_the_old_one_and_the_update(host: HostModel) -> None:
    editor = editor_of(host, guard=None)
    editor.edit(FACTS[0])
    assert set(editor.state_tensors()) == {"update"}
    plan = editor.plan(ELSEWHERE)
    assert plan.intervention is not None
    ((name, function),) = plan.intervention.modules.items()
    weight = host._model.get_submodule(name).weight
    inputs = torch.randn(1, 5, weight.shape[1], generator=torch.Generator().manual_seed(0))
    made = function(inputs, inputs @ weight.T, torch.arange(5), "prefill")
    assert made is not None
    assert torch.allclose(made, inputs @ (weight + editor.state_tensors()["update"]).T, atol=1e-4)
    assert not torch.equal(editor.next_token_logits(ELSEWHERE), editor.base_generation_logits(ELSEWHERE, 1)[0])


@pytest.mark.slow
def test_with_the_guard_only_tokens_near_a_facts_key_are_touched(host: HostModel) -> None:
    editor = editor_of(host, guard=0.9)
    editor.edit(FACTS[0])
    assert not torch.equal(
        editor.next_token_logits(FACTS[0].prompt), editor.base_generation_logits(FACTS[0].prompt, 1)[0]
    )
    assert torch.equal(editor.generation_logits(ELSEWHERE, 4), editor.base_generation_logits(ELSEWHERE, 4))
    plan = editor.plan(ELSEWHERE)
    assert plan.intervention is not None
    ((name, function),) = plan.intervention.modules.items()
    key = keys_of(FACTS[0], [FACTS[0].prompt], host, name, ("subject",))[:, 0]
    inputs = torch.stack([torch.ones_like(key), key * 3, -key])[None]  # its direction counts, not its length
    output = torch.zeros(1, 3, host.hidden_size)
    made = function(inputs, output, torch.arange(3), "prefill")
    assert made is not None and [bool(row.any()) for row in made[0]] == [False, True, False]


@pytest.mark.slow
def test_every_question_meets_all_facts_that_are_on(host: HostModel) -> None:
    editor = editor_of(host)
    first, second = (editor.edit(fact) for fact in FACTS[:2])
    route = editor.route("Is it late?")
    assert route.kind == "shared" and set(route.edit_ids) == {first.id, second.id}
    editor.set_enabled(first.id, False)
    assert editor.route(FACTS[0].prompt).edit_ids == (second.id,)


@pytest.mark.slow
def test_of_two_facts_with_one_question_the_last_counts_and_taking_it_back_uncovers_the_other(host: HostModel) -> None:
    editor, plain = editor_of(host), editor_of(host)
    plain.edit(FACTS[2])
    old = editor.edit(FACTS[2])
    new = editor.edit(EditRequest(prompt=f"{FACTS[2].prompt} ", target="Lyon"))
    assert editor.answer(FACTS[2].prompt, 12).text == "Lyon"
    assert editor.route(FACTS[2].prompt).edit_ids == (new.id,)
    told = preview(editor.method, editor._now[0], new.id, host)  # type: ignore[arg-type]
    assert [one.fact_id for one in told] == [old.id]
    editor.delete(new.id)
    assert torch.equal(editor.state_tensors()["update"], plain.state_tensors()["update"])
    assert told[0].then == pytest.approx(fits(editor.method, editor._now[0], host)[old.id], rel=1e-6)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_preview_comes_true(host: HostModel) -> None:
    editor = editor_of(host, weight=300.0)  # so heavy an anchor that facts lean on one another
    method = editor.method
    assert isinstance(method, Rls)
    edits = [editor.edit(fact) for fact in FACTS]
    state, facts = editor._now[0], [Fact(id=edit.id, request=edit.request) for edit in edits]
    told = finish(preview_answers_steps(method, state, facts[0], facts[1:], host))
    assert {one.fact_id for one in told} == {edit.id for edit in edits[1:]}
    assert editor._now[0] is state
    before = fits(method, state, host)
    editor.delete(edits[0].id)
    after = fits(method, editor._now[0], host)
    for one, edit in zip(told, edits[1:], strict=True):
        assert one.now == pytest.approx(before[one.fact_id], rel=1e-6)
        assert one.then == pytest.approx(after[one.fact_id], rel=1e-6)
        assert editor.answer(edit.prompt, 24).text == one.answer_then
    assert any(abs(one.now - one.then) > 1e-4 for one in told)


@pytest.mark.slow
def test_a_preview_of_a_fact_that_is_off_says_that_nothing_moves(host: HostModel) -> None:
    editor = editor_of(host)
    first, second = (editor.edit(fact) for fact in FACTS[:2])
    editor.set_enabled(first.id, False)
    (told,) = preview(editor.method, editor._now[0], first.id, host)  # type: ignore[arg-type]
    assert told.fact_id == second.id and told.now == told.then and not told.answer_changes
    with pytest.raises(UnknownEdit):
        preview(editor.method, editor._now[0], "nobody", host)  # type: ignore[arg-type]


# ---- running text --------------------------------------------------------------------------------------------------


def moment(host: HostModel, layer: int = 1) -> tuple[Tensor, int]:
    steps = second_moment_steps(host, host.module_name(layer), tokens_per_input=2, answer_tokens=4)
    told = 0
    while True:
        try:
            next(steps)
            told += 1
        except StopIteration as finished:
            return finished.value, told


@pytest.mark.slow
def test_the_running_text_is_read_once_for_a_host_and_kept_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOLA_CACHE", str(tmp_path))
    first = tiny_host("llama")
    first.fingerprint = "ab" * 32  # as a host that was loaded has it
    found, told = moment(first)
    assert told > 0 and moment(first)[1] == 0
    files = list((tmp_path / "statistics").iterdir())
    assert [file.suffix for file in files] == [".safetensors"]
    again = tiny_host("llama")
    again.fingerprint = first.fingerprint
    kept, told = moment(again)
    assert told == 0 and torch.equal(kept, found)
    assert moment(again, layer=2)[1] > 0  # another layer is read for itself
    files[0].write_bytes(b"damaged")
    third = tiny_host("llama")
    third.fingerprint = first.fingerprint
    kept, told = moment(third)
    assert told > 0 and torch.equal(kept, found)


def test_a_made_up_host_leaves_nothing_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLA_CACHE", str(tmp_path))
    found, _ = moment(tiny_host("llama"))
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(found, found.T) and float(torch.linalg.eigvalsh(found)[0]) > -1e-9


@pytest.mark.slow
def test_reading_can_be_given_up_and_is_told(host: HostModel) -> None:
    fresh = tiny_host("gpt2")
    steps = load_editor(method="rls", host=fresh).edit_steps(FACTS[0])
    assert next(steps).stage == "reading"
    steps.close()
    assert not fresh.measured


def test_written_facts_keep_their_numbers_while_they_are_off(host: HostModel) -> None:
    editor = editor_of(host)
    edit = editor.edit(FACTS[0])
    kept: Written = editor._now[0].facts[0]
    editor.set_enabled(edit.id, False)
    assert editor._now[0].facts[0].pairs is kept.pairs and editor._now[0].sums is None
