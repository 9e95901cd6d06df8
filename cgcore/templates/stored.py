"""Templates as they are stored: live text, versions, and images kept once however many versions show them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cgcore.documents import DocumentType
from cgcore.templates.compile import TemplateSource
from cgcore.templates.images import ImageFault, open_image
from cgcore.texts import lookup

__all__ = [
    "DetachedText",
    "StoredImage",
    "StoredSignature",
    "StoredTemplate",
    "TemplateVersion",
    "attach_images",
    "default_signature",
    "default_source",
    "detach",
    "detach_images",
]

_EMBEDDED = re.compile(r'src="data:(image/[a-z0-9.+\-]+);base64,([A-Za-z0-9+/]+=*)"')
_DETACHED = re.compile(r'src="stored:([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """Subject and body of a type. Version 0 is the built-in one; ``is_default`` says whether the text equals it."""

    document_type: DocumentType
    subject: str
    body: str
    version: int = 0
    is_default: bool = True
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredSignature:
    """The one signature of a user; version 0 is the built-in one."""

    html: str
    version: int = 0
    is_default: bool = True
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """A state that was saved; of the signature only ``body`` is used."""

    subject: str
    body: str
    version: int
    saved: datetime


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image by its content; the size in pixels where it was looked for."""

    type: str
    data: bytes
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class DetachedText:
    """A body or signature ready to be stored: whole, and once more with its images apart. Made before a transaction."""

    html: str
    detached: str
    images: Mapping[str, StoredImage]


def detach_images(html: str) -> tuple[str, dict[str, StoredImage]]:
    """Return canonical ``html`` with its embedded images replaced by their SHA-256, and the images by it.

    An image whose text would not come back letter by letter stays embedded.
    """
    images: dict[str, StoredImage] = {}

    def detach(match: re.Match[str]) -> str:
        try:
            data = base64.b64decode(match.group(2), validate=True)
        except ValueError:
            return match.group()
        if base64.b64encode(data).decode() != match.group(2):
            return match.group()
        digest = hashlib.sha256(match.group(1).encode() + b"\0" + data).hexdigest()
        images[digest] = StoredImage(match.group(1), data)
        return f'src="stored:{digest}"'

    return _EMBEDDED.sub(detach, html), images


def detach(html: str) -> DetachedText:
    """Return canonical ``html`` with what its storing needs: images by their digest, each with its size."""
    detached, found = detach_images(html)
    return DetachedText(html, detached, {digest: _measured(image) for digest, image in found.items()})


def _measured(image: StoredImage) -> StoredImage:
    opened = open_image(image.data)
    return image if isinstance(opened, ImageFault) else replace(image, width=opened.width, height=opened.height)


def attach_images(html: str, find: Callable[[str], StoredImage | None]) -> str:
    """Return ``html`` with detached images embedded again; one that is gone leaves an image without source."""

    def attach(match: re.Match[str]) -> str:
        image = find(match.group(1))
        if image is None:
            return 'src=""'
        return f'src="data:{image.type};base64,{base64.b64encode(image.data).decode()}"'

    return _DETACHED.sub(attach, html)


def default_source(document_type: DocumentType) -> TemplateSource:
    """Return the built-in subject, body and signature of a type that has a template."""
    defaults = lookup("cgcore.templates", "defaults")
    return TemplateSource(defaults["subject"], defaults["body"][document_type.value], defaults["signature"])


def default_signature() -> str:
    """Return the built-in signature, the same for every type."""
    return str(lookup("cgcore.templates", "defaults")["signature"])
