"""Backbones of timm for detectron2's configs; needs detectron2, so it is imported where detectron2 is wanted.

A config chooses one by::

    MODEL:
      BACKBONE: {NAME: build_timm_fpn_backbone, FREEZE_AT: 5}    # as for detectron2's ResNets: all of it keeps its weights
      TIMM: {NAME: tf_efficientnet_lite0}

Its feature maps are named by their strides as those of detectron2's ResNets: ``res2`` (stride 4) to ``res5`` (32).
"""

import math
from typing import Any

import timm
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from jaxtyping import Float
from timm.layers.norm_act import freeze_batch_norm_2d
from torch import Tensor

from synth2real.instances.backbones import feature_info, freeze


class TimmBackbone(Backbone):
    """The feature maps of a timm model whose batch normalisation keeps its statistics and weights, as detectron2's FrozenBN."""

    def __init__(self, name: str, frozen_stages: int) -> None:
        """Builds it with random weights.

        Args:
            name: timm's name of it.
            frozen_stages: ``MODEL.BACKBONE.FREEZE_AT``: the maps up to ``res<frozen_stages>`` keep their weights.
        """
        super().__init__()
        self.name = name
        freeze_norms: Any = freeze_batch_norm_2d
        self.body = freeze_norms(timm.create_model(name, features_only=True))
        strides, channels = feature_info(self.body).reduction(), feature_info(self.body).channels()
        self._out_features = [f"res{int(math.log2(stride))}" for stride in strides]
        self._out_feature_strides = dict(zip(self._out_features, strides, strict=True))
        self._out_feature_channels = dict(zip(self._out_features, channels, strict=True))
        frozen = sum(stride <= 2**frozen_stages for stride in strides) if frozen_stages > 1 else 0
        freeze(self.body, frozen, strides[-1])

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        """The feature maps by their names."""
        return dict(zip(self._out_features, self.body(images), strict=True))


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """detectron2's feature pyramid over the timm model ``MODEL.TIMM.NAME``."""
    return FPN(
        TimmBackbone(cfg.MODEL.TIMM.NAME, cfg.MODEL.BACKBONE.FREEZE_AT),
        cfg.MODEL.FPN.IN_FEATURES,
        cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
