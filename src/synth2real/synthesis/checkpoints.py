"""Synthesizers on disk: this project's model files, and generators that the authors of pix2pixHD published or trained."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from synth2real.models import ModelFileError, load_model, save_model
from synth2real.synthesis.conditions import LABEL_CHANNELS
from synth2real.synthesis.features import Clusters
from synth2real.synthesis.generators import SynthesisGenerator, SynthesisGeneratorSettings
from synth2real.translation.generators import InstanceNorm

MODEL_KIND: Final = "synthesizer"
_RUNNING: Final = ("running_mean", "running_var")


class Synthesizer(NamedTuple):
    """A trained network that paints label maps."""

    generator: SynthesisGenerator
    boundaries: bool
    """Whether it sees the boundaries of instances."""
    clusters: Clusters | None
    """Looks of instances, one of which each instance gets; None where it was trained without feature encoder."""


def save_synthesizer(path: Path, synthesizer: Synthesizer) -> None:
    """Writes a model file for :func:`load_synthesizer`."""
    generator, _, clusters = synthesizer
    state = {f"generator.{name}": tensor for name, tensor in generator.network.state_dict().items()}
    if clusters is not None:
        state |= {f"clusters.{name}": tensor for name, tensor in clusters._asdict().items()}
    settings = {"generator": dataclasses.asdict(generator.settings), "boundaries": synthesizer.boundaries}
    save_model(path, MODEL_KIND, settings, state)


def load_synthesizer(path: Path, device: torch.device) -> Synthesizer:
    """Reads a synthesizer, ready for inference: a model file of this project, or a generator of pix2pixHD's authors' code.

    Args:
        path: Model file, or ``latest_net_G.pth``; see :func:`from_released`.
        device: Where to compute.

    Raises:
        ModelFileError: If the file is missing, damaged or of another kind, or its weights do not fit.
    """
    state = _plain_state_dict(path)
    if state is None:
        model = load_model(path, MODEL_KIND)
        try:
            settings = TypeAdapter(SynthesisGeneratorSettings).validate_python(model.settings["generator"])
            has_boundaries = bool(model.settings["boundaries"])
        except (KeyError, ValidationError) as error:
            raise ModelFileError(f"{path}: its settings are not those of a synthesizer ({error}); train it again.") from None
        parts = {
            name: {key.removeprefix(name): tensor for key, tensor in model.state_dict.items() if key.startswith(name)}
            for name in ("generator.", "clusters.")
        }
        clusters = Clusters(**parts["clusters."]) if parts["clusters."] else None
        in_channels = LABEL_CHANNELS + has_boundaries + (clusters.centres.shape[-1] if clusters else 0)
        generator = SynthesisGenerator(settings, in_channels)
        try:
            generator.network.load_state_dict(parts["generator."])
        except RuntimeError as error:
            raise ModelFileError(f"{path}: its weights do not fit its settings {settings}: {error}") from None
        synthesizer = Synthesizer(generator, has_boundaries, clusters)
    else:
        try:
            synthesizer = from_released(state)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from None
    synthesizer.generator.to(device).eval().requires_grad_(False)
    return synthesizer


def _plain_state_dict(path: Path) -> dict[str, Tensor] | None:
    """The file's content if that is nothing but named tensors, else None."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        return None
    is_plain = isinstance(content, Mapping) and all(isinstance(tensor, Tensor) for tensor in content.values())
    return dict(content) if is_plain else None


def from_released(state: Mapping[str, Tensor]) -> Synthesizer:
    """A generator whose state dict the code of pix2pixHD's authors wrote, such as their ``label2city_1024p/latest_net_G.pth``.

    The names tell its form, and each of its tensors has its place (names are the module paths of their ``LocalEnhancer`` with one
    enhancer, or ``GlobalGenerator``). Their code is from the time of PyTorch 0.2 and 0.3, whose instance norm stored running
    statistics without using them; where a file has such, they must be those of this network's normalisations.

    Args:
        state: Tensors by name.

    Raises:
        ModelFileError: If a tensor is missing, is one too many, or has another shape, or the network takes other inputs than 35
            label channels with or without boundaries.
    """
    local = "model1_1.1.weight" in state
    first = state.get("model1_1.1.weight" if local else "model.1.weight")
    if first is None or first.ndim != 4:
        raise ModelFileError("neither a synthesizer of this project nor a generator of pix2pixHD: no tensor model.1.weight.")
    width, in_channels = first.shape[:2]
    if in_channels - LABEL_CHANNELS not in (0, 1):
        raise ModelFileError(
            f"its generator takes {in_channels} channels, expected {LABEL_CHANNELS} (labels) or {LABEL_CHANNELS + 1} (and "
            "boundaries)."
        )
    blocks = {int(found[1]) for name in state if (found := re.match(r"model\.(\d+)\.conv_block\.", name))}
    first_block = min(blocks, default=4)
    settings = SynthesisGeneratorSettings(
        network="local" if local else "global",
        width=width,
        halvings=max((first_block - 4) // 3, 1),
        blocks=len(blocks),
        local_blocks=len({found[1] for name in state if (found := re.match(r"model1_2\.(\d+)\.conv_block\.", name))}),
        dropout=0.0,
        noise=0.0,
    )
    generator = SynthesisGenerator(settings, in_channels)
    weights = _without_unused_statistics(state, generator.network)
    try:
        generator.network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelFileError(f"its tensors are not those of a pix2pixHD generator of the form {settings}: {error}") from None
    return Synthesizer(generator, in_channels > LABEL_CHANNELS, None)


def _without_unused_statistics(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    modules = dict(network.named_modules())
    return {
        name: tensor
        for name, tensor in state.items()
        if not (name.endswith(_RUNNING) and isinstance(modules.get(name.rpartition(".")[0]), InstanceNorm))
    }
