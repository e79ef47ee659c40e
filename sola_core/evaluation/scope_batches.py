"""Draws the scope scorer's training batches: prompts, and for each pair of them whether they ask the same of the same.

Knows subjects, relations and spelling; knows no encoder. Every draw comes from one seeded generator.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sola_core.evaluation.alike_names import closest, sharing_words
from sola_core.evaluation.scope_data import SLOT, Relation, TrainingData
from sola_core.evaluation.scope_relations import may_agree, surely_agree, surely_differ

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = {"cloze": 0.26, "questions": 0.2, "plain": 0.1, "facts": 0.05, "own": 0.16, "aliases": 0.17, "names": 0.06}
GROUPS, SUBJECTS, UNRELATED = 4, 6, 4  # a batch: groups of one relation, subjects in each, questions about others
LIKE, CLOSE = 0.4, 0.35  # of the groups have subjects that share a word, or whose names the encoder holds for alike
FRONT, LOWER, TYPO, VARIANT = (
    0.28,
    0.12,
    0.08,
    0.1,
)  # of the prompts: another sentence first, lower case, typo, name variant
SAME_NAME, OTHER_NAME, OTHER_RELATION, OTHER_ENTITY = 1.5, 0.75, 1.5, 6.0  # how much a pair counts in the loss
NEAR, NEAR_SHARE = 8, 0.65  # of the prompts about something else ask one of the NEAR things that sound most alike
TELLING = 0.45  # two names of one thing are trained on when they share a word or their sentence cosine is at least this
CLEARLY_OTHER = 0.45  # wordings of two files ask different things when their sentence cosine is below this


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt of a batch."""

    text: str
    name: str  # the subject as it stands in the text; "" without one
    entity: str  # the subject, whatever its name here
    relation: int | None
    wording: str
    is_key: bool  # a clean prompt, as somebody would teach it


@dataclass(frozen=True)
class Batch:
    """Prompts, and for each (query, key) pair of them 1 for the same, 0 for not, -1 for unknown, and how much it counts."""

    prompts: tuple[Prompt, ...]
    labels: NDArray[np.int8]  # (n, n)
    weights: NDArray[np.float32]  # (n, n)


