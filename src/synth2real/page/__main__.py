"""Starts the page: ``python -m synth2real.page``, or ``make page``."""

from pathlib import Path

from synth2real.hardware import HardwareSettings
from synth2real.page.maps import PageError
from synth2real.params import read_section, run
from synth2real.synthesis.synthesize import SynthesizeSettings


def main(data: Path = Path("data"), models: Path = Path("data/models"), port: int = 7860, open_browser: bool = False) -> None:
    """Serves a page to this machine alone: paint a label map and see its photo, segment a photo of your own.

    How models are applied (synthesize, predict_semantics, predict_instances, fusion, hardware) is read from the params.yaml of
    the folder where this runs.

    Args:
        data: Where frame sets with label maps to start from lie, at most three folders deep.
        models: Where synthesizers, segmenters and detectors lie, at any depth.
        port: Where to serve it, at http://127.0.0.1:PORT.
        open_browser: Whether to open it.
    """
    try:
        from synth2real.page.app import serve
        from synth2real.page.models import Painter
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise PageError("The page needs Gradio, which is not installed. Install the extra: make page.") from None
    painter = Painter(read_section("synthesize", SynthesizeSettings), read_section("hardware", HardwareSettings))
    serve(data, models, painter, (192, 384), port, open_browser=open_browser)


if __name__ == "__main__":
    run(main, "python -m synth2real.page")
