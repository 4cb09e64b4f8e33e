"""The kinds of audio encoders that are asked for as ``hf:OWNER/NAME`` or ``hf:FOLDER``: data, readable without torch.

A checkpoint's model has the id of its kind (``hf:wav2vec2``): what sets it apart from others of the kind, its
configuration, stands in the options, so that a run can be opened where the checkpoint is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.core.cards import ModelCard
from bench.core.options import option
from bench.core.registry import Family, Registry

PREFIX, BEATS = "hf", "beats"

Settings = Mapping[str, Any]
"""Values by name, as a JSON file has them."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Options of every encoder of transformers."""

    config: str = option("{}", "what the checkpoint's config.json has otherwise than transformers' defaults, as JSON")


@dataclass(frozen=True, kw_only=True)
class SequenceEncoderOptions(EncoderOptions):
    """Options of an encoder that gives a vector for each stretch of time."""

    layer: int = option(
        0, "layer whose output is pooled, counted from 1; 0: the last, as the model ends", low=0, high=999
    )


@dataclass(frozen=True, kw_only=True)
class TokenEncoderOptions(SequenceEncoderOptions):
    """Options of an encoder with class tokens before its patches."""

    pooling: str = option(
        "pooler",
        "what becomes the features: the mean of class and distillation token (transformers' pooler), the class token, "
        "or the mean of all patches",
        choices=("pooler", "class", "mean"),
    )


@dataclass(frozen=True, kw_only=True)
class EncoderKind:
    """A kind of encoder: one model type of transformers, or BEATs.

    Attributes:
        id: Transformers' ``model_type``, and the NAME of ``hf:NAME``.
        title: Name in print.
        config_class: Name of transformers' class of configurations; one of ours as ``module:name``.
        model_class: Name of transformers' class of the encoder, with its module where it has no place above; likewise.
        pooled: Words on what becomes the features.
        source: The publication.
        citation: Its BibTeX entry.
        frontend: Id of the front-end that equals its feature extractor.
        frontend_settings: Options of the front-end by what ``preprocessor_config.json`` says.
        options: Class of the model's options.
        recipe: What the recipes of this kind set beside :data:`RECIPES`.
        fixed: Fields of the configuration that are not the checkpoint's: draws of the host, which a seed does not
            fix, and ways for clips that are longer than any here.
        part: Field of the configuration that describes the encoder, where it is a part of a larger model.
        prefixes: Beginnings of the encoder's names where it is a part of a larger model in a file.
        other_types: Further model types whose checkpoints hold the same encoder.
    """

    id: str
    title: str
    config_class: str
    model_class: str
    pooled: str
    source: str
    citation: str
    frontend: str
    frontend_settings: Callable[[Settings], dict[str, Any]]
    options: type = SequenceEncoderOptions
    recipe: Settings = field(default_factory=dict)
    fixed: Settings = field(default_factory=dict)
    part: str = ""
    prefixes: tuple[str, ...] = ()
    other_types: tuple[str, ...] = ()


RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "optimiser": "adamw",
        "lr": 2e-5,
        "weight_decay": 0.01,
        "batch": 16,
        "epochs": 30,
        "warmup_epochs": 2,
        "step_average": 0.0,
    },
    "demo": {
        "optimiser": "adamw",
        "lr": 2e-5,
        "weight_decay": 0.01,
        "batch": 16,
        "epochs": 5,
        "warmup_epochs": 1,
        "step_average": 0.0,
        "specaug_probability": 0.0,
        "time_shift": False,
    },
}
"""Fine-tuning as it is usual for transformers; nobody's published numbers rest on it."""

GAPS = (
    "The recipe is the usual one for fine-tuning a transformer (AdamW, 2e-5, warm-up, cosine); no published number "
    "rests on it."
)

NO_PICTURES: Settings = {"specaug_probability": 0.0, "time_shift": False}
_NO_HOST_DRAWS: Settings = {"apply_spec_augment": False, "layerdrop": 0.0}


