"""Says in words how large a model is, what it needs and whether it fits.

Pure functions from records to plain text; knows neither gradio nor markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sola_core.ui import model_texts as texts
from sola_core.ui import texts as page_texts
from sola_core.words import say, say_many

if TYPE_CHECKING:
    from sola_core.switching import HostInUse, HostOffer, LeftBehind

OTHER = "another"  # the choice of what is named in the box


def in_use(host: HostInUse) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is known of the model in use: names, each with its lines."""
    source = host.source
    about = host.about
    return [
        (texts.NAME, (about.model,)),
        (texts.SIZE, (texts.NUMBERS.format(parameters=parameters(host.parameters), layers=host.layers),)),
        (texts.MEMORY, (texts.MEMORY_WORDS.format(memory=size(host.memory), dtype=about.dtype, device=about.device),)),
        (texts.SOURCE, (texts.FROM[source.origin].format(place=source.place) if source else texts.NO_SOURCE,)),
        (texts.LIBRARY, (str(host.library),)),
    ]


def choices(menu: Sequence[HostOffer]) -> list[tuple[str, str]]:
    """Return the models that can be offered, each with what it needs, and the choice of another one."""
    offered = [one for one in menu if not one.loaded and one.fits is not False]
    return [*((f"{one.needs.model}: {needs(one)}", one.needs.model) for one in offered), (texts.OTHER_CHOICE, OTHER)]


def choice_label(menu: Sequence[HostOffer]) -> str:
    """Return what stands above the choices."""
    free = next((one.free for one in menu if one.free is not None), None)
    return texts.CHOICE_UNKNOWN if free is None else texts.CHOICE.format(free=size(free))


def unfit(menu: Sequence[HostOffer]) -> list[str]:
    """Return a sentence for every model that does not fit."""
    return [looked_at(one) for one in menu if one.fits is False and not one.loaded]


def looked_at(offer: HostOffer) -> str:
    """Return what a model needs and whether it fits, in a sentence or two."""
    if offer.loaded:
        return texts.IN_USE.format(model=offer.needs.model)
    if offer.fits is False:
        return texts.UNFIT.format(model=offer.needs.model, memory=size(offer.needs.memory), free=size(offer.free))
    words = needs(offer)
    fits = f" {texts.FITS.format(free=size(offer.free))}" if offer.fits else ""
    return f"{words[0].upper()}{words[1:]}.{fits}"


def needs(offer: HostOffer) -> str:
    """Return how large a model is and what it needs."""
    one = offer.needs
    parts = []
    if one.parameters:
        count = parameters(one.parameters)
        parts.append(texts.NUMBERS.format(parameters=count, layers=one.layers) if one.layers else count)
    if one.here:
        parts.append(texts.HERE)
    else:
        parts.append(texts.FETCHED.format(download=size(one.download)) if one.download else texts.FETCHED_UNKNOWN)
    parts.append(texts.NEEDS.format(memory=size(one.memory)) if one.memory else texts.NEEDS_UNKNOWN)
    return ", ".join(parts)


def offered(left: LeftBehind, this: str) -> tuple[str, str]:
    """Return what is said of the facts left behind, and what the button that teaches them again says."""
    count = len(left.facts)
    button = texts.OFFER_BUTTON if count == 1 else say("Teach these {count:,} facts to this model too", count=count)
    words = say_many(
        "{model} was in use before and keeps {count:,} fact that {this} has not been taught. Nothing of it was changed.",
        "{model} was in use before and keeps {count:,} facts that {this} has not been taught. Nothing of it was changed.",
        count,
        model=left.model,
        this=this,
    )
    return words, button


def shown(left: LeftBehind) -> str:
    """Return what is said when the facts left behind are listed."""
    return say_many(
        "{count:,} fact of {model}, read from its library. Press “{button}” to teach it here; if it is switched off there, "
        "it will be off here.",
        "{count:,} facts of {model}, read from its library. Press “{button}” to teach them here; those switched off there "
        "will be off here.",
        len(left.facts),
        model=left.model,
        button=page_texts.TEACH_LIST,
    )


def parameters(count: int) -> str:
    """Return a number of parameters, rounded."""
    if count >= 1_000_000_000:
        return say("{count:.1f} billion parameters", count=count / 1e9)
    if count >= 10_000_000:
        return say("{count:,.0f} million parameters", count=count / 1e6)
    return say("{count:,} parameters", count=count)


def size(count: int | None) -> str:
    """Return a number of bytes, rounded."""
    if count is None:
        return "?"
    if count >= 950_000_000:
        return say("{size:.1f} GB", size=count / 1e9)
    return say("{size:,.0f} MB", size=count / 1e6)


def with_time_left(words: str, seconds: float, done: int, total: int) -> str:
    """Add the time that the rest will take, going by what is done; nothing before that says something."""
    if not done or done >= total or seconds < 1:
        return words
    minutes, rest = divmod(round(seconds / done * (total - done)), 60)
    return texts.TIME_LEFT.format(words=words, time=f"{minutes}:{rest:02}")
