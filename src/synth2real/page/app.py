"""The page itself, in Gradio: what is on it and what happens on a click. Nothing leaves this machine."""

import html
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import gradio as gr
import numpy as np
from jaxtyping import UInt8

from synth2real.frames import FrameError, FrameSet, read_frames, write_label
from synth2real.label_space import IGNORE_INDEX, LABEL_BY_NAME, LABELS
from synth2real.models import DeviceError, ModelFileError
from synth2real.page.maps import (
    MOST_BYTES,
    PageError,
    empty_street,
    fit_map,
    from_text,
    read_map,
    read_photo,
    to_text,
)
from synth2real.page.models import Painter, find_label_maps, find_models
from synth2real.params import ParamsError
from synth2real.segment import Models, load_models, overlay
from synth2real.synthesis.checkpoints import MODEL_KIND

_FAULTS: Final = (PageError, FrameError, ModelFileError, ParamsError, DeviceError)
_PHOTOS: Final = [".png", ".jpg", ".jpeg"]
_EMPTY: Final = "An empty street"
_ALPHA: Final = 0.6
_SEEDS: Final = 10_000
_HERE: Final = Path(__file__).parent
_QUEUE: Final = {"concurrency_id": "models", "concurrency_limit": 1, "api_visibility": "private"}
_FONTS: Final = (["system-ui", "sans-serif"], ["ui-monospace", "monospace"])
"""Of this machine: the themes' own would be fetched."""
_CSS: Final = """
footer { display: none !important; }
#canvas, #canvas .html-container { padding: 0 !important; }
#photo .image-frame, #photo img { width: 100% !important; height: auto !important; max-height: 70vh; object-fit: contain; }
.low { align-items: center; }
"""


_NOTHING: Final = (None, "", gr.update(interactive=False), gr.update(interactive=False), None)
"""What :meth:`_Page.segment` gives without a photo."""
_OWN_MAP: Final = (gr.update(value=None), gr.update(visible=False))
"""What to start from and the slider over frames, where the map on the canvas is of neither."""


def _told(function: Callable[..., Any], otherwise: Any = None) -> Callable[..., Any]:
    """The function with expected faults as a message on the page, which stays as it is, or shows ``otherwise``."""

    def tell(*inputs: Any) -> Any:
        try:
            return function(*inputs)
        except _FAULTS as error:
            gr.Warning(html.escape(str(error)), duration=30)
            return otherwise or gr.skip()

    return tell


