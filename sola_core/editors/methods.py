"""The editing methods by name: SoLA, and those that it is compared with.

Knows where each is made, and imports it when it is asked for. Knows no session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sola_core.errors import InvalidInput

if TYPE_CHECKING:
    from sola_core.editors.joint import JointMethod
    from sola_core.routing.encoders import TextEncoder


def _lora(seed: int, encoder: TextEncoder | None) -> JointMethod[Any]:
    from sola_core.editors.lora_sequential import SequentialLora, SequentialLoraSettings

    return SequentialLora(SequentialLoraSettings(seed=seed))


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
    "lora": _lora,
    "elder": _elder,
    "elder-no-deferral": _elder_no_deferral,
    "lemoe": _lemoe,
}
METHODS = ("sola", *JOINT)


def joint_method(name: str, seed: int = 0, encoder: TextEncoder | None = None) -> JointMethod[Any]:
    """Return a method whose facts share a state; `encoder` is for those that read texts. Raises InvalidInput."""
    if name not in JOINT:
        raise InvalidInput(f"Unknown method '{name}'. Available: {', '.join(JOINT)}.")
    return JOINT[name](seed, encoder)
