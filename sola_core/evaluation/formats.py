"""Turns one stored record into a row, whichever of the field's file formats it has.

Knows the fields of each format and tells the formats apart by them; knows nothing of files, and nothing of models.
The field names are those of zjunlp/EasyEdit (easyeditor/dataset, examples) and kmeng01/rome (dsets).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sola_core.evaluation.rows import Probe, Row

Stored = Mapping[str, object]

NQ_MARK = "nq question: "  # zsRE files put it before the Natural Questions they borrow
END_MARK = "<|endoftext|>"  # what ROME's zsRE loader writes where no true answer is known
KINDS = {"Relation_Specifity": "Relation_Specificity", "relation_specificity": "Relation_Specificity"}  # as spelt there
ONE_HOP = "one_hop"


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way of writing a record down."""

    name: str
    needs: tuple[str, ...]  # fields that every such record has
    marks: tuple[str, ...]  # one of these tells the format apart
    read: Callable[[Stored, int], Row]  # record, its number in the file (1-based) -> row

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.needs)})"


def row_of(stored: object, number: int) -> Row:
    """Return the row that a record of any known format stands for; `number` is its 1-based place in the file.

    Raises TypeError for a value that is no record of that format, KeyError for a field that is not there, and ValueError,
    naming the formats and what each would need, for a record of none of them.
    """
    if not isinstance(stored, Mapping):
        raise TypeError("it is not an object with fields")
    for known in FORMATS:
        if any(_marked(stored, mark) for mark in known.marks):
            missing = [field for field in known.needs if field not in stored]
            if missing:
                raise ValueError(f"it looks like {known.name}, but has no {' and no '.join(map(repr, missing))}")
            return known.read(stored, number)
    fields = ", ".join(map(repr, list(stored)[:8])) or "none"
    raise ValueError(f"it has no 'prompt' or what else a format needs; its fields: {fields}. {known_formats()}")


def known_formats() -> str:
    """Return one line that names every format with the fields it needs."""
    return "Known formats: " + "; ".join(map(str, FORMATS))


# ---- one function per format ---------------------------------------------------------------------------------------


def common(stored: Stored, number: int) -> Row:
    """Read the project's own schema: id, subject, prompt, target_new, target_true, rephrases, locality, portability."""
    return Row(
        id=str(stored.get("id", number)),
        subject=_text_or_none(stored, "subject"),
        prompt=_text(stored, "prompt"),
        target_new=_text_or_none(stored, "target_new"),
        target_true=_text_or_none(stored, "target_true"),
        rephrases=tuple(_checked(text, "rephrases") for text in _list(stored, "rephrases")),
        locality=tuple(_probe(probe, "locality") for probe in _list(stored, "locality")),
        portability=tuple(_probe(probe, "portability") for probe in _list(stored, "portability")),
    )


def demo_fact(stored: Stored, number: int) -> Row:
    """Read a fact as `assets/demo_facts.json` and the command line's `edit` name its parts: prompt, target, neighbours."""
    neighbours = (_checked(text, "neighbours") for text in _list(stored, "neighbours"))
    return Row(
        id=f"fact-{number}",
        subject=_text_or_none(stored, "subject"),
        prompt=_text(stored, "prompt"),
        target_new=_text(stored, "target"),
        target_true=None,
        rephrases=tuple(_checked(text, "rephrases") for text in _list(stored, "rephrases")),
        locality=tuple(Probe(prompt=text, answer=None, kind="neighborhood") for text in neighbours),
    )


def zsre(stored: Stored, number: int) -> Row:
    """Read zsRE as MEND wrote it (`zsre_mend_eval.json`), which EasyEdit, ROME and MEMIT all use.

    The new answer is `alt` (MEND, EasyEdit; a row whose `alt` is empty teaches nothing); without that field it is the first
    of `answers`, as ROME and MEMIT take it, and the true answer is not known. `pred`, a model's own guess, is not read.
    """
    truth = _first(stored["answers"])
    return Row(
        id=str(stored.get("case_id", number)),
        subject=_text_or_none(stored, "subject"),
        prompt=_text(stored, "src"),
        target_new=_first(stored["alt"]) if "alt" in stored else truth,
        target_true=truth if "alt" in stored else None,
        rephrases=_texts(stored.get("rephrase")),
        locality=_pairs(stored.get("loc"), stored.get("loc_ans"), "nq"),
        portability=_portability(stored),
    )


