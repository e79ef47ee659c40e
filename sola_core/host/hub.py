"""Gets a model's files from the Hugging Face Hub, or from its cache on this machine.

Knows nothing of what is in them; files that can run code when they are read are never asked for.
"""

from __future__ import annotations

import errno
from pathlib import Path

from sola_core.errors import HostError, HostUnavailable
from sola_core.words import Sentence

_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_SPARED = ["*/*", "consolidated*.safetensors"]  # other formats of the same weights


def cached_snapshot(repo: str, revision: str | None) -> Path | None:
    """Return the folder of `repo` in the Hub's cache on this machine, or None. Never uses the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (OSError, HFValidationError):
        return None


def fetch_snapshot(repo: str, revision: str | None) -> Path:
    """Fetch the safetensors, configuration and tokenizer of `repo` into the Hub's cache and return their folder.

    `revision` None means the newest. Raises HostUnavailable with words on what to do.
    """
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=_WANTED, ignore_patterns=_SPARED))
    except GatedRepoError as error:
        raise HostUnavailable(
            Sentence(
                "{repo} asks for its licence to be accepted first. Accept it on its page, log in (hf auth login), "
                "then start again.",
                repo=repo,
            )
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise HostUnavailable(
            Sentence("The Hugging Face Hub has no public model {repo} at this revision. Check the name.", repo=repo)
        ) from error
    except LocalEntryNotFoundError as error:
        raise _no_network(repo) from error
    except (OSError, httpx.HTTPError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostUnavailable(
                Sentence(
                    "There is no room left in the Hub's cache for {repo}. Free some space or set HF_HOME to a folder on "
                    "another disk, then start again.",
                    repo=repo,
                )
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise HostUnavailable(
                Sentence(
                    "The Hub's cache cannot be written for {repo}. Set HF_HOME to a folder that you may write, then "
                    "start again.",
                    repo=repo,
                )
            ) from error
        raise _no_network(repo) from error


def _no_network(repo: str) -> HostError:
    return HostUnavailable(
        Sentence(
            "{repo} is not in the Hub's cache on this machine, and the Hugging Face Hub cannot be reached. Check "
            "the network (and HF_HUB_OFFLINE), or copy the model's folder here and give its path.",
            repo=repo,
        )
    )
