import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
real = ctypes.CDLL
def without_x11(name, *arguments, **keywords):
    if name == "libX11.so.6":
        raise OSError("libX11.so.6: cannot open shared object file")
    return real(name, *arguments, **keywords)
ctypes.CDLL = without_x11
from synth2real.worlds.rendering import _pipe
from panda3d import core
size = core.WindowProperties.size(8, 4)
flags = core.GraphicsPipe.BF_refuse_window
buffer = core.GraphicsEngine.get_global_ptr().make_output(_pipe(), "buffer", 0, core.FrameBufferProperties(), size, flags)
buffer.set_clear_color((1, 0.5, 0, 1))
texture = core.Texture()
buffer.add_render_texture(texture, core.GraphicsOutput.RTM_copy_ram)
core.GraphicsEngine.get_global_ptr().render_frame()
print(bytes(texture.get_ram_image_as("RGB"))[:3].hex(), "libX11.so" in open("/proc/self/maps").read())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is for Linux only")
def test_renders_without_libx11() -> None:
    shown = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["ff7f00", "False"]
