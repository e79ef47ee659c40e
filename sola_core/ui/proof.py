"""The panel that proves: every edit of the workspace is taken back in a copy, and what was compared becomes a certificate.

Knows the workspace's `certify`; how it is proved is not its business.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import gradio as gr

from sola_core.evaluation.certificate import Certificate
from sola_core.studio import Studio
from sola_core.ui import border, kept_words, markup, texts
from sola_core.ui.files import to_take_along
from sola_core.ui.visible import HIDDEN
from sola_core.words import here, say, written

Shown = tuple[object, ...]  # status, checks, download, stop button


@dataclass(frozen=True, kw_only=True)
class ProofPanel:
    """The components that are listened to or filled."""

    prove: gr.Button
    stop: gr.Button
    shown: list[gr.components.Component]


def proof_panel() -> ProofPanel:
    """Draw the panel."""
    gr.HTML(markup.heading("4", texts.PROOF_HEADING, texts.PROOF_HINT))
    with gr.Row():
        prove = gr.Button(texts.PROVE, variant="primary", scale=3, elem_id="prove")
        stop = gr.Button(texts.STOP, interactive=False, scale=1, min_width=90, elem_id="stop-proof")
    status, checks = gr.HTML(elem_id="proof-status"), gr.HTML(elem_id="proof-checks")
    download = gr.DownloadButton(texts.CERTIFICATE, visible=HIDDEN, size="sm", elem_id="certificate")
    return ProofPanel(prove=prove, stop=stop, shown=[status, checks, download, stop])


class ProofHandlers:
    """What happens when the button is pressed."""

    def __init__(self, studio: Studio) -> None:
        self._registry = studio.registry

    def prove(self, token: object, request: gr.Request) -> Generator[Shown, None, None]:
        """Run the protocol on a copy of the visitor's edits."""
        start = markup.progress(texts.PROOF_START, 0, 1)
        yield start, "", gr.update(visible=HIDDEN), gr.update(interactive=True)
        visitor = border.visitor(self._registry, request, token)
        with self._registry.visit(visitor) as workspace:
            steps = workspace.certify()
            try:
                while True:
                    at = next(steps)
                    bar = markup.progress(kept_words.certifying(at), at.done, at.total)
                    yield bar, gr.skip(), gr.skip(), gr.skip()
            except StopIteration as finished:
                certificate: Certificate = finished.value
            finally:
                steps.close()
        kind = "stop" if certificate.breaches else "good"
        path = to_take_along(
            f"sola-certificate-{certificate.state_digest[:12]}.json",
            certificate.to_json().encode("utf-8"),
            self._registry.alias(visitor),
        )
        yield (
            markup.note(kept_words.certified(certificate), kind),
            self._checks(certificate),
            gr.update(value=path, visible=True),
            gr.update(interactive=False),
        )

    def unfinished(self) -> Shown:
        """Say that it was stopped or failed; an error has told its reason in a message of its own."""
        hidden = gr.update(visible=HIDDEN)
        return markup.note(texts.UNPROVED, "stop"), "", hidden, gr.update(interactive=False)

    def _checks(self, certificate: Certificate) -> str:
        rows = [
            (here(check.name), written(check.cases, ","), written(check.breaches, ",")) for check in certificate.checks
        ]
        rows.append((texts.DIGEST_OF_STATE, certificate.state_digest[:16] + "…", ""))
        rows.append((texts.DIGEST_OF_PARAMETERS, certificate.parameters_after[:16] + "…", ""))
        return markup.table(texts.PROOF_TABLE, (say("What was compared"), say("Times"), say("Differences")), rows)
