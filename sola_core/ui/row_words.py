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
from sola_core.words import say, say_many, written

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
        return say("Nothing while it is switched off.")
    kind = texts.SCORE_NAMES[route.score_kind]
    words = say(
        "Its own wordings, and every question to which the router “{router}” gives a {kind} of {threshold:.2f} or more, "
        "if no other edit has a higher one.",
        router=route.router,
        kind=kind,
        threshold=route.threshold,
    )
    if details.nearest is not None:
        near = numbers.get(details.nearest.edit_id, 0)
        score = details.nearest.score
        words += say(" Of the others edit {near} is nearest to its question, with {score:.2f}.", near=near, score=score)
    return words


def _sharing(details: EditDetails, numbers: Mapping[str, int]) -> str:
    if not details.sharing:
        return say("No other edit has one of its wordings.")
    names = ", ".join(_switch(numbers.get(one.id, 0), one.enabled) for one in details.sharing)
    return say(
        "These have a wording of it too: {names}. Of those that are on, the one taught last answers.", names=names
    )


def _switch(number: int, enabled: bool) -> str:
    return say("edit {number} (on)", number=number) if enabled else say("edit {number} (off)", number=number)


def _size(details: EditDetails) -> str:
    keys = len(details.edit.request.key_texts)
    words = say_many(
        "{parameters:,} numbers in {bytes}; {count} key",
        "{parameters:,} numbers in {bytes}; {count} keys",
        keys,
        parameters=details.parameters,
        bytes=_bytes(details.adapter_bytes),
    )
    sizes = [
        say("{bytes} for the router “{name}”", bytes=_bytes(size), name=name)
        for name, size in details.key_bytes.items()
    ]
    return f"{words}: {', '.join(sizes)}." if sizes else words + say(", none that a router could read.")


def _bytes(count: int) -> str:
    return say("{count:,} bytes", count=count) if count < 1000 else say("{size:,.1f} kB", size=count / 1000)


def _settings(edit: Edit) -> str:
    record = edit.training
    known = record.settings
    layers = known.get("layers")
    words = [say("method {method}", method=record.method)]
    if isinstance(known.get("rank"), int):
        words.append(say("rank {rank}", rank=known["rank"]))
    if isinstance(layers, (list, tuple)) and layers:
        words.append(say_many("layer {layers}", "layers {layers}", len(layers), layers=", ".join(map(str, layers))))
    if isinstance(known.get("lr"), float):
        words.append(say("learning rate {rate:g}", rate=known["lr"]))
    words.append(
        say_many("{count} step in {time:.1f} s", "{count} steps in {time:.1f} s", record.steps, time=record.seconds)
    )
    words.append(say("final loss {loss:.3f}", loss=record.losses[-1]))
    words.append(say("probability of the answer {probability:.0%}", probability=record.target_probability))
    return ", ".join(words) + f"; {record.device}, {record.compute_dtype}."


# ---- probes ----


def probing_words(at: Probing) -> str:
    """Return how far a probe is, in words."""
    return say("Asking question {number} of {total}", number=min(len(at.answered) + 1, at.total), total=at.total)


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
        return say("not asked")
    return say("{right} of {asked}", right=right, asked=asked) + (
        f" ({written(right / asked, '.2f')})" if asked >= 10 else ""
    )


def probe_verdict(at: Probing) -> str:
    """Return the line over the figures."""
    asked = len(at.answered)
    words = (
        say_many("{count} question asked.", "{count} questions asked.", asked)
        if at.ended
        else say("Stopped after {asked} of {total} questions.", asked=asked, total=at.total)
    )
    lacking = [name for name, count, _ in figures_of(at) if count == fraction(0, 0)]
    if lacking and at.ended:
        names = say(" and ").join(lacking)
        words += say(" {names}: nothing to ask; write lines of your own below.", names=names)
    return words + " " + texts.FEW


def probe_rows(at: Probing, numbers: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Return a row for each question that was asked."""
    return [
        (
            f"{one_line(one.prompt.text, LONG)}\n({_what(one, numbers)})",
            f"{_answer(one)}\n({_who(one, numbers)})",
            say("✓ right") if one.right else f"✕ {_wrong(one, numbers)}",
            say("none") if one.score is None else written(one.score, ".3f"),
        )
        for one in at.answered
    ]


def _what(one: Probed, numbers: Mapping[str, int]) -> str:
    prompt = one.prompt
    if prompt.source == "own":
        return say("its own question")
    if prompt.source == "taught":
        return say("wording, taught")
    kind = say("wording") if prompt.measure == "generality" else say("neighbour")
    if prompt.owner is not None:
        return say("{kind}, belongs to edit {number}", kind=kind, number=numbers.get(prompt.owner, 0))
    if prompt.source == "visitor":
        return say("{kind}, yours", kind=kind)
    return say("{kind}, another edit, off", kind=kind) if prompt.source == "edit" else say("{kind}, example", kind=kind)


def _who(one: Probed, numbers: Mapping[str, int]) -> str:
    if one.route.deferred:
        return say("untouched model")
    if one.route.edit_id is None:
        return say("several edits")
    who = say("edit {number}", number=numbers.get(one.route.edit_id, 0))
    return who + (say(", same wording") if one.route.reason == "equal" else "")


def _answer(one: Probed) -> str:
    return one_line(one.text, LONG) + (say(" (cut)") if one.stopped == "limit" else "")


def _wrong(one: Probed, numbers: Mapping[str, int]) -> str:
    if one.prompt.owner is not None:
        return say("edit {number} should have answered", number=numbers.get(one.prompt.owner, 0))
    if one.prompt.measure == "locality":
        return say("should have stayed untouched") if not one.route.deferred else say("the two texts differ")
    if one.stopped != "end":
        return say("the answer did not stop")
    return say("not the new answer")
