"""The page as a person has it: the server runs, Chromium paints, uploads and looks. Skipped without Gradio or Chromium."""

import base64
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from synth2real.frames import Frame, read_label, write_frames, write_image, write_label
from synth2real.label_space import LABEL_BY_NAME, PALETTE
from synth2real.page.maps import MOST_BYTES, empty_street
from synth2real.segmentation.networks import NetworkSettings, Segmenter, TrainedSegmenter, save_segmenter
from synth2real.synthesis.checkpoints import Synthesizer, save_synthesizer
from synth2real.synthesis.conditions import LABEL_CHANNELS
from synth2real.synthesis.generators import SynthesisGenerator, SynthesisGeneratorSettings

if TYPE_CHECKING:
    from tests.page.conftest import Browser

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("gradio"), reason="Gradio is not installed (make page)")

SIZE = (32, 64)
CAR, ROAD, PERSON = (LABEL_BY_NAME[name].label_id for name in ("car", "road", "person"))
CANVAS = "document.querySelector('#canvas canvas')"
PHOTO = "document.querySelector('#photo img')?.src"
TOASTS = "[...document.querySelectorAll('.toast-body')].map(toast => toast.innerText).join()"
START = "document.querySelector('#start input').value"
SLIDER = "!!document.querySelector('#frame input')?.offsetParent"
UPLOAD = "input[type=file][data-testid^='Upload a label map']"
PARAMS = {
    "hardware": {"accelerator": "cpu", "devices": 1, "precision": "32-true", "workers": 0, "tracking": False},
    "synthesize": {"size": None, "dropout": None, "seed": 1, "hood": None},
    "predict_semantics": {"flip": False, "scales": [1.0], "window": None, "overlap": 0, "confidence": False},
}


def blobs(seed: int) -> np.ndarray:
    """A label map of a few classes with ragged regions."""
    noise = np.random.default_rng(seed).random(SIZE).astype(np.float32)
    regions = np.digitize(cv2.GaussianBlur(noise, (7, 7), 0), [0.46, 0.5, 0.54])
    label_ids: np.ndarray = np.array([7, 11, 21, 23], np.uint8)[regions]
    return label_ids


