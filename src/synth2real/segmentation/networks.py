"""Segmentation networks, each one value of ``segmentation.network.architecture`` away.

- ``deeplabv3plus``: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
  Segmentation", ECCV 2018; atrous spatial pyramid pooling (ASPP) over the encoder's last features, joined with its features of
  stride 4.
- ``deeplabv2``: Chen, Papandreou, Kokkinos, Murphy, Yuille, "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets,
  Atrous Convolution, and Fully Connected CRFs", PAMI 2018; ASPP of four parallel classifiers, without the CRF.
- ``largefov``: Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", ICLR 2015, in
  its variant DeepLab-LargeFOV on VGG16, without the CRF: the network of Saleh et al., ECCV 2018.
- ``segformer``: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021;
  the all-MLP decoder.

DeepLabV3+ and SegFormer have the decoders of segmentation-models-pytorch. Every network upsamples its logits bilinearly.
"""

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import segmentation_models_pytorch as smp
import timm
import torch
from jaxtyping import Float, UInt8
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from synth2real.encoders import VGG16_FC_CHANNELS
from synth2real.label_space import NUM_CLASSES
from synth2real.models import ModelFileError, load_model, save_model
from synth2real.segmentation.mmseg_network import MMSegmenter, MMSegNetwork

MODEL_KIND = "segmenter"


