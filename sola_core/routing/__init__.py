"""Which edit, if any, answers a prompt.

Knows nothing of LoRA, of libraries, of the page, and of a host's insides.
"""
