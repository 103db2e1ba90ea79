"""Panda3D's software renderer: a scene becomes an image and exact maps of label ids and instance ids.

``p3tinydisplay`` rasterises on the CPU, without display or OpenGL. Light is computed once a scene for each vertex (Lambert, 1760)
and baked into vertex colours; shadows that the sun throws on the ground are drawn once a scene into a light map, by rendering all
casters flattened along the light ("projected shadows", Blinn, 1988); under a covered sky, soft patches lie under things instead.
A view then costs two passes:

- the image, supersampled, with textures;
- the *ids*, without texture, light or antialiasing: each pixel holds the 24-bit number of the object that covers its centre, from
  which label and instance ids follow by look-up. No colour is interpolated, so the round trip is exact. They are drawn as
  finely as the image and one sample in each pixel is kept: the rasteriser widens outlines by half a sample, which image and
  labels then share.

The frame is right-handed: x right, y forward, z up, metres; angles in radians, positive counter-clockwise.
"""

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, NamedTuple

import cv2
import numpy as np
import panda3d
from jaxtyping import Bool, Float, Float32, Int, Int32, UInt8, UInt16, UInt32
from panda3d import core

from synth2real.label_space import INSTANCE_FACTOR, LABEL_BY_NAME, LABELS, VEIS_LABELS
from synth2real.worlds.meshes import Mesh, Numbers, Part, SceneObject, Visibility, compact, cross, joined

core.loadPrcFileData(
    "synth2real",
    "load-display p3tinydisplay\nwindow-type offscreen\naudio-library-name null\nnotify-level warning\nsupport-threads false\n",
)

NEAR: Final = 0.4
"""Distance of the near plane in metres."""
FAR: Final = 420.0
"""Distance of the far plane in metres."""
_CHUNK: Final = 32.0  # metres; geometry is grouped by squares of this size so that Panda3D can cull what is out of view
_GROUND_BIN: Final = "ground"  # drawn after what stands on it, and before the shadows that lie on it
_FILM_SPEED: Final = 2.0
_SKY_RADIUS: Final = 380.0
_SKY_ID: Final = LABEL_BY_NAME["sky"].label_id
_IS_THING: Final = np.array([label.is_thing for label in LABELS])
_IS_FOREGROUND: Final = np.isin(np.arange(len(LABELS)), [label.label_id for label in VEIS_LABELS])