class _Page:
    """What the events of the page call. Holds what was found on disk and the models, and nothing of any visitor."""

    def __init__(self, data: Path, models: Path, painter: Painter, size: tuple[int, int], own: Path) -> None:
        self.painter, self.size, self._models, self._own = painter, size, models, own
        self.label_maps = {path.relative_to(data).as_posix(): path for path in find_label_maps(data)}
        found = find_models(models)

        def named(kind: str) -> dict[str, Path]:
            return {path.relative_to(models).with_suffix("").as_posix(): path for path in found.get(kind, ())}

        self.synthesizers, self.segmenters, self.detectors = named(MODEL_KIND), named("segmenter"), named("detector")

    # --- Paint a street

    def _frames(self, start: str | None) -> FrameSet | None:
        return read_frames(self.label_maps[start]) if start in self.label_maps else None

    def start(self, start: str) -> tuple[Any, str]:
        """The slider over the frames of what was chosen, and the first map."""
        frames = self._frames(start)
        slider = gr.Slider(maximum=max(len(frames), 2) if frames else 2, value=1, visible=frames is not None)
        return slider, self.frame(start, 1)

    def frame(self, start: str, number: float) -> str:
        """A label map of what was chosen."""
        frames = self._frames(start)
        if frames is None:
            return to_text(empty_street(*self.size))
        return to_text(fit_map(frames.label(frames.frames[min(int(number), len(frames)) - 1])))

    def upload_map(self, path: str) -> tuple[Any, ...]:
        """The map, and :data:`_OWN_MAP`."""
        return to_text(read_map(Path(path))), *_OWN_MAP

    def paint(self, text: str, name: str | None, dropout: float, seed: float) -> tuple[Any, str]:
        """The photo, and what to say below it."""
        if name not in self.synthesizers:
            return None, (
                f"No model that paints lies in `{self._models}` yet. `python -m synth2real.presets synthesized`, then "
                "`dvc repro`, trains one; then start this page again."
            )
        begin = time.monotonic()
        try:
            photo = self.painter.paint(self.synthesizers[name], from_text(text), dropout=dropout, seed=int(seed or 0))
        except _FAULTS as error:
            return gr.skip(), html.escape(str(error))
        return photo, f"{photo.shape[1]} x {photo.shape[0]} pixels, painted in {time.monotonic() - begin:.2f} s."

    def noise(self, name: str | None) -> tuple[Any, str]:
        """The slider of the dropout, and what the model draws at random."""
        if name not in self.synthesizers:
            return gr.Slider(visible=False), ""
        try:
            randomness = self.painter.randomness(self.synthesizers[name])
        except _FAULTS as error:
            return gr.Slider(visible=False), html.escape(str(error))
        parts = [
            *(["dropped features"] if randomness.dropout else []),
            *(["noise inside the network"] if randomness.noise else []),
            *(["looks of things"] if randomness.looks else []),
        ]
        text = (
            f"This model draws at random: {', '.join(parts)}. Another seed, another photo of the same map."
            if parts
            else "Nothing in this model is random: one label map, one photo."
        )
        return gr.Slider(value=randomness.dropout or 0.0, visible=randomness.dropout is not None), text

    # --- Segment a photo

    def segment(self, path: str | None, segmenter: str | None, detector: str | None) -> tuple[Any, ...]:
        """As :data:`_NOTHING` lists it: photo and classes, what to say below, two buttons, the map as the canvas takes it."""
        if not path:
            return _NOTHING
        if segmenter not in self.segmenters:
            raise PageError(f"No model that segments lies in {self._models} yet. Run dvc repro, then start this page again.")
        photo = read_photo(Path(path))
        begin = time.monotonic()
        apply = load_models(Models(self.segmenters[segmenter], self.detectors.get(detector or ""), None))
        try:
            segmented = apply(photo)
        except ValueError as error:
            raise PageError(f"This photo does not fit the model: {error}") from None
        label_ids = segmented.label_ids
        assert label_ids is not None
        seconds = time.monotonic() - begin
        file = Path(tempfile.mkdtemp(dir=self._own)) / f"{Path(path).stem}_label_ids.png"
        write_label(file, label_ids)
        legend = f"{_legend(label_ids)}<p>{photo.shape[1]} x {photo.shape[0]} pixels, {seconds:.1f} s.</p>"
        buttons = gr.update(value=str(file), interactive=True), gr.update(interactive=True)
        return (photo, overlay(segmented, _ALPHA)), legend, *buttons, to_text(fit_map(label_ids))


def _legend(label_ids: UInt8[np.ndarray, "height width"]) -> str:
    """The classes of a label map with their colours and shares, the largest first."""
    counts = np.bincount(label_ids.ravel(), minlength=len(LABELS))
    entries = [
        f'<span style="white-space: nowrap; margin-right: 14px"><i style="display: inline-block; width: 14px; height: 14px; '
        f'border-radius: 3px; vertical-align: -2px; background: rgb{LABELS[label_id].colour}"></i> {LABELS[label_id].name} '
        f"{counts[label_id] / label_ids.size:.1%}</span> "
        for label_id in np.argsort(-counts, kind="stable")
        if counts[label_id]
    ]
    return f"<p>{''.join(entries)}</p>"


def _canvas(value: str) -> gr.HTML:
    classes = [
        {"id": label.label_id, "name": label.name, "colour": label.colour, "more": label.train_id == IGNORE_INDEX}
        for label in LABELS
    ]
    return gr.HTML(
        value,
        html_template=(_HERE / "canvas.html").read_text(encoding="utf-8"),
        css_template=(_HERE / "canvas.css").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "canvas.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="canvas",
        classes=classes,
        chosen=LABEL_BY_NAME["car"].label_id,
    )


def _choices(label: str, names: Sequence[str], **extra: Any) -> gr.Dropdown:
    return gr.Dropdown(list(names), value=names[0] if names else None, label=label, interactive=True, **extra)


