// Beside the editor's own script, in its frame: names and words in Spanish, a way out for the keyboard, what was typed
// handed over before anything else can happen, tables as lines of text, and the page's light or dark.
// It loads before the editor, and whatever it does not find stays as it is.
"use strict";
(() => {
  const texts = JSON.parse(document.currentScript.dataset.texts);
  const attempt = (act) => { try { return act(); } catch (error) { console.warn("editor:", error); } };
  const gone = new AbortController();
  const outside = attempt(() => window.parent.document);

  // ---- What was typed is handed over at once. The editor waits for 200 ms without a key first.
  const HANDOVER_MS = 200;
  const waiting = new Set();
  const { setTimeout: wait, clearTimeout: forget } = window;
  window.setTimeout = (act, after, ...values) => {
    const id = wait.call(window, (...given) => { waiting.delete(id); act(...given); }, after, ...values);
    if (after === HANDOVER_MS && typeof act === "function") waiting.add(id);
    return id;
  };
  window.clearTimeout = (id) => { waiting.delete(id); forget.call(window, id); };
  // Not by a message, which comes after whatever the page does meanwhile: by its event, here and now.
  let editor = null;
  const handOver = () => {
    if (!waiting.size) return;
    for (const id of waiting) forget.call(window, id);
    waiting.clear();
    const value = {
      isStreamlitMessage: true, type: "streamlit:setComponentValue", value: editor.root.innerHTML, dataType: "json",
    };
    const { MessageEvent: Event } = window.parent;
    window.parent.dispatchEvent(new Event("message", { data: value, source: window, origin: location.origin }));
  };
  window.addEventListener("blur", handOver);
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") handOver(); });
  document.documentElement.addEventListener("mouseleave", handOver);
  for (const kind of ["pointerdown", "mousedown", "touchstart", "keydown"]) {
    outside?.addEventListener(kind, handOver, { capture: true, signal: gone.signal });
  }
  window.addEventListener("pagehide", () => { handOver(); gone.abort(); });

  // ---- Light and dark: the colours that the page tells its components with each drawing.
  const look = document.createElement("style");
  look.textContent = `
    :root { --back: #ffffff; --box: #f6f8fa; --ink: #0f172a; --line: #ccced1; --accent: #0b6bcb; color-scheme: light; }
    html, body, .ql-container.ql-snow { background: var(--back) !important; color: var(--ink) !important; }
    .ql-toolbar.ql-snow, .ql-container.ql-snow { border-color: var(--line) !important; }
    .ql-editor.ql-blank::before { color: var(--ink); opacity: .7; }
    .ql-editor a, .ql-snow a { color: var(--accent); }
    .ql-snow .ql-stroke { stroke: var(--ink); }
    .ql-snow .ql-fill, .ql-snow .ql-stroke.ql-fill { fill: var(--ink); }
    .ql-snow .ql-picker { color: var(--ink); }
    .ql-snow .ql-picker-options, .ql-snow .ql-tooltip {
      background-color: var(--box) !important; color: var(--ink) !important; border-color: var(--line) !important;
      box-shadow: none !important;
    }
    .ql-snow .ql-tooltip { left: 8px !important; z-index: 2; }
    .ql-snow .ql-tooltip input[type=text] { background: var(--back); color: var(--ink); border-color: var(--line); }
    .ql-snow.ql-toolbar button.ql-active .ql-stroke, .ql-snow.ql-toolbar button:hover .ql-stroke { stroke: var(--accent); }
    .ql-snow.ql-toolbar button.ql-active .ql-fill, .ql-snow.ql-toolbar button:hover .ql-fill { fill: var(--accent); }
    .ql-toolbar button:focus-visible, .ql-picker-label:focus-visible, .ql-picker-item:focus-visible,
    .ql-tooltip a:focus-visible { outline: 2px solid var(--accent) !important; outline-offset: 1px; }
    .ql-snow .ql-tooltip::before { content: ${JSON.stringify(texts.visit)} !important; }
    .ql-snow .ql-tooltip[data-mode=link]::before { content: ${JSON.stringify(texts.address)} !important; }
    .ql-snow .ql-tooltip a.ql-action::after { content: ${JSON.stringify(texts.change)} !important; }
    .ql-snow .ql-tooltip a.ql-remove::before { content: ${JSON.stringify(texts.remove)} !important; }
    .ql-snow .ql-tooltip.ql-editing a.ql-action::after { content: ${JSON.stringify(texts.apply)} !important; }
    /* With both sizes written, a picture that is wider than the column keeps its shape. */
    .ql-editor img { max-width: 100%; height: auto; }
    .sizes { padding: 6px 12px; font-size: 13px; background: var(--box); border: solid var(--line);
      border-width: 0 1px; }
    .sizes + .ql-container.ql-snow { border-top: 0; }
    .sizes button { margin-left: 4px; padding: 2px 8px; font: inherit; color: inherit; background: var(--back);
      border: 1px solid var(--line); border-radius: 6px; cursor: pointer; }
    .sizes button[aria-pressed=true] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
    .sizes button:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
    .told { margin: 6px 2px; font: 14px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--back); }`;
  const numbers = document.createElement("style");
  document.head.append(look, numbers);
  const isDark = (colour) => {
    const parts = /^#(..)(..)(..)/.exec(colour)?.slice(1).map((part) => parseInt(part, 16)) ??
      colour.match(/\d+/g)?.map(Number);
    return Boolean(parts) && 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] < 128;
  };
  window.addEventListener("message", ({ data }) => {
    const theme = data?.type === "streamlit:render" ? data.theme : null;
    if (!theme?.backgroundColor) return;
    const dark = isDark(theme.backgroundColor);
    const { style } = document.documentElement;
    style.setProperty("--back", theme.backgroundColor);
    style.setProperty("--box", theme.secondaryBackgroundColor);
    style.setProperty("--ink", theme.textColor);
    style.setProperty("--line", dark ? "#475569" : "#ccced1");
    style.setProperty("--accent", dark ? "#7db4ff" : "#0b5cad");
    style.colorScheme = dark ? "dark" : "light";
  });

  // ---- Names
  const name = (element, words, { tip = true } = {}) => {
    element.setAttribute("aria-label", words);
    if (tip) element.title = words;
  };
  const nameColours = (options) => options.forEach((option, index) => {
    if (!option.dataset.value) return name(option, texts.usual);
    const column = index % 7, row = Math.floor(index / 7);
    name(option, column === 0 ? texts.greys[row] : [texts.hues[column - 1], texts.shades[row]].join(" ").trim());
  });
  const nameToolbar = (bar) => {
    bar.setAttribute("role", "toolbar");
    name(bar, texts.toolbar, { tip: false });
    for (const button of bar.querySelectorAll("button")) {
      const kind = [...button.classList].find((each) => each.startsWith("ql-") && each !== "ql-active")?.slice(3);
      const words = texts.controls[button.value ? `${kind}-${button.value}` : kind];
      if (words) name(button, words);
      const press = () => button.setAttribute("aria-pressed", String(button.classList.contains("ql-active")));
      if (!["link", "image", "clean"].includes(kind)) {
        press();
        new MutationObserver(press).observe(button, { attributeFilter: ["class"] });
      }
    }
    for (const picker of bar.querySelectorAll(".ql-picker")) {
      const kind = picker.classList.contains("ql-align") ? "align" : "color";
      name(picker.querySelector(".ql-picker-label"), texts.controls[kind]);
      const options = [...picker.querySelectorAll(".ql-picker-item")];
      if (kind === "color") nameColours(options);
      else options.forEach((option) => name(option, texts.controls[`align-${option.dataset.value ?? "left"}`]));
    }
  };
  const nameLinkBox = (box) => {
    const input = box.querySelector("input");
    if (input) {
      input.dataset.link = "https://";
      name(input, texts.address, { tip: false });
    }
    for (const [selector, words] of [["a.ql-action", texts.change], ["a.ql-remove", texts.remove]]) {
      const link = box.querySelector(selector);
      link?.setAttribute("role", "button");
      link?.setAttribute("tabindex", "0");
      link?.addEventListener("keydown", (event) => {
        if (!["Enter", " "].includes(event.key)) return;
        event.preventDefault();
        link.click();
      });
      if (selector === "a.ql-remove") link?.setAttribute("aria-label", words);
    }
    const action = box.querySelector("a.ql-action");
    const say = () => action?.setAttribute("aria-label", box.classList.contains("ql-editing") ? texts.apply : texts.change);
    say();
    new MutationObserver(say).observe(box, { attributeFilter: ["class"] });
  };

  // ---- The keyboard's way out
  const FOCUSABLE = 'a[href],button:not([disabled]),input:not([disabled]),select,textarea,iframe,[tabindex]:not([tabindex="-1"])';
  const leave = () => {
    const frame = window.frameElement;
    const after = [...outside.querySelectorAll(FOCUSABLE)].find((element) =>
      frame.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING && element.getClientRects().length &&
      element.tabIndex >= 0);
    handOver();
    document.activeElement?.blur();
    if (after) after.focus();
    else frame.blur();
  };
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Tab" && event.target.closest?.(".ql-editor")) {
      // Not a character here: the browser moves on.
      event.stopImmediatePropagation();
    } else if (event.key === "Escape") {
      const box = document.querySelector(".ql-tooltip:not(.ql-hidden)");
      const open = document.querySelector(".ql-picker.ql-expanded");
      if (box?.classList.contains("ql-editing") || open) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      attempt(leave);
    }
  }, true);

  // ---- What is pasted
  const BLOCKS = "p,div,h1,h2,h3,h4,h5,h6,li,ol,ul,pre,blockquote";
  const isFilled = (node) => node.nodeType === Node.TEXT_NODE ? Boolean(node.data.trim())
    : node.nodeType === Node.ELEMENT_NODE && (Boolean(node.textContent.trim()) || node.matches("img") ||
      Boolean(node.querySelector("img")));
  const lineOf = (cell) => {
    const parts = [...cell.childNodes].filter(isFilled);
    if (parts.length === 1 && parts[0].nodeType === Node.ELEMENT_NODE && parts[0].matches(BLOCKS)) return lineOf(parts[0]);
    while (cell.lastElementChild?.matches("br") && cell.lastChild === cell.lastElementChild) cell.lastChild.remove();
    const more = [...cell.querySelectorAll(BLOCKS)].some(isFilled) || cell.querySelector("br");
    return more || cell.matches("li,ol,ul,pre") ? null : cell;
  };
  const trim = (line) => {
    const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
    const pieces = [];
    while (walker.nextNode()) pieces.push(walker.currentNode);
    if (!pieces.length) return line;
    pieces[0].data = pieces[0].data.trimStart();
    pieces.at(-1).data = pieces.at(-1).data.trimEnd();
    return line;
  };
  // As cgcore/templates/parse.py does it for what comes another way.
  const flattenTables = (root) => {
    let cellsBeside = false;
    for (const table of [...root.querySelectorAll("table")].reverse()) {
      const box = document.createElement("div");
      if (table.caption && isFilled(table.caption)) box.append(inBlock("p", table.caption));
      for (const row of table.rows) {
        const cells = [...row.cells].filter(isFilled);
        const lines = cells.map(lineOf);
        cellsBeside ||= cells.length > 1;
        if (cells.length > 1 && lines.every(Boolean)) box.append(inLine(lines));
        else for (const cell of cells) box.append(inBlock("div", cell));
      }
      table.replaceWith(box);
    }
    return cellsBeside;
  };
  const inBlock = (tag, from) => {
    const block = document.createElement(tag);
    block.append(...from.childNodes);
    return block;
  };
  const inLine = (lines) => {
    const line = document.createElement("p");
    let before = "";
    lines.forEach((each, index) => {
      const words = trim(each).textContent.trim();
      if (index) line.append(before && words ? " · " : " ");
      line.append(...each.childNodes);
      before ||= words;
    });
    return line;
  };
  const tell = (quill, words) => {
    const line = quill.container.parentElement.querySelector(".told");
    if (line) line.textContent = words;
  };
  const dressClipboard = (quill) => {
    const { clipboard } = quill;
    const convert = clipboard.convert.bind(clipboard);
    clipboard.convert = (html) => {
      if (typeof html !== "string") {
        attempt(() => {
          for (const image of clipboard.container.querySelectorAll("img[alt]")) {
            if (!/^(https?|data|cid):/i.test(image.getAttribute("src") ?? "")) image.replaceWith(image.alt);
          }
          tell(quill, flattenTables(clipboard.container) ? texts.table : "");
        });
      }
      return convert(html);
    };
  };

  // ---- Lists that begin with another number: the editor has no place for it but its items.
  const registerNumbers = (quill) => {
    const { Attributor, Scope } = quill.constructor.import("parchment");
    const number = new Attributor.Attribute("start", "start", { scope: Scope.BLOCK });
    quill.constructor.register(number, true);
  };
  const showNumbers = (quill) => {
    const found = new Set([...quill.root.querySelectorAll("ol > li[start]")].map((item) => item.getAttribute("start")));
    const below = Array.from({ length: 9 }, (_, index) => `list-${index + 1}`).join(" ");
    numbers.textContent = [...found].filter((each) => /^\d{1,5}$/.test(each)).map((each) =>
      `.ql-editor ol > li[start="${each}"]:first-child { counter-reset: list-0 ${each - 1} ${below}; }`).join("\n");
  };

  // ---- A frame that the page loads anew begins with the text that the first one began with: older than what was typed.
  // Under the key of its mounting the page remembers what stands in it, as long as the page itself is there.
  const typed = attempt(() => (window.parent.editorTexts ??= new Map())) ?? new Map();
  const goOn = (quill) => {
    const { key } = quill.options.modules?.history ?? {};
    if (!key) return;
    const begins = quill.root.innerHTML;
    let entry = typed.get(key);
    if (entry?.begins !== begins) typed.set(key, entry = { begins, stands: begins });
    if (entry.stands !== begins) {
      quill.setContents(quill.clipboard.convert(entry.stands), "user");
      quill.history.clear();
    }
    quill.on("text-change", () => { entry.stands = quill.root.innerHTML; });
  };

  // ---- The editor tells that it is there by writing itself to its element, before it has read its text.
  const dress = (quill) => {
    const label = quill.options.modules?.history?.label || texts.editor;
    quill.root.setAttribute("role", "textbox");
    quill.root.setAttribute("aria-multiline", "true");
    name(quill.root, label, { tip: false });
    attempt(() => { window.frameElement.title = label; });
    document.title = label;
    const bar = quill.getModule("toolbar")?.container;
    if (bar) nameToolbar(bar);
    if (quill.theme.tooltip) nameLinkBox(quill.theme.tooltip.root);
    attempt(() => goOn(quill));
    dressClipboard(quill);
    const line = document.createElement("div");
    line.className = "told";
    line.setAttribute("role", "status");
    quill.container.after(line);
    attempt(() => showNumbers(quill));
    quill.on("text-change", () => attempt(() => showNumbers(quill)));
    // For whoever else has something to do with it (variables.js).
    window.dispatchEvent(new CustomEvent("editor", { detail: { quill, handOver } }));
  };
  Object.defineProperty(Element.prototype, "__quill", {
    configurable: true,
    get() { return undefined; },
    set(quill) {
      Object.defineProperty(this, "__quill", { value: quill, writable: true, configurable: true });
      editor = quill;
      attempt(() => registerNumbers(quill));
      queueMicrotask(() => attempt(() => dress(quill)));
    },
  });
})();
