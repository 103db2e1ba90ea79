import re
from pathlib import Path

import pytest
import torch
from timm import create_model
from torch import nn

from synth2real.encoders import OFFLINE_ENCODER, load_encoder_weights, offline_state_dict


def test_offline_weights_fit_every_tensor() -> None:
    wanted = create_model(OFFLINE_ENCODER).state_dict()
    state = offline_state_dict()
    assert {name: tensor.shape for name, tensor in state.items()} == {name: tensor.shape for name, tensor in wanted.items()}
    assert all((state[name] >= 0).all() for name in state if name.endswith("running_var"))


def test_offline_weights_stand_in_the_right_places() -> None:
    """What enters each batch normalisation agrees with the mean that the weights' own training saw; any exchange breaks that."""

    def distance(weights: str) -> float:
        torch.manual_seed(0)
        encoder = create_model(OFFLINE_ENCODER, features_only=True).eval()
        load_encoder_weights(encoder, OFFLINE_ENCODER, weights)
        distances: list[float] = []

        def compare(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            offset = (inputs[0].mean((0, 2, 3)) - norm.running_mean) / norm.running_var.sqrt()  # type: ignore[operator]
            distances.append(float(offset.abs().median()))

        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_pre_hook(compare)
        scene = nn.functional.interpolate(torch.rand(2, 3, 14, 14), scale_factor=16, mode="bicubic") * 2 - 1
        with torch.inference_mode():
            encoder(scene)
        return float(torch.tensor(distances).max())

    assert distance("offline") < 1.5


def test_random_leaves_the_encoder_as_it_is() -> None:
    encoder = create_model("test_efficientnet", features_only=True)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    load_encoder_weights(encoder, "test_efficientnet", "random")
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_a_file_fills_the_encoder(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    whole = create_model("test_efficientnet")
    torch.save(whole.state_dict(), path)
    encoder = create_model("test_efficientnet", features_only=True)
    load_encoder_weights(encoder, "test_efficientnet", str(path))
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in encoder.state_dict().items())


def test_weights_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    encoder = create_model("test_efficientnet", features_only=True)
    with pytest.raises(ValueError, match="offline weights exist for tf_efficientnet_lite0 only, not for test_efficientnet"):
        load_encoder_weights(encoder, "test_efficientnet", "offline")
    with pytest.raises(ValueError, match=re.escape("expected offline, timm, torchvision, random, or the path of a file")):
        load_encoder_weights(encoder, "test_efficientnet", str(tmp_path / "absent.pt"))
    with pytest.raises(ValueError, match="torchvision weights are for LargeFOV's vgg16 only, not for test_efficientnet"):
        load_encoder_weights(encoder, "test_efficientnet", "torchvision")
    with pytest.raises(ValueError, match="timm has no weights for this mit_b0; use random or a file"):
        load_encoder_weights(encoder, "mit_b0", "timm")
    state = encoder.state_dict()
    first = next(iter(state))
    torch.save({name: tensor for name, tensor in state.items() if name != first}, tmp_path / "lacking.pt")
    with pytest.raises(ValueError, match=f"lack 1 tensors of test_efficientnet, first {first}"):
        load_encoder_weights(encoder, "test_efficientnet", str(tmp_path / "lacking.pt"))
    torch.save({**state, first: torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=f"do not fit test_efficientnet.*{re.escape(first)}"):
        load_encoder_weights(encoder, "test_efficientnet", str(tmp_path / "other.pt"))
