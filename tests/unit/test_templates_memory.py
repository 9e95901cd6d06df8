"""Small files of many pixels, and many at once: what a process spends on them is bounded."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from PIL import GifImagePlugin, Image

from cgcore.documents import DocumentType
from cgcore.templates.budget import COMPILING, DECODING, MemoryBudget
from cgcore.templates.compile import TemplateSource
from cgcore.templates.images import ImageFault, OpenedImage, open_image, prepare
from cgcore.templates.render import render

ROOT = Path(__file__).parents[2]
MEGABYTE = 2**20


def _file(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _palette(side: int) -> Image.Image:
    image = Image.new("P", (side, side), 1)
    image.putpalette([0, 0, 0, 200, 30, 30])
    image.info["transparency"] = 0
    return image


# What decodes to the most for its size, each below the limit of its kind; and the share of a budget that it holds.
HEAVY_ONES = {
    "palette": lambda: _file(_palette(4400), "PNG", transparency=0),
    "colour": lambda: _file(Image.new("RGBA", (4400, 4400), (9, 9, 9, 128)), "PNG"),
    "grey16": lambda: _file(Image.new("I;16", (4400, 4400), 0x4000), "PNG"),
    "gif": lambda: _file(_palette(4400), "GIF"),
    "webp": lambda: _file(Image.new("RGB", (2800, 2800), "navy"), "WEBP", lossless=True),
    "progressive": lambda: _file(Image.new("RGB", (3900, 3900), "navy"), "JPEG", progressive=True),
    "tall": lambda: _file(Image.new("RGB", (200, 90_000), "navy"), "PNG"),
}

_EIGHT_AT_ONCE = """
import re, sys, threading
from pathlib import Path
from cgcore.templates.images import ImageFault, PreparedImage, open_image, prepare

def peak():
    # Of this program alone: what getrusage tells is inherited.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

data = Path(sys.argv[1]).read_bytes()
files = [data + bytes([n]) for n in range(8)]  # what follows the end is read by nobody, and no cache knows them
prepare(Path(sys.argv[2]).read_bytes(), 10, 10)  # the codecs are loaded
before, made = peak(), []
threads = [threading.Thread(target=lambda f=f: made.append(prepare(f, 600, 600))) for f in files]
[t.start() for t in threads]; [t.join() for t in threads]
print(peak() - before, sum(isinstance(part, PreparedImage) for part in made))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux only")
@pytest.mark.parametrize("name", HEAVY_ONES)
def test_eight_heavy_pictures_at_once_take_the_memory_of_the_budget(tmp_path: Path, name: str) -> None:
    """All eight are made, one after the other where they are large."""
    (tmp_path / "heavy").write_bytes(HEAVY_ONES[name]())
    (tmp_path / "light").write_bytes(_file(Image.new("RGB", (20, 20)), "PNG"))
    command = [sys.executable, "-c", _EIGHT_AT_ONCE, str(tmp_path / "heavy"), str(tmp_path / "light")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    megabytes, made = map(int, done.stdout.split())

    assert made == 8
    # What is decoded keeps to the budget; the rest is what is written, and what the C library does not give back.
    assert megabytes <= 3 * DECODING.total // MEGABYTE


@pytest.mark.parametrize(
    ("form", "size", "options"),
    [
        ("PNG", (5000, 4100), {}),
        ("GIF", (5000, 4100), {}),
        ("BMP", (5000, 4100), {}),
        ("WEBP", (3000, 3000), {"lossless": True}),
        ("JPEG", (4200, 4200), {"progressive": True}),
    ],
)
def test_a_picture_beyond_its_kinds_limit_is_known_by_its_header(
    form: str, size: tuple[int, int], options: dict[str, object]
) -> None:
    """What cannot be decoded scaled has the lower limit; a photo of the same size is welcome."""
    photo = _file(Image.new("L", (5000, 4100)), "JPEG")

    assert open_image(_file(Image.new("L", size), form, **options)) is ImageFault.TOO_MANY_PIXELS
    assert isinstance(open_image(photo), OpenedImage)


def test_an_icon_is_as_large_as_the_picture_inside() -> None:
    """Its directory has one byte for a side, and says 256 of anything."""
    inside = _file(Image.new("1", (30_000, 30_000)), "PNG")
    directory = b"\x00\x00\x01\x00\x01\x00" + bytes([0, 0, 0, 0, 1, 0, 32, 0])
    icon = directory + len(inside).to_bytes(4, "little") + (22).to_bytes(4, "little") + inside
    honest = _file(Image.new("RGBA", (64, 64)), "ICO", sizes=[(64, 64)])

    assert open_image(icon) is ImageFault.TOO_MANY_PIXELS
    assert prepare(icon, 100, 100) is ImageFault.TOO_MANY_PIXELS
    assert isinstance(open_image(honest), OpenedImage)


def _in_scans(side: int) -> bytes:
    """A JPEG that is not progressive and has a scan for each colour: it is in memory whole until the last."""
    grey = _file(Image.new("L", (side, side), 128), "JPEG", quality=50)
    frame, at = b"", 2
    while grey[at + 1] != 0xDA:
        length = int.from_bytes(grey[at + 2 : at + 4])
        segment = grey[at : at + 2 + length]
        if grey[at + 1] == 0xC0:
            colours = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
            segment = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, side, side, 3) + colours
        frame, at = frame + segment, at + 2 + length
    pixels = grey[at + 2 + int.from_bytes(grey[at + 2 : at + 4]) : -2]
    scans = (b"\xff\xda" + struct.pack(">HB", 8, 1) + bytes([number, 0, 0, 63, 0]) + pixels for number in (1, 2, 3))
    return b"\xff\xd8" + frame + b"".join(scans) + b"\xff\xd9"


