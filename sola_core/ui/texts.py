"""Every English sentence of the page that is not made from a record.

Knows nothing else; sentences made from records are in `present`.
"""

from __future__ import annotations

from typing import Final

TITLE: Final = "SoLA Studio"
TAGLINE: Final = (
    "Teach a small language model one fact at a time. See when it is used, switch it off, or take it back for good."
)
HOW: Final = (
    ("Teach", "a new answer becomes one small frozen adapter of its own; the model itself is never changed."),
    ("Ask", "a question that means the same is routed to that adapter; every other question runs the untouched model."),
    ("Take back", "switch the adapter off or delete it, and the model is where it was, to the last bit."),
)

TABS: Final = {"studio": "Studio", "keep": "Prove and keep"}

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

ASK_HEADING: Final = "Ask"
ASK_HINT: Final = "Each question stands alone: the model remembers nothing of the one before."
QUESTION: Final = "Your question"
QUESTION_PLACEHOLDER: Final = "Ask anything, for example what you have just taught, in other words"
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
    "Distances on the map are only a hint: the bars above decide."
)
MAP_CHART: Final = "Map of edits and questions"

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
NO_MCP: Final = (
    "SOLA_MCP=1 needs the packages of MCP. Install them (pip install 'sola-studio[mcp]'), or unset SOLA_MCP."
)
NO_WORKSPACE: Final = "This is not the id of a workspace here. Ask open_workspace for a new one; an id ends when the server is started again."
