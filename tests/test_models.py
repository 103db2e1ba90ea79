from pathlib import Path

import pytest
import torch

from synth2real.hardware import HardwareSettings
from synth2real.models import DeviceError, ModelFileError, inference_device, load_model, save_model


def test_equal_weights_give_equal_bytes_and_come_back(tmp_path: Path) -> None:
    weights = {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor([1], dtype=torch.int64)}
    copies = {name: tensor.clone() for name, tensor in weights.items()}
    for name, content in (("one", weights), ("two", copies)):
        save_model(tmp_path / name / "x.ckpt", "segmenter", {"size": [1, 2]}, content)
    assert (tmp_path / "one" / "x.ckpt").read_bytes() == (tmp_path / "two" / "x.ckpt").read_bytes()
    model = load_model(tmp_path / "one" / "x.ckpt", "segmenter")
    assert model.settings == {"size": [1, 2]}
    assert all(torch.equal(model.state_dict[name], weights[name]) for name in weights)


def test_wrong_model_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with pytest.raises(ModelFileError, match=r"x\.ckpt: no such model"):
        load_model(path, "segmenter")
    save_model(path, "detector", {}, {"a": torch.zeros(100)})
    with pytest.raises(ModelFileError, match="expected a segmenter, found a detector"):
        load_model(path, "segmenter")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(path, "detector")


def test_an_accelerator_that_is_not_there_is_named() -> None:
    wanted = HardwareSettings(accelerator="gpu", devices=1, precision="32-true", workers=0, tracking=False)
    if torch.cuda.is_available():
        assert inference_device(wanted).type == "cuda"
    else:
        with pytest.raises(DeviceError, match=r"hardware\.accelerator is gpu"):
            inference_device(wanted)
