"""Images of a template: read from data URIs, checked, and made into the bytes that a mail carries."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from PIL import Image, ImageOps

from cgcore.templates.checks import Code
from cgcore.templates.document import Image as PlacedImage

__all__ = [
    "HEAVY",
    "ImageFault",
    "ImageParts",
    "InlineImage",
    "OpenedImage",
    "PreparedImage",
    "SourceKind",
    "classify",
    "decode",
    "encode",
    "open_image",
    "prepare",
]

HEAVY = 500_000  # bytes


def encode(image: Image.Image, size: tuple[int, int], *, was_photo: bool, heavy: bool) -> tuple[str, bytes]:
    """Return media type and bytes of ``image`` at ``size`` pixels, without metadata.

    With transparency it is PNG; a photo, or what is much lighter as one, JPEG; anything else PNG.
    """
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow cuts them off at white instead of dividing them
        image = image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    flat = image.convert("RGBA" if alpha else "RGB")
    if flat.size != size:
        flat = flat.resize(size, Image.Resampling.LANCZOS)
    if alpha:
        return "image/png", _save(flat, "PNG", optimize=True)
    if was_photo:
        return "image/jpeg", _save(flat, "JPEG", quality=85, optimize=True)
    drawn = _save(flat, "PNG", optimize=True)
    photo = _save(flat, "JPEG", quality=88, optimize=True) if heavy or len(drawn) > HEAVY // 4 else b""
    return ("image/jpeg", photo) if photo and len(photo) * 2 < len(drawn) else ("image/png", drawn)


def _save(image: Image.Image, form: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


SHOWN_AT_MOST = 600  # CSS pixels: the width of the mail's text
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "ICO")
_MAIL_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif"}
_DATA_URI = re.compile(r"data:image/([a-z0-9.+\-]+)(?:;[^,;]*)*;base64,", re.I)
_JPEG_SCALES = (8, 4, 2, 1)  # libjpeg can decode at a fraction of the size, for less work and memory
_DECODED_AT_MOST = 30_000_000  # pixels of one image
_ORIENTATION, _GPS = 0x0112, 0x8825


class SourceKind(Enum):
    """Where an image's address points."""

    EMBEDDED = "embedded"
    REMOTE = "remote"
    NOWHERE = "nowhere"


class ImageFault(Enum):
    """Why there are no bytes."""

    UNREADABLE = "unreadable"
    TOO_MANY_PIXELS = "too_many_pixels"


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An image whose header was read: its natural size, turned as it is seen, and the work to decode it."""

    width: int
    height: int
    cost: int

    def shown(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in CSS pixels for the attributes given (0: absent), never wider than the mail's text."""
        if width and not height:
            height = round(self.height * width / self.width)
        elif height and not width:
            width = round(self.width * height / self.height)
        elif not width:
            width, height = self.width, self.height
        if width > SHOWN_AT_MOST:
            width, height = SHOWN_AT_MOST, round(height * SHOWN_AT_MOST / width)
        return max(1, width), max(1, height)


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """The part of the mail: media type and bytes, and whether the image was made smaller."""

    type: str
    data: bytes
    reduced: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def classify(src: str) -> SourceKind:
    """Say what kind of address ``src`` is; only embedded images are sent, and nothing is ever fetched."""
    head = src[:40].strip().lower()
    if head.startswith(("http:", "https:")) or (head.startswith("//") and not head.startswith("//:")):
        return SourceKind.REMOTE
    return SourceKind.EMBEDDED if head.startswith("data:") else SourceKind.NOWHERE


def decode(src: str) -> bytes | None:
    """Return the bytes of a ``data:image/…;base64,`` address (RFC 2397), or None when there are none."""
    match = _DATA_URI.match(src)
    if not match or "svg" in match.group(1).lower():
        return None
    encoded = unquote_to_bytes(src[match.end() :]) if "%" in src else src[match.end() :].encode("ascii", "ignore")
    compact = b"".join(encoded.split()).rstrip(b"=")
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True) or None
    except (ValueError, binascii.Error):
        return None


