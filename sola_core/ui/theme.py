"""The look of the page: colours, fonts of the visitor's own system, calm shapes.

Knows gradio's theme variables; the details are in `assets/style.css`.
"""

from __future__ import annotations

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Return the theme; it asks for no font from elsewhere."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_lg,
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="#f6f5f1",
        body_background_fill_dark="#10161d",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_padding="0px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="600",
        block_title_text_size="*text_sm",
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_padding="0px",
        input_border_width="1px",
        input_padding="9px 12px",
        input_background_fill="#ffffff",
        input_background_fill_dark="#0f1720",
        input_border_color="#d7dbe0",
        input_border_color_dark="#334155",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#0d9488",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#f3f4f1",
        button_secondary_background_fill_dark="#1f2a36",
        button_secondary_background_fill_hover_dark="#2a3746",
        button_secondary_border_color="#d7dbe0",
        button_secondary_border_color_dark="#3a485a",
        button_cancel_background_fill="#b42318",
        button_cancel_background_fill_hover="#912018",
        button_cancel_background_fill_dark="#b42318",
        button_cancel_background_fill_hover_dark="#d92d20",
        button_cancel_text_color="#ffffff",
        button_border_width="1px",
    )
