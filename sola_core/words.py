"""Sentences that remember how they were made, and the language in which this server says them.

English stands in the code; the other languages are the files of `assets/languages`, in the form of GNU gettext. Knows no
sentence of its own, and no page: the core makes a `Sentence`, the page says it with `here`, and all others (logs, programs,
the command line) go on reading it as the English text that it is.
"""

from __future__ import annotations

import dataclasses
import gettext
import io
import json
import string
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sola_core.errors import InvalidInput
from sola_core.resources import asset

ENGLISH = "en"
FOLDER = "languages"  # of the assets, with a file of translations for each language but English
MAGIC = 0x950412DE  # of a compiled catalogue


class Sentence(str):
    """A text in English that can be said in another language: it keeps its pattern and the values that stand in it."""

    pattern: str
    many: str  # the pattern for other counts than one; empty where nothing is counted
    values: Mapping[str, object]

    def __new__(cls, pattern: str, /, **values: object) -> Sentence:
        """Fill in the pattern; without values it is taken as it stands."""
        return cls._made(pattern, "", values)

    @classmethod
    def counted(cls, one: str, many: str, count: int, /, **values: object) -> Sentence:
        """Choose between two patterns by a count, which stands in them as `{count}`."""
        return cls._made(one, many, {"count": count} | values)

    @classmethod
    def _made(cls, pattern: str, many: str, values: Mapping[str, object]) -> Sentence:
        chosen = many if many and values["count"] != 1 else pattern
        made = super().__new__(cls, chosen.format_map(values) if values else chosen)
        made.pattern, made.many, made.values = pattern, many, values
        return made

    def __str__(self) -> str:
        """Return itself, so that the text of an error can be said in another language, too."""
        return self


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language that has been read: its translations, and how it writes numbers."""

    name: str = ENGLISH
    translations: gettext.NullTranslations = dataclasses.field(default_factory=gettext.NullTranslations)
    decimal: str = "."
    thousands: str = ","
    percent: str = "%"

    def looked_up(self, pattern: str, many: str = "", count: int = 1) -> str:
        """Return the translation of a pattern, the pattern itself where there is none."""
        if not pattern:
            return ""
        return self.translations.ngettext(pattern, many, count) if many else self.translations.gettext(pattern)

    def written(self, value: float, spec: str) -> str:
        """Return a number as it is written in this language; `spec` is that of `format`."""
        signs = str.maketrans({".": self.decimal, ",": self.thousands, "%": self.percent})
        return format(value, spec).translate(signs)


class _Filled(string.Formatter):
    """Fills in a pattern with values that are said and written as in the language chosen."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        if isinstance(value, Sentence):
            value = here(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _chosen.written(value, format_spec)
        return super().format_field(value, format_spec)


_chosen = Language()  # one for the whole process: a server speaks one language, chosen when it starts
_filled = _Filled()


def choose(name: str) -> None:
    """Let this process speak a language from now on; raise InvalidInput that lists those there are for another name."""
    global _chosen
    _chosen = read(name)


def chosen() -> Language:
    """Return the language that this process speaks."""
    return _chosen


def languages() -> tuple[str, ...]:
    """Return the names of all languages, English first."""
    return ENGLISH, *sorted(file.stem for file in asset(FOLDER).glob("*.po"))


def here(text: str) -> str:
    """Return a sentence in the language of this server; any other text as it is."""
    if not isinstance(text, Sentence) or _chosen.name == ENGLISH:
        return text
    count = text.values["count"] if text.many else 1
    assert isinstance(count, int)
    pattern = _chosen.looked_up(text.pattern, text.many, count)
    return _filled.vformat(pattern, (), text.values) if text.values else pattern


def say(pattern: str, /, **values: object) -> str:
    """Return a sentence in the language of this server."""
    return here(Sentence(pattern, **values))


def say_many(one: str, many: str, count: int, /, **values: object) -> str:
    """Return one of two sentences, by a count, in the language of this server."""
    return here(Sentence.counted(one, many, count, **values))


def written(value: float, spec: str) -> str:
    """Return a number as it is written in the language of this server."""
    return _chosen.written(value, spec)


# ---- modules of fixed sentences ----


class Texts(ModuleType):
    """A module whose constants are said in the language of this server whenever they are read."""

    def __getattribute__(self, name: str) -> Any:
        """Return an attribute, a constant with its translation."""
        found = super().__getattribute__(name)
        return _said(found) if name.isupper() else found


def texts_of(module: str) -> None:
    """Make a module one of fixed sentences; it calls this with its own name, at its end."""
    sys.modules[module].__class__ = Texts


def _said(found: Any) -> Any:
    if _chosen.name == ENGLISH:
        return found
    if isinstance(found, str):
        return _chosen.looked_up(found)
    if isinstance(found, tuple):
        return tuple(_said(one) for one in found)
    if isinstance(found, Mapping):
        return {key: _said(one) for key, one in found.items()}
    if dataclasses.is_dataclass(found) and not isinstance(found, type):
        return dataclasses.replace(found, **{f.name: _said(getattr(found, f.name)) for f in dataclasses.fields(found)})
    return found


# ---- files of translations ----


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A sentence in a file of translations."""

    pattern: str
    many: str  # empty where nothing is counted
    said: tuple[str, ...]  # one for each form that the language has


def read(name: str) -> Language:
    """Read a language; raise InvalidInput that lists those there are for another name."""
    if name not in languages():
        shown = name if len(name) <= 40 else name[:39] + "…"
        raise InvalidInput(f"There is no language {shown!r} here. Choose one of: {', '.join(languages())}.")
    if name == ENGLISH:
        return Language()
    found = gettext.GNUTranslations(io.BytesIO(compiled(list(entries(_text(name))))))
    head = found.info()
    return Language(
        name=name,
        translations=found,
        decimal=head["x-decimal-sign"].strip('"'),
        thousands=head["x-thousands-sign"].strip('"'),
        percent=head["x-percent-sign"].strip('"'),
    )


def _text(name: str) -> str:
    return (asset(FOLDER) / f"{name}.po").read_text(encoding="utf-8")


def entries(text: str) -> Iterator[Entry]:
    """Yield the sentences of a file of translations; the first, whose pattern is empty, is the file's head."""
    fields: dict[str, str] = {}
    field = ""
    for number_of_line, line in enumerate([*text.splitlines(), ""], 1):
        line = line.strip()
        if line.startswith("#"):
            continue
        word, _, quoted = ("", "", line) if line.startswith('"') else line.partition(" ")
        if (word == "msgid" or not line) and "msgstr" in {name.partition("[")[0] for name in fields}:
            yield _entry(fields)
            fields = {}
        if not line:
            continue
        field = word or field
        if field.partition("[")[0] not in ("msgid", "msgid_plural", "msgstr"):
            raise ValueError(f"line {number_of_line}: {line}")
        fields[field] = fields.get(field, "") + json.loads(quoted)


def _entry(fields: Mapping[str, str]) -> Entry:
    said = tuple(value for name, value in sorted(fields.items()) if name.startswith("msgstr"))
    return Entry(pattern=fields["msgid"], many=fields.get("msgid_plural", ""), said=said)


def compiled(found: Sequence[Entry]) -> bytes:
    """Return sentences in the form that `gettext` reads: two tables of (length, place), then the texts."""
    pairs = sorted(("\0".join(filter(None, (e.pattern, e.many))).encode(), "\0".join(e.said).encode()) for e in found)
    texts = [key for key, _ in pairs] + [said for _, said in pairs]
    head, place = struct.pack("<7I", MAGIC, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0), 28 + 16 * len(pairs)
    table = b""
    for one in texts:
        table += struct.pack("<2I", len(one), place)
        place += len(one) + 1
    return head + table + b"\0".join(texts) + b"\0"
