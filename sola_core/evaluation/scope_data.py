"""Reads what the scope scorer is trained on: subjects, relations with their wordings, and which of it is held out.

Knows the record files' own habits (how a subject stands in a prompt, which prompts ask the same); knows no model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sola_core.evaluation.datasets import Row, read_rows
from sola_core.evaluation.questions import ALIAS
from sola_core.evaluation.scope_relations import surely_agree
from sola_core.evaluation.scope_wordings import WORDINGS

SLOT = "{}"  # where the subject stands in a wording
# No wording that matches is trained on, in any file: relations that only the test sees.
HELD_OUT_RELATIONS = re.compile(r"\b(religio\w*|buri(al|ed))\b", re.IGNORECASE)
TEST, CALIBRATION = 20, 10  # percent of all subjects
FEW_SUBJECTS = 40  # a group of our own wordings with fewer takes those of its kind
MIN_SEEN = 3  # records that must agree before two wordings of a long stream count as one relation


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Wordings that ask for one thing, and subjects that it is asked of."""

    source: str  # file family; wordings of two relations of one `source` with `distinct` ask different things
    number: int
    wordings: tuple[str, ...]  # each with one SLOT
    linked: frozenset[tuple[str, str]]  # pairs of wordings known to ask the same; others of the relation are doubtful
    subjects: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A wording with a subject's two names."""

    wording: str
    subject: str
    other: str


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Everything that a batch is made of; nothing here names a held-out subject or relation."""

    relations: tuple[Relation, ...]
    aliases: tuple[Alias, ...]
    names: tuple[tuple[str, ...], ...]  # other things with several names
    questions: tuple[str, ...]  # unrelated to every subject
    sentences: tuple[str, ...]  # to stand in front of a prompt


def part_of(subject: str | None) -> str:
    """Return "test", "calibration" or "train": the part that a subject (or a prompt without one) belongs to, for ever."""
    place = int.from_bytes(hashlib.sha256((subject or "").casefold().encode("utf-8")).digest()[:4], "big") % 100
    return "test" if place < TEST else "calibration" if place < TEST + CALIBRATION else "train"


def row_part(row: Row) -> str:
    """Return the part of a record: a held-out relation makes it "test" whatever its subject."""
    if held_out_relation(row.prompt, row.subject):
        return "test"
    return part_of(row.subject or row.prompt)


def held_out_relation(prompt: str, subject: str | None) -> bool:
    """Say whether the prompt, without its subject, asks for a relation that is held out."""
    return HELD_OUT_RELATIONS.search(prompt.replace(subject, " ") if subject else prompt) is not None


def wording(prompt: str, subject: str | None) -> str | None:
    """Return the prompt with SLOT for its subject; None when it does not stand there exactly once."""
    return prompt.replace(subject, SLOT) if subject and prompt.count(subject) == 1 and SLOT not in prompt else None


def read_training_data(folder: Path) -> TrainingData:
    """Read all sources of `folder` and leave the held-out parts behind."""
    stream = _train(read_rows(folder / "counterfact_stream.jsonl"))
    counterfact = _train(read_rows(folder / "counterfact_dev.jsonl"))
    questions = _train(read_rows(folder / "zsre_dev.jsonl"))
    knowedit = _train(read_rows(folder / "zsre_knowedit_dev.jsonl"))
    wiki_paths = [folder / "wiki_counterfact_dev.jsonl", folder / "wiki_recent_dev.jsonl"]
    wiki = [row for path in wiki_paths for row in _train(read_rows(path))]
    relations, fronts = _cloze(stream, counterfact)
    read = [
        *relations,
        *_facts(_train(read_rows(folder / "true_facts.jsonl"))),
        *_questions([*questions, *knowedit]),
        *_plain([*knowedit, *wiki]),
    ]
    found = [*read, *own_relations(read)]
    subjects = {name.casefold() for relation in found for name in relation.subjects}
    return TrainingData(
        relations=tuple(
            Relation(source=r.source, number=i, wordings=r.wordings, linked=r.linked, subjects=r.subjects)
            for i, r in enumerate(found)
        ),
        aliases=tuple(_aliases(wiki)),
        names=tuple(_names(wiki_paths, subjects)),
        questions=tuple(r.prompt for r in read_rows(folder / "nq_questions.jsonl") if part_of(r.prompt) == "train"),
        sentences=(*fronts, *_running(folder / "wikitext2_raw_test.txt")),
    )


def _train(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row_part(row) == "train"]


def _cloze(stream: Sequence[Row], dev: Sequence[Row]) -> tuple[list[Relation], list[str]]:
    """Return CounterFact's relations, and the sentences in front of its paraphrases.

    A case of the stream has two prompts of one relation; wordings join where MIN_SEEN cases agree.
    """
    subjects: dict[str, dict[str, None]] = defaultdict(dict)
    for row in stream:
        text = wording(row.prompt, row.subject)
        if text and row.subject:
            subjects[text][row.subject] = None
    known = sorted((t for t in subjects if len(subjects[t]) >= MIN_SEEN), key=lambda t: (-len(t), t))
    seen: Counter[tuple[str, str]] = Counter()
    for row in stream:
        first, other = wording(row.prompt, row.subject), _parsed(row.locality[0].prompt, known)
        if first in known and other and not held_out_relation(other[0], None):
            seen[first, other[0]] += 1
            seen[other[0], first] += 1
            if part_of(other[1]) == "train":
                subjects[other[0]][other[1]] = None
    fronts = []
    for row in dev:
        for text in row.rephrases:
            found = max((t for t in known if text.endswith(t.replace(SLOT, row.subject or ""))), key=len, default=None)
            if found and row.subject:
                fronts.append(text[: len(text) - len(found.replace(SLOT, row.subject))].strip())
    linked = {pair for pair, count in seen.items() if count >= MIN_SEEN}
    return _joined("cloze", known, linked, subjects), [front for front in fronts if front]


def _parsed(prompt: str, known: Sequence[str]) -> tuple[str, str] | None:
    for text in known:  # the longest wording first
        before, after = text.split(SLOT)
        if len(prompt) > len(before) + len(after) and prompt.startswith(before) and prompt.endswith(after):
            return text, prompt[len(before) : len(prompt) - len(after)]
    return None


def _facts(rows: Sequence[Row]) -> list[Relation]:
    """Return the relations of records that have two wordings or more each; the subject sets tell them apart."""
    wordings: dict[frozenset[str], dict[str, None]] = {}
    for row in rows:
        texts = [wording(text, row.subject) for text in (row.prompt, *row.rephrases)]
        group = frozenset(text for text in texts if text)
        if group and row.subject:
            wordings.setdefault(group, {})[row.subject] = None
    return [
        Relation(source="facts", number=0, wordings=tuple(sorted(g)), linked=_all_pairs(g), subjects=tuple(names))
        for g, names in wordings.items()
        if not any(HELD_OUT_RELATIONS.search(text) for text in g)
    ]


def _questions(rows: Sequence[Row]) -> list[Relation]:
    """Return zsRE's relations: a prompt and its rephrasing ask the same, and so do chains of them, less surely."""
    linked: set[tuple[str, str]] = set()
    subjects: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        texts = [text for text in (wording(t, row.subject) for t in (row.prompt, *row.rephrases)) if text]
        for text in texts:
            if row.subject and not HELD_OUT_RELATIONS.search(text):
                subjects[text][row.subject] = None
        linked |= {(a, b) for a in texts for b in texts if a != b and a in subjects and b in subjects}
    return _joined("questions", sorted(subjects), linked, subjects)


