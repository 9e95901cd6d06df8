// Pictures in the editor's frame: small, medium or full, chosen in a line that is there while one is chosen.
"use strict";
(() => {
  const texts = JSON.parse(document.currentScript.dataset.texts);
  // Pixels, as shown; the text of a mail is 600 wide (cgcore/templates/images.py). None is made larger than it is.
  const WIDTHS = { small: 150, medium: 300, full: 600 };

  window.addEventListener("editor", ({ detail: { quill, handOver } }) => {
    const line = document.createElement("div");
    line.setAttribute("role", "group");
    line.setAttribute("aria-label", texts.image_size);
    line.hidden = true;
    line.className = "sizes";
    const buttons = Object.entries(texts.image_sizes).map(([size, words]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = words;
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("click", () => resize(WIDTHS[size]));
      return button;
    });
    line.append(`${texts.image_size}: `, ...buttons);
    quill.container.before(line);

    let chosen = null;
    const widthOf = (image) => Number(image.getAttribute("width")) || image.naturalWidth;
    const show = () => {
      line.hidden = !chosen?.isConnected;
      if (line.hidden) return;
      buttons.forEach((button, index) => {
        const width = Math.min(Object.values(WIDTHS)[index], chosen.naturalWidth);
        button.setAttribute("aria-pressed", String(widthOf(chosen) === width));
      });
    };
    const choose = (image) => {
      chosen = image ?? null;
      if (chosen && !chosen.complete) chosen.addEventListener("load", show, { once: true });
      show();
    };
    const resize = (most) => {
      if (!chosen?.isConnected || !chosen.naturalWidth) return;
      const width = Math.min(most, chosen.naturalWidth);
      const height = Math.max(1, Math.round(chosen.naturalHeight * width / chosen.naturalWidth));
      const at = quill.getIndex(quill.constructor.find(chosen));
      quill.formatText(at, 1, { width: String(width), height: String(height) }, "user");
      handOver();
      show();
    };
    const imageAt = (index) => {
      // Between two pieces the editor names the one before.
      const { domNode } = (index >= 0 && quill.getLeaf(index + 1)[0]) || {};
      return domNode?.tagName === "IMG" ? domNode : null;
    };
    const insertedAt = ({ ops }) => {
      let at = 0;
      for (const { insert, retain } of ops) {
        if (insert?.image) return at;
        at += retain ?? (typeof insert === "string" ? insert.length : Number(Boolean(insert)));
      }
      return -1;
    };
    quill.root.addEventListener("click", ({ target }) => choose(target.closest("img")));
    quill.on("selection-change", (range) => {
      // With the keyboard: the one that is selected, or the one just before the cursor.
      if (range) choose(imageAt(range.length ? range.index : range.index - 1));
    });
    quill.on("text-change", (delta, _old, source) => {
      const at = source === "user" ? insertedAt(delta) : -1;
      if (at >= 0) choose(imageAt(at));
      else if (!chosen?.isConnected) choose(null);
    });
  });
})();