@lru_cache(maxsize=16)
def open_image(data: bytes) -> OpenedImage | ImageFault:
    """Read the header of an image; the pixels stay where they are."""
    try:
        with _open(data) as image:
            width, height = image.size
            turned = _exif(image)[0] >= 5
            cost = _cost(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return ImageFault.TOO_MANY_PIXELS
    except Exception:  # Pillow's readers raise whatever a broken file makes them stumble over
        return ImageFault.UNREADABLE
    if not width or not height:
        return ImageFault.UNREADABLE
    if cost > _DECODED_AT_MOST:
        return ImageFault.TOO_MANY_PIXELS
    return OpenedImage(*((height, width) if turned else (width, height)), cost)


def _cost(image: Image.Image) -> int:
    """Return the work and memory that decoding takes, in pixels."""
    width, height = image.size
    pixels = width * height
    if image.format not in ("JPEG", "MPO"):
        return pixels
    if image.info.get("progressive"):
        return pixels // 2  # its coefficients are in memory as a whole, at whatever scale
    needed = 2 * min(1.0, SHOWN_AT_MOST / width) * max(width, height)
    scale = next((scale for scale in _JPEG_SCALES if scale * needed <= min(width, height)), 1)
    return pixels // 8 + pixels // scale**2


def _open(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(io.BytesIO(data), formats=_FORMATS)


@lru_cache(maxsize=16)
def prepare(data: bytes, width: int, height: int) -> PreparedImage | ImageFault:
    """Return the part for an image shown at ``width`` × ``height`` CSS pixels.

    PNG, JPEG and GIF stay as they are; other formats become PNG or JPEG, an image with more than twice the shown
    pixels is resampled (mail clients on fine screens use the double), a turned photo is turned, and where it was
    taken is removed.
    """
    try:
        with _open(data) as image:
            return _prepare(image, data, width, height)
    except Exception:  # as above: a broken file, found out while its pixels are read
        return ImageFault.UNREADABLE


def _prepare(image: Image.Image, data: bytes, width: int, height: int) -> PreparedImage:
    form = "JPEG" if image.format == "MPO" else image.format or ""
    orientation, placed = _exif(image)
    turned = orientation >= 5
    natural = (image.size[1], image.size[0]) if turned else image.size
    target = min(natural[0], 2 * width), min(natural[1], 2 * height)
    if form == "JPEG" and target != natural:
        image.draft("RGB", (max(target), max(target)))
    image.load()
    reduced = target != natural
    animated = getattr(image, "n_frames", 1) > 1
    keep = form in _MAIL_TYPES and not reduced and orientation == 1 and not placed
    if keep and (len(data) <= HEAVY or animated) and image.mode != "CMYK":
        return PreparedImage(_MAIL_TYPES[form], data, reduced=False)
    image = ImageOps.exif_transpose(image) if orientation != 1 else image
    kind, written = encode(image, target, was_photo=form == "JPEG", heavy=len(data) > HEAVY)
    if keep and len(written) >= len(data):
        return PreparedImage(_MAIL_TYPES[form], data, reduced=False)
    return PreparedImage(kind, written, reduced=reduced or len(data) > HEAVY)


def _exif(image: Image.Image) -> tuple[int, bool]:
    """Return how the image is turned (1 to 8), and whether it says where it was taken, or may."""
    if "exif" not in image.info:
        return 1, False
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
    except Exception:  # broken metadata, of which Pillow raises whatever it stumbles over, is no reason to lose a photo
        return 1, True
    return orientation if orientation in range(1, 9) else 1, _GPS in exif


_inline_images_DECODED_AT_MOST = 60_000_000  # pixels of all images of a message together


@dataclass(frozen=True, slots=True)
class InlineImage:
    """A part of the message: ``cid`` without angle brackets, media type, shown size in CSS pixels, bytes."""

    cid: str
    type: str
    width: int
    height: int
    data: bytes

    def to_dict(self) -> dict[str, Any]:
        """Return the image as API and command line write it: with the number of its bytes."""
        return {
            "cid": self.cid,
            "type": self.type,
            "width": self.width,
            "height": self.height,
            "bytes": len(self.data),
        }


@dataclass(slots=True)
class _Source:
    data: bytes
    opened: OpenedImage | ImageFault
    digest: str
    width: int = 0
    height: int = 0
    prepared: PreparedImage | ImageFault | None = None


@dataclass(slots=True)
class ImageParts:
    """Collects the images of body and signature. :meth:`survey` all of them first: the largest place decides."""

    by_source: dict[str, _Source | ImageFault] = field(default_factory=dict[str, "_Source | ImageFault"])
    by_digest: dict[str, _Source] = field(default_factory=dict[str, _Source])
    parts: dict[str, InlineImage] = field(default_factory=dict[str, InlineImage])
    budget: int = _inline_images_DECODED_AT_MOST

    def survey(self, images: Iterable[PlacedImage]) -> None:
        """Read the headers of the embedded images, and note the largest size at which each is shown."""
        for image in images:
            if classify(image.src) is not SourceKind.EMBEDDED:
                continue
            source = self.by_source.get(image.src) or self._read(image.src)
            self.by_source[image.src] = source
            if isinstance(source, _Source) and isinstance(source.opened, OpenedImage):
                width, height = source.opened.shown(image.width, image.height)
                source.width, source.height = max(source.width, width), max(source.height, height)

    def _read(self, src: str) -> _Source | ImageFault:
        data = decode(src)
        if data is None:
            return ImageFault.UNREADABLE
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.by_digest:
            self.by_digest[digest] = _Source(data, open_image(data), digest)
        return self.by_digest[digest]

    def take(self, image: PlacedImage) -> tuple[InlineImage | None, Code | None]:
        """Return the part for an image at its own shown size, or None, and what there is to say about it."""
        kind = classify(image.src)
        if kind is SourceKind.REMOTE:
            return None, Code.REMOTE_IMAGE
        source = self.by_source.get(image.src)
        if not isinstance(source, _Source):
            return None, Code.UNREADABLE_IMAGE
        prepared = self._prepare(source)
        if isinstance(prepared, ImageFault) or isinstance(source.opened, ImageFault):
            fault = prepared if isinstance(prepared, ImageFault) else source.opened
            return None, Code.IMAGE_TOO_LARGE if fault is ImageFault.TOO_MANY_PIXELS else Code.UNREADABLE_IMAGE
        cid = f"imagen-{source.digest[:20]}@cloud-gestion"
        width, height = source.opened.shown(image.width, image.height)
        here = InlineImage(cid, prepared.type, width, height, prepared.data)
        self.parts.setdefault(cid, here)
        return here, Code.IMAGE_TOO_LARGE if prepared.reduced else None

    def _prepare(self, source: _Source) -> PreparedImage | ImageFault:
        if source.prepared is None:
            source.prepared = self._decode(source)
        return source.prepared

    def _decode(self, source: _Source) -> PreparedImage | ImageFault:
        if isinstance(source.opened, ImageFault):
            return source.opened
        if source.opened.cost > self.budget:
            return ImageFault.TOO_MANY_PIXELS
        self.budget -= source.opened.cost
        return prepare(source.data, source.width, source.height)
