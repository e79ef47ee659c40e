"""The English sentences of the Compare tab that are not made from a record.

Knows nothing else. A method that has no words here goes by its own name and by what it says of taking back.
"""

from __future__ import annotations

from typing import Final

from sola_core.words import texts_of

HEADING: Final = "Can you take it back?"
HINT: Final = (
    "Teach the same facts to several methods, ask all of them the same question, and see which of them can take a fact "
    "back. All this happens beside your own edits, which stay as they are."
)
METHODS: Final = "Methods: choose two to four"
NAMES: Final = {
    "sola": "SoLA",
    "retrieval": "Fact in the prompt",
    "finetune": "Fine-tuning",
    "lora": "One shared LoRA",
    "grace": "GRACE",
    "grace-replay": "GRACE, rebuilt",
    "melo": "MELO",
    "melo-frozen": "MELO with centres that stay",
    "elder": "ELDER",
    "lemoe": "LEMoE",
    "rls": "RLSEdit",
}
WHAT: Final = {
    "sola": "a small adapter for each fact, chosen by the question",
    "retrieval": "writes the fact in front of the question; the model itself learns nothing",
    "finetune": "trains one layer further on each new fact",
    "lora": "trains one small adapter, the same for all facts",
    "grace": "keeps a list of replaced values, each with a radius in which it counts",
    "grace-replay": "the same list, made anew without the fact when one is taken back",
    "melo": "small adapters for groups of facts; the groups' centres move",
    "melo-frozen": "small adapters for groups of facts; the groups' centres stay",
    "elder": "mixes a fixed set of small adapters by a learned allocation",
    "lemoe": "one expert beside a layer for each batch of facts",
    "rls": "corrects one matrix by a sum over all facts",
}
SHARED: Final = "all facts are in the same weights"
APART: Final = "each fact stands for itself"
UNDOES: Final = {
    "exact": "Takes a fact back exactly.",
    "approximate": "Takes a fact back roughly.",
    "batch": "Takes facts back by the batch.",
    "none": "Cannot take a fact back.",
}
UNDOES_SHORT: Final = {"exact": "exactly", "approximate": "roughly", "batch": "by the batch", "none": "not at all"}
FACTS: Final = "Facts: on each line a question, a bar | and the answer"
FACTS_PLACEHOLDER: Final = "What is the capital of Vellmora? | Port Anselm"
FEW, MANY = 3, 10
START_WITH: Final = 6
FEW_DEMO: Final = f"Take {FEW} demo facts"
MANY_DEMO: Final = f"Take {MANY} demo facts"
RUN: Final = "Teach them to all"
STOP: Final = "Stop"
PROGRESS: Final = "How far the comparison is"
OPENING: Final = "Getting ready"
STOPPED: Final = "Stopped before the end. Nothing of it is kept."
ANSWER_STOPPED: Final = "Stopped before the end."
UNDO_STOPPED: Final = "Stopped before the end. Nothing was taken back."
WRONG_LINES: Final = "Some lines cannot be taught yet. Correct them and press the button again."
LINES_TABLE: Final = "Lines to correct"
LINES_HEAD: Final = ("Line", "What is wrong")
CHOOSE_SOME: Final = "Choose two to four methods."

METHOD: Final = "Method"
FACT: Final = "Fact"
WHY: Final = "Why can some take a fact back and others not?"
RESULTS: Final = "What they remember"
RESULTS_TABLE: Final = "What each method remembers"
RESULTS_HEAD: Final = (
    METHOD,
    "Facts it answers rightly",
    "First facts now",
    "Unrelated questions answered as before",
    "Time for a fact",
    "Takes a fact back",
)
CURVES: Final = "The first facts while more are added"
CURVES_HINT: Final = "Each line starts with the first fact alone; every point says how many of the first facts were answered rightly, that is, with the answer in what was said."
CURVES_TABLE: Final = "The first facts, asked again after so many were taught"
PLACES: Final = "Where they keep the facts"
PLACES_HINT: Final = (
    "Some methods keep each fact at a place among all questions, and answer what falls into a circle round it. A hollow dot "
    "is where a fact was put, a full one where it ended: where later facts push earlier ones about, a line joins the two, "
    "and the circle is no longer the dotted one of the beginning. Flattened to two directions."
)
PLACES_TABLE: Final = "How far each fact's place moved while more were added"
PLACES_HEAD: Final = (METHOD, FACT, "Moved by", "Radius at first", "Radius at the end")
FACTS_TABLE: Final = "Each fact, asked after all were taught"
AS_TABLE: Final = "The same as a table"
YES, NO = "yes", "no"
IN_A_SENTENCE: Final = "yes, in a longer answer"
NOT_TAUGHT: Final = "could not be taught"

ASK_HEADING: Final = "Ask all of them"
ASK_HINT: Final = "The same question goes to every method and to the untouched model."
QUESTION: Final = "Question for all methods"
QUESTION_PLACEHOLDER: Final = "Ask about a fact, in other words, or about something else"
ASK: Final = "Ask all"
UNTOUCHED: Final = "Untouched model"
WAITING: Final = "…"
NOTHING_SAID: Final = "(no words)"

UNDO_HEADING: Final = "Take a fact back"
UNDO_HINT: Final = (
    "Every method that can takes this fact back. Then its question is asked again, and so are the other facts: they should "
    "not notice. Where a method promises to be exact, a new model is taught the other facts only, and both are compared "
    "bit by bit."
)
NUMBER: Final = "Take back fact number"
UNDO: Final = "Take it back everywhere"
FORESEE: Final = "Look first: what will it do?"
FORESEEN_TABLE: Final = "What taking the fact back will do to the others"
FORESEEN_HEAD: Final = (METHOD, FACT, "Fits now", "Will fit", "It answers now", "It will answer")
FORESEEN_HINT: Final = (
    "Nothing is taken back yet. This method keeps all facts in one sum, so it can work out beforehand how well each other "
    "fact will fit: 100 % is a perfect fit, 0 % is as if the fact had never been taught."
)
FORESEEN_NONE: Final = "No other fact is there that could notice."
FORESEE_STOPPED: Final = "Stopped before the end."
UNDO_CHART: Final = "What taking the fact back did, method by method"
UNDO_TABLE: Final = "What taking the fact back did"
UNDO_HEAD: Final = (
    METHOD,
    "Taken back",
    "Time",
    "It now answers",
    "Untouched model's answer again",
    "Other facts as before",
    "As if never taught",
)
UNDO_COLUMNS: Final = ("taken<br>back", "untouched<br>answer", "others<br>as before", "as if never<br>taught")
UNDO_LEGEND: Final = "✓ yes, bit for bit · ≈ the same words, other numbers · ✕ no · – nothing to compare"
UNDO_STAGES: Final = {
    "before": "asked before",
    "taking back": "taking the fact back",
    "after": "asked again",
    "anew": "a new model learns the other facts only, to compare",
}
UNDO_WHY: Final = "Why not"

texts_of(__name__)