def rome(stored: Stored, number: int) -> Row:
    """Read ROME's CounterFact (`counterfact.json`), or a row of its zsRE loader, which has the same fields.

    `attribute_prompts` and `generation_prompts` are not read: no score here uses them.
    """
    rewrite = stored["requested_rewrite"]
    if not isinstance(rewrite, Mapping):
        raise TypeError("requested_rewrite must be an object with fields")
    subject, old = _text(rewrite, "subject"), _string(rewrite, "target_true")
    truth = None if old == END_MARK else old
    return Row(
        id=str(stored.get("case_id", number)),
        subject=subject,
        prompt=_text(rewrite, "prompt").replace("{}", subject),
        target_new=_string(rewrite, "target_new"),
        target_true=truth,
        rephrases=_texts(stored.get("paraphrase_prompts")),
        locality=tuple(_neighbours(_list(stored, "neighborhood_prompts"), truth)),
        portability=_portability(stored),
    )


def easyedit_counterfact(stored: Stored, number: int) -> Row:
    """Read EasyEdit's flat CounterFact: prompt, target_new, ground_truth, rephrase_prompt, locality_prompt."""
    return Row(
        id=str(stored.get("case_id", number)),
        subject=_text_or_none(stored, "subject"),
        prompt=_text(stored, "prompt"),
        target_new=_text_or_none(stored, "target_new"),
        target_true=_first(stored.get("ground_truth")),
        rephrases=_texts(stored.get("rephrase_prompt", stored.get("rephrase"))),
        locality=_pairs(stored.get("locality_prompt"), stored.get("locality_ground_truth"), "neighborhood"),
        portability=_portability(stored),
    )


def knowedit(stored: Stored, number: int) -> Row:
    """Read KnowEdit (also EasyEdit's zsRE of it): locality and portability are lists of probes under their kind.

    WikiBio rows say text, labels and concept for prompt, target_new and subject. Of several spellings of an answer the
    first counts.
    """
    locality = stored.get("locality") or {}
    if not isinstance(locality, Mapping):
        raise TypeError("locality must be an object: kind -> probes")
    return Row(
        id=str(stored.get("case_id", number)),
        subject=_first(stored.get("subject", stored.get("concept"))),
        prompt=_checked(stored["prompt"] if "prompt" in stored else stored["text"], "prompt"),
        target_new=_first(stored["target_new"] if "target_new" in stored else stored["labels"]),
        target_true=_first(stored.get("ground_truth")),
        rephrases=_texts(stored.get("rephrase_prompt", stored.get("rephrase"))),
        locality=_by_kind(locality),
        portability=_portability(stored),
    )


# The first whose mark stands in a record reads it; the plain schema comes last, for others have a `prompt` too.
FORMATS = (
    Format(name="ROME CounterFact", needs=("requested_rewrite",), marks=("requested_rewrite",), read=rome),
    Format(name="zsRE", needs=("src", "answers"), marks=("src",), read=zsre),
    Format(name="demo facts", needs=("prompt", "target"), marks=("target",), read=demo_fact),
    Format(
        name="EasyEdit CounterFact",
        needs=("prompt", "target_new", "locality_prompt"),
        marks=("locality_prompt", "locality_ground_truth"),
        read=easyedit_counterfact,
    ),
    Format(name="KnowEdit WikiBio", needs=("text", "labels"), marks=("labels", "concept"), read=knowedit),
    Format(
        name="KnowEdit",
        needs=("prompt", "target_new"),
        marks=("locality{}", "portability{}", "ground_truth", "rephrase", "rephrase_prompt"),
        read=knowedit,
    ),
    Format(name="SoLA Studio", needs=("prompt",), marks=("prompt",), read=common),
)


# ---- reading fields, in the order of use ---------------------------------------------------------------------------


def _marked(stored: Stored, mark: str) -> bool:
    """Return whether a field stands in the record; `{}` behind its name means that it must hold fields itself."""
    name = mark.removesuffix("{}")
    return name in stored and (name == mark or isinstance(stored[name], Mapping))