class Page(NamedTuple):
    folder: Path
    port: int


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The running server, with tiny networks of random weights."""
    folder = tmp_path_factory.mktemp("page")
    YAML(typ="safe").dump(PARAMS, folder / "params.yaml")
    streets = folder / "data/prepared/streets"
    for number in (1, 2):
        write_label(streets / f"labels/{number}.png", blobs(number))
    write_frames(streets, [Frame(str(number), "train", *SIZE) for number in (1, 2)])
    torch.manual_seed(0)
    for name, dropout in (("a_plain", 0.0), ("b_dropping", 0.5)):
        settings = SynthesisGeneratorSettings(
            network="global", width=4, halvings=2, blocks=1, local_blocks=0, dropout=dropout, noise=0.0
        )
        generator = SynthesisGenerator(settings, LABEL_CHANNELS + 1)
        save_synthesizer(folder / f"data/models/{name}.ckpt", Synthesizer(generator, True, None))
    (folder / "data/models/c_broken.pth").write_bytes(b"no weights")
    network = NetworkSettings(
        architecture="deeplabv3plus", encoder="test_efficientnet", weights="random", output_stride=16, decoder_channels=16,
        atrous_rates=(1, 2, 3), dropout=0.0,
    )  # fmt: skip
    save_segmenter(folder / "data/models/segmenter/tiny.ckpt", TrainedSegmenter(Segmenter(network), network, (32, 64)))

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "temporary").mkdir()
    source = Path(__file__).parents[2] / "src"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "synth2real.page", "--port", str(port)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(source), "TMPDIR": str(folder / "temporary")},
            stdout=log,
            stderr=log,
        )
    end = time.monotonic() + 300
    while "Ctrl+C" not in (folder / "server.log").read_text():
        assert server.poll() is None, (folder / "server.log").read_text()
        assert time.monotonic() < end
        time.sleep(0.1)
    yield Page(folder, port)
    server.terminate()
    server.wait(60)
    assert "Traceback" not in (folder / "server.log").read_text()
    assert not list((folder / "temporary").glob("synth2real_page_*"))  # with what was uploaded


@pytest.fixture
def tab(page: Page, browser: "Browser") -> Iterator["Browser"]:
    """The page, opened anew. Whatever a test does, nothing is asked of other machines and no script fails."""
    browser.requested.clear()
    browser.errors.clear()
    address = f"http://127.0.0.1:{page.port}/"
    browser.open(address)
    browser.wait(f"location.href === {json.dumps(address)} && {CANVAS}?.width > 16")
    browser.wait(PHOTO)
    yield browser
    assert [url for url in browser.requested if not url.startswith((address, "data:", f"blob:{address}"))] == []
    assert browser.errors == []


def seen(tab: "Browser") -> np.ndarray:
    """The colours on the canvas."""
    tab.mouse("mouseReleased", 1, 1)
    tab.mouse("mouseMoved", 1, 1)  # no brush over it
    pixels = tab.ask(
        f"(() => {{ const c = {CANVAS}; let s = ''; "
        "for (const byte of c.getContext('2d').getImageData(0, 0, c.width, c.height).data) s += String.fromCharCode(byte); "
        "return [c.height, c.width, btoa(s)]; })()"
    )
    return np.frombuffer(base64.b64decode(pixels[2]), np.uint8).reshape(pixels[0], pixels[1], 4)[..., :3]


def drag(tab: "Browser", *points: tuple[int, int]) -> None:
    """Presses at the first pixel (x, y) of the map, moves over the others, lets go."""
    left, top, scale = tab.ask(
        f"(() => {{ const r = {CANVAS}.getBoundingClientRect(); return [r.left, r.top, r.width / {CANVAS}.width]; }})()"
    )
    places = [(left + (x + 0.5) * scale, top + (y + 0.5) * scale) for x, y in points]
    tab.mouse("mousePressed", *places[0])
    for place in places[1:]:
        tab.mouse("mouseMoved", *place)
    tab.mouse("mouseReleased", *places[-1])


def choose(tab: "Browser", elem_id: str, option: str) -> None:
    """Picks from a list of the page."""
    tab.ask(f"document.querySelector('#{elem_id} input').focus()")
    choice = f"[...document.querySelectorAll('[role=option]')].find(one => one.innerText.includes({json.dumps(option)}))"
    tab.wait(f"!!{choice}")
    tab.ask(f"{choice}.dispatchEvent(new MouseEvent('mousedown', {{bubbles: true}}))")
    tab.ask("document.activeElement.blur()")


def open_blobs(tab: "Browser") -> None:
    choose(tab, "start", "prepared/streets")
    tab.wait(f"{CANVAS}.width", lambda width: width == SIZE[1])


def content(tab: "Browser", address: str) -> str:
    """The bytes behind an address, as hex digits of their hash."""
    return str(
        tab.ask(
            f"fetch({json.dumps(address)}).then(r => r.arrayBuffer()).then(b => crypto.subtle.digest('SHA-256', b))"
            ".then(h => [...new Uint8Array(h)].map(x => x.toString(16).padStart(2, '0')).join(''))"
        )
    )


def test_painting_changes_the_photo_and_undo_brings_it_back(tab: "Browser", tmp_path: Path) -> None:
    street = empty_street(192, 384)
    np.testing.assert_array_equal(seen(tab), PALETTE[street])
    before = content(tab, tab.ask(PHOTO))
    tab.click("[data-tool=rectangle]")
    drag(tab, (150, 100), (170, 120), (230, 140))
    street[100:141, 150:231] = CAR
    np.testing.assert_array_equal(seen(tab), PALETTE[street])
    tab.wait(PHOTO, lambda source: content(tab, source) != before)
    tab.wait("document.querySelector('#said').innerText", lambda text: "384 x 192 pixels, painted in" in text)

    tab.click("#canvas .undo")
    np.testing.assert_array_equal(seen(tab), PALETTE[empty_street(192, 384)])
    tab.wait(PHOTO, lambda source: content(tab, source) == before)
    tab.click("#canvas .redo")
    np.testing.assert_array_equal(seen(tab), PALETTE[street])


def test_a_frame_of_the_data_filled_as_opencv_fills_it(tab: "Browser") -> None:
    open_blobs(tab)
    expected = blobs(1)
    np.testing.assert_array_equal(seen(tab), PALETTE[expected])
    tab.click("[data-tool=fill]")
    tab.click(f"[data-id='{PERSON}']")
    for x, y in ((5, 7), (40, 20), (63, 31)):
        drag(tab, (x, y))
        cv2.floodFill(expected, None, (x, y), PERSON, flags=4)
        np.testing.assert_array_equal(seen(tab), PALETTE[expected])


@pytest.mark.parametrize("size", [1, 2, 9])
def test_brush_paints_discs_without_gaps(tab: "Browser", size: int) -> None:
    open_blobs(tab)
    tab.click("[data-tool=brush]")
    tab.ask(f"document.querySelector('#canvas .size').value = {size}")
    drag(tab, (20, 16), (50, 16))
    middle = 0 if size % 2 else 0.5
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    painted = np.zeros(SIZE, bool)
    for at in range(20, 51):
        painted |= (x - at + middle) ** 2 + (y - 16 + middle) ** 2 <= (size / 2) ** 2
    np.testing.assert_array_equal(seen(tab), PALETTE[np.where(painted, CAR, blobs(1))])


def test_download_gives_label_ids(tab: "Browser", tmp_path: Path) -> None:
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    open_blobs(tab)
    tab.click("#canvas .save")
    end = time.monotonic() + 60
    while not (tmp_path / "label_map.png").is_file():
        assert time.monotonic() < end
        time.sleep(0.1)
    np.testing.assert_array_equal(read_label(tmp_path / "label_map.png"), blobs(1))


def test_upload_of_a_label_map(tab: "Browser", tmp_path: Path) -> None:
    """From then on the page names no frame of the data as what is painted on, until one is chosen again."""
    open_blobs(tab)
    tab.wait(SLIDER)
    before = seen(tab)
    write_label(tmp_path / "mine.png", blobs(3))
    tab.choose_file(UPLOAD, tmp_path / "mine.png")
    tab.wait(START, lambda name: not name)
    tab.wait(SLIDER, lambda there: not there)
    np.testing.assert_array_equal(seen(tab), PALETTE[blobs(3)])
    choose(tab, "start", "prepared/streets")
    tab.wait(SLIDER)
    np.testing.assert_array_equal(seen(tab), before)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("<img src=x onerror=alert(1)>.png", b"hello", "is neither a PNG nor a JPEG"),
        ("large.png", bytes(MOST_BYTES + 1), "exceed the maximum allowed size of 16"),
    ],
)
def test_bad_upload_gets_a_message(tab: "Browser", tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    tab.choose_file(UPLOAD, tmp_path / name)
    assert message in tab.wait(TOASTS)
    np.testing.assert_array_equal(seen(tab), PALETTE[empty_street(192, 384)])


def test_checkpoint_and_noise(tab: "Browser") -> None:
    tab.wait("document.querySelector('#drawn').innerText", lambda text: "Nothing in this model is random" in text)
    plain = content(tab, tab.ask(PHOTO))
    choose(tab, "synthesizer", "b_dropping")
    tab.wait("document.querySelector('#drawn').innerText", lambda text: "dropped features" in text)
    tab.wait("document.querySelector('#dropout input')?.value", lambda value: value == "0.5")
    dropping = content(tab, tab.wait(PHOTO, lambda source: content(tab, source) != plain))
    tab.click("#another")
    tab.wait(PHOTO, lambda source: content(tab, source) not in (plain, dropping))
    choose(tab, "synthesizer", "c_broken")
    tab.wait("document.querySelector('#said').innerText", lambda text: "c_broken.pth" in text and "Traceback" not in text)


def test_own_photo_segmented_and_painted_on(tab: "Browser", tmp_path: Path) -> None:
    open_blobs(tab)
    tab.wait(SLIDER)
    tab.ask("[...document.querySelectorAll('button[role=tab]')].find(b => b.innerText.includes('Segment')).click()")
    write_image(tmp_path / "mine.jpg", np.random.default_rng(0).integers(256, size=(60, 90, 3), dtype=np.uint8))
    tab.wait("!!document.querySelector('#own input[type=file]')")
    tab.choose_file("#own input[type=file]", tmp_path / "mine.jpg")
    tab.wait("document.querySelectorAll('#both img').length", lambda count: count >= 2)
    tab.wait("document.querySelector('#legend').innerText", lambda text: "%" in text and "90 x 60 pixels" in text)
    tab.wait("document.querySelector('#take').disabled", lambda disabled: not disabled)
    tab.click("#take")
    tab.wait(f"{CANVAS}.width", lambda width: width == 90)
    assert not tab.ask(SLIDER)


def test_a_bad_photo_gets_a_message(tab: "Browser", tmp_path: Path) -> None:
    tab.ask("[...document.querySelectorAll('button[role=tab]')].find(b => b.innerText.includes('Segment')).click()")
    tab.wait("!!document.querySelector('#own input[type=file]')")
    write_image(tmp_path / "half.jpg", np.random.default_rng(0).integers(256, size=(60, 90, 3), dtype=np.uint8))
    (tmp_path / "half.jpg").write_bytes((tmp_path / "half.jpg").read_bytes()[:1000])
    tab.choose_file("#own input[type=file]", tmp_path / "half.jpg")
    assert "half.jpg: the file is truncated" in tab.wait(TOASTS)
    assert tab.ask("document.querySelectorAll('#both img').length") == 0
    assert tab.ask("document.querySelector('#take').disabled")


def test_serves_this_machine_alone(page: Page) -> None:
    """127.0.0.2 is this machine too, and would answer if the page were served on all addresses."""
    with socket.socket() as one:
        one.connect(("127.0.0.1", page.port))
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", page.port))