class Placed(NamedTuple):
    """An object in the world.

    Attributes:
        thing: what stands there.
        x: position of its centre, metres.
        y: position of its centre, metres.
        yaw: turn about its centre.
        z: height that it stands on.
        slope: metres that what lies a metre further along y stands higher.
        velocity: metres a second along x and y; an object with a velocity is drawn where it is at the view's time.
    """

    thing: SceneObject
    x: float
    y: float
    yaw: float = 0.0
    z: float = 0.0
    velocity: tuple[float, float] = (0.0, 0.0)
    slope: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the object has a velocity."""
        return self.velocity != (0.0, 0.0)


class View(NamedTuple):
    """A camera and a moment.

    Attributes:
        x: camera position, metres.
        y: camera position, metres.
        z: camera height, metres.
        yaw: viewing direction; 0 looks along +y, positive to the left.
        pitch: positive looks up.
        roll: positive tilts clockwise.
        field_of_view: horizontal, radians.
        time: seconds since the scene began.
    """

    x: float
    y: float
    z: float
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    field_of_view: float = 0.9
    time: float = 0.0


class Relief(NamedTuple):
    """How high the ground is: it rises and falls along y alone, linearly between points; flat before and behind them.

    Attributes:
        along: of the points, rising, metres.
        height: of the points, metres.
    """

    along: Float[np.ndarray, "n"]
    height: Float[np.ndarray, "n"]

    def at(self, along: Numbers) -> Float[np.ndarray, "*n"]:
        """Height of the ground at y = ``along``."""
        return np.asarray(np.interp(np.asarray(along, np.float64), self.along, self.height))

    def slope(self, along: Numbers) -> Float[np.ndarray, "*n"]:
        """Rise over run around y = ``along``."""
        middle = np.asarray(along, np.float64)
        return np.asarray((self.at(middle + 1.0) - self.at(middle - 1.0)) / 2.0)


FLAT: Final = Relief(np.zeros(1), np.zeros(1))
"""Ground without hills."""


class Lamp(NamedTuple):
    """A light in the scene, which throws no shadows.

    Attributes:
        x: position, metres.
        y: position, metres.
        z: position, metres.
        height: above the ground, metres.
        colour: linear RGB irradiance on the ground right below.
    """

    x: float
    y: float
    z: float
    height: float
    colour: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Light:
    """Where light comes from, as linear RGB irradiances; a white surface under an irradiance of 1 is white.

    Attributes:
        direction: unit vector to the sun.
        sun: of the sun, on a surface that faces it.
        sky: from above, on a surface that faces up.
        ground: from below, on a surface that faces down.
        softness: standard deviation of the shadows' blur, metres; infinite under a covered sky, where nothing throws shadows.
        lamps: what else shines, by night; only under a covered sky.
    """

    direction: tuple[float, float, float]
    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    softness: float
    lamps: tuple[Lamp, ...] = ()

    @property
    def is_covered(self) -> bool:
        """Whether clouds hide the sun."""
        return bool(np.isinf(self.softness))

    def on(self, normals: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
        """Irradiance on surfaces with these normals: Lambert's cosine law for the sun, a hemisphere for sky and ground."""
        sun, sky, ground = (np.asarray(part, np.float32) for part in (self.sun, self.sky, self.ground))
        shares = np.empty((len(normals), 2), np.float32)
        np.maximum(normals @ np.asarray(self.direction, np.float32), 0.0, out=shares[:, 0])
        shares[:, 1] = 0.5 + 0.5 * normals[:, 2]
        irradiance: Float32[np.ndarray, "n 3"] = shares @ np.stack((sun, sky - ground)) + ground
        return irradiance

    def from_lamps(self, vertices: Float32[np.ndarray, "n 3"], normals: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
        """Irradiance that lamps within 30 m throw on surfaces here: the inverse-square law and Lambert's cosine law.

        The cosine is wrapped, so that what looks away from a lamp gets a little light too, as from the street around.
        """
        total = np.zeros_like(vertices)
        if not len(vertices):
            return total
        low, high = vertices.min(axis=0) - _LAMP_REACH, vertices.max(axis=0) + _LAMP_REACH
        for lamp in self.lamps:
            place = np.array((lamp.x, lamp.y, lamp.z), np.float32)
            if (low[:2] > place[:2]).any() or (high[:2] < place[:2]).any():
                continue
            away = place - vertices
            square = np.einsum("ij,ij->i", away, away)
            cosine = np.einsum("ij,ij->i", away, normals) / np.sqrt(square + 1e-6)
            share = lamp.height**2 * np.maximum(0.65 * cosine + 0.35, 0.0) / (square + 0.3 * lamp.height**2)
            total += (share * (square < _LAMP_REACH**2))[:, None] * np.asarray(lamp.colour, np.float32)
        return total


@dataclass(frozen=True, slots=True)
class Material:
    """A picture that tiles a surface.

    Attributes:
        pixels: RGB, or RGBA: where alpha is below a half, the surface is seen through; sides powers of two.
        tile: metres (texture units) that one copy covers.
        shines: whether the surface's colours are light that it sends out, whatever falls on it.
    """

    pixels: UInt8[np.ndarray, "h w channels"]
    tile: float
    shines: bool = False

    @property
    def is_cut_out(self) -> bool:
        """Whether the surface has holes."""
        return bool(self.pixels.shape[2] == 4)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is needed to render.

    Attributes:
        ground: flat surfaces in world coordinates; they receive shadows and cast none.
        placed: objects.
        light: the light.
        materials: by the names that the meshes use.
        sky: panorama, RGB, sides powers of two; its columns go once around, its rows from the
            zenith to 10 degrees below the horizon.
        relief: the ground's height, which moving objects follow.
    """

    ground: tuple[Part, ...]
    placed: tuple[Placed, ...]
    light: Light
    materials: Mapping[str, Material]
    sky: UInt8[np.ndarray, "h w 3"]
    relief: Relief = FLAT


class Rendering(NamedTuple):
    """What one view gives.

    Attributes:
        image: RGB.
        label_ids: Cityscapes label ids.
        instance_ids: Cityscapes instance ids: label_id * 1000 + n for things, label_id for stuff.
        foreground_ids: label_id * 1000 + n for objects of VEIS's ten classes (traffic lights and signs too), 0 elsewhere.
    """

    image: UInt8[np.ndarray, "height width 3"]
    label_ids: UInt8[np.ndarray, "height width"]
    instance_ids: UInt16[np.ndarray, "height width"]
    foreground_ids: UInt16[np.ndarray, "height width"]


class Renderer:
    """Renders scenes at one size. One process holds one of each size; see :func:`renderer`.

    Args:
        height: of the output, pixels.
        width: of the output, pixels.
        supersampling: the image is rendered at this many times height and width, then averaged; 1 or more.
    """

    def __init__(self, height: int, width: int, supersampling: int) -> None:
        self._size = (height, width)
        bins, nearest_first = core.CullBinManager.get_global_ptr(), core.CullBinManager.BT_front_to_back
        bins.set_bin_type("opaque", nearest_first)  # what is hidden costs no texture look-up
        bins.add_bin(_GROUND_BIN, nearest_first, (bins.get_bin_sort("opaque") + bins.get_bin_sort("transparent")) // 2)
        self._lens = core.PerspectiveLens()
        self._lens.set_near_far(NEAR, FAR)
        self._image = _Pass(height * supersampling, width * supersampling, self._lens)
        self._ids = _Pass(height * supersampling, width * supersampling, self._lens)
        self._ids.root.set_attrib(core.ShadeModelAttrib.make(core.ShadeModelAttrib.M_flat))  # nothing to interpolate: faster
        self._supersampling = supersampling
        self._labels = np.zeros(1, np.uint8)
        self._moving = _Moving((), FLAT)
        self._sky: core.NodePath | None = None
        self._textures: _Textures | None = None

    def load(self, scene: Scene, views: Sequence[View] = ()) -> None:
        """Makes ``scene`` the one that :meth:`render` shows.

        Args:
            scene: what there is.
            views: all that it will be looked at from, if known: what faces away from them all is then left out.
        """
        for part_of in (self._image, self._ids):
            part_of.clear()
        if self._textures is None or self._textures.materials is not scene.materials:
            self._textures = _Textures(scene.materials)
        textures = self._textures
        numbers = _Numbers()
        cameras = _Box.around(views) if views else None
        batches = _Batches(textures, scene.light, cameras)
        ground = _Batches(textures, scene.light, cameras, ground=True)
        moving = [placed for placed in scene.placed if placed.moves]
        self._moving = _Moving(moving, scene.relief)
        roots = [(self._image.root, self._ids.root), *self._moving.hung(self._image.root, self._ids.root)]
        movers = 0
        for owner, placed in enumerate(scene.placed, 1):
            movers += placed.moves
            for part in placed.thing.at(placed.x, placed.y, placed.yaw, placed.z, placed.slope):
                batches.add(part, numbers.of(owner, part), movers if placed.moves else 0)
        for part_of in (self._image, self._ids):
            part_of.buffer.set_active(False)
        still = [placed for placed in scene.placed if not placed.moves]
        if scene.light.lamps:
            shadows: core.Texture | None = _lamp_map(scene.light, still)
        elif scene.light.is_covered:
            shadows = None
        else:
            shadows = _light_map(scene.light, batches.casters(), still, scene.relief)
        large = [placed for placed in still if _darkens(placed)]
        if shadows is None and large:  # soft patches darken the ground for less than a light map
            _contact_shadows(large, scene.relief).reparent_to(self._image.root)
        for part_of in (self._image, self._ids):
            part_of.buffer.set_active(True)
        for part in scene.ground:
            ground.add(part, numbers.of(0, part))
        batches.attach(roots)
        ground.attach(roots, shadows)
        self._labels = numbers.labels()
        self._sky = _sky_dome(scene.sky)
        self._sky.reparent_to(self._image.root)

    def render(self, view: View) -> Rendering:
        """The view of the loaded scene; things are numbered from 0 within their class, in the order of the scene.

        Raises:
            RuntimeError: If no scene is loaded.
        """
        if self._sky is None:
            raise RuntimeError("no scene is loaded; call load(scene) first")
        height, width = self._size
        self._lens.set_film_size(1.0, height / width)
        self._lens.set_fov(float(np.degrees(view.field_of_view)))
        self._sky.set_pos(view.x, view.y, view.z)
        self._moving.go(view.time)
        for each in (self._image, self._ids):
            each.camera.set_pos_hpr(view.x, view.y, view.z, *(float(np.degrees(a)) for a in (view.yaw, view.pitch, view.roll)))
        core.GraphicsEngine.get_global_ptr().render_frame()
        small = cv2.resize(self._image.pixels(), (width, height), interpolation=cv2.INTER_AREA)
        image = cv2.cvtColor(cv2.flip(small, 0), cv2.COLOR_BGRA2RGB)
        step = self._supersampling
        first = (step - 1) // 2  # the rasteriser draws a quarter of a sample up and to the left, and so does this
        codes = self._ids.pixels().view("<u4")[::-1, :, 0][first::step, first::step] & 0xFFFFFF
        return Rendering(np.asarray(image), *_decode(codes, self._labels))


@cache
def renderer(height: int, width: int, supersampling: int) -> Renderer:
    """This process's renderer of that size (Panda3D has one engine a process, and buffers are dear)."""
    return Renderer(height, width, supersampling)


def _decode(
    codes: UInt32[np.ndarray, "height width"], labels: UInt8[np.ndarray, "n"]
) -> tuple[UInt8[np.ndarray, "height width"], UInt16[np.ndarray, "height width"], UInt16[np.ndarray, "height width"]]:
    """Label ids, instance ids and foreground ids of the object numbers that the id pass drew."""
    index = codes.astype(np.intp)
    present = np.bincount(index.ravel(), minlength=len(labels)) > 0
    foreground = np.zeros(len(labels), np.uint16)
    for label in np.unique(labels[present & _IS_FOREGROUND[labels]]):
        members = np.flatnonzero(present & (labels == label))
        foreground[members] = int(label) * INSTANCE_FACTOR + np.arange(len(members))
    instance = np.where(_IS_THING[labels], foreground, labels)
    return labels.take(index), instance.take(index), foreground.take(index)


class _Pass:
    """One offscreen buffer with a camera and a scene graph of its own."""

    def __init__(self, height: int, width: int, lens: core.Lens) -> None:
        self._size = (height, width)
        bits = core.FrameBufferProperties()
        bits.set_rgba_bits(8, 8, 8, 8)
        bits.set_depth_bits(20)
        size = core.WindowProperties.size(width, height)
        self.buffer = core.GraphicsEngine.get_global_ptr().make_output(
            _pipe(), "buffer", 0, bits, size, core.GraphicsPipe.BF_refuse_window
        )
        if self.buffer is None:
            raise RuntimeError("Panda3D's software renderer gave no offscreen buffer; reinstall panda3d from its wheel")
        self._texture = core.Texture()
        self.buffer.add_render_texture(self._texture, core.GraphicsOutput.RTM_copy_ram)
        self.buffer.set_clear_color((0, 0, 0, 0))
        self.root = core.NodePath("root")
        camera = core.Camera("camera", lens)
        self.camera = core.NodePath(camera)
        self.buffer.make_display_region().set_camera(self.camera)
        camera.set_scene(self.root)

    def clear(self) -> None:
        """Takes everything out of the scene graph."""
        self.root.get_children().detach()

    def pixels(self) -> UInt8[np.ndarray, "height width 4"]:
        """The last frame as the renderer keeps it: blue, green, red, alpha; the first row is the bottom."""
        height, width = self._size
        return np.frombuffer(self._texture.get_ram_image(), np.uint8).reshape(height, width, 4)


@cache
def _pipe() -> core.GraphicsPipe:
    if sys.platform == "linux":
        _load_without_x11()
    selection = core.GraphicsPipeSelection.get_global_ptr()
    for i in range(selection.get_num_pipe_types()):  # counting them loads the renderer where that is still due
        if selection.get_pipe_type(i).get_name() == "TinyOffscreenGraphicsPipe":
            return selection.make_pipe(selection.get_pipe_type(i))
    raise RuntimeError("Panda3D's software renderer (p3tinydisplay) is missing; reinstall panda3d from its wheel")


def _load_without_x11() -> None:
    """Loads the renderer also where the system has no libX11, as in slim images.

    The renderer's library names libX11 for its windows, but offscreen it calls nothing of it. Where libX11 is absent, the dynamic
    linker is given a stand-in of that name (a copy of a small library that Panda3D's wheel brings along), and symbols are bound
    when they are first called: never.
    """
    folder = Path(panda3d.__file__).parent
    try:
        ctypes.CDLL("libX11.so.6")
    except OSError:
        with NamedTemporaryFile(suffix=".so") as stand_in:
            stand_in.write((folder / "libXau.so.6").read_bytes().replace(b"libXau.so.6", b"libX11.so.6"))
            stand_in.flush()
            ctypes.CDLL(stand_in.name)
    ctypes.CDLL(str(folder / "libp3tinydisplay.so"), mode=os.RTLD_LAZY | os.RTLD_GLOBAL)


class _Moving:
    """Nodes of things that move.

    Args:
        things: what moves.
        relief: the ground that they follow.
    """

    def __init__(self, things: Sequence[Placed], relief: Relief) -> None:
        self._things = things
        self._nodes: list[tuple[core.NodePath, core.NodePath]] = []
        self._starts = np.array([(placed.x, placed.y, placed.z) for placed in things]).reshape(-1, 3)
        self._velocities = np.array([(*placed.velocity, 0.0) for placed in things]).reshape(-1, 3)
        self._relief = relief

    def hung(self, image_root: core.NodePath, id_root: core.NodePath) -> list[tuple[core.NodePath, core.NodePath]]:
        """For each, two new nodes below the roots, whose coordinates are the world's at time 0."""
        inner = []
        for placed in self._things:
            outer = (image_root.attach_new_node("mover"), id_root.attach_new_node("mover"))
            image, ids = (node.attach_new_node("start") for node in outer)
            for node in (image, ids):
                node.set_pos(-placed.x, -placed.y, -placed.z)
            _contact_shadows([placed], FLAT).reparent_to(image)
            self._nodes.append(outer)
            inner.append((image, ids))
        return inner

    def go(self, time: float) -> None:
        """Puts all where they are at that time, in seconds."""
        places = self._starts + time * self._velocities
        along = places[:, 1]
        places[:, 2] += self._relief.at(along) - self._relief.at(self._starts[:, 1])
        pitches = np.degrees(np.arctan(self._relief.slope(along)))
        for nodes, place, pitch in zip(self._nodes, places.tolist(), pitches.tolist(), strict=True):
            for node in nodes:
                node.set_pos_hpr(*place, 0.0, pitch, 0.0)


class _Numbers:
    """Numbers objects 1, 2, ... for the id pass; 0 is the sky."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, int, int], int] = {}

    def of(self, owner: int, part: Part) -> int:
        """The number of the thing (or, for stuff, of the class) that ``part`` belongs to."""
        key = (part.label_id, owner, part.instance) if _IS_FOREGROUND[part.label_id] else (part.label_id, 0, 0)
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def labels(self) -> UInt8[np.ndarray, "n"]:
        """The label id of each number."""
        return np.array([_SKY_ID, *(label for label, _, _ in self._numbers)], np.uint8)


class _Textures:
    """Panda3D's textures of the materials, made when first needed."""

    def __init__(self, materials: Mapping[str, Material]) -> None:
        self.materials = materials
        self._made: dict[str, core.Texture] = {}

    def tile(self, name: str) -> float:
        """Texture units that one copy covers."""
        return self._material(name).tile

    def of(self, name: str) -> core.Texture:
        """The texture of material ``name``."""
        if name not in self._made:
            self._made[name] = _texture(self._material(name).pixels)
        return self._made[name]

    def is_cut_out(self, name: str) -> bool:
        """Whether the material has holes."""
        return bool(name) and self._material(name).is_cut_out

    def shines(self, name: str) -> bool:
        """Whether the material sends out light."""
        return bool(name) and self._material(name).shines

    def _material(self, name: str) -> Material:
        try:
            return self.materials[name]
        except KeyError:
            raise ValueError(f"no material {name!r}; there are {', '.join(sorted(self.materials))}") from None


_IMAGE_COLUMNS: Final = np.dtype([("vertex", "<f4", 3), ("colour", "u1", 4), ("texel", "<f4", 2)])
_GROUND_COLUMNS: Final = np.dtype([("vertex", "<f4", 3), ("colour", "u1", 4), ("texel", "<f4", 2), ("shadow", "<f4", 2)])
_ID_COLUMNS: Final = np.dtype([("vertex", "<f4", 3), ("colour", "u1", 4)])


class _Box(NamedTuple):
    """Where all cameras are."""

    centre: Float32[np.ndarray, "3"]
    half: Float32[np.ndarray, "3"]

    @classmethod
    def around(cls, views: Sequence[View]) -> "_Box":
        """The smallest box, and a little more, for the rasteriser's rounding may turn what is seen edge-on."""
        places = np.array([view[:3] for view in views], np.float32)
        low, high = places.min(axis=0), places.max(axis=0)
        return cls((low + high) / 2, (high - low) / 2 + np.float32(0.2))

    def sees(self, vertices: Float32[np.ndarray, "n 3"], triangles: Int32[np.ndarray, "m 3"]) -> Bool[np.ndarray, "m"]:
        """Which triangles face some point of the box."""
        first = vertices[triangles[:, 0]]
        normals = cross(vertices[triangles[:, 1]] - first, vertices[triangles[:, 2]] - first)
        nearest = np.einsum("ij,ij->i", normals, self.centre - first) + np.abs(normals) @ self.half
        return np.asarray(nearest > 0.0)


_PASSES: Final[tuple[Visibility, ...]] = ("label", "both", "image")  # in this order, what each pass draws lies together
_LABEL_ONLY, _IMAGE_ONLY = 0, 2
_MOVER, _PASS = 0, 3  # places in the key of a piece


class _Piece(NamedTuple):
    """Triangles in world coordinates.

    The key: number of what moves (0: nothing), square of the ground (two numbers), place in _PASSES, number of the material.
    """

    key: tuple[int, int, int, int, int]
    mesh: Mesh
    number: int


class _Batches:
    """Geometry grouped by place and material, so that few draw calls are left.

    Args:
        textures: of the materials.
        light: that falls on it.
        cameras: what faces away from them all is left out.
        ground: whether it receives shadows.
    """

    def __init__(self, textures: _Textures, light: Light, cameras: _Box | None = None, *, ground: bool = False) -> None:
        self._textures = textures
        self._light = light
        self._cameras = cameras
        self._ground = ground
        self._materials: dict[str, int] = {}
        self._pieces: list[_Piece] = []

    def add(self, part: Part, number: int, mover: int = 0) -> None:
        """Adds triangles in world coordinates, of thing ``number``; ``mover`` counts from 1 what moves."""
        x, y = (0, 0) if mover else (part.mesh.vertices[0, :2] // _CHUNK).astype(int).tolist()
        material = self._materials.setdefault(part.mesh.texture, len(self._materials))
        self._pieces.append(_Piece((mover, x, y, _PASSES.index(part.visibility), material), part.mesh, number))

    def casters(self) -> list[Mesh]:
        """All that the image shows and that stands still, but for what has holes."""
        return [
            piece.mesh
            for piece in self._pieces
            if not piece.key[_MOVER] and piece.key[_PASS] != _LABEL_ONLY and not self._textures.is_cut_out(piece.mesh.texture)
        ]

    def attach(self, roots: Sequence[tuple[core.NodePath, core.NodePath]], shadows: core.Texture | None = None) -> None:
        """Hangs the geometry under nodes for image and ids: the first two hold what stands still, the others what moves."""
        if not self._pieces:
            return
        pieces = sorted(self._pieces, key=lambda piece: piece.key)
        keys = np.array([piece.key for piece in pieces])
        mesh = joined([piece.mesh for piece in pieces])
        owners = np.repeat(np.arange(len(pieces)), [len(piece.mesh.vertices) for piece in pieces])
        if self._cameras:
            kept = self._cameras.sees(mesh.vertices, mesh.triangles)
            kept[np.searchsorted(owners[mesh.triangles[:, 0]], np.searchsorted(keys[:, _MOVER], 1)) :] = True
            used, triangles = compact(mesh.triangles[kept], len(owners))
            mesh, owners = mesh.only(used, triangles), owners[used]
        ends = np.searchsorted(owners[mesh.triangles[:, 0]], np.arange(len(pieces) + 1)).tolist()
        ids = _vertex_data(_id_rows(mesh.vertices, np.array([piece.number for piece in pieces], np.uint32)[owners]))
        for start, stop in _runs(keys[:, :_PASS]):
            labelled = start + int(np.searchsorted(keys[start:stop, _PASS], _IMAGE_ONLY))
            if ends[start] < ends[labelled]:
                self._hang(roots[keys[start, _MOVER]][1], _geom_node(ids, mesh.triangles[ends[start] : ends[labelled]]))
        image = _vertex_data(self._image_rows(mesh, pieces, keys, owners))
        for start, stop in _runs(keys):
            if keys[start, _PASS] == _LABEL_ONLY or ends[start] == ends[stop]:
                continue
            node = self._hang(roots[keys[start, _MOVER]][0], _geom_node(image, mesh.triangles[ends[start] : ends[stop]]))
            texture = pieces[start].mesh.texture
            if texture:
                node.set_texture(core.TextureStage.get_default(), self._textures.of(texture))
            if self._textures.is_cut_out(texture):
                node.set_transparency(core.TransparencyAttrib.M_binary)
            if shadows is not None:
                node.set_texture(_shadow_stage(), shadows)

    def _hang(self, root: core.NodePath, geometry: core.GeomNode) -> core.NodePath:
        node = root.attach_new_node(geometry)
        if self._ground:
            node.set_bin(_GROUND_BIN, 0)
        return node

    def _image_rows(
        self, mesh: Mesh, pieces: Sequence[_Piece], keys: Int[np.ndarray, "p 5"], owners: Int[np.ndarray, "n"]
    ) -> np.ndarray:
        rows = np.empty(len(owners), _GROUND_COLUMNS if self._ground else _IMAGE_COLUMNS)
        rows["vertex"] = mesh.vertices
        names = [piece.mesh.texture for piece in pieces]
        tiles = np.array([self._textures.tile(name) if name else 1.0 for name in names], np.float32)
        rows["texel"] = mesh.texture_coordinates / tiles[owners, None]
        irradiance = self._light.on(mesh.normals)
        if self._light.lamps and self._ground:
            irradiance += _brightest(self._light)
        elif self._light.lamps:
            for run in _runs(keys[:, :_PASS]):
                near = slice(*np.searchsorted(owners, run))
                irradiance[near] += self._light.from_lamps(mesh.vertices[near], mesh.normals[near])
        irradiance[np.array([self._textures.shines(name) for name in names])[owners]] = 1.0
        rows["colour"] = _shaded(mesh.colours, irradiance)
        if self._ground:
            rows["shadow"] = (mesh.vertices[:, :2] - _LIGHT_MAP_ORIGIN) / _LIGHT_MAP_METRES
        return rows


def _runs(keys: Int[np.ndarray, "n k"]) -> list[tuple[int, int]]:
    """Where equal rows lie together: from where to where."""
    cuts = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    return list(pairwise((0, *cuts.tolist(), len(keys))))


def _id_rows(vertices: Float32[np.ndarray, "n 3"], numbers: UInt32[np.ndarray, "n"]) -> np.ndarray:
    rows = np.empty(len(vertices), _ID_COLUMNS)
    rows["vertex"] = vertices
    rows["colour"] = (numbers << 8 | 255).astype(">u4").view(np.uint8).reshape(-1, 4)
    return rows


def _shaded(albedo: Float32[np.ndarray, "n 3"], irradiance: Float32[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 4"]:
    linear = albedo * irradiance
    colour = np.empty((len(linear), 4), np.uint8)
    exposed = 1.0 - np.exp(-_FILM_SPEED * linear)  # a film's response: dark things gain, bright things never clip
    colour[:, :3] = 255.0 * np.sqrt(exposed) + 0.5  # display gamma of 2
    colour[:, 3] = 255
    return colour


@cache
def _shadow_stage() -> core.TextureStage:
    stage = core.TextureStage("shadow")
    stage.set_texcoord_name("shadow")
    stage.set_sort(1)
    return stage


@cache
def _vertex_format(names: tuple[str, ...]) -> core.GeomVertexFormat:
    columns = core.GeomVertexArrayFormat()
    for name in names:
        if name == "vertex":
            columns.add_column(core.InternalName.get_vertex(), 3, core.Geom.NT_float32, core.Geom.C_point)
        elif name == "colour":
            columns.add_column(core.InternalName.get_color(), 4, core.Geom.NT_uint8, core.Geom.C_color)
        else:
            column = core.InternalName.get_texcoord() if name == "texel" else core.InternalName.get_texcoord_name(name)
            columns.add_column(column, 2, core.Geom.NT_float32, core.Geom.C_texcoord)
    layout = core.GeomVertexFormat()
    layout.add_array(columns)
    return core.GeomVertexFormat.register_format(layout)


def _vertex_data(rows: np.ndarray) -> core.GeomVertexData:
    data = core.GeomVertexData("rows", _vertex_format(rows.dtype.names), core.Geom.UH_static)
    data.unclean_set_num_rows(len(rows))
    memoryview(data.modify_array(0)).cast("B")[:] = rows.view(np.uint8).data
    return data


def _geom_node(data: core.GeomVertexData, triangles: Int32[np.ndarray, "m 3"]) -> core.GeomNode:
    primitive = core.GeomTriangles(core.Geom.UH_static)
    primitive.set_index_type(core.Geom.NT_uint32)
    indices = primitive.modify_vertices()
    indices.unclean_set_num_rows(triangles.size)
    memoryview(indices).cast("B")[:] = np.ascontiguousarray(triangles).reshape(-1).view(np.uint8).data
    geom = core.Geom(data)
    geom.add_primitive(primitive)
    node = core.GeomNode("batch")
    node.add_geom(geom)
    return node


def _texture(pixels: UInt8[np.ndarray, "h w channels"], mipmaps: bool = True) -> core.Texture:
    """A texture that repeats: where one does not, the rasteriser takes a slow path.

    So does the light map beyond its edges, where the ground is far off and hardly seen, and the sky's panorama is never asked
    for what lies beyond it.
    """
    texture = core.Texture()
    height, width, channels = pixels.shape
    layout, order = (core.Texture.F_rgba, [2, 1, 0, 3]) if channels == 4 else (core.Texture.F_rgb, [2, 1, 0])
    texture.setup_2d_texture(width, height, core.Texture.T_unsigned_byte, layout)
    texture.set_ram_image(np.ascontiguousarray(pixels[::-1, :, order]))
    texture.set_wrap_u(core.SamplerState.WM_repeat)
    texture.set_wrap_v(core.SamplerState.WM_repeat)
    smallest = core.SamplerState.FT_linear_mipmap_linear if mipmaps else core.SamplerState.FT_linear
    texture.set_minfilter(smallest)
    texture.set_magfilter(core.SamplerState.FT_linear)
    return texture


def _sky_dome(panorama: UInt8[np.ndarray, "h w 3"]) -> core.NodePath:
    around, rows = 33, 13
    azimuth, elevation = np.meshgrid(
        np.linspace(0.0, 2.0 * np.pi, around), np.radians(np.linspace(-10.0, 90.0, rows)), indexing="xy"
    )
    data = np.zeros(around * rows, _IMAGE_COLUMNS)
    flat = np.cos(elevation)
    corners = np.stack((flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation)), axis=-1)
    data["vertex"] = _SKY_RADIUS * corners.reshape(-1, 3)
    data["colour"] = 255
    data["texel"] = np.stack(
        np.meshgrid(np.linspace(0.0, 1.0, around), np.linspace(0.0, 1.0, rows), indexing="xy"), axis=-1
    ).reshape(-1, 2)
    first = (np.arange(rows - 1)[:, None] * around + np.arange(around - 1)).reshape(-1, 1)
    triangles = (first + np.array([0, 1, around + 1, 0, around + 1, around])).reshape(-1, 3)
    node = core.NodePath(_geom_node(_vertex_data(data), triangles.astype(np.int32)))
    node.set_texture(_texture(panorama, mipmaps=False))
    node.set_two_sided(True)
    node.set_bin("fixed", 0)  # after all that may hide it
    return node


@cache
def _blob() -> core.Texture:
    size = 32
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    edge = np.clip(1.0 - np.abs(x) ** 4, 0.0, 1.0) * np.clip(1.0 - np.abs(y) ** 4, 0.0, 1.0)
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[..., 3] = 150.0 * edge
    texture = core.Texture()
    texture.setup_2d_texture(size, size, core.Texture.T_unsigned_byte, core.Texture.F_rgba)
    texture.set_ram_image(pixels)
    return texture


def _contact_shadows(placed: Sequence[Placed], relief: Relief) -> core.NodePath:
    """A soft dark patch under each object, turned as it is."""
    rows = np.zeros((len(placed), 4), _IMAGE_COLUMNS)
    rows["texel"] = ((0, 0), (1, 0), (1, 1), (0, 1))
    rows["colour"] = 255
    for patch, (thing, x, y, yaw, z, _, _) in zip(rows["vertex"], placed, strict=True):
        size = [max(1.25 * side, side + 0.25) for side in thing.footprint]
        c, s = np.cos(yaw), np.sin(yaw)
        patch[:, :2] = (rows["texel"][0] - 0.5) * size @ np.array(((c, s), (-s, c))) + (x, y)
        patch[:, 2] = z + relief.at(patch[:, 1]) - relief.at(y) + 0.025
    first = 4 * np.arange(len(placed), dtype=np.int32)[:, None, None]
    triangles = (first + np.array(((0, 1, 2), (0, 2, 3)), np.int32)).reshape(-1, 3)
    node = core.NodePath(_geom_node(_vertex_data(rows.reshape(-1)), triangles))
    node.set_texture(_blob())
    node.set_transparency(core.TransparencyAttrib.M_alpha)
    return node


def _darkens(placed: Placed) -> bool:
    """Whether an object is large enough to darken the ground that it stands on."""
    return min(placed.thing.footprint) > 0.8


# --- Light map of the ground -------------------------------------------------------------------------------------------

_LIGHT_MAP_SIZE: Final = (1024, 256)  # rows along y, columns along x
_LIGHT_MAP_ORIGIN: Final = np.array((-32.0, -20.0), np.float32)
_LIGHT_MAP_METRES: Final = np.array((64.0, 256.0), np.float32)
_LIGHT_MAP_SCALE: Final = np.array(_LIGHT_MAP_SIZE[::-1], np.float32) / _LIGHT_MAP_METRES
_LAMP_REACH: Final = 30.0  # metres


@cache
def _shadow_pass() -> _Pass:
    lens = core.OrthographicLens()
    lens.set_film_size(*_LIGHT_MAP_METRES.tolist())
    lens.set_near_far(1.0, 1000.0)
    shadow = _Pass(*_LIGHT_MAP_SIZE, lens)
    shadow.root.set_attrib(core.ShadeModelAttrib.make(core.ShadeModelAttrib.M_flat))
    shadow.root.set_depth_test(False)
    shadow.root.set_depth_write(False)
    shadow.root.set_two_sided(True)
    x, y = (_LIGHT_MAP_ORIGIN + _LIGHT_MAP_METRES / 2).tolist()
    shadow.camera.set_pos_hpr(x, y, 500.0, 0.0, -90.0, 0.0)
    shadow.buffer.set_active(False)
    return shadow


def _touched(still: Sequence[Placed]) -> Float32[np.ndarray, "rows columns"]:
    """What is left of the light where things stand: large ones darken the ground around them; rows along +y."""
    contact = np.ones(_LIGHT_MAP_SIZE, np.float32)
    for placed in still:
        if _darkens(placed):
            corners = (_footprint(placed) - _LIGHT_MAP_ORIGIN) * _LIGHT_MAP_SCALE
            cv2.fillConvexPoly(contact, np.round(corners * 16).astype(np.int32), 0.45, cv2.LINE_AA, 4)
    sigma = (0.35 * _LIGHT_MAP_SCALE).tolist()
    return np.asarray(cv2.GaussianBlur(contact, (0, 0), sigmaX=sigma[0], sigmaY=sigma[1]))


def _brightest(light: Light) -> Float32[np.ndarray, "3"]:
    """The irradiance from lamps that the light map calls 1."""
    colours = np.array([lamp.colour for lamp in light.lamps], np.float32)
    return np.asarray(1.25 * colours.max(axis=0))


def _lamp_map(light: Light, still: Sequence[Placed]) -> core.Texture:
    """How bright the ground is by night, in [0, 1] of what :func:`_brightest` and the sky give: pools of light under lamps."""
    total = np.zeros((*_LIGHT_MAP_SIZE, 3), np.float32)
    reach = np.ceil(_LAMP_REACH * _LIGHT_MAP_SCALE).astype(int)
    for lamp in light.lamps:
        column, row = np.round((np.array((lamp.x, lamp.y)) - _LIGHT_MAP_ORIGIN) * _LIGHT_MAP_SCALE).astype(int)
        rows = slice(max(0, row - reach[1]), max(0, row + reach[1]))
        columns = slice(max(0, column - reach[0]), max(0, column + reach[0]))
        window = total[rows, columns]
        y, x = np.ogrid[rows.start : rows.start + window.shape[0], columns.start : columns.start + window.shape[1]]
        square = ((x - column) / _LIGHT_MAP_SCALE[0]) ** 2 + ((y - row) / _LIGHT_MAP_SCALE[1]) ** 2
        fall = np.float32(lamp.height**2) / (square.astype(np.float32) + np.float32(lamp.height**2))
        window += (fall * np.sqrt(fall))[..., None] * np.asarray(lamp.colour, np.float32)
    dark = light.on(np.array(((0.0, 0.0, 1.0),), np.float32))[0]
    levels = 255.0 * np.sqrt(np.minimum((total + dark) / (_brightest(light) + dark), 1.0) * _touched(still)[..., None])
    return _texture(levels[::-1].astype(np.uint8))


def _light_map(light: Light, casters: Sequence[Mesh], still: Sequence[Placed], relief: Relief) -> core.Texture:
    """How bright the ground is, in [0, 1] of a surface in full sun.

    Args:
        light: the light.
        casters: what throws shadows.
        still: what stands still darkens the ground that it stands on.
        relief: the ground.
    """
    touch = (255.0 * np.sqrt(_touched(still))).astype(np.uint8)
    pixels = np.asarray(cv2.merge((touch, touch, touch)))
    if casters:
        blur = np.maximum(light.softness * _LIGHT_MAP_SCALE, 0.3).tolist()
        dark = np.asarray(cv2.GaussianBlur(_thrown(light, casters, relief), (0, 0), sigmaX=blur[0], sigmaY=blur[1]))
        full = light.on(np.array(((0.0, 0.0, 1.0),), np.float32))[0]
        lost = (
            light.direction[2] * np.asarray(light.sun, np.float32) / full * np.linspace(0.0, 1.0, 256, dtype=np.float32)[:, None]
        )
        levels = (255.0 * np.sqrt(np.clip(1.0 - lost, 0.0, 1.0))).astype(np.uint8)  # by the darkness of the shadow
        pixels = np.asarray(cv2.multiply(pixels, cv2.LUT(cv2.merge((dark, dark, dark)), levels[None]), scale=1.0 / 255.0))
    return _texture(pixels[::-1])


def _thrown(light: Light, casters: Sequence[Mesh], relief: Relief) -> UInt8[np.ndarray, "rows columns"]:
    """The shadows on the ground: 255 in them, 0 elsewhere."""
    shadow = _shadow_pass()
    shadow.clear()
    x, y, z = light.direction
    shear = np.array(((1.0, 0.0, -x / z), (0.0, 1.0, -y / z), (0.0, 0.0, 0.01)), np.float32)
    mesh = joined(casters)
    mesh.vertices[:, 2] -= relief.at(mesh.vertices[:, 1])
    rows = _id_rows(mesh.vertices @ shear.T, np.full(len(mesh.vertices), 0xFFFFFF, np.uint32))
    shadow.root.attach_new_node(_geom_node(_vertex_data(rows), mesh.triangles))
    shadow.buffer.set_active(True)
    core.GraphicsEngine.get_global_ptr().render_frame()
    shadow.buffer.set_active(False)
    shadow.clear()
    return np.ascontiguousarray(shadow.pixels()[..., 0])


def _footprint(placed: Placed) -> Float32[np.ndarray, "4 2"]:
    width, length = placed.thing.footprint
    c, s = np.cos(placed.yaw), np.sin(placed.yaw)
    corners = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1)), np.float32) * (width / 2, length / 2)
    return (corners @ np.array(((c, s), (-s, c))) + (placed.x, placed.y)).astype(np.float32)


def footprints_overlap(a: Placed, b: Placed, gap: float = 0.0) -> bool:
    """Whether two footprints, grown by ``gap`` metres in all, overlap (separating axis theorem)."""
    first, second = _footprint(a), _footprint(b)
    for yaw in (a.yaw, b.yaw):
        axes = np.array(((np.cos(yaw), np.sin(yaw)), (-np.sin(yaw), np.cos(yaw))))
        p, q = first @ axes.T, second @ axes.T
        if ((p.max(0) + gap < q.min(0)) | (q.max(0) + gap < p.min(0))).any():
            return False
    return True
