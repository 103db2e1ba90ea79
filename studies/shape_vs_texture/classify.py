"""Trains a classifier of crops, and tests it on scenes that it has not seen."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import timm
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from synth2real.encoders import IMAGE_MEAN, IMAGE_STD, OFFLINE_ENCODER, load_encoder_weights
from synth2real.frames import FrameError, write_text
from synth2real.hardware import HardwareSettings
from synth2real.models import inference_device
from synth2real.params import read_section, run
from synth2real.resuming import resume_folder
from synth2real.sampling import seed_of, shuffled
from synth2real.training import Schedule, fit

STUDY = Path("studies/shape_vs_texture")
SETS = ("real", "synthetic")
_TESTED_AT_ONCE = 256
_NORM_MOMENTUM = 0.1
"""Of batch-norm statistics, ten times the encoder's own: a short training must get from photos to crops."""

Task = Literal["domain", "class"]
Cue = Literal["shape", "texture"]
TrainedOn = Literal["both", "real", "synthetic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSettings:
    """The section ``classifier`` of the study's params.yaml."""

    learning_rate: float
    weight_decay: float
    seed: int
    schedule: Schedule

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.weight_decay < 0:
            raise ValueError("learning_rate must be above 0, weight_decay at least 0")


class Crops:
    """Crops of one split, and what a classifier shall say of each."""

    def __init__(self, content: dict[str, np.ndarray], split: str, sets: tuple[str, ...], task: Task, cue: Cue) -> None:
        """Chooses from what ``crops.py`` wrote.

        Args:
            content: Arrays by ``<set>/<split>/<field>``.
            split: train or val.
            sets: Of the real and the synthetic one, those to take.
            task: ``domain`` asks whether a crop is synthetic (1) or real (0), ``class`` for its class.
            cue: ``shape`` shows the silhouette, in all three channels; ``texture`` the object before grey.
        """
        kind = "shapes" if cue == "shape" else "textures"
        images = np.concatenate([content[f"{name}/{split}/{kind}"] for name in sets])
        self.images: UInt8[np.ndarray, "crops size size 3"] = images[..., None].repeat(3, -1) if cue == "shape" else images
        of_sets = [content[f"{name}/{split}/classes"] for name in sets]
        self.labels: Int64[np.ndarray, " crops"] = np.concatenate(
            [np.full(len(classes), SETS.index(name)) for name, classes in zip(sets, of_sets, strict=True)]
            if task == "domain"
            else of_sets
        )


class Draw:
    """Training samples: each turn shows every crop once, half of them mirrored."""

    def __init__(self, crops: Crops, seed: int) -> None:
        self.crops, self.seed = crops, seed

    def __call__(self, index: int, generator: np.random.Generator) -> tuple[UInt8[Tensor, "3 size size"], int]:
        """The ``index``-th sample and its label."""
        place = shuffled(len(self.crops.labels), self.seed, index)
        image = self.crops.images[place]
        if generator.random() < 0.5:
            image = image[:, ::-1]
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), int(self.crops.labels[place])


class Classifier(pl.LightningModule):
    """EfficientNet-Lite0 (ImageNet) with a linear layer for the classes, all of it trained with AdamW."""

    def __init__(self, classes: int, settings: ClassifierSettings) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(settings.seed))
            encoder: Any = timm.create_model(OFFLINE_ENCODER, num_classes=0, bn_momentum=_NORM_MOMENTUM)
            self.head = nn.Linear(encoder.num_features, classes)
        load_encoder_weights(encoder, OFFLINE_ENCODER, "offline")
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.settings = settings

    def forward(self, images: UInt8[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        seen = ((images / 255 - IMAGE_MEAN) / IMAGE_STD).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.head(self.encoder(seen))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The cross-entropy of a batch."""
        images, labels = batch
        loss = F.cross_entropy(self(images), labels)
        self.log("loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(labels))
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW, and half a cosine."""
        optimizer = torch.optim.AdamW(self.parameters(), self.settings.learning_rate, weight_decay=self.settings.weight_decay)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.settings.schedule.steps)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def predict(classifier: Classifier, crops: Crops, device: torch.device) -> Int64[np.ndarray, " crops"]:
    """The most probable class of each crop."""
    classifier.to(device).eval()
    images = torch.from_numpy(crops.images.transpose(0, 3, 1, 2).copy())
    batches = [images[start : start + _TESTED_AT_ONCE] for start in range(0, len(images), _TESTED_AT_ONCE)]
    with torch.inference_mode():
        return torch.cat([classifier(batch.to(device)).argmax(1).cpu() for batch in batches]).numpy()


def scores(predicted: Int64[np.ndarray, " crops"], labels: Int64[np.ndarray, " crops"]) -> dict[str, float | int]:
    """Accuracy in %, that of always naming the most frequent class, and the mean over classes of each class's accuracy."""
    counts = np.bincount(labels)
    right = np.bincount(labels, weights=predicted == labels)
    present = counts > 0
    return {
        "crops": len(labels),
        "accuracy": round(100 * float(right.sum() / len(labels)), 2),
        "majority": round(100 * float(counts.max() / len(labels)), 2),
        "mean_class_accuracy": round(100 * float((right[present] / counts[present]).mean()), 2),
    }


def main(crops: Path, name: str, task: Task, cue: Cue, trained_on: TrainedOn, out: Path, curves: Path) -> None:
    """Trains one classifier and writes its scores.

    Args:
        crops: NPZ file of ``crops.py``.
        name: Of the classifier.
        task: domain or class.
        cue: shape or texture.
        trained_on: both, real or synthetic.
        out: JSON file with the scores on each set's val crops, in %.
        curves: CSV file with the loss.
    """
    settings = read_section("classifier", ClassifierSettings, STUDY / "params.yaml")
    hardware = read_section("hardware", HardwareSettings)
    if task == "domain" and trained_on != "both":
        raise FrameError(f"{name}: a classifier of domains must be trained on both sets, not on {trained_on}.")
    with np.load(crops, allow_pickle=False) as file:
        content = {key: file[key] for key in file.files}
    train = Crops(content, "train", SETS if trained_on == "both" else (trained_on,), task, cue)
    classes = len(SETS) if task == "domain" else 1 + int(max(values.max() for key, values in content.items() if "classes" in key))
    classifier = Classifier(classes, settings)
    resume = resume_folder(f"shape_vs_texture-{name}", (settings, task, cue, trained_on), [crops, Path(__file__)])
    shown = {"classifier": settings, "shape_vs_texture": {"task": task, "cue": cue, "trained_on": trained_on}}
    fit(
        classifier,
        Draw(train, settings.seed),
        schedule=settings.schedule,
        seed=settings.seed,
        hardware=hardware,
        curves=curves,
        resume=resume,
        settings=shown,
    )
    tests = {"both": SETS} if task == "domain" else {part: (part,) for part in SETS}
    tested = {part: Crops(content, "val", sets, task, cue) for part, sets in tests.items()}
    device = inference_device(hardware)
    results = {part: scores(predict(classifier, found, device), found.labels) for part, found in tested.items()}
    description = {"task": task, "cue": cue, "trained_on": trained_on, "training_crops": len(train.labels)}
    write_text(out, json.dumps({**description, "tested_on": results}, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
