"""The customary teacher-forced numbers, so that papers can be compared: token accuracies, and CounterFact's ES, PS, NS.

Knows what is asked and how likely given answers are. These numbers flatter: every token is seen with the right ones before
it, the length is given away, and nothing asks whether the model would stop.
Sources: ROME, arXiv 2202.05262, section 3.4 (ES, PS, NS, their harmonic mean); EasyEdit's token accuracy, arXiv 2308.07269.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sola_core.evaluation.numbers import present
from sola_core.evaluation.questions import APART, NEIGHBOUR, OWN, UNRELATED, Question
from sola_core.host.scoring import TargetScore

Scorer = Callable[[str, Sequence[str]], tuple[TargetScore, ...]]  # prompt, answers -> their scores, in that order


@dataclass(frozen=True, kw_only=True)
class ForcedScore:
    """How one prompt scores when the answers are given token by token."""

    row_id: str
    kind: str  # as in Asked
    prompt: str
    accuracy: float | None  # share of tokens, 0..1: the new answer's; where it must stay, the base model's own choices
    new: float | None  # mean log probability of a token of the new answer, nats
    true: float | None  # the same of the true answer

    @property
    def new_wins(self) -> bool | None:
        """Whether the new answer is likelier than the true one; None where they are not compared."""
        return None if self.new is None or self.true is None else self.new > self.true

    @property
    def true_wins(self) -> bool | None:
        """Whether the true answer is likelier than the new one; None where they are not compared."""
        return None if self.new is None or self.true is None else self.true > self.new


def forced_score(question: Question, edited: Scorer, base: Scorer) -> ForcedScore | None:
    """Score a question with the edited model and, where its answer must stay, with the untouched one.

    New and true answer are compared on the fact's own prompts and on its neighbours. None when there is nothing to score:
    the data expects no answer.
    """
    own = question.kind in OWN
    given = question.target if own else (question.expected or "").strip()
    new, true = question.row.target_new, question.row.target_true
    compared = [new, true] if (own or question.kind == NEIGHBOUR) and new and true else []
    answers = list(dict.fromkeys([*([given] if given else []), *compared]))
    if not answers:
        return None
    scores = dict(zip(answers, edited(question.prompt, answers), strict=True))
    accuracy = None
    if given:
        accuracy = scores[given].accuracy if own else scores[given].agreement(base(question.prompt, [given])[0])
    new_score, true_score = (scores[text].mean_log_probability for text in compared) if compared else (None, None)
    return ForcedScore(
        row_id=question.row.id,
        kind=question.kind,
        prompt=question.prompt,
        accuracy=accuracy,
        new=new_score,
        true=true_score,
    )


def forced_figures(scores: Sequence[ForcedScore]) -> dict[str, float]:
    """Return the flat figures, 0..1: the mean over rows of each row's mean, as EasyEdit and ROME take it.

    `tf_locality` leaves Forgetfulness out, as `locality` does; `cf_score` is there when ES, PS and NS are.
    """
    stay = [s for s in scores if s.kind not in OWN]
    found = {
        "tf_reliability": _mean((s, s.accuracy) for s in scores if s.kind == "reliability"),
        "tf_generality": _mean((s, s.accuracy) for s in scores if s.kind == "generality"),
        "tf_locality": _mean((s, s.accuracy) for s in stay if s.kind != APART),
    }
    for kind in dict.fromkeys(s.kind for s in stay):
        found[f"tf_locality_{kind}"] = _mean((s, s.accuracy) for s in stay if s.kind == kind)
    found["es"] = _mean((s, s.new_wins) for s in scores if s.kind == "reliability")
    found["ps"] = _mean((s, s.new_wins) for s in scores if s.kind == "generality")
    found["ns"] = _mean((s, s.true_wins) for s in scores if s.kind == NEIGHBOUR)
    parts = [value for name in ("es", "ps", "ns") if (value := found[name]) is not None]
    found["cf_score"] = statistics.harmonic_mean(parts) if len(parts) == 3 else None
    return present(found)


def _mean(values: Iterable[tuple[ForcedScore, float | bool | None]]) -> float | None:
    """Return the mean over rows of each row's mean; None without values."""
    rows: dict[tuple[str, bool], list[float]] = {}
    for score, value in values:
        if value is not None:
            rows.setdefault((score.row_id, score.kind == UNRELATED), []).append(float(value))
    return statistics.fmean(map(statistics.fmean, rows.values())) if rows else None
