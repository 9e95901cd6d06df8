"""The floor under a page: a Streamlit script that draws the very same elements, and does nothing else.

It is written from what the page has sent to the browser, so that it stays the same page when that changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

__all__ = ["write_floor"]

_INDENT = "    "


@dataclass
class _Node:
    delta: Any
    children: dict[int, _Node] = field(default_factory=dict[int, "_Node"])


def write_floor(name: str, messages: Iterable[ForwardMsg]) -> str:
    """Return the source of a function ``name`` that draws what ``messages``, the run of a page, have drawn."""
    roots: dict[int, _Node] = {}
    for message in messages:
        if message.WhichOneof("type") != "delta":
            continue
        first, *path = message.metadata.delta_path
        node = roots.setdefault(first, _Node(None))
        for step in path[:-1]:
            node = node.children.setdefault(step, _Node(None))
        if path:
            known = node.children.get(path[-1])
            node.children[path[-1]] = _Node(message.delta, known.children if known else {})
    lines = [f"def {name}():"]
    for root, node in sorted(roots.items()):
        lines.append(f"{_INDENT}with {'st.sidebar' if root == 1 else 'st.bottom' if root == 3 else 'st.container()'}:")
        lines += _write(node, f"{root}", 2) or [f"{_INDENT * 2}pass"]
    return "\n".join(lines) + "\n"


def _write(node: _Node, place: str, depth: int) -> list[str]:
    lines: list[str] = []
    for step, child in sorted(node.children.items()):
        here = f"{place}_{step}"
        if child.delta is None:
            continue
        if child.delta.WhichOneof("type") == "add_block":
            lines += _write_block(child, here, depth)
        else:
            lines.append(f"{_INDENT * depth}{_element(child.delta.new_element, here)}")
    return lines


def _write_block(node: _Node, place: str, depth: int) -> list[str]:
    block, pad = node.delta.add_block, _INDENT * depth
    columns = [child for _, child in sorted(node.children.items()) if _kind(child) in ("column", "tab")]
    if columns and len(columns) == len(node.children):
        made, lines = f"parts_{place}", []
        if _kind(columns[0]) == "column":
            weights = [round(child.delta.add_block.column.weight, 3) for child in columns]
            lines.append(f"{pad}{made} = st.columns({weights}, gap='medium')")
        else:
            lines.append(f"{pad}{made} = st.tabs({[child.delta.add_block.tab.label for child in columns]})")
        for number, child in enumerate(columns):
            inner = _write(child, f"{place}_{number}", depth + 1)
            if inner:
                lines += [f"{pad}with {made}[{number}]:", *inner]
        return lines
    kind = block.WhichOneof("type")
    if kind == "popover":
        opener = f"st.popover({block.popover.label!r}, key={place!r})"
    elif kind == "expandable":
        opener = f"st.expander({block.expandable.label!r})"
    elif kind == "form":
        opener = f"st.form({place!r})"
    else:
        flex = block.flex_container
        horizontal = flex.direction == flex.HORIZONTAL
        opener = f"st.container(border={flex.border!r}, horizontal={horizontal!r}, key={place!r})"
    inner = _write(node, place, depth + 1)
    return [f"{pad}with {opener}:", *inner] if inner else [f"{pad}{opener}"]


def _kind(node: _Node) -> str:
    if node.delta is None or node.delta.WhichOneof("type") != "add_block":
        return ""
    return node.delta.add_block.WhichOneof("type") or ""


def _element(element: Any, key: str) -> str:
    kind = element.WhichOneof("type")
    write = _WRITERS.get(kind)
    return write(getattr(element, kind), key) if write else "st.empty()"


def _markdown(proto: Any, _key: str) -> str:
    caption = proto.element_type == proto.Type.CAPTION
    return f"st.{'caption' if caption else 'markdown'}({proto.body!r}, help={proto.help or None!r})"


def _button_group(proto: Any, key: str) -> str:
    options = [f"{option.content_icon} {option.content}".strip() for option in proto.options]
    chosen = [options[at] for at in proto.default]
    kind = "pills" if proto.style == proto.PILLS else "segmented_control"
    return f"st.{kind}({proto.label!r}, {options!r}, default={chosen!r}, key={key!r})"


def _selectbox(proto: Any, key: str) -> str:
    return f"st.selectbox({proto.label!r}, {list(proto.options)!r}, key={key!r}, help={proto.help or None!r})"


def _text_input(proto: Any, key: str) -> str:
    kind = "password" if proto.type == proto.PASSWORD else "default"
    live = proto.HasField("live_debounce_ms")
    return (
        f"st.text_input({proto.label!r}, {proto.default!r}, key={key!r}, type={kind!r}, live={live!r}, "
        f"placeholder={proto.placeholder or None!r})"
    )


def _button(proto: Any, key: str) -> str:
    if proto.is_form_submitter:
        return f"st.form_submit_button({proto.label!r}, key={key!r})"
    return f"st.button({proto.label!r}, key={key!r}, type={proto.type!r}, icon={proto.icon or None!r})"


_WRITERS: dict[str, Callable[[Any, str], str]] = {
    "markdown": _markdown,
    "heading": lambda p, _key: f"st.{'title' if p.tag == 'h1' else 'header'}({p.body!r}, anchor=False)",
    "text_input": _text_input,
    "text_area": lambda p, key: f"st.text_area({p.label!r}, {p.default!r}, key={key!r})",
    "button": _button,
    "button_group": _button_group,
    "selectbox": _selectbox,
    "progress": lambda p, _key: f"st.progress({p.value / 100!r}, text={p.text!r})",
    "iframe": lambda p, _key: f"st.iframe({p.srcdoc!r}, height=460)",
    "code": lambda p, _key: f"st.code({p.code_text!r}, language=None)",
    "page_link": lambda p, _key: f"st.page_link('https://example.com', label={p.label!r})",
    "link_button": lambda p, _key: f"st.link_button({p.label!r}, 'https://example.com')",
    "download_button": lambda p, key: f"st.download_button({p.label!r}, b'x', key={key!r})",
    "file_uploader": lambda p, key: f"st.file_uploader({p.label!r}, key={key!r})",
    "component_instance": lambda _p, key: f"st_quill('<p>Hola</p>', html=True, key={key!r})",
    "alert": lambda p, _key: f"st.info({p.body!r})",
}