def _plain(rows: Sequence[Row]) -> list[Relation]:
    """Return relations named by a noun: "The gender of X is", and its short form "X gender" where the records use it."""
    short = re.compile(r"^\{\} (?P<noun>[^,.?]+)$")
    subjects: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for text in (row.prompt, *(p.prompt for p in row.locality if p.kind == "Relation_Specificity")):
            form = wording(text, row.subject)
            if form and row.subject and not HELD_OUT_RELATIONS.search(form) and "?" not in form:
                subjects[form][row.subject] = None
    linked = set()
    for form in subjects:
        match = short.match(form)
        full = f"The {match['noun']} of {SLOT} is" if match else ""
        if full in subjects:
            linked |= {(form, full), (full, form)}
    for form in list(subjects):  # the records' one wording and the question that it answers
        match = re.match(r"^The (?P<rest>.+ of \{\}) (?P<verb>is|are)$", form)
        if match:
            question = f"What {match['verb']} the {match['rest']}?"
            subjects[question] = subjects[form]
            linked |= {(form, question), (question, form)}
    return _joined("plain", sorted(subjects), linked, subjects)


def own_relations(read: Sequence[Relation]) -> Iterable[Relation]:
    """Yield our own groups of wordings, each with the files' wordings that surely ask the same, and subjects of its kind."""
    by_wording: dict[str, dict[str, None]] = defaultdict(dict)
    for relation in read:
        for text in relation.wordings:
            by_wording[text] |= dict.fromkeys(relation.subjects)
    for groups in WORDINGS.values():
        known = [[*group, *(t for t in by_wording if t not in group and surely_agree(t, group[0]))] for group in groups]
        kind = dict.fromkeys(name for group in known for text in group for name in by_wording.get(text, ()))
        for group in known:
            own = dict.fromkeys(name for text in group for name in by_wording.get(text, ()))
            names = tuple(own if len(own) >= FEW_SUBJECTS else kind)
            if names:
                yield Relation(source="own", number=0, wordings=tuple(group), linked=_all_pairs(group), subjects=names)


