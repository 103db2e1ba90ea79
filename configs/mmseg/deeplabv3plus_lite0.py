"""DeepLabV3+ (Chen et al., ECCV 2018) on EfficientNet-Lite0, as narrow as the default network, for segmentation.backend mmseg.

Of a config, the model counts, and of optim_wrapper its constructor, paramwise_cfg and clip_grad; params.yaml decides the rest.
"""

norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(type="SegDataPreProcessor", mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True, seg_pad_val=255),
    backbone=dict(
        type="TIMMBackbone",
        model_name="tf_efficientnet_lite0",
        features_only=True,
        pretrained=False,
        output_stride=16,
        out_indices=(1, 4),
        init_cfg=dict(type="OfflineWeights"),  # ImageNet's, from a package
    ),
    decode_head=dict(
        type="DepthwiseSeparableASPPHead",
        in_channels=320,
        in_index=1,
        c1_in_channels=24,
        c1_channels=48,
        channels=128,
        dilations=(1, 2, 4, 6),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, avg_non_ignore=True),
    ),
    test_cfg=dict(mode="whole"),
)