def _fbank_settings(extractor: Settings) -> dict[str, Any]:
    return {
        "rate": extractor.get("sampling_rate", 16_000),
        "frames": extractor.get("max_length", 1024),
        "mels": extractor.get("num_mel_bins", 128),
        "normalise": extractor.get("do_normalize", True),
        "mean": extractor.get("mean", -4.2677393),
        "std": extractor.get("std", 4.5689974),
    }


def _clap_settings(extractor: Settings) -> dict[str, Any]:
    return {
        "rate": extractor.get("sampling_rate", 48_000),
        "seconds": extractor.get("max_length_s", 10),
        "window": extractor.get("fft_window_size", 1024),
        "hop": extractor.get("hop_length", 480),
        "mels": extractor.get("feature_size", 64),
        "lowest_hz": extractor.get("frequency_min", 0),
        "highest_hz": extractor.get("frequency_max", 14_000),
        "filters": "htk" if extractor.get("truncation", "fusion") == "fusion" else "slaney",
        "fit": extractor.get("padding", "repeatpad"),
    }


def _beats_settings(extractor: Settings) -> dict[str, Any]:
    # Of the authors' code, which the checkpoint says nothing of; 10 s, as in their training.
    return {
        "rate": 16_000,
        "frames": 998,
        "mels": 128,
        "window": "povey",
        "scale": 32_768.0,
        "normalise": True,
        "mean": 15.41663,
        "std": 6.55582,
    }


def _whisper_settings(extractor: Settings) -> dict[str, Any]:
    return {
        "rate": extractor.get("sampling_rate", 16_000),
        "seconds": extractor.get("chunk_length", 30),
        "window": extractor.get("n_fft", 400),
        "hop": extractor.get("hop_length", 160),
        "mels": extractor.get("feature_size", 80),
        "lowest_hz": 0.0,
        "highest_hz": 8000.0,
        "filters": "slaney",
        "law": "whisper",
        "fit": "repeat",
    }


def _waveform_settings(extractor: Settings) -> dict[str, Any]:
    return {
        "rate": extractor.get("sampling_rate", 16_000),
        "normalise": extractor.get("do_normalize", True),
        "lengths": extractor.get("return_attention_mask", False),
    }


def _waveform_encoder(
    id: str,  # noqa: A002
    title: str,
    names: str,
    source: str,
    citation: str,
) -> EncoderKind:
    return EncoderKind(
        id=id,
        title=title,
        config_class=f"{names}Config",
        model_class=f"{names}Model",
        pooled="the mean over time of the last layer",
        source=source,
        citation=citation,
        frontend="waveform",
        frontend_settings=_waveform_settings,
        recipe=NO_PICTURES,
        fixed=_NO_HOST_DRAWS,
    )


def _citation(key: str, title: str, author: str, venue: str, year: int) -> str:
    fields = {"title": title, "author": author, "howpublished": venue, "year": year}
    lines = ",\n".join(f"  {name}={{{value}}}" for name, value in fields.items())
    return f"@misc{{{key},\n{lines}\n}}"


