"""Small random checkpoints of audio encoders, written by transformers in the layouts of the published ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

WIDTH = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONVOLUTIONS = {
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (8, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
CLAP_AUDIO = {
    "spec_size": 32,
    "window_size": 2,
    "num_mel_bins": 8,
    "depths": [1, 1],
    "num_attention_heads": [2, 2],
    "patch_embeds_hidden_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
}
"""HTS-AT of two stages, with the fusion of the published checkpoints."""

CLAP_TEXT = {**WIDTH, "vocab_size": 20, "max_position_embeddings": 20}


def save_checkpoint(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a checkpoint, with its feature extractor.

    Args:
        kind: Model type of transformers.
        folder: Where to.
        seed: Seed of its weights.
    """
    model, extractor = {
        "audio-spectrogram-transformer": _ast,
        "clap": _clap,
        "whisper": _whisper,
    }.get(kind, lambda: _on_waveform(kind))()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            # Of a size that tells features apart.
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def write_shards(folder: Path, state: Mapping[str, torch.Tensor], kind: str) -> Path:
    """Write tensors as save_pretrained does a checkpoint that is larger than its shards: two of them, and an index.

    Args:
        folder: Where to.
        state: The tensors.
        kind: ``safetensors`` or ``bin``.

    Returns:
        The index.
    """
    folder.mkdir(exist_ok=True)
    names = sorted(state)
    stem, ending = ("model", "safetensors") if kind == "safetensors" else ("pytorch_model", "bin")
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"{stem}-{number:05}-of-00002.{ending}"
        tensors = {name: state[name] for name in part}
        save_file(tensors, folder / file) if ending == "safetensors" else torch.save(tensors, folder / file)
        places |= dict.fromkeys(part, file)
    index = folder / f"{stem}.{ending}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8")
    return index


BEATS = {
    "input_patch_size": 16,
    "embed_dim": 8,
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "deep_norm": True,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
    "num_buckets": 320,
    "max_distance": 800,
    "conv_pos": 16,
    "conv_pos_groups": 2,
    "encoder_layerdrop": 0.05,
    "finetuned_model": True,
    "predictor_class": 5,
}


def save_beats(path: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    """Write a checkpoint with the names of Microsoft's: ``cfg`` and ``model``, with a predictor of 5 classes.

    Returns:
        The tensors.
    """
    torch.manual_seed(seed)
    width, inner = BEATS["encoder_embed_dim"], BEATS["encoder_ffn_embed_dim"]
    shapes = {
        "patch_embedding.weight": (8, 1, 16, 16),
        **_linear("post_extract_proj", 8, width),
        **_norm("layer_norm", 8),
        "encoder.pos_conv.0.bias": (width,),
        "encoder.pos_conv.0.weight_g": (1, 1, 16),
        "encoder.pos_conv.0.weight_v": (width, width // 2, 16),
        **_norm("encoder.layer_norm", width),
        **_linear("predictor", width, 5),
    }
    for layer in (f"encoder.layers.{number}" for number in range(2)):
        shapes |= {f"{layer}.self_attn.grep_a": (1, 2, 1, 1), **_linear(f"{layer}.self_attn.grep_linear", 8, 8)}
        for name in ("q", "k", "v", "out"):
            shapes |= _linear(f"{layer}.self_attn.{name}_proj", width, width)
        shapes |= {
            f"{layer}.self_attn.relative_attention_bias.weight": (320, 2),
            **_norm(f"{layer}.self_attn_layer_norm", width),
            **_norm(f"{layer}.final_layer_norm", width),
            **_linear(f"{layer}.fc1", width, inner),
            **_linear(f"{layer}.fc2", inner, width),
        }
    tensors = {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}
    shared = "self_attn.relative_attention_bias.weight"
    tensors[f"encoder.layers.1.{shared}"] = tensors[f"encoder.layers.0.{shared}"]
    torch.save({"cfg": BEATS, "model": tensors}, path)
    return tensors


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _ast():
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    config = ASTConfig(**WIDTH, max_length=96, num_mel_bins=32, num_labels=5)
    extractor = ASTFeatureExtractor(max_length=96, num_mel_bins=32, mean=-5.0, std=3.0)
    return ASTForAudioClassification(config), extractor


def _clap():
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    audio = {**CLAP_AUDIO, "enable_fusion": True, "fusion_type": "aff_2d"}
    extractor = ClapFeatureExtractor(
        feature_size=8, sampling_rate=8000, hop_length=80, max_length_s=1, fft_window_size=256, frequency_max=4000
    )
    return ClapModel(ClapConfig(audio_config=audio, text_config=CLAP_TEXT, projection_dim=8)), extractor


def _whisper():
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    config = WhisperConfig(
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=16,
        max_source_positions=50,
        vocab_size=20,
        max_target_positions=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return WhisperForConditionalGeneration(config), WhisperFeatureExtractor(feature_size=16, chunk_length=1)


def _on_waveform(kind: str):
    import transformers

    names = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}[kind]
    # The published large ones have layer norms and attention masks; the base ones neither.
    large = {} if kind == "data2vec-audio" else {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    own = {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 3} if kind == "data2vec-audio" else {}
    config = getattr(transformers, f"{names}Config")(**{**WIDTH, **CONVOLUTIONS, **large, **own})
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=bool(large))
    head = "Model" if kind == "hubert" else "ForCTC"
    return getattr(transformers, f"{names}{head}")(config), extractor
