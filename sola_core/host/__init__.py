"""The frozen language model: where its weights come from, how it runs, how an intervention is applied.

Knows no editor, no router, no library and no page.
"""