KINDS: Mapping[str, EncoderKind] = {
    kind.id: kind
    for kind in (
        EncoderKind(
            id="audio-spectrogram-transformer",
            title="AST",
            config_class="ASTConfig",
            model_class="ASTModel",
            pooled="the mean of class and distillation token after the last norm (pooling=class, pooling=mean: others)",
            source="Gong et al. 2021, Interspeech",
            citation=_citation(
                "gong2021ast", "{AST}: Audio Spectrogram Transformer", "Gong, Yuan and others", "Interspeech", 2021
            ),
            frontend="kaldi-fbank",
            frontend_settings=_fbank_settings,
            options=TokenEncoderOptions,
        ),
        EncoderKind(
            id="clap",
            title="CLAP's audio tower (HTS-AT)",
            config_class="ClapAudioConfig",
            model_class="ClapAudioModel",
            pooled="the mean over time and frequency of the last layer (transformers' pooler), before the projection",
            source="Wu et al. 2023, ICASSP",
            citation=_citation(
                "wu2023clap",
                "Large-scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption "
                "Augmentation",
                "Wu, Yusong and others",
                "ICASSP",
                2023,
            ),
            frontend="stft-mel",
            frontend_settings=_clap_settings,
            options=EncoderOptions,
            # Fusion is for clips of more than the front-end's seconds; every cycle is brought to these.
            fixed={"enable_fusion": False},
            part="audio_config",
            prefixes=("audio_model.",),
            other_types=("clap_audio_model",),
        ),
        _waveform_encoder(
            "wav2vec2",
            "wav2vec 2.0",
            "Wav2Vec2",
            "Baevski et al. 2020, NeurIPS",
            _citation(
                "baevski2020wav2vec",
                "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations",
                "Baevski, Alexei and others",
                "NeurIPS",
                2020,
            ),
        ),
        _waveform_encoder(
            "hubert",
            "HuBERT",
            "Hubert",
            "Hsu et al. 2021, IEEE/ACM TASLP",
            _citation(
                "hsu2021hubert",
                "{HuBERT}: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
                "Hsu, Wei-Ning and others",
                "IEEE/ACM Transactions on Audio, Speech, and Language Processing",
                2021,
            ),
        ),
        _waveform_encoder(
            "wavlm",
            "WavLM",
            "WavLM",
            "Chen et al. 2022, IEEE JSTSP",
            _citation(
                "chen2022wavlm",
                "{WavLM}: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing",
                "Chen, Sanyuan and others",
                "IEEE Journal of Selected Topics in Signal Processing",
                2022,
            ),
        ),
        _waveform_encoder(
            "data2vec-audio",
            "data2vec",
            "Data2VecAudio",
            "Baevski et al. 2022, ICML",
            _citation(
                "baevski2022data2vec",
                "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language",
                "Baevski, Alexei and others",
                "ICML",
                2022,
            ),
        ),
        EncoderKind(
            id=BEATS,
            title="BEATs",
            config_class="baselines.beats.encoder:BEATsConfig",
            model_class="baselines.beats.encoder:BEATsEncoder",
            pooled="the mean over all patches of the last layer",
            source="Chen et al. 2023, ICML; microsoft/unilm at 9102ed9, beats",
            citation=_citation(
                "chen2023beats",
                "{BEATs}: Audio Pre-Training with Acoustic Tokenizers",
                "Chen, Sanyuan and others",
                "ICML",
                2023,
            ),
            frontend="kaldi-fbank",
            frontend_settings=_beats_settings,
        ),
        EncoderKind(
            id="whisper",
            title="Whisper's encoder",
            config_class="WhisperConfig",
            model_class="models.whisper.modeling_whisper.WhisperEncoder",
            pooled="the mean over time of the last layer",
            source="Radford et al. 2023, ICML",
            citation=_citation(
                "radford2023whisper",
                "Robust Speech Recognition via Large-Scale Weak Supervision",
                "Radford, Alec and others",
                "ICML",
                2023,
            ),
            frontend="stft-mel",
            frontend_settings=_whisper_settings,
            fixed={"apply_spec_augment": False, "encoder_layerdrop": 0.0},
            prefixes=("model.encoder.", "encoder."),
        ),
    )
}
"""The kinds by id."""

FAMILY: Family[ModelCard] = Family(
    PREFIX,
    "an audio encoder of transformers: OWNER/NAME on the Hugging Face hub, or a folder that transformers saved "
    "(pip install 'lungbench[transformers]'); or a file of BEATs",
    card="baselines.hugging_face.named:card",
    target="baselines.hugging_face.encoder:FoundationEncoder",
    options=EncoderOptions,
    options_by_name={kind.id: kind.options for kind in KINDS.values()},
)


def register(models: Registry[ModelCard]) -> None:
    """Add the family to the registry."""
    models.families.append(FAMILY)
