"""Every model family with and without each of its options, as transformers configurations."""

from dataclasses import dataclass, field
from typing import Any

from transformers import LlamaConfig, MistralConfig, PretrainedConfig, Qwen2Config, Qwen3Config

VOCAB_SIZE = 96
COMMON = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 3.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e3,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}
WINDOW = {"use_sliding_window": True, "sliding_window": 7}
LAYER_TYPES = ["sliding_attention", "full_attention", "sliding_attention"]


@dataclass(frozen=True)
class Case:
    name: str
    config_class: type[PretrainedConfig]
    options: dict[str, Any] = field(default_factory=dict)

    def config(self) -> PretrainedConfig:
        return self.config_class(**(COMMON | self.options))


SHARED_OPTIONS = {
    "plain": {},
    "multi_head": {"num_key_value_heads": 6},
    "multi_query": {"num_key_value_heads": 1},
    "tied": {"tie_word_embeddings": True},
    "head_dim": {"head_dim": 20},
    "theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
    "rope_linear": {"rope_parameters": LINEAR},
    "rope_llama3": {"rope_parameters": LLAMA3},
    "norm_eps": {"rms_norm_eps": 1e-2},
}
BY_LAYER_OPTIONS = {
    "window_given_but_unused": {"sliding_window": 7},
    "window_in_all_layers": WINDOW | {"max_window_layers": 0},
    "window_in_upper_layers": WINDOW | {"max_window_layers": 1},
    "window_in_no_layer": WINDOW | {"max_window_layers": 3},
    "layer_types": WINDOW | {"layer_types": LAYER_TYPES},
}
FAMILIES = {
    "llama": (
        LlamaConfig,
        {
            "attention_bias": {"attention_bias": True},
            "mlp_bias": {"mlp_bias": True},
            "all": {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True, "head_dim": 12}
            | {"rope_parameters": LLAMA3},
        },
    ),
    "mistral": (
        MistralConfig,
        {
            "no_window": {"sliding_window": None},
            "window_1": {"sliding_window": 1},
            "window_7": {"sliding_window": 7},
            "window_as_long_as_a_prompt": {"sliding_window": 9},
            "window_past_a_prompt": {"sliding_window": 20},
        },
    ),
    "qwen2": (Qwen2Config, BY_LAYER_OPTIONS),
    "qwen3": (
        Qwen3Config,
        BY_LAYER_OPTIONS
        | {
            "attention_bias": {"attention_bias": True},
            "all": WINDOW | {"layer_types": LAYER_TYPES, "attention_bias": True, "tie_word_embeddings": True},
        },
    ),
}

CASES = [
    Case(f"{family}_{name}", config_class, options)
    for family, (config_class, own_options) in FAMILIES.items()
    for name, options in (SHARED_OPTIONS | own_options).items()
]
