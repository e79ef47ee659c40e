"""The page: panels, endpoints and what they show.

Importing this package only tells gradio, before it is loaded, to send nothing to anybody. `present`, `explain`, `markup`,
`wire`, `places` and `figures` need no gradio at all.
"""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
