"""DeepLabV3+ over any encoder of timm.

Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV
2018. The decoder is that of segmentation-models-pytorch: atrous spatial pyramid pooling over the encoder's last features, joined
with its features of stride 4, and the logits upsampled bilinearly to the input's size.
"""

import difflib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import segmentation_models_pytorch as smp
import timm
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from synth2real.label_space import NUM_CLASSES
from synth2real.training import ModelFileError, load_model, save_model

MODEL_KIND = "segmenter"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The section ``segmentation.network`` of params.yaml."""

    encoder: str
    """timm's name of the encoder."""
    weights: str
    """What the encoder starts from; see :func:`synth2real.encoders.load_encoder_weights`."""
    output_stride: Literal[8, 16]
    """Pixels of the input a pixel of the encoder's last features; 8 costs more and is finer."""
    decoder_channels: int
    atrous_rates: tuple[int, int, int]
    """Dilations of the pyramid's three 3x3 convolutions; the paper's are 6, 12, 18 at stride 16 and twice that at stride 8."""
    dropout: float
    """Of the pyramid's output, in [0, 1)."""

    def __post_init__(self) -> None:
        if not timm.is_model(self.encoder):
            close = difflib.get_close_matches(self.encoder, timm.list_models(), n=3)
            hint = f"; did you mean {', '.join(close)}?" if close else "; timm.list_models() names all."
            raise ValueError(f"encoder {self.encoder!r} is no model of timm{hint}")
        if self.decoder_channels < 1 or min(self.atrous_rates) < 1:
            raise ValueError("decoder_channels and atrous_rates must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")


class AtrousDepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution with dilation, computed on a CPU as plain ones on interleaved grids; the values are the same.

    With dilation d, an output pixel meets only inputs whose row and column differ from its own by multiples of d. So each of the
    d * d grids of such pixels is convolved on its own, without dilation, as one more sample of the batch: PyTorch's CPU kernels
    are much slower for dilated depthwise convolutions than for plain ones, above all backwards.
    """

    def forward(self, features: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """The convolution; sizes that the dilation does not divide take PyTorch's own way."""
        (step, _), (batch, channels, height, width) = self.dilation, features.shape
        if features.device.type != "cpu" or height % step or width % step:
            return super().forward(features)
        rows, columns = height // step, width // step
        grids = features.permute(0, 2, 3, 1).reshape(batch, rows, step, columns, step, channels).permute(0, 2, 4, 1, 3, 5)
        grids = grids.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
        padding = (self.kernel_size[0] // 2, self.kernel_size[1] // 2)
        grids = F.conv2d(grids, self.weight, self.bias, padding=padding, groups=self.groups)
        whole = grids.permute(0, 2, 3, 1).reshape(batch, step, step, rows, columns, channels).permute(0, 3, 1, 4, 2, 5)
        return whole.reshape(batch, height, width, channels).permute(0, 3, 1, 2)

    @staticmethod
    def adopt(network: nn.Module) -> None:
        """Turns a network's dilated depthwise convolutions into this class where they have stride 1 and keep the size."""
        for layer in network.modules():
            if (
                type(layer) is nn.Conv2d
                and layer.groups == layer.in_channels == layer.out_channels
                and layer.stride == (1, 1)
                and layer.dilation[0] == layer.dilation[1] > 1
                and layer.padding == tuple(layer.dilation[0] * (size // 2) for size in layer.kernel_size)
                and layer.padding_mode == "zeros"
            ):
                layer.__class__ = AtrousDepthwiseConv2d


class Segmenter(nn.Module):
    """Images to logits of the 19 train ids; the encoder's own normalisation is part of it."""

    mean: Tensor
    std: Tensor

    def __init__(self, settings: NetworkSettings) -> None:
        """Builds the network with random weights from PyTorch's global generator.

        Args:
            settings: Its architecture; ``weights`` is not read.

        Raises:
            ValueError: If the encoder does not give features of the strides that DeepLabV3+ needs.
        """
        super().__init__()
        try:
            self.network = smp.DeepLabV3Plus(
                f"tu-{settings.encoder}",
                encoder_weights=None,
                encoder_output_stride=settings.output_stride,
                decoder_channels=settings.decoder_channels,
                decoder_atrous_rates=settings.atrous_rates,
                decoder_aspp_dropout=settings.dropout,
                classes=NUM_CLASSES,
            )
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"encoder {settings.encoder!r} cannot be a DeepLabV3+ encoder of output stride {settings.output_stride}: {error}"
            ) from error
        AtrousDepthwiseConv2d.adopt(self.network)
        preprocessing = timm.get_pretrained_cfg(settings.encoder)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(preprocessing, name, (0.5, 0.5, 0.5)))
            self.register_buffer(name, 255 * values.view(1, 3, 1, 1), persistent=False)

    @property
    def encoder(self) -> nn.Module:
        """The timm model, as :func:`synth2real.encoders.load_encoder_weights` fills it."""
        encoder: nn.Module = self.network.encoder.model
        return encoder

    def forward(self, images: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 19 height width"]:
        """Logits at the input's size.

        Args:
            images: RGB; height and width are multiples of the output stride.
        """
        channels_last = images.permute(0, 3, 1, 2).float()
        logits: Tensor = self.network((channels_last - self.mean) / self.std)
        return logits


# --- Model files -----------------------------------------------------------------------------------------------------


class TrainedSegmenter(NamedTuple):
    """What a segmenter's model file holds."""

    segmenter: Segmenter
    """With its weights; on the CPU, in evaluation mode."""
    settings: NetworkSettings
    size: tuple[int, int]
    """(height, width) that images had in its training."""


def save_segmenter(path: Path, trained: TrainedSegmenter) -> None:
    """Writes the model file of a segmenter; see :func:`synth2real.training.save_model`."""
    settings = {"network": asdict(trained.settings), "size": tuple(trained.size)}
    save_model(path, MODEL_KIND, settings, trained.segmenter.state_dict())


def load_segmenter(path: Path) -> TrainedSegmenter:
    """Rebuilds a segmenter from its model file, without a trace in the global random generator.

    Raises:
        ModelFileError: If the file is missing, damaged or of another kind, or its network is none that this version knows.
    """
    model = load_model(path, MODEL_KIND)
    try:
        settings = NetworkSettings(**model.settings["network"])
        height, width = model.settings["size"]
        with torch.random.fork_rng(devices=[]):
            segmenter = Segmenter(settings)
        segmenter.load_state_dict(model.state_dict)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        found = " ".join(str(error).split())
        raise ModelFileError(f"{path}: the network that it describes cannot be rebuilt; train it again. {found}") from error
    return TrainedSegmenter(segmenter.eval(), settings, (height, width))
