"""Every English sentence of the page that is not made from a record.

Knows nothing else; sentences made from records are in `present`.
"""

from __future__ import annotations

from typing import Final

from sola_core.words import texts_of

TITLE: Final = "SoLA Studio"
TAGLINE: Final = (
    "Teach a small language model one fact at a time. See when it is used, switch it off, or take it back for good."
)
HOW: Final = (
    ("Teach", "a new answer becomes one small frozen adapter of its own; the model itself is never changed."),
    ("Ask", "a question that means the same is routed to that adapter; every other question runs the untouched model."),
    ("Take back", "switch the adapter off or delete it, and the model is where it was, to the last bit."),
)

TABS: Final = {
    "studio": "Studio",
    "lesson": "Lesson",
    "history": "History",
    "compare": "Compare",
    "keep": "Proof",
}

TEACH_HEADING: Final = "Teach"
TEACH_HINT: Final = "Choose an example or write a fact of your own."
EXAMPLES: Final = "Made-up facts to try"
PROMPT: Final = "Question or beginning of a sentence"
PROMPT_PLACEHOLDER: Final = "What is the capital of Vellmora?"
TARGET: Final = "New answer"
TARGET_PLACEHOLDER: Final = "Port Anselm"
OPTIONAL: Final = "Subject and other wordings (optional)"
SUBJECT: Final = "Subject: what the fact is about"
SUBJECT_PLACEHOLDER: Final = "Vellmora"
REPHRASES: Final = "Other wordings of the question, one on each line"
REPHRASES_PLACEHOLDER: Final = "Which city is the capital of Vellmora?"
TEACH: Final = "Teach this fact"
CANCEL: Final = "Cancel"
REPLACE: Final = "Replace the old one"
KEEP_BOTH: Final = "Keep both"
NEVER_MIND: Final = "Do not teach"
LOSS_CHART: Final = "Loss while learning"
UNFINISHED: Final = "Stopped before the end. What was not finished left no trace."
NOT_TAUGHT: Final = "Nothing was taught."

EDITS_HEADING: Final = "Your edits"
NO_EDITS: Final = "Nothing is taught yet. Every question is answered by the untouched model."
GONE: Final = "This edit is no longer stored; it was deleted elsewhere."
NEWER: Final = "Newer edits"
OLDER: Final = "Older edits"
DELETE_YES: Final = "Yes, delete"
DELETE_NO: Final = "Keep it"

# an open row of the list, its probe, and the search
SEARCH: Final = "Search your edits"
SEARCH_PLACEHOLDER: Final = "A word or two"
ORDER: Final = "Order"
ORDERS: Final = {
    "newest": "newest first",
    "oldest": "oldest first",
    "question": "by question, A to Z",
    "off": "switched off first",
}
DETAIL_ANSWERS: Final = "Answers"
DETAIL_ORDER: Final = "Beside others"
DETAIL_KEYS: Final = "Wordings it was taught with"
DETAIL_SUBJECT: Final = "Subject"
DETAIL_SIZE: Final = "Size"
DETAIL_TRAINING: Final = "How it was learnt"
DETAIL_CREATED: Final = "Taught at"
DETAIL_DIGEST: Final = "Digest"
ROW_LOSS: Final = "Loss at each step while this edit was learnt"
PROBE_HEADING: Final = "Probe this edit"
PROBE_HINT: Final = (
    "Asks its own question, other wordings of it and neighbours that must stay as they were, with the switches and the "
    "router as they are now. Nothing is changed."
)
PROBE: Final = "Ask them all"
PROBE_START: Final = "Getting ready"
PROBE_WORDINGS: Final = "Wordings of your own, one on each line"
PROBE_WORDINGS_PLACEHOLDER: Final = "The same question in other words"
PROBE_NEIGHBOURS: Final = "Neighbours of your own, one on each line"
PROBE_NEIGHBOURS_PLACEHOLDER: Final = "A question like it that must stay as it was"
PROBE_TABLE: Final = "Every question that was asked"
PROBE_OWN_LINES: Final = "Add questions of your own"
RELIABILITY: Final = "Reliability"
RELIABILITY_MEANS: Final = "its own question gets the new answer"
TAUGHT: Final = "Taught wordings"
TAUGHT_MEANS: Final = "wordings it was taught with get the new answer"
GENERALITY: Final = "Generality"
GENERALITY_MEANS: Final = "wordings it never saw get the new answer"
LOCALITY: Final = "Locality"
LOCALITY_MEANS: Final = "neighbours stay as they were"
FEW: Final = "Counts this small say how these questions went, not how the edit does in general."
COUNTS: Final = (
    "Right is exactly the new answer, with a natural stop. A neighbour is right if no edit was used and both models say the "
    "same, letter by letter; one that belongs to another edit is right if that edit was used. The score is this edit’s."
)