def test_a_photo_in_scans_has_the_lower_limit() -> None:
    """Whether or not it says that it is progressive; a small one is made as any other."""
    made = prepare(_in_scans(1500), 600, 600)

    assert open_image(_in_scans(4200)) is ImageFault.TOO_MANY_PIXELS
    assert not isinstance(made, ImageFault)
    assert made.type == "image/jpeg"


def test_an_icon_is_measured_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow decodes it on opening: what is too large is not opened, whichever of its pictures that is."""
    inside = _file(Image.new("1", (9000, 9000)), "PNG")
    bitmap = struct.pack("<IiiHHI", 40, 9000, 18_000, 1, 8, 1)
    small = _file(Image.new("RGBA", (16, 16)), "PNG")
    icons = [_icon(inside), _icon(small, inside), _icon(bitmap), _icon(struct.pack("<IHHHH", 12, 9000, 18_000, 1, 8))]
    honest = open_image(_icon(small))
    monkeypatch.setattr(Image, "open", lambda *_a, **_n: pytest.fail("opened"))

    assert [open_image(icon) for icon in icons] == [ImageFault.TOO_MANY_PIXELS] * 4
    assert isinstance(honest, OpenedImage)


def _icon(*pictures: bytes) -> bytes:
    """An icon whose directory says that each picture has 16 pixels a side."""
    directory, begin = b"\x00\x00\x01\x00" + struct.pack("<H", len(pictures)), 6 + 16 * len(pictures)
    for picture in pictures:
        directory += struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(picture), begin)
        begin += len(picture)
    return directory + b"".join(pictures)


def test_texts_beside_the_pixels_unpack_to_little() -> None:
    """A kilobyte may hold a megabyte of text, sixty of them sixty: what unpacks to that is no picture of ours."""
    plain, text = _file(Image.new("RGB", (3, 3)), "PNG"), b"k\x00\x00" + zlib.compress(b"a" * 1_000_000, 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))

    assert open_image(plain[:33] + 60 * chunk + plain[33:]) is ImageFault.UNREADABLE
    assert isinstance(open_image(plain[:33] + 2 * chunk + plain[33:]), OpenedImage)


def test_frames_are_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moving picture of a million frames is known by its second one; it is sent as it is."""
    frame = b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    moving = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" + frame * 40_000 + b"\x3b"
    seen: list[int] = []
    seek = GifImagePlugin.GifImageFile._seek

    def counted(self: GifImagePlugin.GifImageFile, number: int, update_image: bool = True) -> None:
        seen.append(number)
        seek(self, number, update_image)

    monkeypatch.setattr(GifImagePlugin.GifImageFile, "_seek", counted)
    made = prepare(moving, 1, 1)

    assert max(seen) <= 1
    assert not isinstance(made, ImageFault)
    assert (made.type, made.data) == ("image/gif", moving)


def test_strips_leave_no_seam_and_no_colour() -> None:
    """A picture shrunk by an odd factor is what it was: its gradient and its transparency, down to the last row."""
    image = Image.linear_gradient("L").resize((3301, 2999)).convert("RGBA")
    image.putalpha(200)
    made = prepare(_file(image, "PNG"), 300, 272)
    assert not isinstance(made, ImageFault)
    seen = Image.open(io.BytesIO(made.data))
    expected = image.resize(seen.size, Image.Resampling.BOX)
    column = [seen.getpixel((10, y)) for y in range(20, seen.height - 1)]

    assert seen.mode == "RGBA"
    for y, pixel in enumerate(column, 20):
        assert max(abs(a - b) for a, b in zip(pixel, expected.getpixel((10, y)), strict=True)) <= 3  # type: ignore[arg-type]


def test_the_budget_goes_round_in_the_order_of_asking_and_comes_back() -> None:
    """A small one does not overtake a large one that waits; an error inside gives back what was held."""
    budget, order = MemoryBudget(10), list[str]()
    inside, go = threading.Event(), threading.Event()

    def hold(name: str, size: int) -> None:
        with budget.hold(size):
            order.append(name)

    def first() -> None:
        with budget.hold(6):
            inside.set()
            go.wait(30)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert inside.wait(30)
    for name, size in (("large", 99), ("small", 1)):
        threads.append(threading.Thread(target=hold, args=(name, size)))
        threads[-1].start()
        while len(budget._queue) < len(threads) - 1:
            threading.Event().wait(0.001)
    assert order == []
    go.set()
    for thread in threads:
        thread.join(30)
    with pytest.raises(ZeroDivisionError), budget.hold(4):
        raise ZeroDivisionError

    assert order == ["large", "small"]
    assert budget.free == 10


def test_a_rendering_gives_back_what_it_held() -> None:
    """Whatever a text holds, the budgets are whole afterwards."""
    render(DocumentType.QUOTE, TemplateSource("a", "<p>{serie" * 2000, "<img src='data:image/png;base64,AAAA'>"), {})

    assert (COMPILING.free, DECODING.free) == (COMPILING.total, DECODING.total)
