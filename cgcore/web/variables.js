// The variables of a template and the company's logo, in the editor's frame. A variable goes in at the cursor, of the body
// or of the subject, whichever was written in last, and «{» proposes it; the logo goes in at the cursor of the body.
// Without this script a click on either still puts it at the end of the body.
"use strict";
(() => {
  const texts = JSON.parse(document.currentScript.dataset.texts);
  const INLINE = ["bold", "italic", "underline", "strike", "color", "background", "link"];
  const OPEN = /\{([\p{L}\d_]{0,30})$/u;
  const plain = (words) => words.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const written = (variable) => `{${variable.name}}`;

  // ---- The list that «{» opens, at ``box`` of ``host``; ``take`` gets what is chosen.
  const LIST = "position:absolute;z-index:1000;min-width:220px;max-width:100%;max-height:232px;overflow-y:auto;margin:0;padding:4px;" +
    "list-style:none;border:1px solid;border-radius:8px;font-size:14px;line-height:1.4;box-shadow:0 4px 16px #0003";
  const makeList = (page, field, take) => {
    const list = page.createElement("ul");
    list.id = `proposals-${Math.random().toString(36).slice(2)}`;
    list.style.cssText = LIST;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", texts.proposals);
    let shown = [], active = 0;
    const mark = () => [...list.children].forEach((item, index) => {
      item.setAttribute("aria-selected", String(index === active));
      item.style.background = index === active ? "color-mix(in srgb, currentColor 14%, transparent)" : "";
      if (index !== active) return;
      // By hand: what is around stays where it is.
      const over = item.offsetTop + item.offsetHeight - list.clientHeight;
      list.scrollTop = Math.min(Math.max(list.scrollTop, over), item.offsetTop);
      field.setAttribute("aria-activedescendant", item.id);
    });
    const close = () => {
      shown = [];
      list.remove();
      for (const name of ["aria-controls", "aria-activedescendant"]) field.removeAttribute(name);
    };
    const choose = () => {
      const chosen = shown[active];
      close();
      take(chosen);
    };
    return {
      close,
      isOpen: () => shown.length > 0,
      // Whether the key was one for the list.
      press: (key) => {
        if (!shown.length) return false;
        if (key === "ArrowDown" || key === "ArrowUp") {
          active = (active + (key === "ArrowDown" ? 1 : shown.length - 1)) % shown.length;
          mark();
        } else if (key === "Enter" || key === "Tab") choose();
        else if (key === "Escape") close();
        else return false;
        return true;
      },
      open: (found, host, { left, top }, look) => {
        if (!found.length) return close();
        [shown, active] = [found, 0];
        list.replaceChildren(...found.map((variable, index) => {
          const item = page.createElement("li");
          item.id = `${list.id}-${index}`;
          item.setAttribute("role", "option");
          item.style.cssText = "padding:4px 8px;border-radius:6px;cursor:pointer;white-space:nowrap;overflow:hidden;" +
            "text-overflow:ellipsis";
          const name = page.createElement("b"), sample = page.createElement("span");
          name.textContent = variable.label;
          sample.textContent = variable.sample;
          sample.style.opacity = ".75";
          item.append(name, " · ", sample);
          item.addEventListener("pointerdown", (event) => {
            // The field keeps the cursor.
            event.preventDefault();
            active = index;
            choose();
          });
          item.addEventListener("mousedown", (event) => event.preventDefault());
          return item;
        }));
        Object.assign(list.style, { left: `${left}px`, top: `${top}px`, ...look });
        host.append(list);
        list.style.left = `${Math.max(0, Math.min(left, host.clientWidth - list.offsetWidth - 4))}px`;
        field.setAttribute("aria-controls", list.id);
        mark();
      },
    };
  };

  // An editor that is made anew, for another logo, has the page to itself.
  let former = null;
  window.addEventListener("editor", ({ detail: { quill, handOver } }) => {
    const { variables, palette, subject, picture } = quill.options.modules.history ?? {};
    former?.abort();
    if (!variables?.length) return;
    const page = window.parent.document;
    const gone = former = new AbortController();
    window.addEventListener("pagehide", () => gone.abort());
    const listen = (target, kind, act) => target.addEventListener(kind, act, { capture: true, signal: gone.signal });
    const propose = (typed) => {
      const wanted = plain(typed);
      return variables.filter(({ name, label }) =>
        [name, ...plain(label).split(" "), plain(label)].some((word) => word.startsWith(wanted)));
    };

    // ---- In the body
    let touched = false;
    const put = (variable, { from, length }) => {
      const kept = Object.entries(quill.getFormat(from)).filter(([name]) => INLINE.includes(name));
      const words = written(variable);
      if (length) quill.deleteText(from, length, "user");
      quill.insertText(from, words, Object.fromEntries(kept), "user");
      quill.setSelection(from + words.length, 0, "user");
      handOver();
    };
    const endOfText = () => quill.getText().replace(/\s+$/, "").length;
    const putAtCursor = (variable) => {
      window.focus();
      if (!touched) {
        const end = endOfText();
        if (end) quill.insertText(end, " ", "user");
        return put(variable, { from: end ? end + 1 : 0, length: 0 });
      }
      const { index, length } = quill.getSelection(true);
      put(variable, { from: index, length });
    };
    const putPicture = () => {
      window.focus();
      let { index, length } = touched ? quill.getSelection(true) : { index: endOfText(), length: 0 };
      if (length) quill.deleteText(index, length, "user");
      // Where nothing was written: on a line of its own below the text.
      if (!touched && index) quill.insertText(index++, "\n", "user");
      quill.insertEmbed(index, "image", picture.src, "user");
      const { alt, width, height } = picture;
      quill.formatText(index, 1, { alt, width: String(width), height: String(height) }, "user");
      quill.setSelection(index + 1, 0, "user");
      handOver();
    };
    const opened = () => {
      const cursor = quill.getSelection();
      if (!cursor || cursor.length) return null;
      const [line, offset] = quill.getLine(cursor.index);
      const open = line && OPEN.exec(quill.getText(cursor.index - offset, offset));
      return open && { open: open[0], typed: open[1], from: cursor.index - open[0].length, end: cursor.index };
    };
    const body = makeList(document, quill.root, (variable) => {
      const place = opened();
      if (!place) return;
      const closed = quill.getText(place.end, 1) === "}" ? 1 : 0;
      put(variable, { from: place.from, length: place.end - place.from + closed });
    });
    const room = (height) => { quill.container.style.minHeight = height ? `${height}px` : ""; };
    const shut = () => { body.close(); room(0); };
    quill.on("text-change", (_delta, _old, source) => {
      if (source !== "user") return shut();
      const place = opened();
      if (!place) return shut();
      const { left, bottom } = quill.getBounds(place.end);
      const look = { background: "var(--box)", color: "var(--ink)", borderColor: "var(--line)" };
      const found = propose(place.typed);
      body.open(found, quill.container, { left, top: bottom + 4 }, look);
      room(found.length ? bottom + 16 + Math.min(232, found.length * 28 + 10) : 0);
    });
    quill.on("selection-change", (range) => {
      touched ||= Boolean(range);
      if (range) last = "body";
      if (!range || !opened()) shut();
    });
    // On the window: before the editor's own way out (editor.js).
    listen(window, "keydown", (event) => {
      const plainKey = !event.isComposing && !event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey;
      if (!plainKey || !body.isOpen() || !body.press(event.key)) return;
      room(0);
      event.preventDefault();
      event.stopImmediatePropagation();
    });

    // ---- In the subject, a field of the page around
    let last = "";
    const isSubject = (element) => Boolean(subject && element?.closest?.(`[class*="${subject}"]`) && element.matches("input"));
    const write = (input, start, end, words) => {
      const { set } = Object.getOwnPropertyDescriptor(window.parent.HTMLInputElement.prototype, "value");
      set.call(input, input.value.slice(0, start) + words + input.value.slice(end));
      input.dispatchEvent(new window.parent.Event("input", { bubbles: true }));
      input.focus();
      input.setSelectionRange(start + words.length, start + words.length);
    };
    const lists = new WeakMap();
    const listOf = (input) => {
      if (!lists.has(input)) {
        lists.set(input, makeList(page, input, (variable) => {
          const open = OPEN.exec(input.value.slice(0, input.selectionStart));
          if (!open) return;
          const closed = input.value[input.selectionStart] === "}" ? 1 : 0;
          write(input, input.selectionStart - open[0].length, input.selectionStart + closed, written(variable));
        }));
      }
      return lists.get(input);
    };
    listen(page, "input", ({ target, isTrusted }) => {
      if (!isSubject(target)) return;
      const open = isTrusted && target.selectionStart === target.selectionEnd &&
        OPEN.exec(target.value.slice(0, target.selectionStart));
      if (!open) return listOf(target).close();
      const { left, bottom } = target.getBoundingClientRect();
      const { color } = window.parent.getComputedStyle(target);
      const { backgroundColor } = getComputedStyle(document.body);
      const look = { position: "fixed", background: backgroundColor, color, borderColor: "#94a3b8" };
      listOf(target).open(propose(open[1]), page.body, { left, top: bottom + 4 }, look);
    });
    listen(page, "keydown", (event) => {
      if (!isSubject(event.target) || event.isComposing || !lists.get(event.target)?.press(event.key)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    });
    listen(page, "focusin", ({ target }) => { if (isSubject(target)) last = "subject"; });
    listen(page, "focusout", ({ target }) => { if (isSubject(target)) lists.get(target)?.close(); });
    gone.signal.addEventListener("abort", () => page.querySelectorAll('[id^="proposals-"]').forEach((list) => list.remove()));

    // ---- The palette: a click on a variable, or on the logo, is answered here, before the page asks the server.
    const answerTo = (element) => {
      const pill = palette && element.closest?.(`.st-key-${palette} [data-variant]`);
      const variable = pill && variables.find(({ label }) => label === pill.textContent.trim());
      if (!variable) return picture && element.closest?.(`.st-key-${picture.button} button`) ? putPicture : null;
      return () => {
        const input = last === "subject" && page.querySelector(`[class*="${subject}"] input`);
        if (input) write(input, input.selectionStart, input.selectionEnd, written(variable));
        else putAtCursor(variable);
      };
    };
    for (const kind of ["pointerdown", "mousedown", "pointerup", "mouseup", "keydown", "keyup", "click"]) {
      listen(page, kind, (event) => {
        const answer = answerTo(event.target);
        if (!answer || (event.key && ![" ", "Enter"].includes(event.key))) return;
        event.stopImmediatePropagation();
        if (kind.endsWith("down") && !event.key) event.preventDefault();
        if (kind !== "click") return;
        event.preventDefault();
        const opener = page.querySelector(`.st-key-${palette}_box button[aria-expanded="true"]`);
        opener?.click();
        // At once, so that what is typed next is not before it.
        answer();
        const owner = page.activeElement;
        // The popover gives the focus back to its button, a moment later: it belongs to the text.
        const soon = AbortSignal.any([AbortSignal.timeout(500), gone.signal]);
        page.addEventListener("focusin", ({ target }) => {
          if (target !== opener) return;
          owner.focus();
          if (owner === window.frameElement) quill.focus();
        }, { signal: soon });
      });
    }
  });
})();