class BatchSource:
    """Endless batches from one seed. `vector` returns a text's unit vector; their cosine tells how alike texts are."""

    def __init__(self, data: TrainingData, vector: Callable[[str], NDArray[np.float32]], seed: int) -> None:
        self._data, self._vector, self._draw = data, vector, random.Random(seed)
        self._aliases = [alias for alias in data.aliases if self._telling(alias.subject, alias.other)]
        self._names = [names for names in data.names if self._telling(names[0], names[1])]
        self._by_source: dict[str, list[Relation]] = defaultdict(list)
        for relation in data.relations:
            self._by_source[relation.source].append(relation)
        self._by_wording = {text: r for r in reversed(data.relations) for text in r.wordings}
        self._size = {
            source: [
                max(1.0, len(r.subjects)) ** (1.0 if source == "questions" else 0.0 if source == "own" else 0.5)
                for r in relations
            ]
            for source, relations in self._by_source.items()
        }
        self._all_wordings = [(r, text) for r in data.relations for text in r.wordings]
        self._alike: dict[
            str, list[tuple[Relation, str]]
        ] = {}  # wording -> others that sound alike and ask something else
        names = {s: list(dict.fromkeys(n for r in found for n in r.subjects)) for s, found in self._by_source.items()}
        self._like = {source: sharing_words(found) for source, found in names.items()}
        self._close = {source: closest(found, vector) for source, found in names.items()}

    def batch(self) -> Batch:
        """Draw the next batch."""
        prompts: list[Prompt] = []
        kinds = self._draw.choices(list(SHARES), list(SHARES.values()), k=GROUPS)
        for kind in kinds:
            if kind == "aliases":
                group = self._alias_group()
            elif kind == "names":
                group = self._name_group()
            else:
                group = self._group(kind)
            prompts += group
        for text in self._draw.sample(self._data.questions, UNRELATED):
            prompts.append(Prompt(text=text, name="", entity=text, relation=None, wording=text, is_key=True))
        labels = self._labels(prompts)
        return Batch(tuple(prompts), labels, _weights(prompts, labels))

    def _likeness(self, first: str, second: str) -> float:
        return float(self._vector(first) @ self._vector(second))

    def _telling(self, first: str, second: str) -> bool:
        """Return whether one name can be told from the other, as none can from a name in another language or a pen name."""
        words = [{w for w in re.findall(r"\w+", name.casefold()) if len(w) > 2} for name in (first, second)]
        return bool(words[0] & words[1]) or self._likeness(first, second) >= TELLING

    # ---- groups ---------------------------------------------------------------------------------------------------

    def _group(self, source: str) -> list[Prompt]:
        relations = self._by_source[source]
        (relation,) = self._draw.choices(relations, self._size[source])
        names = self._subjects(source, relation)
        pairs = sorted(relation.linked)
        found: list[Prompt] = []
        for name in names:
            if pairs:
                first, second = self._draw.choice(pairs)
                if self._draw.random() < 0.12:
                    second = first
            else:
                first = second = self._draw.choice(relation.wordings)
            found.append(self._prompt(relation, first, name, name, key=True))
            found.append(self._prompt(relation, second, self._variant(name), name, key=False))
            for _ in range(2):
                other, text = self._other(relation, first)
                found.append(self._prompt(other, text, name, name, key=self._draw.random() < 0.5))
        return found

    def _subjects(self, source: str, relation: Relation) -> list[str]:
        names = relation.subjects
        if len(names) < SUBJECTS or self._draw.random() < 0.25:  # any subject of the file will do
            pool = self._draw.choice(self._by_source[source]).subjects
            names = (*names, *pool)
        first = self._draw.choice(names)
        kind = self._draw.random()
        near = self._like if kind < LIKE else self._close if kind < LIKE + CLOSE else {}
        alike = near.get(source, {}).get(first, ())
        chosen = dict.fromkeys([first, *self._draw.sample(alike, min(len(alike), SUBJECTS - 1))])
        chosen |= dict.fromkeys(self._draw.sample(names, min(len(names), SUBJECTS)))
        return list(chosen)[:SUBJECTS]

    def _alias_group(self) -> list[Prompt]:
        found = []
        text = self._draw.choice(self._aliases).wording
        same = [alias for alias in self._aliases if alias.wording == text]
        chosen = self._draw.sample(same, min(len(same), SUBJECTS))
        if self._draw.random() < CLOSE:
            first = chosen[0]
            chosen = sorted(same, key=lambda alias: -self._likeness(first.subject, alias.subject))[:SUBJECTS]
        while len(chosen) < SUBJECTS:
            chosen.append(self._draw.choice(self._aliases))
        for alias in chosen:
            relation = self._by_wording[text]
            a, b = (alias.subject, alias.other) if self._draw.random() < 0.8 else (alias.other, alias.subject)
            second = self._second(relation, text)
            found.append(self._prompt(relation, text, a, alias.subject, key=True))
            found.append(self._prompt(relation, second, b, alias.subject, key=False))
            other, form = self._other(relation, text)
            found.append(self._prompt(other, form, a if self._draw.random() < 0.8 else b, alias.subject, key=True))
        return found

    def _name_group(self) -> list[Prompt]:
        found = []
        relation, text = self._wide()
        for names in self._draw.sample(self._names, SUBJECTS):
            a, b = self._draw.sample(names[:2], 2)
            found.append(self._prompt(relation, text, a, names[0], key=True))
            found.append(self._prompt(relation, self._second(relation, text), b, names[0], key=False))
            other, form = self._other(relation, text)
            found.append(self._prompt(other, form, a, names[0], key=True))
        return found

    def _second(self, relation: Relation, text: str) -> str:
        others = [b for a, b in relation.linked if a == text]
        return self._draw.choice(sorted(others)) if others and self._draw.random() < 0.4 else text

    def _wide(self) -> tuple[Relation, str]:
        relation = self._draw.choice(self._by_source[self._draw.choice(["plain", "cloze", "facts"])])
        return relation, self._draw.choice(relation.wordings)

    def _other(self, relation: Relation, text: str) -> tuple[Relation, str]:
        """Return a wording that asks for something else, more often than not one that sounds alike."""
        if self._draw.random() < NEAR_SHARE and (alike := self._sounding_alike(relation, text)):
            return self._draw.choice(alike)
        near = [(r, w) for r in self._by_source[relation.source] for w in r.wordings[:4]]
        for _ in range(20):
            pool = near if self._draw.random() < 0.6 else self._all_wordings
            other = self._draw.choice(pool)
            if self._same(relation, text, other[0], other[1]) == 0:
                return other
        return self._wide()

    def _sounding_alike(self, relation: Relation, text: str) -> list[tuple[Relation, str]]:
        """Return the NEAR likest wordings that ask for something else, and as many of those that a noun names."""
        if text not in self._alike:
            others = [(r, w) for r, w in self._all_wordings if self._same(relation, text, r, w) == 0]
            others.sort(key=lambda other: -self._likeness(text, other[1]))
            plain = [other for other in others if other[0].source == "plain"]
            self._alike[text] = [*others[:NEAR], *plain[:NEAR]]
        return self._alike[text]

    # ---- one prompt -----------------------------------------------------------------------------------------------

    def _prompt(self, relation: Relation, form: str, name: str, entity: str, *, key: bool) -> Prompt:
        text = form.replace(SLOT, name)
        if self._draw.random() < LOWER:
            text, name = text.lower(), name.lower()
        if not key and self._draw.random() < TYPO:
            text = self._typo(text)
        if not key and self._draw.random() < FRONT:
            text = f"{self._draw.choice(self._data.sentences)} {text}"
        return Prompt(
            text=text, name=name, entity=entity.casefold(), relation=relation.number, wording=form, is_key=key
        )

    def _typo(self, text: str) -> str:
        places = list(re.finditer(r"[A-Za-z]{5,}", text))
        if not places:
            return text
        at = (found := self._draw.choice(places)).start() + self._draw.randrange(1, len(found[0]) - 1)
        kind = self._draw.randrange(3)
        if kind == 0:
            return text[:at] + text[at + 1 :]
        if kind == 1:
            return text[:at] + text[at] + text[at:]
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]

    def _variant(self, name: str) -> str:
        """Return the name, or now and then another spelling of it."""
        words = name.split()
        if self._draw.random() >= VARIANT or len(words) < 2:
            return name
        kinds = [" ".join(words).replace("-", " "), name.replace(".", ""), f"the {name}", name.replace("'", "")]
        if len(words) > 2 and words[0][0].isupper() and words[1][0].isupper():
            kinds += [" ".join([words[0], *words[2:]]), " ".join([words[0], f"{words[1][0]}.", *words[2:]])]
        if len(words) == 2 and all(w[0].isupper() for w in words):
            kinds.append(f"{words[0]} {self._draw.choice('ABCDEFGHJKLMNPRST')}. {words[1]}")
        return self._draw.choice(kinds)

    # ---- labels ---------------------------------------------------------------------------------------------------

    def _labels(self, prompts: Sequence[Prompt]) -> NDArray[np.int8]:
        labels = np.zeros((len(prompts), len(prompts)), dtype=np.int8)
        for i, a in enumerate(prompts):
            for j, b in enumerate(prompts):
                if a.entity == b.entity and a.relation is not None and b.relation is not None:
                    first, second = self._data.relations[a.relation], self._data.relations[b.relation]
                    labels[i, j] = self._same(first, a.wording, second, b.wording)
        np.fill_diagonal(labels, -1)
        return labels

    def _same(self, first: Relation, a: str, second: Relation, b: str) -> int:
        if a == b or (a, b) in first.linked or (a, b) in second.linked or surely_agree(a, b):
            return 1
        if surely_differ(a, b):
            return 0
        if first.number == second.number or may_agree(a, b):
            return -1
        if first.source == second.source and first.source != "questions":
            return 0
        return 0 if self._likeness(a, b) < CLEARLY_OTHER else -1


def _weights(prompts: Sequence[Prompt], labels: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return how much each pair counts. A wrong subject is worse than a wrong relation, and another name harder to know
    than other words: so one threshold comes to serve both."""
    entity = np.array([[a.entity == b.entity for b in prompts] for a in prompts])
    name = np.array([[a.name.casefold() == b.name.casefold() for b in prompts] for a in prompts])
    same = np.where(name, SAME_NAME, OTHER_NAME)
    other = np.where(entity, OTHER_RELATION, OTHER_ENTITY)
    return np.where(labels == 1, same, other).astype(np.float32)
