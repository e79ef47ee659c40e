"""What taking one fact back will do to the others, told before it is done.

Knows the method `rls` and its sums. Knows no session and changes nothing.
Source: the leave-one-out formula of least squares: without (K, R) any other key k' is mapped to D'k' with
D'k' - Dk' = -(R - D K) S^-1 F^T k', F = P K, S = I - K^T F (Sherman-Morrison-Woodbury; see `rls_sums`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

import torch
from torch import Tensor

from sola_core.editors.joint import Fact, Foreseen
from sola_core.editors.rls import Ledger, Rls, Written
from sola_core.editors.rls_sums import Pairs, real
from sola_core.errors import UnknownEdit
from sola_core.host.intervention import Intervention
from sola_core.host.model import HostModel
from sola_core.host.stream import Generation
from sola_core.records import TrainingStep
from sola_core.steps import finish


def misfit(update: Tensor, pairs: Pairs) -> float:
    """Return how far an update, (out, in) float64 in key units, is from what a fact asks of it: ||R - D K|| / ||R||."""
    residuals = real(pairs.residuals)
    away = torch.linalg.norm(residuals - update @ real(pairs.keys))
    return float(away / torch.linalg.norm(residuals).clamp(min=1e-12))


def fits(method: Rls, state: Ledger, host: HostModel) -> Mapping[str, float]:
    """Return the misfit of every fact that counts, by its id."""
    if state.sums is None:
        return {}
    _, anchor = finish(method.anchor_steps(host))
    update = anchor.update(state.sums)
    return {fact.id: misfit(update, fact.pairs) for fact in state.counting}


def preview(method: Rls, state: Ledger, fact_id: str, host: HostModel) -> tuple[Foreseen, ...]:
    """Return, for each other fact that will count, its misfit now and after deleting this one; no model pass.

    Raises UnknownEdit for an id that the state does not have.
    """
    gone, left = _parted(state, fact_id)
    now, then = set(_ids(state)), {fact.id: fact for fact in left.counting}
    if gone.id not in now or state.sums is None:  # it is off, or another one answers for its question: nothing moves
        before = fits(method, state, host)
        return tuple(Foreseen(fact_id=one, now=before[one], then=before[one]) for one in then)
    _, anchor = finish(method.anchor_steps(host))
    solver, update = anchor.solver(state.sums), anchor.update(state.sums)
    if then.keys() <= now:
        after = update + solver.without(update, gone.pairs)
    else:  # an older fact with the same question comes to count: the formula is of a removal alone
        after = anchor.update(
            state.sums.changed(added=[then[i].pairs for i in then if i not in now], removed=[gone.pairs])
        )
    return tuple(
        Foreseen(fact_id=fact.id, now=misfit(update, fact.pairs), then=misfit(after, fact.pairs))
        for fact in then.values()
    )


def preview_answers_steps(
    method: Rls, state: Ledger, fact: Fact, left: Sequence[Fact], host: HostModel, *, max_new_tokens: int = 24
) -> Generator[TrainingStep, None, tuple[Foreseen, ...]]:
    """Return the preview with each fact's answer now and after the deletion, asked of the model itself.

    `left` are the other facts, as `removed_steps` takes them; the state after the deletion is the one that it will
    return, so the answers will be these.
    """
    seen = {one.fact_id: one for one in preview(method, state, fact.id, host)}
    after = yield from method.removed_steps(state, fact, left, host)
    asked = [one for one in left if one.id in seen]
    made = []
    for number, one in enumerate(asked, start=1):
        now, then = (_answer(method, at, one.request.prompt, host, max_new_tokens) for at in (state, after))
        yield TrainingStep(step=number, total=len(asked), loss=0.0, stage="trying")
        known = seen[one.id]
        made.append(
            Foreseen(fact_id=one.id, now=known.now, then=known.then, answer_now=now.text, answer_then=then.text)
        )
    return tuple(made)


def _answer(method: Rls, state: Ledger, prompt: str, host: HostModel, most: int) -> Generation:
    modules = None if state.update is None else Intervention(modules=method.modules(state, host))
    return host.generate(prompt, max_new_tokens=most, intervention=modules)


def _parted(state: Ledger, fact_id: str) -> tuple[Written, Ledger]:
    for fact in state.facts:
        if fact.id == fact_id:
            return fact, Ledger(facts=tuple(one for one in state.facts if one is not fact))
    raise UnknownEdit(f"There is no edit {fact_id!r} here.")


def _ids(state: Ledger) -> list[str]:
    return [fact.id for fact in state.counting]