def _probe(stored: object, field: str) -> Probe:
    if not isinstance(stored, Mapping):
        raise TypeError(f"{field} must be a list of objects with fields")
    answer, aliases = _text_or_none(stored, "answer"), _texts(stored.get("aliases"))
    return Probe(prompt=_text(stored, "prompt"), answer=answer, kind=_text(stored, "kind"), aliases=aliases)


def _pairs(prompts: object, answers: object, kind: str) -> tuple[Probe, ...]:
    """Return probes out of one prompt with its answer, or out of a list of each."""
    if not isinstance(prompts, list):
        prompts, answers = [prompts], [answers]
    if not isinstance(answers, list) or len(answers) != len(prompts):
        answers = [answers] * len(prompts)
    asked = [(_first(prompt), answer) for prompt, answer in zip(prompts, answers, strict=True)]
    return tuple(_asked(prompt, answer, kind) for prompt, answer in asked if prompt is not None)


def _asked(prompt: str, answer: object, kind: str) -> Probe:
    """Return a probe; a question of Natural Questions loses its mark and gets the question mark it lacks."""
    if prompt.startswith(NQ_MARK):
        prompt, kind = prompt.removeprefix(NQ_MARK).rstrip("? ") + "?", "nq"
    return Probe(prompt=prompt, answer=_first(answer), kind=kind, aliases=tuple(filter(None, _spellings(answer)))[1:])


def _neighbours(stored: Sequence[object], truth: str | None) -> Iterator[Probe]:
    """Yield CounterFact's neighbours, plain texts; or the one question that ROME's zsRE spreads over its answer's tokens."""
    spread = [item for item in stored if isinstance(item, Mapping)]
    for text in stored:
        if not isinstance(text, Mapping):
            yield Probe(prompt=_checked(text, "neighborhood_prompts"), answer=truth, kind="neighborhood")
    if spread:
        answer = "".join(_text(item, "target") for item in spread).strip()
        yield _asked(_text(spread[0], "prompt"), answer, "nq")


def _portability(stored: Stored) -> tuple[Probe, ...]:
    """Return what should follow from the fact: KnowEdit's kinds, EasyEdit's one question, or its flat fields."""
    found = stored.get("portability") or {}
    if not isinstance(found, Mapping):
        raise TypeError("portability must be an object")
    if "New Question" in found:
        return _pairs(found["New Question"], found.get("New Answer"), ONE_HOP)
    flat = _pairs(stored.get("portability_prompt"), stored.get("portability_ground_truth"), ONE_HOP)
    return (*_by_kind(found), *flat)


def _by_kind(stored: Stored) -> tuple[Probe, ...]:
    """Return probes out of `kind -> [{prompt, ground_truth}]`, or `kind -> {prompt: [...], ground_truth: [...]}`."""
    probes: list[Probe] = []
    for kind, items in stored.items():
        for item in items if isinstance(items, list) else [items]:
            if not isinstance(item, Mapping):
                raise TypeError(f"{kind} must be a list of objects with prompt and ground_truth")
            probes += _pairs(item["prompt"], item.get("ground_truth"), KINDS.get(kind, kind))
    return tuple(probes)


def _string(stored: Stored, field: str) -> str:
    """Return the text of ROME's `{"str": text, "id": ...}`."""
    value = stored[field]
    if not isinstance(value, Mapping):
        raise TypeError(f"{field} must be an object with the field 'str'")
    return _text(value, "str")


def _texts(value: object) -> tuple[str, ...]:
    """Return one text or a list of them as texts; those that are empty or not there are left out."""
    found = (_first(item) for item in (value if isinstance(value, list) else [value]))
    return tuple(text for text in found if text is not None)


def _first(value: object) -> str | None:
    """Return the first text of a nest of lists (answers with their aliases); None when it is empty or not there."""
    return next(_spellings(value), None) or None


def _spellings(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _spellings(item)
    elif value is not None:
        yield _checked(value, "an answer or a prompt")


def _list(stored: Stored, field: str) -> Sequence[object]:
    value = stored.get(field) or []
    if not isinstance(value, list):
        raise TypeError(f"{field} must be a list")
    return value


def _text(stored: Stored, field: str) -> str:
    return _checked(stored[field], field)


def _text_or_none(stored: Stored, field: str) -> str | None:
    value = stored.get(field)
    return None if value is None else _checked(value, field)


def _checked(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field} must be text, not {type(value).__name__}")
    return value