_STRIDES: Final = {"deeplabv3plus": (8, 16), "deeplabv2": (8, 16), "largefov": (8,), "segformer": (32,)}
_RATES: Final = {"deeplabv3plus": 3, "deeplabv2": 4, "largefov": 1, "segformer": 0}
_MIX_TRANSFORMERS: Final = tuple(f"mit_b{size}" for size in range(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The section ``segmentation.network`` of params.yaml."""

    architecture: Literal["deeplabv3plus", "deeplabv2", "largefov", "segformer"]
    """See the module."""
    encoder: str
    """timm's name of the encoder. ``largefov`` takes ``vgg16`` alone, which is torchvision's. ``segformer`` also takes
    ``mit_b0`` to ``mit_b5``, the paper's, from segmentation-models-pytorch; their code is NVIDIA's, not for commerce."""
    weights: str
    """What the encoder starts from; see :func:`synth2real.encoders.load_encoder_weights`."""
    output_stride: Literal[8, 16, 32]
    """Pixels of the input a pixel of the encoder's last features: 8 or 16 for ``deeplabv3plus`` and ``deeplabv2``, where 8 costs
    more and is finer; 8 for ``largefov``, 32 for ``segformer``."""
    decoder_channels: int
    """Of the pyramid and decoder of ``deeplabv3plus`` and of the decoder of ``segformer`` (256 in their papers), of fc6 and fc7
    of ``largefov`` (1024); ``deeplabv2`` does not read it."""
    atrous_rates: tuple[int, ...]
    """Dilations of 3x3 convolutions. ``deeplabv3plus``: the pyramid's three, 6, 12, 18 in the paper at stride 16 and twice that
    at stride 8; ``deeplabv2``: the pyramid's four, 6, 12, 18, 24 at stride 8; ``largefov``: that of fc6, 12; ``segformer``:
    none."""
    dropout: float
    """In [0, 1): of the pyramid's output in ``deeplabv3plus``, of fc6 and fc7 in ``largefov`` (0.5 in the paper), of the
    decoder's output in ``segformer`` (0.1); ``deeplabv2`` does not read it."""

    def __post_init__(self) -> None:
        self._check_encoder()
        if self.output_stride not in _STRIDES[self.architecture]:
            strides = " or ".join(map(str, _STRIDES[self.architecture]))
            raise ValueError(f"output_stride must be {strides} for {self.architecture}, got {self.output_stride}")
        if len(self.atrous_rates) != _RATES[self.architecture]:
            raise ValueError(
                f"atrous_rates must be {_RATES[self.architecture]} for {self.architecture}, got {len(self.atrous_rates)}"
            )
        if self.decoder_channels < 1 or min(self.atrous_rates, default=1) < 1:
            raise ValueError("decoder_channels and atrous_rates must be at least 1")
        if self.architecture == "largefov" and self.decoder_channels > VGG16_FC_CHANNELS:
            raise ValueError(f"decoder_channels must be at most {VGG16_FC_CHANNELS} for largefov, got {self.decoder_channels}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")

    def _check_encoder(self) -> None:
        if self.architecture == "largefov" and self.encoder != "vgg16":
            raise ValueError(f"encoder must be vgg16 for largefov, got {self.encoder!r}")
        if self.encoder in _MIX_TRANSFORMERS:
            if self.architecture != "segformer":
                raise ValueError(f"encoder {self.encoder!r} serves segformer only, not {self.architecture}")
        elif not timm.is_model(self.encoder):
            close = difflib.get_close_matches(self.encoder, timm.list_models(), n=3)
            hint = f"; did you mean {', '.join(close)}?" if close else "; timm.list_models() names all."
            raise ValueError(f"encoder {self.encoder!r} is no model of timm{hint}")


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


class DeepLabV2(nn.Module):
    """DeepLabV2's ASPP-L over an encoder's last features (Chen et al., PAMI 2018, section 3.2).

    Parallel 3x3 convolutions of different dilation classify the same features; the scores of *all* of them are summed. A
    widespread implementation (``Classifier_Module`` in the code of AdaptSegNet, Tsai et al., CVPR 2018, and much that builds on
    it) returns from within its loop, so only the first two of its four branches count and the widest two never learn.
    """

    def __init__(self, encoder: nn.Module, channels: int, rates: Sequence[int]) -> None:
        """Builds the branches with random weights.

        Args:
            encoder: Gives a list of features.
            channels: Of the last of them.
            rates: Dilation of each branch.
        """
        super().__init__()
        self.encoder = encoder
        self.branches = nn.ModuleList(nn.Conv2d(channels, NUM_CLASSES, 3, padding=rate, dilation=rate) for rate in rates)
        for branch in self.branches.children():
            _start_classifier(branch)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 19 height width"]:
        """Logits at the input's size."""
        features = self.encoder(pixels)[-1]
        scores = torch.stack([branch(features) for branch in self.branches]).sum(0)
        return F.interpolate(scores, size=pixels.shape[2:], mode="bilinear", align_corners=False)


class VGG16LargeFOV(nn.Module):
    """VGG16 up to its fc7, dense at stride 8 (Chen et al., ICLR 2015, sections 3 and 5).

    ``features`` has the names and weights of torchvision's VGG16. As in the published network, pooling is 3x3; the last two
    poolings do not subsample, so conv5 is dilated by 2; and fc6 is a 3x3 convolution with a dilation of its own on averages of
    3x3.
    """

    def __init__(self, channels: int, rate: int, dropout: float) -> None:
        """Builds the layers with random weights, as torchvision draws VGG's.

        Args:
            channels: Of fc6 and fc7; see :func:`synth2real.encoders.reduce_vgg16` for how they start from VGG16's 4096.
            rate: Dilation of fc6; 12 gives a field of view of 224 pixels.
            dropout: After fc6 and after fc7.
        """
        super().__init__()
        self.features = make_layers(cfgs["D"])
        pools = [number for number, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        for number in pools:
            self.features[number] = nn.MaxPool2d(3, stride=2 if number in pools[:3] else 1, padding=1)
        for layer in self.features[pools[3] :]:
            if isinstance(layer, nn.Conv2d):
                layer.dilation = layer.padding = (2, 2)
        self.average = nn.AvgPool2d(3, stride=1, padding=1)
        self.fc6 = nn.Conv2d(512, channels, 3, padding=rate, dilation=rate)
        self.fc7 = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                _zero(layer.bias)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels rows columns"]:
        """fc7's features, a row and column each eight pixels."""
        features = self.dropout(F.relu(self.fc6(self.average(self.features(pixels)))))
        fc7: Tensor = self.dropout(F.relu(self.fc7(features)))
        return fc7


class LargeFOV(nn.Module):
    """DeepLab-LargeFOV: :class:`VGG16LargeFOV` and a 1x1 classifier."""

    def __init__(self, channels: int, rate: int, dropout: float) -> None:
        """See :class:`VGG16LargeFOV`."""
        super().__init__()
        self.encoder = VGG16LargeFOV(channels, rate, dropout)
        self.classifier = nn.Conv2d(channels, NUM_CLASSES, 1)
        _start_classifier(self.classifier)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 19 height width"]:
        """Logits at the input's size."""
        return F.interpolate(self.classifier(self.encoder(pixels)), size=pixels.shape[2:], mode="bilinear", align_corners=False)


def _start_classifier(layer: nn.Module) -> None:
    """Gaussian weights of deviation 0.01 and no bias: how DeepLab's new layers start."""
    assert isinstance(layer, nn.Conv2d)
    nn.init.normal_(layer.weight, std=0.01)
    _zero(layer.bias)


def _zero(bias: Tensor | None) -> None:
    assert bias is not None
    nn.init.zeros_(bias)


def _build(settings: NetworkSettings) -> nn.Module:
    encoder = settings.encoder if settings.encoder in _MIX_TRANSFORMERS else f"tu-{settings.encoder}"
    network: nn.Module
    if settings.architecture == "largefov":
        network = LargeFOV(settings.decoder_channels, settings.atrous_rates[0], settings.dropout)
    elif settings.architecture == "deeplabv2":
        features = smp.encoders.get_encoder(encoder, weights=None, output_stride=settings.output_stride)
        network = DeepLabV2(features, features.out_channels[-1], settings.atrous_rates)
    elif settings.architecture == "segformer":
        segformer = smp.Segformer(
            encoder, encoder_weights=None, decoder_segmentation_channels=settings.decoder_channels, classes=NUM_CLASSES
        )
        segformer.segmentation_head.insert(0, nn.Dropout2d(settings.dropout))
        network = segformer
    else:
        network = smp.DeepLabV3Plus(
            encoder,
            encoder_weights=None,
            encoder_output_stride=settings.output_stride,
            decoder_channels=settings.decoder_channels,
            decoder_atrous_rates=settings.atrous_rates,
            decoder_aspp_dropout=settings.dropout,
            classes=NUM_CLASSES,
        )
    return network


class Segmenter(nn.Module):
    """Images of any size to logits of the 19 train ids; the encoder's own normalisation is part of it."""

    mean: Tensor
    std: Tensor

    def __init__(self, settings: NetworkSettings) -> None:
        """Builds the network with random weights from PyTorch's global generator.

        Args:
            settings: Its architecture; ``weights`` is not read.

        Raises:
            ValueError: If the encoder does not give features of the strides that the architecture needs.
        """
        super().__init__()
        try:
            self.network = _build(settings)
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"encoder {settings.encoder!r} cannot serve {settings.architecture} of output stride {settings.output_stride}: "
                f"{error}"
            ) from error
        AtrousDepthwiseConv2d.adopt(self.network)
        self.stride = settings.output_stride
        if settings.encoder in _MIX_TRANSFORMERS:
            mean, std = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
        else:
            preprocessing = timm.get_pretrained_cfg(settings.encoder)
            mean, std = (getattr(preprocessing, name, (0.5, 0.5, 0.5)) for name in ("mean", "std"))
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, 255 * torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @property
    def encoder(self) -> nn.Module:
        """The encoder alone, as :func:`synth2real.encoders.load_encoder_weights` fills it."""
        encoder: nn.Module = self.network.get_submodule("encoder")
        model: nn.Module = getattr(encoder, "model", encoder)
        return model

    def logits(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 19 height width"]:
        """Logits at the input's size.

        Where a side is no multiple of the output stride, the last row or column is repeated for the network, and what it says of
        the repetitions is cut off.

        Args:
            pixels: RGB in [0, 255].
        """
        height, width = pixels.shape[2:]
        normalised = (pixels - self.mean) / self.std
        right, below = -width % self.stride, -height % self.stride
        if right or below:
            normalised = F.pad(normalised, (0, right, 0, below), mode="replicate")
        logits: Tensor = self.network(normalised)
        return logits[:, :, :height, :width]

    def forward(self, images: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 19 height width"]:
        """Logits at the input's size, of RGB images."""
        return self.logits(images.permute(0, 3, 1, 2).float())


# --- Model files -----------------------------------------------------------------------------------------------------


class TrainedSegmenter(NamedTuple):
    """What a segmenter's model file holds."""

    segmenter: Segmenter | MMSegmenter
    """With its weights; on the CPU, in evaluation mode."""
    settings: NetworkSettings | MMSegNetwork
    size: tuple[int, int]
    """(height, width) that images had in its training."""


def save_segmenter(path: Path, trained: TrainedSegmenter) -> None:
    """Writes the model file of a segmenter; see :func:`synth2real.models.save_model`."""
    settings = {"network": asdict(trained.settings), "size": tuple(trained.size)}
    save_model(path, MODEL_KIND, settings, trained.segmenter.state_dict())


def load_segmenter(path: Path) -> TrainedSegmenter:
    """Rebuilds a segmenter from its model file, without a trace in the global random generator.

    Raises:
        MissingExtraError: If it is a network of mmsegmentation, which is not installed.
        ModelFileError: If the file is missing, damaged or of another kind, or its network is none that this version knows.
    """
    model = load_model(path, MODEL_KIND)
    try:
        network, (height, width) = model.settings["network"], model.settings["size"]
        settings = MMSegNetwork(**network) if "config" in network else NetworkSettings(**network)
        with torch.random.fork_rng(devices=[]):
            segmenter = MMSegmenter(settings) if isinstance(settings, MMSegNetwork) else Segmenter(settings)
        AtrousDepthwiseConv2d.adopt(segmenter)
        segmenter.load_state_dict(model.state_dict)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        found = " ".join(str(error).split())
        raise ModelFileError(f"{path}: the network that it describes cannot be rebuilt; train it again. {found}") from error
    return TrainedSegmenter(segmenter.eval(), settings, (height, width))
