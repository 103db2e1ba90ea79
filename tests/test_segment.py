"""The command that tries models on any pictures or video, with networks of random weights."""

import dataclasses
import sys
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from synth2real import segment
from synth2real.datasets.video import read_moments
from synth2real.frames import Frame, FrameError, read_frames, read_image, write_frames, write_image
from synth2real.fusion import FusionSettings, fuse
from synth2real.hardware import HardwareSettings
from synth2real.instances import mask_rcnn
from synth2real.instances.calibration import Calibration, CalibrationError, Isotonic, Platt, save_calibrations
from synth2real.instances.predict import PredictionSettings, detect
from synth2real.label_space import PALETTE, TRAIN_ID_TO_LABEL_ID
from synth2real.params import read_section, run
from synth2real.segment import Models, Segmented, load_models, main, overlay
from synth2real.segmentation.networks import NetworkSettings, Segmenter, TrainedSegmenter, save_segmenter
from synth2real.segmentation.predict import load_predictor
from synth2real.translation.generators import Generator, Generators, GeneratorSettings, load_generators, save_generators
from synth2real.translation.translate import TranslateSettings, translate_images
from synth2real.video import VideoWriter, sample_video

SIZES = {"one": (37, 51), "two": (64, 96), "three": (9, 30)}


class ModelFiles(NamedTuple):
    segmenter: Path
    detector: Path
    translator: Path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    folder = tmp_path_factory.mktemp("models")
    paths = ModelFiles(*(folder / f"{name}.ckpt" for name in ModelFiles._fields))
    torch.manual_seed(0)
    network = NetworkSettings(
        architecture="deeplabv3plus", encoder="test_efficientnet", weights="random", output_stride=16, decoder_channels=16,
        atrous_rates=(1, 2, 3), dropout=0.0,
    )  # fmt: skip
    save_segmenter(paths.segmenter, TrainedSegmenter(Segmenter(network), network, (32, 64)))
    settings = mask_rcnn.NetworkSettings(
        backbone="test_efficientnet", backbone_weights="random", backbone_norm="batch", frozen_levels=0, size=(64, 96),
        strides=(4, 8), channels=32, head_norm="group", anchor_sizes=(12, 24, 48), anchor_ratios=(0.5, 1.0, 2.0),
        rpn_batch_size=32, proposals_per_level=50, proposals=50, box_batch_size=32, box_features=64, mask_channels=(32,),
        class_agnostic=False,
    )  # fmt: skip
    mask_rcnn.save_detector(paths.detector, settings, mask_rcnn.build_detector(settings, seed=1))
    generator = GeneratorSettings(network="resnet", width=2, blocks=1, depth=2, upsampling="resize", residual=False)
    save_generators(paths.translator, Generators(Generator(generator), Generator(generator)))
    return paths


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures of several sizes, one grey and one with alpha, in a folder that has a params file beside it."""
    monkeypatch.chdir(tmp_path)
    values = {
        "hardware": {"accelerator": "cpu", "devices": 1, "precision": "32-true", "workers": 2, "tracking": False},
        "predict_semantics": {"flip": False, "scales": [1.0], "window": None, "overlap": 0, "confidence": True},
        "predict_instances": {"batch_size": 2, "calibration": "none", "min_score": 0.1, "box_overlap": 0.5, "max_detections": 5},
        "fusion": {
            "score_threshold": 0.0,
            "rider_overlap": None,
            "mask_overlap": None,
            "semantic_weight": 0.0,
            "holes": "semantic",
        },
        "translate": {"size": None, "tile": [32, 64], "overlap": 8},
    }
    YAML(typ="safe").dump(values, tmp_path / "params.yaml")
    generator = np.random.default_rng(0)
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    for (name, size), channels in zip(SIZES.items(), (3, 4, 1), strict=True):
        pixels = cv2.resize(generator.integers(0, 256, (4, 6, channels)).astype(np.uint8), size[::-1])
        cv2.imwrite(str(tmp_path / "pictures" / ("" if name == "one" else "deep") / f"{name}.png"), pixels)
    return Path("pictures")


def test_pictures_of_any_size_become_a_frame_set_with_overlays(pictures: Path, models: ModelFiles) -> None:
    out = Path("out")
    main(pictures, out, models.segmenter)
    assert sorted(path.name for path in out.iterdir()) == ["frames.csv", "labels", "overlays"]
    frames = read_frames(out)
    assert {frame.frame_id for frame in frames.frames} == {"one", "deep_two", "deep_three"}
    predict = load_predictor(
        models.segmenter, HardwareSettings(accelerator="cpu", devices=1, precision="32-true", workers=0, tracking=False)
    )
    for frame in frames.frames:
        image = read_image(pictures / f"{frame.frame_id.replace('_', '/')}.png")
        assert image.shape[:2] == (frame.height, frame.width) == SIZES[frame.frame_id.removeprefix("deep_")]
        label_ids = frames.label(frame)
        np.testing.assert_array_equal(label_ids, TRAIN_ID_TO_LABEL_ID[predict(image).train_ids])
        drawn = read_image(out / "overlays" / f"{frame.frame_id}.jpg")
        expected = overlay(Segmented(image, label_ids, None), 0.5)
        assert np.abs(drawn.astype(int) - expected).mean() < 12  # JPEG halves the resolution of colour


def test_with_detector_and_translator_the_translated_picture_is_fused(pictures: Path, models: ModelFiles) -> None:
    main(pictures / "one.png", Path("alone"), models.segmenter)
    main(pictures / "one.png", Path("out"), models.segmenter, models.detector, models.translator)
    assert {path.name for path in Path("out").iterdir()} == {"frames.csv", "labels", "instances", "overlays", "translated"}
    frames = read_frames(Path("out"))
    (frame,) = frames.frames
    image, translated = read_image(pictures / "one.png"), read_image(Path("out/translated/one.png"))
    settings = read_section("translate", TranslateSettings)
    generator = load_generators(models.translator, torch.device("cpu")).to_target
    np.testing.assert_array_equal(translated, translate_images(generator, image[None], torch.device("cpu"), settings)[0])

    # The same parts, by way of files: the prediction of the translated picture, its detections, and their fusion.
    write_image(Path("seen/images/one.png"), translated)
    write_frames(Path("seen"), [frame])
    main(Path("seen"), Path("seen_labels"), models.segmenter)
    network, detector = mask_rcnn.load_detector(models.detector)
    hardware = read_section("hardware", HardwareSettings)
    kept = read_section("predict_instances", PredictionSettings)
    (detections,) = detect(detector, read_frames(Path("seen")), network.size, kept, dataclasses.replace(hardware, workers=0))
    fused = fuse(read_frames(Path("seen_labels")).label(frame), detections, read_section("fusion", FusionSettings))
    np.testing.assert_array_equal(frames.label(frame), fused.label_ids)
    np.testing.assert_array_equal(frames.instances(frame), fused.instance_ids)
    assert detections
    assert (fused.instance_ids >= 1000).any()
    assert (frames.label(frame) != read_frames(Path("alone")).label(frame)).any()


def test_scores_are_calibrated_where_params_say_so(pictures: Path, models: ModelFiles) -> None:
    main(pictures / "one.png", Path("plain"), models.segmenter, models.detector)
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("calibration: none", "calibration: isotonic"))
    with pytest.raises(CalibrationError, match=r"detector\.calibration\.json.*Run the stage evaluate_detector again"):
        main(pictures / "one.png", Path("calibrated"), models.segmenter, models.detector)
    unlikely = Calibration(Isotonic((0.0,), (0.05,)), {})
    save_calibrations(
        models.detector.with_suffix(".calibration.json"), {"platt": Calibration(Platt(1.0, 0.0), {}), "isotonic": unlikely}
    )
    main(pictures / "one.png", Path("calibrated"), models.segmenter, models.detector)
    plain, calibrated = (read_frames(Path(name)) for name in ("plain", "calibrated"))
    assert (plain.instances(plain.frames[0]) >= 1000).any()
    assert not (calibrated.instances(calibrated.frames[0]) >= 1000).any()


def test_a_frame_set_keeps_its_ids_and_splits(pictures: Path, models: ModelFiles) -> None:
    root = Path("frames")
    expected = [Frame("a", "train", 20, 30), Frame("b", "val", 21, 31)]
    for frame in expected:
        write_image(root / "images" / f"{frame.frame_id}.png", np.zeros((frame.height, frame.width, 3), np.uint8))
        write_image(root / "other" / f"{frame.frame_id}.png", np.zeros((5, 5, 3), np.uint8))
    write_frames(root, expected)
    main(root, Path("out"), models.segmenter)
    assert list(read_frames(Path("out")).frames) == expected


def test_an_overlay_blends_and_outlines_instances() -> None:
    seen = np.full((5, 6, 3), 100, np.uint8)
    instance_ids = np.full((5, 6), 7, np.uint16)
    instance_ids[1:4, 1:5] = 26000
    instance_ids[1:4, 5] = 26001
    label_ids = np.where(instance_ids > 7, 26, 7).astype(np.uint8)
    np.testing.assert_array_equal(overlay(Segmented(seen, label_ids, None), 0.0), seen)
    np.testing.assert_array_equal(overlay(Segmented(seen, label_ids, None), 1.0), PALETTE[label_ids])
    white = (overlay(Segmented(seen, label_ids, instance_ids), 0.5) == 255).all(-1)
    assert white.astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 1],
        [0, 1, 0, 0, 1, 1],
        [0, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0],
    ]


def test_a_video_becomes_videos(pictures: Path, models: ModelFiles) -> None:
    drive = Path("drive.mp4")
    images = [cv2.resize(read_image(pictures / "one.png"), (50, 36)) // 2 + np.uint8(9 * number) for number in range(10)]
    with VideoWriter(drive, Fraction(25)) as writer:
        for image in images:
            writer.write(image)
    main(drive, Path("out"), models.segmenter, models.detector, models.translator, alpha=0.25)
    assert {path.name for path in Path("out").iterdir()} == {
        "drive_overlay.mp4", "drive_side_by_side.mp4", "drive_translated.mp4",
    }  # fmt: skip

    def read(path: Path) -> list[np.ndarray]:
        sampling = sample_video(path)
        assert sampling.rate == 25
        return list(read_moments(path, sampling.moments))

    apply = load_models(Models(*models))
    results = [apply(image) for image in read(drive)]
    overlays, translated, beside = (read(Path(f"out/drive_{kind}.mp4")) for kind in ("overlay", "translated", "side_by_side"))
    assert len(overlays) == len(translated) == len(beside) == 10
    for number, result in enumerate(results):
        drawn = overlay(result, 0.25)
        assert overlays[number].shape == translated[number].shape == (36, 50, 3)
        assert beside[number].shape == (36, 150, 3)
        np.testing.assert_allclose(overlays[number].mean((0, 1)), drawn.mean((0, 1)), atol=3)
        np.testing.assert_allclose(translated[number].mean((0, 1)), result.seen.mean((0, 1)), atol=3)
        np.testing.assert_allclose(beside[number][:, :50].mean((0, 1)), images[number].mean((0, 1)), atol=3)
        np.testing.assert_allclose(beside[number][:, 100:].mean((0, 1)), drawn.mean((0, 1)), atol=3)
    main(drive, Path("some"), models.segmenter, rate=5.0, start=0.2)
    assert len(list(read_moments(Path("some/drive_overlay.mp4"), sample_video(Path("some/drive_overlay.mp4")).moments))) == 1


def test_a_translator_alone_translates(pictures: Path, models: ModelFiles) -> None:
    apply = load_models(Models(None, None, models.translator))
    main(pictures, Path("out"), translator=models.translator)
    assert sorted(path.name for path in Path("out").iterdir()) == ["frames.csv", "translated"]
    assert len(read_frames(Path("out"))) == 3
    image = read_image(pictures / "one.png")
    np.testing.assert_array_equal(read_image(Path("out/translated/one.png")), apply(image).seen)

    with VideoWriter(Path("game.mp4"), Fraction(25)) as writer:
        for number in range(5):
            writer.write(image[:36, :50] // 2 + np.uint8(20 * number))
    main(Path("game.mp4"), Path("videos"), translator=models.translator)
    assert sorted(path.name for path in Path("videos").iterdir()) == ["game_side_by_side.mp4", "game_translated.mp4"]

    def read(path: Path) -> list[np.ndarray]:
        return list(read_moments(path, sample_video(path).moments))

    game, translated, beside = (
        read(path) for path in (Path("game.mp4"), *(Path(f"videos/game_{kind}.mp4") for kind in ("translated", "side_by_side")))
    )
    assert len(translated) == len(beside) == 5
    for number, picture in enumerate(game):
        expected = apply(picture).seen
        assert np.abs(expected.astype(int) - picture).mean() > 10
        np.testing.assert_allclose(translated[number].mean((0, 1)), expected.mean((0, 1)), atol=3)
        np.testing.assert_allclose(beside[number][:, :50].mean((0, 1)), picture.mean((0, 1)), atol=3)
        np.testing.assert_allclose(beside[number][:, 50:].mean((0, 1)), expected.mean((0, 1)), atol=3)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """Runs the command as the shell does, and gives the message with which it fails."""
    monkeypatch.setattr(sys, "argv", ["segment", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run(main)
    assert isinstance(ended.value.code, str)  # a message: exit status 1
    return ended.value.code


def test_faults_end_in_one_message(pictures: Path, models: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty").mkdir()
    Path("text.txt").write_text("text")
    Path("text.png").write_text("text")
    Path("text.mp4").write_text("text")
    Path("cut.png").write_bytes((pictures / "one.png").read_bytes()[:-20])
    write_image(Path("tiny.png"), np.zeros((6, 6, 3), np.uint8))
    good = {"--input": pictures, "--segmenter": models.segmenter, "--out": Path("out")}
    for changes, message in (
        ({"--input": "nothing.png"}, "nothing.png: no such file or folder. Name a picture"),
        ({"--input": "empty"}, "empty: expected PNG or JPEG pictures, found none. Name"),
        ({"--input": "text.txt"}, "text.txt: expected a picture (.png"),
        ({"--input": "text.png"}, "text.png: expected a PNG or JPEG file, found 4 bytes"),
        ({"--input": "cut.png"}, "cut.png: the file is truncated"),
        ({"--input": "text.mp4"}, "text.mp4: no video that can be read"),
        ({"--segmenter": "none.ckpt"}, "none.ckpt: no such model"),
        ({"--segmenter": models.detector}, f"{models.detector}: expected a segmenter, found"),
        ({"--segmenter": "text.txt"}, "text.txt: not a model file of synth2real, or damaged"),
        ({"--out": pictures / "out"}, "pictures/out: the results would lie among the pictures of pictures"),
        ({"--out": "text.txt"}, "text.txt: expected a folder for the results, found a file"),
        ({"--alpha": 1.5}, "--alpha must be in [0, 1], found 1.5"),
        ({"--segmenter": None}, "--segmenter is missing: name a model file, or --translator alone"),
        ({"--segmenter": None, "--detector": models.detector}, "--segmenter is missing"),
        ({"--input": "tiny.png", "--translator": models.translator}, "tiny.png: expected images with sides of at least 8 pixels"),
    ):
        arguments = [item for pair in (good | changes).items() if pair[1] for item in pair]
        assert command(monkeypatch, *arguments).startswith(message)
        assert not Path("out/frames.csv").exists()


def test_a_video_that_ends_early_leaves_no_video(pictures: Path, models: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> object:
        yield np.zeros((36, 50, 3), np.uint8)
        raise FrameError("drive.mp4: damaged after 0.04 s")

    with VideoWriter(Path("drive.mp4"), Fraction(25)) as writer:
        for _ in range(3):
            writer.write(np.zeros((36, 50, 3), np.uint8))
    good = ("--input", "drive.mp4", "--segmenter", models.segmenter, "--out", "out")
    assert command(monkeypatch, *good, "--rate", 0).startswith("--rate, --start, --stop: rate must be in")
    assert command(monkeypatch, *good, "--start", 9).startswith("drive.mp4: lasts 0.12 s")
    monkeypatch.setattr(segment, "read_moments", cut)
    assert command(monkeypatch, *good).startswith("drive.mp4: damaged after")
    assert not list(Path("out").iterdir())


def test_help_tells_every_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["segment", "--help"])
    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for option in ("input", "segmenter", "out", "detector", "translator", "alpha", "rate", "start", "stop"):
        assert f"--{option}" in shown