def _build(page: _Page) -> gr.Blocks:
    blocks = gr.Blocks(title="synth2real", analytics_enabled=False, fill_width=True, delete_cache=(600, 1800))
    with blocks:
        with gr.Tabs() as tabs:
            with gr.Tab("Paint a street", id="paint"):
                with gr.Row(elem_classes="low"):
                    start = _choices("Start from", [_EMPTY, *page.label_maps], scale=2, elem_id="start")
                    number = gr.Slider(1, 2, value=1, step=1, label="Frame", visible=False, scale=2, elem_id="frame")
                    upload = gr.UploadButton("Upload a label map", file_types=[".png"], size="md", scale=1, elem_id="upload")
                with gr.Row():
                    with gr.Column(min_width=420):
                        canvas = _canvas(page.frame(_EMPTY, 1))
                    with gr.Column(min_width=420):
                        photo = gr.Image(
                            show_label=False, interactive=False, format="png", elem_id="photo", buttons=["download", "fullscreen"]
                        )
                        said = gr.Markdown(elem_id="said")
                        with gr.Row(elem_classes="low"):
                            synthesizer = _choices("Painted by", list(page.synthesizers), scale=2, elem_id="synthesizer")
                            seed = gr.Number(
                                1, label="Seed of the noise", precision=0, minimum=0, maximum=2**31 - 1, elem_id="seed"
                            )
                            another = gr.Button("Another draw", elem_id="another")
                        dropout = gr.Slider(
                            0, 0.9, step=0.05, label="Share of features dropped", visible=False, elem_id="dropout"
                        )
                        drawn = gr.Markdown(elem_id="drawn")
            with gr.Tab("Segment a photo", id="segment"):
                with gr.Row():
                    with gr.Column(scale=1, min_width=280):
                        own = gr.File(
                            label="A photo (PNG or JPEG)", file_types=[".png", ".jpg", ".jpeg"], height=150, elem_id="own"
                        )
                        segmenter = _choices("Segmented by", list(page.segmenters), elem_id="segmenter")
                        detector = gr.Dropdown(
                            ["nothing", *page.detectors], value="nothing", label="Things pasted over it by", interactive=True
                        )
                        save = gr.DownloadButton("Download the label map", interactive=False)
                        take = gr.Button("Paint on this label map", interactive=False, elem_id="take")
                    with gr.Column(scale=3, min_width=420):
                        both = gr.ImageSlider(
                            label="Drag the line: photo, classes", format="png", interactive=False, elem_id="both", max_height=640
                        )
                        legend = gr.HTML(elem_id="legend")
                segmented = gr.State(None)

        painting: dict[str, Any] = {
            "fn": page.paint, "inputs": [canvas, synthesizer, dropout, seed], "outputs": [photo, said],
            "trigger_mode": "always_last", "show_progress": "minimal", "show_progress_on": said, **_QUEUE,
        }  # fmt: skip
        quick: dict[str, Any] = {"show_progress": "hidden", **_QUEUE}
        start.input(_told(page.start), start, [number, canvas], **quick)
        number.input(_told(page.frame), [start, number], canvas, trigger_mode="always_last", **quick)
        upload.upload(_told(page.upload_map), upload, [canvas, start, number], **quick)
        gr.on([canvas.change, seed.change, dropout.change], **painting)
        another.click(lambda: random.randrange(_SEEDS), outputs=seed, **quick)
        for event in (blocks.load, synthesizer.change):
            event(page.noise, synthesizer, [dropout, drawn], **quick).then(**painting)

        segmenting: dict[str, Any] = {
            "fn": _told(page.segment, _NOTHING), "inputs": [own, segmenter, detector],
            "outputs": [both, legend, save, take, segmented],
            "show_progress_on": both, **_QUEUE,
        }  # fmt: skip
        gr.on([own.change, segmenter.change, detector.change], **segmenting)
        # the list of what to start from keeps its value here, as Gradio gives a hidden one no other
        take.click(lambda text: (text, _OWN_MAP[1], gr.Tabs(selected="paint")), segmented, [canvas, number, tabs], **quick)
    return blocks


def serve(data: Path, models: Path, painter: Painter, size: tuple[int, int], port: int, *, open_browser: bool) -> None:
    """Serves the page to this machine alone, until interrupted. Uploads lie in a folder that goes when it ends.

    Args:
        data: Where frame sets with label maps lie, at most three folders deep.
        models: Where model files lie, at any depth.
        painter: What paints.
        size: (height, width) of the empty street.
        port: Where to serve it.
        open_browser: Whether to open it.

    Raises:
        PageError: If another program has the port.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl+C
    with tempfile.TemporaryDirectory(prefix="synth2real_page_") as folder:
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}  # read when components are made
        past_proxies = (os.environ.get("no_proxy"), os.environ.get("NO_PROXY"), "127.0.0.1")
        os.environ["no_proxy"] = ",".join(filter(None, past_proxies))  # Gradio asks its own server whether it is up
        blocks = _build(_Page(data, models, painter, size, Path(folder)))
        try:
            blocks.launch(
                server_name="127.0.0.1",
                server_port=port,
                share=False,
                inbrowser=open_browser,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=MOST_BYTES,
                footer_links=[],
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                enable_monitoring=False,
                theme=gr.themes.Base(font=_FONTS[0], font_mono=_FONTS[1]),
                css=_CSS,
            )
        except OSError:
            raise PageError(f"Port {port} is taken. Name another with --port.") from None
        print(f"http://127.0.0.1:{port} (Ctrl+C ends it)", flush=True)
        blocks.block_thread()
