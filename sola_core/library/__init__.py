"""Where edits live: the store, and the digests that say whether two stores hold the same state.

Knows nothing of models, editors, routers or the page.
"""

from __future__ import annotations

from sola_core.library.digest import edit_digest, state_digest
from sola_core.library.store import Library

__all__ = ["Library", "edit_digest", "state_digest"]
