"""SoLA Studio's library: teach a language model facts, route questions to them, take them back bit for bit.

Importing it loads neither a model nor the page; `load_editor` does the first, `app.py` the second.
"""

from __future__ import annotations

import os

# Idle threads of torch sleep instead of spinning: beside another busy process this halves the time of an answer, alone it
# costs nothing measurable, and no result changes. It counts only if it is set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from sola_core.answering import AnswerStream
from sola_core.errors import (
    BatchFailed,
    EditFailed,
    HostError,
    InvalidInput,
    InvalidRequest,
    LibraryError,
    NotReversible,
    SolaError,
    UnknownEdit,
)
from sola_core.records import (
    Answer,
    Candidate,
    Capabilities,
    Edit,
    EditRequest,
    Event,
    KeysMade,
    Route,
    TrainedEdit,
    TrainingRecord,
    TrainingStep,
)
from sola_core.session import SolaEditor, load_editor

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AnswerStream",
    "BatchFailed",
    "Candidate",
    "Capabilities",
    "Edit",
    "EditFailed",
    "EditRequest",
    "Event",
    "HostError",
    "InvalidInput",
    "InvalidRequest",
    "KeysMade",
    "LibraryError",
    "NotReversible",
    "Route",
    "SolaEditor",
    "SolaError",
    "TrainedEdit",
    "TrainingRecord",
    "TrainingStep",
    "UnknownEdit",
    "load_editor",
]
