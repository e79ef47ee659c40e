"""Training and answering as tasks that can run elsewhere: in a process of their own, or on ZeroGPU.

Knows the host and the editing methods. Knows no library and no router: what was trained comes back, and others store it.
"""