def _joined(
    source: str, texts: Sequence[str], linked: set[tuple[str, str]], subjects: Mapping[str, Mapping[str, None]]
) -> list[Relation]:
    """Return one relation for each set of wordings that chains of links join."""
    parent = {text: text for text in texts}

    def root(text: str) -> str:
        while parent[text] != text:
            text = parent[text]
        return text

    for a, b in sorted(linked):
        parent[root(a)] = root(b)
    groups: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        groups[root(text)].append(text)
    return [
        Relation(
            source=source,
            number=0,
            wordings=tuple(group),
            linked=frozenset(pair for pair in linked if pair[0] in group),
            subjects=tuple(dict.fromkeys(name for text in group for name in subjects[text])),
        )
        for group in groups.values()
    ]


def _all_pairs(group: Iterable[str]) -> frozenset[tuple[str, str]]:
    texts = sorted(group)
    return frozenset((a, b) for a in texts for b in texts if a != b)


def _aliases(rows: Sequence[Row]) -> Iterable[Alias]:
    for row in rows:
        form = wording(row.prompt, row.subject)
        for probe in row.portability:
            other = _parsed(probe.prompt, [form]) if form and probe.kind == ALIAS else None
            if other and form and row.subject and other[1] != row.subject and part_of(other[1]) != "test":
                yield Alias(wording=form, subject=row.subject, other=other[1])


def _names(paths: Sequence[Path], subjects: set[str]) -> Iterable[tuple[str, ...]]:
    """Yield the names of things that are answers in the records and neither held out nor subjects."""
    seen: set[str] = set()
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            for probe in (*record["locality"], *record["portability"]):
                names = [n for n in dict.fromkeys((probe["answer"], *probe.get("aliases", ()))) if 2 < len(n) < 60]
                fresh = not seen & {n.casefold() for n in names}
                if len(names) > 1 and fresh and all(part_of(n) == "train" for n in names[:2]):
                    seen |= {n.casefold() for n in names}
                    yield tuple(names[:6])


def _running(path: Path) -> Iterable[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        for sentence in re.findall(r"[A-Z][^.=@<>]{20,110} \.", line):
            yield sentence.replace(" ,", ",").replace(" .", ".").strip()