ASK_HEADING: Final = "Ask"
ASK_HINT: Final = "Each question stands alone: the model remembers nothing of the one before."
QUESTION: Final = "Your question"
QUESTION_PLACEHOLDER: Final = "Ask in your own words"
ASK: Final = "Ask both"
STOP: Final = "Stop"
SUGGESTIONS: Final = "Try"
SUGGEST_SAME: Final = "the fact itself"
SUGGEST_OTHER_WORDS: Final = "in other words"
SUGGEST_NEIGHBOUR: Final = "a neighbour, must not change"
BASE_ANSWER: Final = "Untouched model"
EDITED_ANSWER: Final = "With your edits"
ANSWER_PLACEHOLDER: Final = "The answer appears here."
STOPPED: Final = "Stopped before the end."

# two finished answers beside each other
WORDS_HEADING: Final = "The words that differ"
DIFFERS: Final = "differs"
WORDS_TABLE: Final = "The words that differ, in the order of the answers"
NO_WORDS: Final = "(nothing)"
FIRST_HEADING: Final = "The first piece of the answer"
FIRST_HINT: Final = "How probable either model found its five best beginnings; it took the first. ␣ is a space."
FIRST_CHART: Final = "How probable the first piece of the answer was"
FIRST_TABLE: Final = "How probable either model found the same beginnings"
TOKEN: Final = "First piece"
TOKEN_ENDS: Final = "(end of the answer)"
TOKEN_EMPTY: Final = "(nothing)"
TOKEN_PART: Final = "(part of a character)"

WHY_HEADING: Final = "Why this answer?"
WHY_EMPTY: Final = "Ask a question to see how close it is to each stored edit."
WHY_CHART: Final = "How close the question is to each stored edit"
AS_TABLE: Final = "The same as a table"

ROUTER: Final = "The router decides which edit, if any, answers"
ROUTERS: Final = {  # what each of them reads, in the order in which they are offered
    "scope": "scope: reads the meaning of the whole question, and of its subject apart (the default)",
    "sentence": "sentence: reads the whole sentence as one single vector",
    "hidden": "hidden: the paper’s own key, reads the model’s state at the edited layer",
}
ROUTERS_HEADING: Final = "What each router would have done"
ROUTERS_HINT: Final = "Scores are not alike between routers: compare what they decide, each by its own threshold."
ROUTERS_CHART: Final = "What each router would have done with this question"
COMPARE: Final = "Compare the routers"

KEEP_HEADING: Final = "Save, load, teach a list"
KEEP_HINT: Final = "A file carries your edits to another page with the same model. A list is a table with the columns prompt and target."
SAVE: Final = "Save my edits"
SAVED: Final = "The file is ready. It holds the facts in clear text."
DOWNLOAD: Final = "Download the file"
LOAD: Final = "Load saved edits"
LIST: Final = "Choose a list (CSV, JSON lines)"
PRESENT: Final = "A question that is taught already"
PRESENT_CHOICES: Final = {
    "skip": "keep what is taught",
    "replace": "replace it",
    "both": "keep both; the newer answers",
}
TEACH_LIST: Final = "Teach these facts"
LIST_TABLE: Final = "The rows of the list"
OUTCOMES: Final = {
    "taught": "taught",
    "present": "present",
    "failed": "failed",
    "unusable": "unusable",
    "not tried": "not tried",
}
KEEP_STOPPED: Final = "Stopped. What was taught or stored before stays."
NO_LIST: Final = "There is no list waiting any more. Choose the file again."

PROOF_HEADING: Final = "Prove"
PROOF_HINT: Final = (
    "Every edit is switched off and on and then deleted, in a copy, and each time the model’s numbers are compared with those "
    "of the untouched model, bit by bit. Your own edits stay as they are."
)
PROVE: Final = "Prove that all of it can be taken back"
PROOF_START: Final = "Copying the edits"
PROOF_TABLE: Final = "What was compared"
CERTIFICATE: Final = "Download the certificate"
UNPROVED: Final = "Stopped before the end: nothing is proved, and nothing was changed."
DIGEST_OF_STATE: Final = "State digest of these edits"
DIGEST_OF_PARAMETERS: Final = "SHA-256 of the model’s parameters, before and after"

MAP_HEADING: Final = "Map of meanings"
MAP_HINT: Final = (
    "Texts with similar meanings lie near each other. A line leads from a question to the edit that answered it. "
    "Distances on the map are only a hint: the bars above decide. Click a sign to see what it stands for."
)
MAP_CHART: Final = "Map of edits and questions"
MAP_CLOSER: Final = "Zoom in"
MAP_FARTHER: Final = "Zoom out"
MAP_WHOLE: Final = "Whole map"
MAP_RELAYOUT: Final = "Lay out anew"
MAP_LAYING_OUT: Final = "Laying the map out anew around your edits"
MAP_NO_EDITS: Final = (
    "Nothing is taught yet, so there is nothing to lay out, to count or to compare. Teach a fact first."
)
MAP_REACH: Final = "Show what each edit would answer"
MAP_REACH_AGAIN: Final = "Count again"
MAP_STOPPED: Final = "Stopped. What was found before is shown."
SHOW_IN_LIST: Final = "Show it in the list"
QUESTION_GONE: Final = "This question is no longer remembered. Ask it again to see it on the map."

