"""The sections of params.yaml, as they are and under each preset, are settings that fit together."""

from pathlib import Path

import pytest

from synth2real.params import read_section
from synth2real.presets import merge, read_values
from synth2real.synthesis.diversity import DiversitySettings
from synth2real.synthesis.synthesize import SynthesizeSettings
from synth2real.synthesis.train import SynthesisSettings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("preset", [None, "ci", "pix2pix_2017", "pix2pixhd_2018"])
def test_sections_can_be_read(preset: str | None, tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    if preset:
        overlay = (ROOT / f"presets/{preset}.yaml").read_text(encoding="utf-8")
        text, _ = merge(text, read_values(overlay, preset), preset)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    settings = read_section("synthesis", SynthesisSettings, tmp_path / "params.yaml")
    read_section("synthesize", SynthesizeSettings, tmp_path / "params.yaml")
    read_section("synthesis_diversity", DiversitySettings, tmp_path / "params.yaml")
    phases = [settings.phase(step) for step in range(0, settings.schedule.steps, max(settings.schedule.steps // 60, 1))]
    assert set(phases) == ({"coarse", "enhancer", "whole"} if preset == "pix2pixhd_2018" else {"whole"})
