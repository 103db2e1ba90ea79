"""Model files, which hold weights and what rebuilds their network, and the device that they run on."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from synth2real.frames import write_bytes
from synth2real.gpus import take_gpus
from synth2real.hardware import HardwareSettings


class ModelFileError(ValueError):
    """A model file is missing, damaged or of another kind."""


class DeviceError(RuntimeError):
    """The accelerator that is wanted is not there."""


def inference_device(hardware: HardwareSettings) -> torch.device:
    """The device that prediction runs on: the accelerator where there is one and it is wanted, else the CPU.

    On a machine with several GPUs this process takes as many as ``hardware.devices`` (:func:`synth2real.gpus.take_gpus`).
    """
    if hardware.accelerator in ("auto", "gpu"):
        take_gpus(hardware.devices, torch.cuda.device_count())
        if torch.cuda.is_available():
            return torch.device("cuda")
    if hardware.accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    if hardware.accelerator in ("gpu", "mps"):
        raise DeviceError(f"hardware.accelerator is {hardware.accelerator}, but PyTorch sees none; set it to auto or cpu.")
    return torch.device("cpu")


class Model(NamedTuple):
    """What a model file holds."""

    settings: dict[str, Any]
    state_dict: dict[str, Tensor]


def save_model(path: Path, kind: str, settings: Mapping[str, Any], state_dict: Mapping[str, Tensor]) -> None:
    """Writes a model file; the same content gives the same bytes.

    Args:
        path: The file.
        kind: Which sort of model, such as ``segmenter``; :func:`load_model` asks for it.
        settings: Plain values that rebuild the network (numbers, strings, lists, dictionaries).
        state_dict: Its weights; they are stored on the CPU.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    buffer = io.BytesIO()
    torch.save({"kind": kind, "settings": dict(settings), "state_dict": weights}, buffer)
    write_bytes(path, buffer.getvalue())


def load_model(path: Path, kind: str) -> Model:
    """Reads a model file, weights only (no code in it is run).

    Raises:
        ModelFileError: If the file is missing, damaged, or of another kind.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = content["kind"]
        model = Model(content["settings"], content["state_dict"])
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such model; run the stage that trains it (dvc repro).") from None
    except Exception as error:
        raise ModelFileError(f"{path}: not a model file of synth2real, or damaged ({type(error).__name__}: {error}).") from error
    if found != kind:
        raise ModelFileError(f"{path}: expected a {kind}, found a {found}.")
    return model
