"""What an open row says of its edit and of a probe of it, as plain text.

Pure functions; knows neither gradio nor plotly nor markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sola_core.edit_details import EditDetails
from sola_core.edit_probe import Measure, Probed, Probing
from sola_core.records import Edit
from sola_core.ui import texts
from sola_core.ui.present import EditRow, one_line

LONG = 160  # characters of a text in a table


# ---- details ----


def facts_of(details: EditDetails, row: EditRow, numbers: Mapping[str, int]) -> list[tuple[str, list[str]]]:
    """Return what is known of an edit: a name and its lines."""
    edit = details.edit
    known = [
        (texts.DETAIL_ANSWERS, [_scope(details, numbers)]),
        (texts.DETAIL_ORDER, list(row.notes) or [_sharing(details, numbers)]),
        (texts.DETAIL_KEYS, [one_line(text, LONG) for text in edit.request.key_texts]),
        (texts.DETAIL_SUBJECT, [edit.subject] if edit.subject else []),
        (texts.DETAIL_SIZE, [_size(details)]),
        (texts.DETAIL_TRAINING, [_settings(edit)]),
        (texts.DETAIL_CREATED, [datetime.fromtimestamp(edit.created, UTC).strftime("%Y-%m-%d %H:%M UTC")]),
        (texts.DETAIL_DIGEST, [edit.digest]),
    ]
    return [(name, lines) for name, lines in known if lines]


def _scope(details: EditDetails, numbers: Mapping[str, int]) -> str:
    route = details.route
    if not details.edit.enabled:
        return "Nothing while it is switched off."
    kind = texts.SCORE_NAMES[route.score_kind]
    words = (
        f"Its own wordings, and every question to which the router “{route.router}” gives a {kind} of "
        f"{route.threshold:.2f} or more, if no other edit has a higher one."
    )
    if details.nearest is not None:
        near = numbers.get(details.nearest.edit_id, 0)
        words += f" Of the others edit {near} is nearest to its question, with {details.nearest.score:.2f}."
    return words


def _sharing(details: EditDetails, numbers: Mapping[str, int]) -> str:
    if not details.sharing:
        return "No other edit has one of its wordings."
    names = ", ".join(f"edit {numbers.get(one.id, 0)} ({'on' if one.enabled else 'off'})" for one in details.sharing)
    return f"These have a wording of it too: {names}. Of those that are on, the one taught last answers."


def _size(details: EditDetails) -> str:
    keys = len(details.edit.request.key_texts)
    words = f"{details.parameters:,} numbers in {_bytes(details.adapter_bytes)}; {keys} key{'s' if keys > 1 else ''}"
    sizes = [f"{_bytes(size)} for the router “{name}”" for name, size in details.key_bytes.items()]
    return f"{words}: {', '.join(sizes)}." if sizes else f"{words}, none that a router could read."


def _bytes(count: int) -> str:
    return f"{count:,} bytes" if count < 1000 else f"{count / 1000:,.1f} kB"


def _settings(edit: Edit) -> str:
    record = edit.training
    known = record.settings
    layers = known.get("layers")
    words = [f"method {record.method}"]
    if isinstance(known.get("rank"), int):
        words.append(f"rank {known['rank']}")
    if isinstance(layers, (list, tuple)) and layers:
        words.append(f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}")
    if isinstance(known.get("lr"), float):
        words.append(f"learning rate {known['lr']:g}")
    words.append(f"{record.steps} step{'' if record.steps == 1 else 's'} in {record.seconds:.1f} s")
    words.append(f"final loss {record.losses[-1]:.3f}")
    words.append(f"probability of the answer {record.target_probability:.0%}")
    return ", ".join(words) + f"; {record.device}, {record.compute_dtype}."


# ---- probes ----


def probing_words(at: Probing) -> str:
    """Return how far a probe is, in words."""
    return f"Asking question {min(len(at.answered) + 1, at.total)} of {at.total}"


def figures_of(at: Probing) -> list[tuple[str, str, str]]:
    """Return the figures of a probe: name, count, and what it counts; a measure that nothing was asked for says so."""
    shown: list[tuple[str, Measure, str]] = [
        (texts.RELIABILITY, "reliability", texts.RELIABILITY_MEANS),
        (texts.GENERALITY, "generality", texts.GENERALITY_MEANS),
        (texts.LOCALITY, "locality", texts.LOCALITY_MEANS),
    ]
    if at.count("taught")[1]:
        shown.insert(1, (texts.TAUGHT, "taught", texts.TAUGHT_MEANS))
    return [(name, fraction(*at.count(measure)), means) for name, measure, means in shown]


def fraction(right: int, asked: int) -> str:
    """Return a count as it is; a share is added only where there are enough questions for one."""
    if not asked:
        return "not asked"
    return f"{right} of {asked}" + (f" ({right / asked:.2f})" if asked >= 10 else "")


def probe_verdict(at: Probing) -> str:
    """Return the line over the figures."""
    asked = len(at.answered)
    words = f"{asked} question{'' if asked == 1 else 's'} asked." if at.ended else (
        f"Stopped after {asked} of {at.total} questions."
    )  # fmt: skip
    lacking = [name for name, count, _ in figures_of(at) if count == "not asked"]
    if lacking and at.ended:
        words += f" {' and '.join(lacking)}: nothing to ask; write lines of your own below."
    return words + " " + texts.FEW


def probe_rows(at: Probing, numbers: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Return a row for each question that was asked."""
    return [
        (
            f"{one_line(one.prompt.text, LONG)}\n({_what(one, numbers)})",
            f"{_answer(one)}\n({_who(one, numbers)})",
            "✓ right" if one.right else f"✕ {_wrong(one, numbers)}",
            "none" if one.score is None else f"{one.score:.3f}",
        )
        for one in at.answered
    ]


def _what(one: Probed, numbers: Mapping[str, int]) -> str:
    prompt = one.prompt
    if prompt.source == "own":
        return "its own question"
    if prompt.source == "taught":
        return "wording, taught"
    kind = "wording" if prompt.measure == "generality" else "neighbour"
    if prompt.owner is not None:
        return f"{kind}, belongs to edit {numbers.get(prompt.owner, 0)}"
    return f"{kind}, {'yours' if prompt.source == 'visitor' else 'another edit, off' if prompt.source == 'edit' else 'example'}"


def _who(one: Probed, numbers: Mapping[str, int]) -> str:
    if one.route.deferred:
        return "untouched model"
    if one.route.edit_id is None:
        return "several edits"
    return f"edit {numbers.get(one.route.edit_id, 0)}" + (", same wording" if one.route.reason == "equal" else "")


def _answer(one: Probed) -> str:
    return one_line(one.text, LONG) + (" (cut)" if one.stopped == "limit" else "")


def _wrong(one: Probed, numbers: Mapping[str, int]) -> str:
    if one.prompt.owner is not None:
        return f"edit {numbers.get(one.prompt.owner, 0)} should have answered"
    if one.prompt.measure == "locality":
        return "should have stayed untouched" if not one.route.deferred else "the two texts differ"
    if one.stopped != "end":
        return "the answer did not stop"
    return "not the new answer"
