"""Lists of facts as people keep them: a CSV table or JSON lines, read row by row, each row a request or an error.

Knows the two file formats and what a request may be. Knows no model and no library; teaching a list is `teaching_lists`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sola_core.errors import InvalidInput
from sola_core.records import Edit, EditRequest
from sola_core.text import canonical, checked_request
from sola_core.words import Sentence

MAX_BYTES = 4_000_000
MAX_ROWS = 10_000
NAMES = {  # heading or field -> part of a request
    "prompt": "prompt",
    "question": "prompt",
    "target": "target",
    "target_new": "target",
    "answer": "target",
    "subject": "subject",
    "rephrases": "rephrases",
    "rephrasings": "rephrases",
}
BETWEEN = "|"  # rephrasings in one cell of a table


@dataclass(frozen=True, kw_only=True)
class ListedFact:
    """One row of a list: a request, or what is wrong with the row."""

    line: int  # where it begins in the file, 1-based
    request: EditRequest | None
    error: str = ""
    enabled: bool = True  # whether it is to be on when it is taught


def read_facts_list(content: bytes) -> tuple[ListedFact, ...]:
    """Return the rows of a list of facts, CSV with a heading or JSON lines; UTF-8, with or without a byte-order mark.

    A row that cannot be used has its error, and so has one that asks what an earlier row asks. Raises InvalidInput for a file
    that is no such list, or is too long.
    """
    if len(content) > MAX_BYTES:
        raise InvalidInput(
            Sentence("The list is larger than {size} MB. Teach it in parts.", size=MAX_BYTES // 1_000_000)
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            Sentence("The list is no text in UTF-8. Save it again as UTF-8 and try once more.")
        ) from error
    if "\0" in text or not text.strip():
        raise InvalidInput(
            Sentence("The list is empty. Give one fact a line.")
            if not text.strip()
            else Sentence("The list is no text.")
        )
    rows = _json_lines(text) if text.lstrip()[0] == "{" else _table(text)
    found: list[ListedFact] = []
    asked: dict[str, int] = {}
    for line, stored in rows:
        if len(found) == MAX_ROWS:
            raise InvalidInput(Sentence("The list has more than {most:,} facts. Teach it in parts.", most=MAX_ROWS))
        fact = _fact(line, stored)
        if fact.request is not None:
            key = canonical(fact.request.prompt)
            if key in asked:
                fact = ListedFact(
                    line=line,
                    request=None,
                    error=Sentence("Line {line} asks the same question already.", line=asked[key]),
                )
            asked.setdefault(key, line)
        found.append(fact)
    if not found:
        raise InvalidInput(Sentence("The list has a heading, but no fact below it."))
    return tuple(found)


def listed(edits: Sequence[Edit]) -> tuple[ListedFact, ...]:
    """Return the facts of one library as a list for another, which has another model: in order of teaching, with their switches.

    Of several with the same question the one that answers it is taught: the newest that is on, else the newest.
    """
    answering: dict[str, Edit] = {}
    for edit in edits:
        key = canonical(edit.prompt)
        if edit.enabled or not (key in answering and answering[key].enabled):
            answering[key] = edit
    return tuple(
        ListedFact(line=line, request=edit.request, enabled=edit.enabled)
        if answering[canonical(edit.prompt)] is edit
        else ListedFact(
            line=line, request=None, error=Sentence("Another edit answers the same question; that one is taught.")
        )
        for line, edit in enumerate(edits, start=1)
    )


def read_fact_lines(text: str, most: int) -> tuple[ListedFact, ...]:
    """Return the facts of lines "question | answer", each a request or an error; empty lines are passed over.

    Raises InvalidInput when there is no line at all. Lines beyond the first `most` facts have an error.
    """
    found: list[ListedFact] = []
    asked: dict[str, int] = {}
    for line, words in enumerate(text.splitlines(), start=1):
        if not words.strip():
            continue
        prompt, bar, target = words.rpartition(BETWEEN)
        if not bar:
            error = Sentence("Put a | between the question and the answer.")
            found.append(ListedFact(line=line, request=None, error=error))
            continue
        fact = _fact(line, {"prompt": prompt.strip(), "target": target.strip()})
        if fact.request is not None:
            first = asked.setdefault(canonical(fact.request.prompt), line)
            if first != line:
                fact = ListedFact(
                    line=line, request=None, error=Sentence("Line {line} asks the same question already.", line=first)
                )
            elif len(asked) > most:
                fact = ListedFact(line=line, request=None, error=Sentence("At most {most} facts fit here.", most=most))
        found.append(fact)
    if not found:
        raise InvalidInput(Sentence("There is no fact yet. Write one on each line: question | answer."))
    return tuple(found)


def _json_lines(text: str) -> Iterator[tuple[int, object]]:
    for line, words in enumerate(text.splitlines(), start=1):
        if words.strip():
            try:
                yield line, json.loads(words)
            except (ValueError, RecursionError):
                yield line, None


def _table(text: str) -> Iterator[tuple[int, object]]:
    first = text.splitlines()[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        heading = [NAMES.get(name.strip().casefold(), "") for name in next(reader)]
        if "prompt" not in heading or "target" not in heading:
            raise InvalidInput(
                Sentence(
                    "The first line must name the columns: prompt and target, and if there are any subject and rephrases "
                    "(several with {sign} between).",
                    sign=BETWEEN,
                )
            )
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, _named(heading, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInput(
            Sentence("The table cannot be read near line {line}: {error}.", line=reader.line_num, error=str(error))
        ) from error


def _named(heading: Iterable[str], cells: list[str]) -> dict[str, object]:
    found: dict[str, object] = {name: cell for name, cell in zip(heading, cells, strict=False) if name}
    if rephrases := str(found.get("rephrases", "")):
        found["rephrases"] = [part for part in rephrases.split(BETWEEN) if part.strip()]
    else:
        found.pop("rephrases", None)
    return found


def _fact(line: int, stored: object) -> ListedFact:
    if not isinstance(stored, Mapping):
        return ListedFact(line=line, request=None, error=Sentence("This line is no JSON object."))
    parts = {NAMES[str(name)]: value for name, value in stored.items() if str(name) in NAMES}
    missing = [name for name in ("prompt", "target") if parts.get(name) in (None, "")]
    if missing:
        lacks = Sentence("It has no {name}.", name=missing[0])
        both = Sentence("It has no prompt and no target.")
        return ListedFact(line=line, request=None, error=lacks if len(missing) == 1 else both)
    rephrases = parts.get("rephrases") or ()
    if not isinstance(rephrases, list | tuple):
        return ListedFact(line=line, request=None, error=Sentence("Its rephrasings must be a list."))
    subject = parts.get("subject")
    if subject is not None and not isinstance(subject, str):
        return ListedFact(line=line, request=None, error=Sentence("Its subject must be text."))
    request = EditRequest(
        prompt=parts["prompt"],  # its type is checked in the next step
        target=parts["target"],
        subject=subject,
        rephrases=tuple(rephrases),
    )
    try:
        return ListedFact(line=line, request=checked_request(request))
    except InvalidInput as error:
        return ListedFact(line=line, request=None, error=str(error))