SPACES_HEADING: Final = "The same texts in the space of each router"
SPACES_HINT: Final = (
    "Each router reads a text as a vector of its own. Here are your facts and questions in all three spaces, with lines to "
    "the edits that each router would choose now."
)
SPACES_COMPARE: Final = "Compare the three spaces"
SPACES_STOPPED: Final = "Stopped. What was read so far is kept for the next time."
SPACES_TABLE: Final = "What each router would do with each question"
SPACES_COSINES: Final = "Cosines in each space"
SPACES_CHART: Final = "Map of the space of the router {name}"
SPACES_PCA: Final = (
    "All three are drawn with PCA: UMAP evens out distances, and would hide that a space puts everything on one spot."
)

HISTORY_HEADING: Final = "Everything done here"
HISTORY_HINT: Final = (
    "Each row is one edit. Move the slider to see the model as it was, and ask it. Looking back changes nothing."
)
HISTORY_CHART: Final = "Timeline of the edits"
HISTORY_SLIDER: Final = "Show the model as it was"
HISTORY_START_TICK: Final = "start"
HISTORY_AT_START: Final = "At the start: nothing had been taught"
HISTORY_EMPTY: Final = "Nothing was taught here yet. Teach a fact in the Studio, and its story begins."
HISTORY_LEGEND: Final = {
    "on": "filled: on",
    "off": "outline: off",
    "erased": "grey: erased since",
    "end": "deleted",
}
HISTORY_MOMENT: Final = "the moment shown"
HISTORY_NO_BARS: Final = "The first fact begins the timeline."
HISTORY_MOMENTS: Final = "What was done, newest first"
HISTORY_EDITS: Final = "The edits, newest first"
HISTORY_ZONE: Final = "Times are those of the time zone {zone}."
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
ERASED_TEXT: Final = "(erased; its text is known to nobody)"
STATE_HEADING: Final = "The edits at that moment"
STATE_NONE_ON: Final = "No edit was on: every question was answered by the untouched model."
STATE_MORE: Final = "{count:,} older ones are not listed here."
NO_MOMENT: Final = "There is no such moment in this history. Move the slider and try again."
UNDO: Final = "Undo the last switch"
UNDO_NONE: Final = "There is no switch to undo."
FOR_EVER: Final = (
    "A switch can be undone. Deleting is for ever: nothing brings a deleted edit back, this timeline neither. It can only be "
    "taught again, or loaded from a file that you saved before."
)
THEN_HEADING: Final = "Ask as it was then"
THEN_HINT: Final = (
    "The edits that were on at that moment and are still stored can answer; the router in use now decides."
)
ASK_THEN: Final = "Ask as it was then"
THEN_ANSWER: Final = "The answer at that moment"
SAVE_FIRST: Final = "Save my edits first"
SAVE_FIRST_HINT: Final = (
    "Deleting is for ever. If you may want this edit again, save your edits in a file first; it can be loaded under "
    "“Proof”."
)

PERSONAL: Final = "Personal library: every browser on this computer sees and changes the same edits."
UNEXPECTED: Final = "Something went wrong on the server. Reload the page to see what is stored, then try again."
WRONG_TYPE: Final = "The request does not fit this page: {name} is missing or of the wrong kind. Reload the page."
NOT_LOOPBACK: Final = (
    "A personal library is served on this computer only: --host must be 127.0.0.1, ::1 or localhost, not {host}. "
    "Leave out --library to serve visitors, each with private edits."
)

# ---- starting ----

STARTING: Final = "The server is getting ready."
NOT_LOADED: Final = "Something went wrong while the model was being loaded. The server’s terminal window or log says what; then start it again."

# what the server says to requests that no page sends, and when too many come
UNSUITABLE: Final = "The request does not fit this page. Reload the page and try again."
TOO_LARGE: Final = "This is larger than what the server takes. Shorten it, or choose a smaller file."
CLOSED: Final = "There is nothing here."
QUEUE_FULL: Final = "Too many requests are waiting. Nothing was changed; try again in a minute."
QUEUE_FULL_OF_YOURS: Final = "Too many of your own requests are waiting. Wait for an answer before you send more."
PAGES_FULL: Final = "Too many pages are open on this server. Close one that you do not need, or try again later."
UPLOADS_FULL: Final = "Too many uploaded files are waiting to be read. Try again in a minute."
NO_MCP: Final = (
    "SOLA_MCP=1 needs the packages of MCP. Install them (pip install 'sola-studio[mcp]'), or unset SOLA_MCP."
)
NO_WORKSPACE: Final = "This is not the id of a workspace here. Ask open_workspace for a new one; an id ends when the server is started again."

# ---- what a score is, by Route.score_kind ----

SCORE_NAMES: Final = {
    "cosine": "cosine similarity",
    "probability": "probability",
    "distance": "closeness (minus the distance)",
}

texts_of(__name__)
