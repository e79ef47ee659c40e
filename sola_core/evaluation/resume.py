"""A work file: keeps each finished unit of a measurement as it happens, so that a killed one goes on where it stopped.

Knows JSON lines, and that edits lie in a library beside the file. Knows no session; what a unit is for is known elsewhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from sola_core.errors import InvalidInput, SolaError

if TYPE_CHECKING:
    from sola_core.evaluation.reversibility import OnStage

Item = TypeVar("Item")
Record = TypeVar("Record")  # a frozen dataclass of plain values
Values = dict[str, object]  # the fields of a record
Conditions = Mapping[str, str | int | bool | list[int] | None]

MARK = "sola_work_file"
VERSION = 1


class Kept:
    """What of one run is finished already; without a file, nothing is, and nothing is kept."""

    def __init__(self, name: str = "", file: WorkFile | None = None) -> None:
        self._name, self._file = name, file
        self._known = file.known(name) if file else {}
        self._before = max((elapsed for _, elapsed in self._known.values()), default=0.0)
        self._began = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds that the run has taken, those before it was interrupted included."""
        return self._before + time.perf_counter() - self._began

    @property
    def in_file(self) -> bool:
        """Whether there is a file, so that a library beside it may hold edits of before."""
        return self._file is not None

    def unit(self, name: str, kind: type[Record], make: Callable[[], Sequence[Record]]) -> list[Record]:
        """Return the records of a unit: those that are kept, or those that `make` returns, which are then kept."""
        if name in self._known:
            return [kind(**values) for values in self._known[name][0]]
        made = list(make())
        if self._file:
            self._file.add(self._name, name, [vars(record) for record in made], self.elapsed)
        return made

    def each(
        self,
        stage: str,
        items: Sequence[Item],
        make: Callable[[Sequence[Item]], Sequence[Record]],
        kind: type[Record],
        *,
        show: OnStage,
        size: int = 1,
        first: int = 0,
        total: int | None = None,
    ) -> list[Record]:
        """Return the records that `make` gives for the items, `size` of them a unit, each made once and then kept.

        `first` is the number of the first item where the stage has `total` of them.
        """
        records: list[Record] = []
        whole = len(items) if total is None else total
        for start in range(0, len(items), size):
            show(stage, first + start, whole)
            part = items[start : start + size]
            records += self.unit(f"{stage} {first + start}", kind, lambda part=part: make(part))  # type: ignore[misc]
        if items:
            show(stage, first + len(items), whole)
        return records

    def known(self, stage: str, kind: type[Record]) -> list[Record]:
        """Return what is kept of a stage, in its order."""
        numbers = {name: name.removeprefix(f"{stage} ") for name in self._known if name.startswith(f"{stage} ")}
        names = sorted((name for name in numbers if numbers[name].isdecimal()), key=lambda name: int(numbers[name]))
        return [kind(**values) for name in names for values in self._known[name][0]]


class WorkFile:
    """One line for the conditions, then one for each finished unit, flushed as it is written; open with `open`."""

    def __init__(self, path: Path, lines: Sequence[Values], fresh: bool) -> None:
        self._path, self._fresh = path, fresh
        self._lines = list(lines)
        self._out = path.open("ab")

    @classmethod
    def open(cls, path: Path, conditions: Conditions) -> WorkFile:
        """Begin a work file, or go on with one that was begun under the same conditions.

        A last line that a kill cut short is dropped. Raises InvalidInput, and leaves the file as it was, when it is no work
        file, is damaged, or was begun under other conditions; SolaError when it cannot be written.
        """
        plain = json.loads(json.dumps(dict(conditions)))
        try:
            lines, good = _read(path)
            if lines:
                _check(path, lines[0], plain)
            if path.exists():
                with path.open("r+b") as file:
                    file.truncate(good)
            work = cls(path, lines[1:], fresh=not lines)
            if not lines:
                work._write({MARK: VERSION, "conditions": plain})
            return work
        except OSError as error:
            raise SolaError(f"The work file {path} cannot be used: {error.strerror}. Name another one.") from error

    def run(self, name: str) -> Kept:
        """Return what is kept of a run."""
        return Kept(name, self)

    def library(self, name: str) -> Path:
        """Return where the edits of a run are kept; raise InvalidInput when a new work file finds some there."""
        path = self._path.with_name(f"{self._path.name}.{name}.db")
        if self._fresh and path.exists():
            raise InvalidInput(
                f"{path} is there already, but no work file that it belongs to. Move it, or name another."
            )
        return path

    def known(self, run: str) -> dict[str, tuple[list[Values], float]]:
        """Return the records of each finished unit of a run, and the seconds that the run had taken by then."""
        here = [line for line in self._lines if line.get("run") == run]
        return {str(line["unit"]): (_values(line["records"]), float(str(line["elapsed"]))) for line in here}

    def add(self, run: str, unit: str, records: Sequence[Mapping[str, object]], elapsed: float) -> None:
        """Keep a finished unit; a process killed afterwards has it."""
        self._write({"run": run, "unit": unit, "records": list(records), "elapsed": elapsed})

    def close(self) -> None:
        """Let go of the file; what it keeps stays."""
        self._out.close()

    def __enter__(self) -> WorkFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: Mapping[str, object]) -> None:
        try:
            self._out.write(json.dumps(line).encode() + b"\n")
            self._out.flush()
        except OSError as error:
            raise SolaError(
                f"Cannot write the work file {self._path}: {error.strerror}. Make room and go on."
            ) from error


def _read(path: Path) -> tuple[list[Values], int]:
    """Return the whole lines of a work file, none when it is new, and how many bytes they take."""
    stored = path.read_bytes() if path.exists() else b""
    lines: list[Values] = []
    good = 0
    whole = stored.splitlines(keepends=True)
    for number, text in enumerate(whole, start=1):
        line = _parsed(text)
        if line is None and number < len(whole):
            raise InvalidInput(f"{path}, line {number}: not of a work file, or damaged. Name another file.")
        if line is not None:
            lines.append(line)
            good += len(text)
    begun = f'{{"{MARK}"'.encode()
    if (lines and MARK not in lines[0]) or (not lines and not begun.startswith(stored[: len(begun)])):
        raise InvalidInput(f"{path} is no work file, and was not changed. Name another file.")
    return lines, good


def _parsed(text: bytes) -> Values | None:
    try:
        line = json.loads(text) if text.endswith(b"\n") else None
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _check(path: Path, header: Values, now: Values) -> None:
    then = header.get("conditions")
    if header[MARK] != VERSION or not isinstance(then, dict):
        raise InvalidInput(f"{path} was made by another version of SoLA Studio. Name another file.")
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if names:
        differ = "; ".join(f"{name} was {_said(then.get(name))} and is {_said(now.get(name))}" for name in names)
        raise InvalidInput(f"{path} was begun under other conditions: {differ}. Restore them, or name another file.")


def _said(value: object) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 24 else text[:12] + "\u2026"


def _values(records: object) -> list[Values]:
    assert isinstance(records, list)
    return records
