"""The editing methods by name: SoLA, and those that it is compared with.

Knows where each is made, and imports it when it is asked for. Knows no session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sola_core.errors import InvalidInput

if TYPE_CHECKING:
    from sola_core.editors.joint import JointMethod
    from sola_core.routing.encoders import TextEncoder


def _lora(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.sequential import LORA, Sequential

    return Sequential("lora", replace(LORA, seed=seed))


def _finetune(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.sequential import FINETUNE, Sequential

    return Sequential("finetune", replace(FINETUNE, seed=seed))


def _retrieval(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.retrieval import Retrieval

    if encoder is None:
        raise InvalidInput("The method 'retrieval' finds facts with a sentence encoder: give it one.")
    return Retrieval(encoder)


def _grace(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.grace import Grace

    return Grace()  # nothing in it is random


def _grace_replay(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.grace_replay import GraceReplay

    return GraceReplay()


def _melo(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.melo import Melo, MeloSettings

    return Melo(MeloSettings(seed=seed))


def _melo_frozen(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.melo import MeloFrozen, MeloSettings

    return MeloFrozen(MeloSettings(seed=seed))


def _rls(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.rls import Rls

    return Rls()  # nothing in it is drawn at random


def _elder(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.elder import Elder, ElderSettings

    return Elder(ElderSettings(seed=seed))


def _elder_no_deferral(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.elder import Elder, ElderSettings

    return Elder(ElderSettings(seed=seed, defer=False))


def _lemoe(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.lemoe import Lemoe, LemoeSettings

    return Lemoe(LemoeSettings(seed=seed))


Maker = Callable[[int, "TextEncoder | None"], "JointMethod[Any]"]
JOINT: dict[str, Maker] = {
    "retrieval": _retrieval,
    "finetune": _finetune,
    "lora": _lora,
    "grace": _grace,
    "grace-replay": _grace_replay,
    "melo": _melo,
    "melo-frozen": _melo_frozen,
    "rls": _rls,
    "elder": _elder,
    "elder-no-deferral": _elder_no_deferral,
    "lemoe": _lemoe,
}
METHODS = ("sola", *JOINT)
READS_TEXTS = ("retrieval",)  # methods that need an encoder


def joint_method(name: str, seed: int = 0, encoder: TextEncoder | None = None) -> JointMethod[Any]:
    """Return a method whose facts share a state; `encoder` is for those that read texts. Raises InvalidInput."""
    if name not in JOINT:
        raise InvalidInput(f"Unknown method '{name}'. Available: {', '.join(JOINT)}.")
    return JOINT[name](seed, encoder)
