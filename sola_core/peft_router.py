"""Our router in front of another engine: opens a folder of exported PEFT adapters and says which of them answers a prompt.

Knows the routing table and the routers that read texts. Knows no language model: whoever serves the adapters has that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sola_core.errors import InvalidInput, LibraryMismatch
from sola_core.library.peft_routes import PeftRoutes, read_routes
from sola_core.records import KeyText, Route
from sola_core.routed import load_encoder
from sola_core.routing.router import Router, make_router
from sola_core.text import checked_prompt

if TYPE_CHECKING:
    from sola_core.routing.encoders import TextEncoder


class PeftRouter:
    """The routes of one folder, with the decisions of the library that it was exported from; may be shared by threads."""

    def __init__(self, routes: PeftRoutes, router: Router) -> None:
        self.routes, self._router = routes, router

    @classmethod
    def open(cls, folder: str | Path, encoder: TextEncoder | None = None) -> PeftRouter:
        """Read a folder's table and make its keys again from their texts; `encoder` shares one that is loaded already.

        Raises InvalidInput when there is no table, or its router reads the host's states, which another engine keeps to
        itself; LibraryMismatch when the table was made with another encoder.
        """
        routes = read_routes(Path(folder))
        if routes.router == "hidden":
            raise InvalidInput(
                "The router `hidden` reads states inside of the model, which another engine does not give. Export with "
                "--router scope or --router sentence."
            )
        encoder = encoder or load_encoder()
        router = make_router(routes.router, encoder=encoder, read_state=None, host_fingerprint=routes.host_fingerprint)
        if router.encoder_id != routes.encoder:
            raise LibraryMismatch("This table was made with another encoder or other weights. Export the edits again.")
        router.threshold = routes.threshold
        for edit in routes.edits:
            keys = router.encode([KeyText(text=text, subject=edit.subject) for text in edit.key_texts])
            router.add(edit.adapter, edit.key_texts, keys, edit.enabled)
        return cls(routes, router)

    def route(self, prompt: str) -> Route:
        """Return the route that the library would take."""
        return self._router.route(checked_prompt(prompt))

    def adapter(self, prompt: str) -> str | None:
        """Return the name of the adapter that answers; None: the model without an adapter."""
        return self.route(prompt).edit_id
