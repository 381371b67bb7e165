"""Sample media of the demo, made by code: frames, a movie, sound, a document, a 64 MiB plate."""

import io
import math
import random
import struct
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

SIZE = (960, 540)
FPS = 24


@dataclass(frozen=True, slots=True)
class Sample:
    """One file: its name, its content type and its bytes."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one invented shot, from the zenith down to the nearest hill."""

    zenith: str
    horizon: str
    sun: str
    far: str
    near: str


SHOTS = {
    "aurora_010_0040": Palette("#0d1b3f", "#e98a5b", "#ffe2b0", "#5d4a72", "#120f22"),
    "aurora_010_0050": Palette("#2b6ea8", "#f6dfb8", "#fff6dc", "#86a6b4", "#1d3a3c"),
    "harbor_020_0110": Palette("#070b1d", "#31506f", "#dfe9ff", "#23364f", "#05080f"),
    "harbor_020_0120": Palette("#3b1d4a", "#f26d5b", "#ffd9a0", "#7d3a5c", "#1b0d20"),
    "canyon_030_0010": Palette("#7fb6d9", "#f3d3a4", "#fffbe6", "#cf8f63", "#5a2c1c"),
    "canyon_030_0020": Palette("#1a2a33", "#8fb3a8", "#eefbe9", "#4c6f6a", "#0d1a1b"),
}


def samples() -> Iterator[Sample]:
    """Make the sample media, about twenty files; the largest, a DPX plate of 64 MiB, first."""
    yield Sample("canyon_030_0010_plate_v001.dpx", "image/x-dpx", _dpx(4096, 4096))
    yield Sample("aurora_score_temp_mix.wav", "audio/wav", _wav(8.0, (220.0, 277.2, 329.6)))
    yield Sample("harbor_ambience_loop.wav", "audio/wav", _wav(4.0, (98.0, 146.8)))
    yield Sample("shot_breakdown.pdf", "application/pdf", _pdf(list(SHOTS)))
    yield Sample("edit_notes.html", "text/html", _notes())
    yield Sample("camera_report.csv", "text/csv", _camera_report())
    for number, (shot, palette) in enumerate(SHOTS.items()):
        world = panorama(palette, seed=number)
        for frame in (1001, 1045):
            picture = _burn_in(_frame(world, frame - 1001, 96), f"{shot}  comp v003  f{frame}")
            yield Sample(f"{shot}_comp_v003.{frame}.png", "image/png", _encoded(picture, "PNG"))
        if number < 3:
            picture = _burn_in(_frame(world, 70, 96), f"{shot}  slapcomp")
            yield Sample(f"{shot}_slapcomp.jpg", "image/jpeg", _encoded(picture, "JPEG"))
        if number in (1, 3):
            yield Sample(f"{shot}_review_v003.mp4", "video/mp4", _movie(world, shot, 96))
    picture = _burn_in(_frame(world, 40, 96), "Schlussfassung")
    yield Sample("Schlußfassung – 最終版 (grün).png", "image/png", _encoded(picture, "PNG"))


# --- Pictures -------------------------------------------------------------------------------------


