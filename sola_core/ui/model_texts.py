"""Every English sentence about the model of a personal page and its change for another one.

Knows nothing else; `model_words` puts the numbers into them.
"""

from __future__ import annotations

from typing import Final

from sola_core.words import texts_of

HEADING: Final = "The model"
HINT: Final = "The language model that answers and learns here. An edit fits the model that it was made for, so each model has a library file of its own."

NAME: Final = "In use"
SIZE: Final = "Size"
MEMORY: Final = "In memory"
MEMORY_WORDS: Final = "{memory} of parameters, {dtype} on {device}"
SOURCE: Final = "From"
FROM: Final = {
    "package": "the Python package {place}, converted once and kept on this computer",
    "hub": "the Hugging Face Hub: {place}",
    "folder": "the folder {place}",
}
NO_SOURCE: Final = "no place that is known any more"
LIBRARY: Final = "Library file"

CHANGE_HEADING: Final = "Change to another model"
CHANGE_HINT: Final = "What is taught stays in this model’s file and is there again when you come back. The model in use stays until the other one is ready."
CHOICE: Final = "Models that fit this computer ({free} of memory free now)"
CHOICE_UNKNOWN: Final = "Models that this program knows"
OTHER_CHOICE: Final = "another one, named below"
OTHER: Final = "A folder on this computer, or an id on the Hugging Face Hub"
OTHER_PLACEHOLDER: Final = "/home/me/models/tiny, or owner/name"
LOAD: Final = "Change to this model"
STOP: Final = "Stop"

NUMBERS: Final = "{parameters} in {layers} layers"
HERE: Final = "is on this computer"
FETCHED: Final = "fetches {download} once"
FETCHED_UNKNOWN: Final = "has to be fetched first"
NEEDS: Final = "needs {memory} of memory"
NEEDS_UNKNOWN: Final = "its size is known once it has been fetched; it is loaded only if it fits"
UNFIT: Final = "{model} does not fit: it needs {memory} of memory, and {free} are free beside the model in use."
IN_USE: Final = "{model} is the model in use."
FITS: Final = "It fits: {free} of memory are free."

LOADING: Final = "Loading {model}"
CHANGED: Final = "{model} is in use now. This page is loaded anew."
NOT_CHANGED: Final = "Nothing was changed: {model} is in use as before."
CHOOSE_FIRST: Final = "Choose a model of the list, or name one below it."
CLOSED: Final = "On this server the model is chosen by whoever starts it."

OFFER_BUTTON: Final = "Teach this fact to this model too"
NO_OFFER: Final = "There is no fact of another model left to teach here."

TIME_LEFT: Final = "{words}, {time} left"

MOVED: Final = (
    "The model was changed in another window. What this page shows belongs to the model before: load it anew to go on."
)
RELOAD: Final = "Load the page anew"

texts_of(__name__)
