"""Every English sentence of the lesson that is not made from what happened in it.

Knows nothing else; sentences made from what happened are in `lesson_words`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sola_core.lesson import Step
from sola_core.words import texts_of


@dataclass(frozen=True, kw_only=True)
class StepTexts:
    """What is said at one step."""

    name: str  # in the line of steps
    title: str
    what: str  # what will happen
    button: str
    why: tuple[str, ...]  # for students
    say: str  # for the teacher
    ask: tuple[str, ...]  # the class
    minutes: int


LESSON_HEADING: Final = "A lesson in seven steps"
LESSON_HINT: Final = (
    "Ask a model, teach it a new answer, see where the answer is used and where not, and take it back. "
    "A step counts only when the model really did what it is about."
)
LARGE: Final = "Large type, for a projector"
CHOOSE: Final = "Choose a made-up fact"
FACT_HINT: Final = (
    "Choose a fact above, or write one of your own: something that the model cannot know, or that is not true."
)
PROMPT: Final = "The question"
TARGET: Final = "The answer that you will teach"
REPHRASE: Final = "The same question in other words"
NEIGHBOUR: Final = "A question near by, whose answer must not change"
SUBJECT: Final = "What it is about, as the question names it (may be left empty)"
REPHRASE_NOW: Final = "A wording to try"
NEIGHBOUR_NOW: Final = "A question near by to try"
TRY_AGAIN: Final = "Try this wording"
ASK_ANOTHER: Final = "Ask this question"
ONCE_MORE: Final = "Ask once more"
COMPARE_AGAIN: Final = "Compare again"
NEXT: Final = "Next: {name}"
BACK: Final = "Back"
ANYWAY: Final = "Go on anyway (this step stays not reached)"
START_AGAIN: Final = "Start again"
START_AGAIN_DELETES: Final = "Start again (deletes what this lesson taught)"
STOP: Final = "Stop"
WHY: Final = "Why?"
NOTES: Final = "Speaker notes for the teacher"
LINE: Final = "The steps of the lesson"
STANDING: Final = {"done": "done", "missed": "not reached", "now": "now", "to-come": "to come"}
UNTOUCHED: Final = "Untouched model"
TAUGHT: Final = "With what you taught"
WAITING: Final = "The answer appears here."
QUESTION: Final = "Question"
FACT: Final = "What is taught"
GETTING_READY: Final = "Getting ready"
MEASURING: Final = "Taking the fingerprint of the model’s numbers"
DELETING: Final = "Deleting it, then comparing the numbers"
ERASING: Final = " Its text is still being erased from the disk, because another program reads the file."
CUT: Final = " (The answer was cut at the length that this page allows.)"
STOPPED: Final = "That did not come to its end, so it does not count. Do it again when you like."
AGAIN: Final = (
    "The lesson starts from the beginning: what was kept of an earlier one does not fit what is stored here now."
)
EDIT_GONE: Final = (
    "The lesson starts from the beginning: what it had taught is no longer stored. It was deleted elsewhere."
)
PRINTS: Final = "Fingerprints of the model at three moments (a fingerprint changes when a single bit does)"
PRINTS_HEAD: Final = ("What was compared", "Before teaching", "With what you taught", "After deleting", "Result")
PRINT_NAMES: Final = {
    "answered": "The numbers behind the beginning of the answer",
    "base": "The same, of the untouched model",
    "parameters": "All of the model’s parameters",
    "state": "The list of stored edits",
}
SAME: Final = "✓ as before"
NOT_SAME: Final = "■ not as before"
NOT_TAKEN: Final = "not taken"

STEPS: Final[Mapping[Step, StepTexts]] = {
    "ask": StepTexts(
        name="Ask",
        title="Ask the untouched model",
        what="We ask the model before anything is taught. Asking changes nothing in it.",
        button="Ask the question",
        why=(
            "To see a change one needs a before. A language model has read very much text, and asked about something that it "
            "never met it still writes what sounds likely.",
            "Remember this answer: at the end the model has to give it again, letter by letter.",
        ),
        say="This is the model as it was trained. Nobody has taught it our fact. Both sides show the same model, for now.",
        ask=("Is the answer right? How do you know?", "It sounds sure of itself. Does that tell us anything?"),
        minutes=3,
    ),
    "teach": StepTexts(
        name="Teach",
        title="Teach it the new answer",
        what="The model practises the new answer for a moment. What it learns is kept apart from the model, as one small edit.",
        button="Teach this answer",
        why=(
            "The model’s own numbers, many millions of them, stay frozen. Only a few thousand new ones are learnt, and they "
            "are kept in a small adapter beside the model (the field calls it a LoRA; this page calls it an edit).",
            "What is kept apart can be taken away again. That is the whole idea.",
        ),
        say="We do not train the model again. We put a small note beside it, and the note is all that learns.",
        ask=(
            "What could go wrong if we changed the model itself?",
            "Where else do you keep a change apart, so that you can undo it?",
        ),
        minutes=4,
    ),
    "again": StepTexts(
        name="Ask again",
        title="Ask the same question again",
        what="The same question goes to the untouched model and to the one with your edit, side by side.",
        button="Ask the same question again",
        why=(
            "These are the very words that were taught, so the router (the part that decides which edit answers, if any) "
            "finds the edit without guessing.",
            "The left answer shows that the model itself still says what it said in step 1.",
        ),
        say="Left: the model alone. Right: the model with our note beside it. Same model, same question.",
        ask=("Which of the two answers has changed?", "Has the model understood the fact, or learnt it by heart?"),
        minutes=3,
    ),
    "rephrase": StepTexts(
        name="Other words",
        title="Ask for it in other words",
        what="Nobody asks twice in the same words. We see whether the router finds the edit all the same.",
        button="Ask in other words",
        why=(
            "The router compares the meaning of the question with that of each stored edit and gives a score. "
            "From a threshold on the edit answers; under it the untouched model does.",
            "A wording that is far from the taught one may fall under the threshold. That is the harmless mistake: "
            "the model then answers as it always did.",
        ),
        say="Now the words are new, but the question is the same. Something has to decide that. Here it is a score.",
        ask=(
            "Who finds a wording that the router misses? And a strange one that it still finds?",
            "Should the threshold be lower? What would that break?",
        ),
        minutes=6,
    ),
    "neighbour": StepTexts(
        name="Near by",
        title="Ask about something near by",
        what="A question that looks alike but is about something else. Its answer must not change by a single letter.",
        button="Ask the question near by",
        why=(
            "Teaching one thing must not damage others. When the router says no, the edit takes no part at all: "
            "the untouched model does exactly what it did before.",
            "So the two answers are not only alike. They are the same, letter by letter.",
        ),
        say="The hardest test is not a question about something else altogether. It is one that looks almost the same.",
        ask=(
            "Who can think of a question that comes closer, without being the same?",
            "Which mistake is worse: to miss a question, or to answer a wrong one?",
        ),
        minutes=5,
    ),
    "off": StepTexts(
        name="Switch off",
        title="Switch it off and ask again",
        what="The edit stays stored, but the router skips it. Then we ask the question of step 1 once more.",
        button="Switch it off and ask",
        why=(
            "The model was never changed, so there is nothing to repair. Without the edit there is exactly what was there before.",
            "A model that is trained further has its own numbers overwritten. To get back, one needs a copy of the old ones.",
        ),
        say="We do not teach it the old answer again. We only take the note away. Compare with what we wrote down in step 1.",
        ask=("Is this answer like the first one, or is it the first one?", "Who would need a switch like this?"),
        minutes=3,
    ),
    "prove": StepTexts(
        name="Delete, prove",
        title="Delete it, and prove it",
        what="The edit is deleted for good. Then the model’s numbers are compared with those of step 1, bit by bit.",
        button="Delete it and compare",
        why=(
            "Equal words could be luck. Behind every word stand thousands of numbers, and a fingerprint of them (SHA-256) "
            "changes when a single bit is different.",
            "The middle column shows that the comparison notices a change: with the edit, the numbers behind the answer "
            "were others. The model’s parameters were the same all the time.",
        ),
        say="An answer that looks the same is no proof. So we compare the numbers themselves.",
        ask=(
            "Why is it not enough that both answers read the same?",
            "Could a company show in this way that it has removed something? What would still be missing?",
        ),
        minutes=4,
    ),
}

texts_of(__name__)