@lru_cache
def panorama(palette: Palette, seed: int) -> Image.Image:
    """Return a landscape one and a half frames wide, for the camera to pan over."""
    chance = random.Random(seed)  # noqa: S311
    width, height = SIZE[0] * 3 // 2, SIZE[1]
    sky = Image.linear_gradient("L").resize((width, height))
    world = Image.composite(
        Image.new("RGB", (width, height), palette.horizon),
        Image.new("RGB", (width, height), palette.zenith),
        sky.point(lambda level: min(255, level * 3 // 2)),
    )
    centre = (chance.randint(width // 3, width * 2 // 3), chance.randint(170, 260))
    glow = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(glow)
    for radius, strength in ((150, 0.25), (90, 0.4), (42, 1.0)):
        colour = tuple(int(int(palette.sun[i : i + 2], 16) * strength) for i in (1, 3, 5))
        box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
        draw.ellipse(box, fill=colour)
        glow = glow.filter(ImageFilter.GaussianBlur(radius / 4))
        draw = ImageDraw.Draw(glow)
    world = ImageChops.screen(world, glow)
    draw = ImageDraw.Draw(world)
    layers = 5
    for layer in range(layers):
        share = layer / (layers - 1)
        base = height * (0.52 + 0.36 * share)
        ridge = _ridge(chance, width, base, height * (0.10 + 0.05 * share))
        draw.polygon([(0, height), *ridge, (width, height)], fill=_mix(palette, share))
    grain = Image.effect_noise((width, height), 18).convert("RGB")
    return Image.blend(world, ImageChops.overlay(world, grain), 0.35)


def _mix(palette: Palette, share: float) -> tuple[int, int, int]:
    far, near = (
        [int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (palette.far, palette.near)
    )
    return tuple(round(a + (b - a) * share) for a, b in zip(far, near, strict=True))


def _ridge(
    chance: random.Random, width: int, base: float, swing: float
) -> list[tuple[float, float]]:
    waves = [
        (chance.uniform(1.5, 3) * 2**octave, chance.uniform(0, math.tau), swing / 1.7**octave)
        for octave in range(6)
    ]
    return [
        (x, base + sum(a * math.sin(f * math.tau * x / width + p) for f, p, a in waves) / 2)
        for x in range(0, width + 6, 6)
    ]


def _frame(world: Image.Image, number: int, count: int) -> Image.Image:
    left = round((world.width - SIZE[0]) * number / count)
    return world.crop((left, 0, left + SIZE[0], SIZE[1]))


def _burn_in(picture: Image.Image, text: str) -> Image.Image:
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, SIZE[0], 34], fill="black")
    draw.rectangle([0, SIZE[1] - 34, SIZE[0], SIZE[1]], fill="black")
    draw.text((16, SIZE[1] - 28), text, fill="#c9ced6", font=ImageFont.load_default(18))
    return picture


def _encoded(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, quality=90)
    return file.getvalue()


def _dpx(width: int, height: int) -> bytes:
    """Return a 10-bit RGB DPX (SMPTE 268M): 4 bytes a pixel, so 4096 x 4096 are 64 MiB."""
    offset = 2048
    header = bytearray(offset)
    size = offset + width * height * 4
    struct.pack_into(">4sI8sII", header, 0, b"SDPX", offset, b"V2.0", size, 1)
    struct.pack_into(">HHII", header, 768, 0, 1, width, height)
    struct.pack_into(">I", header, 780, 0)
    # The one image element: RGB, linear, 10 bits, filled to 32-bit words.
    struct.pack_into(">BBBBHHI", header, 800, 50, 2, 2, 10, 1, 0, offset)
    rows = []
    for y in range(height):
        level = 64 + 800 * y // height
        rows.append(struct.pack(">I", level << 22 | (level * 3 // 4) << 12 | level // 2 << 2))
    return bytes(header) + b"".join(pixel * width for pixel in rows)


# --- Sound, movie, documents ----------------------------------------------------------------------


def _wav(seconds: float, notes: tuple[float, ...], rate: int = 22_050) -> bytes:
    file = io.BytesIO()
    count = int(seconds * rate)
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        frames = bytearray()
        for i in range(count):
            fade = math.sin(math.pi * i / count)
            level = sum(math.sin(math.tau * note * i / rate) for note in notes) / len(notes)
            frames += struct.pack("<h", int(12_000 * fade * level))
        sound.writeframes(bytes(frames))
    return file.getvalue()


def _movie(world: Image.Image, shot: str, frames: int) -> bytes:
    """Return an H.264 MP4 that browsers play and seek in (its index stands at the front)."""
    # A real file, since FFmpeg opens it a second time to move the index to the front.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.mp4"
        _encode(path, world, shot, frames)
        return path.read_bytes()


def _encode(path: Path, world: Image.Image, shot: str, frames: int) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as movie:
        stream = movie.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "veryfast"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.gop_size = FPS
        stream.codec_context.time_base = Fraction(1, FPS)
        for number in range(frames):
            picture = _burn_in(_frame(world, number, frames), f"{shot}  f{1001 + number}")
            for packet in stream.encode(av.VideoFrame.from_image(picture)):
                movie.mux(packet)
        for packet in stream.encode(None):
            movie.mux(packet)


def _pdf(shots: list[str]) -> bytes:
    page = Image.new("RGB", (1240, 1754), "white")
    draw = ImageDraw.Draw(page)
    draw.text((100, 100), "Shot breakdown", fill="black", font=ImageFont.load_default(60))
    for row, shot in enumerate(shots):
        top = 240 + row * 210
        thumbnail = _frame(panorama(SHOTS[shot], seed=row), 30, 96).resize((320, 180))
        page.paste(thumbnail, (100, top))
        draw.text((450, top + 20), shot, fill="black", font=ImageFont.load_default(34))
        draw.text(
            (450, top + 80),
            f"{96 + 24 * row} frames, 24 fps",
            fill="#555",
            font=ImageFont.load_default(26),
        )
    file = io.BytesIO()
    page.save(file, "PDF", resolution=150)
    return file.getvalue()


def _notes() -> bytes:
    rows = "".join(f"<tr><td>{shot}<td>approved with notes" for shot in SHOTS)
    return (
        f"<!doctype html><title>Edit notes</title><h1>Edit notes</h1><table>{rows}</table>\n"
    ).encode()


def _camera_report() -> bytes:
    rows = [f"{shot},A{number:03},32mm,T2.8" for number, shot in enumerate(SHOTS, 1)]
    return "\n".join(["shot,roll,lens,stop", *rows, ""]).encode()
