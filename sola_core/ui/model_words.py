"""Says in words how large a model is, what it needs and whether it fits.

Pure functions from records to plain text; knows neither gradio nor markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sola_core.ui import model_texts as texts

if TYPE_CHECKING:
    from sola_core.switching import HostInUse, HostOffer, LeftBehind

OTHER = "another"  # the choice of what is named in the box


def in_use(host: HostInUse) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is known of the model in use: names, each with its lines."""
    source = host.source
    about = host.about
    return [
        (texts.NAME, (about.model,)),
        (texts.SIZE, (texts.SIZE_WORDS.format(parameters=parameters(host.parameters), layers=host.layers),)),
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
        shape = texts.NUMBERS if one.layers else texts.NUMBERS_WITHOUT_LAYERS
        parts.append(shape.format(parameters=parameters(one.parameters), layers=one.layers))
    if one.here:
        parts.append(texts.HERE)
    else:
        parts.append(texts.FETCHED.format(download=size(one.download)) if one.download else texts.FETCHED_UNKNOWN)
    parts.append(texts.NEEDS.format(memory=size(one.memory)) if one.memory else texts.NEEDS_UNKNOWN)
    return ", ".join(parts)


def offered(left: LeftBehind, this: str) -> tuple[str, str]:
    """Return what is said of the facts left behind, and what the button that teaches them again says."""
    count = len(left.facts)
    button = texts.OFFER_BUTTON_ONE if count == 1 else texts.OFFER_BUTTON.format(count=count)
    return texts.OFFER.format(model=left.model, facts=facts(count), this=this), button


def shown(left: LeftBehind) -> str:
    """Return what is said when the facts left behind are listed."""
    return texts.OFFER_SHOWN.format(facts=facts(len(left.facts)), model=left.model)


def facts(count: int) -> str:
    """Return a number of facts."""
    return f"{count:,} fact{'' if count == 1 else 's'}"


def parameters(count: int) -> str:
    """Return a number of parameters, rounded."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:.1f} billion parameters"
    return f"{count / 1e6:,.0f} million parameters" if count >= 10_000_000 else f"{count:,} parameters"


def size(count: int | None) -> str:
    """Return a number of bytes, rounded."""
    if count is None:
        return "?"
    return f"{count / 1e9:.1f} GB" if count >= 950_000_000 else f"{count / 1e6:,.0f} MB"


def with_time_left(words: str, seconds: float, done: int, total: int) -> str:
    """Add the time that the rest will take, going by what is done; nothing before that says something."""
    if not done or done >= total or seconds < 1:
        return words
    minutes, rest = divmod(round(seconds / done * (total - done)), 60)
    return texts.TIME_LEFT.format(words=words, time=f"{minutes}:{rest:02}")
