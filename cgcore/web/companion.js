// Beside Streamlit's own script: its English words in Spanish, what a reader without a screen or a mouse needs, a line
// that tells when the server is away, and what a click has come to brought into view.
// It only changes what is shown: whatever it does not know stays as it is.
"use strict";
(() => {
  const { labels, words, away, beginnings, uploads, copied, copy_by_hand: byHand } =
    JSON.parse(document.currentScript.dataset.texts);
  const ATTRIBUTES = ["aria-label", "title", "placeholder"];
  // Only where Streamlit speaks for itself: nobody's own text is touched.
  const ITS_OWN = '[data-testid^="stFileUploader"],[data-testid="stConnectionStatus"],[data-testid="stDialog"],' +
    '[data-testid="stStatusWidget"],[data-testid^="stMainMenu"],[data-testid="stTooltipContent"],[role="dialog"],' +
    '[data-testid="InputInstructions"],[data-testid="stSkipToContent"]';

  const BEGINNING = new RegExp(`^(?:${Object.keys(beginnings).join("|")})(?= .)`);
  const UPLOADER = '[data-testid^="stFileUploader"],[data-testid="stTooltipContent"],[role="tooltip"]';

  // Why a file was not taken: Streamlit shows what its library throws, and the answer's status at best.
  const explain = (said) => {
    if (said.startsWith("AxiosError")) return uploads[/status code (\d+)/.exec(said)?.[1]] || uploads.failed;
    const size = /^File must be (\d+(?:\.\d+)?)\s?([KMG]?B) or smaller\.?$/.exec(said);
    if (size) return `${uploads.size} ${size[1]} ${size[2]}.`;
    return / files are not allowed\.$/.test(said) ? uploads.kind : null;
  };
  const rename = (element) => {
    for (const name of ATTRIBUTES) {
      const given = element.getAttribute(name);
      // A file is named by its own name, whatever that begins with.
      const began = element.matches('[data-testid="stFileChip"]') ? null : BEGINNING.exec(given ?? "");
      const known = labels[given] || (began && beginnings[began[0]] + given.slice(began[0].length));
      if (known && known !== given) element.setAttribute(name, known);
    }
  };
  // That the server is away is told by the line below; Streamlit's dialog would say it to whoever runs a terminal.
  const dismiss = (node) => {
    if (node.data.trim() !== "Connection error") return;
    node.parentElement?.closest('[role="dialog"]')?.querySelector('button[aria-label="Close"],' +
      `button[aria-label="${labels.Close}"]`)?.click();
  };
  const reword = (node) => {
    dismiss(node);
    const known = words[node.data.trim()];
    if (known && node.parentElement?.closest(ITS_OWN)) node.data = node.data.replace(node.data.trim(), known);
    const place = node.parentElement;
    const why = place?.closest(UPLOADER) && !place.closest('[data-testid="stFileChipName"]') && explain(node.data);
    if (why) node.data = why;
    const size = /^(\d+(?:\.\d+)?)\s?([KMG]?B) per file(.*)$/.exec(node.data);
    if (size && node.parentElement?.closest('[data-testid^="stFileUploader"]')) {
      node.data = `${size[1]} ${size[2]} ${words["per file"]}${size[3]}`;
    }
  };

  // A wide table is moved with the arrow keys, and says what it is, where there is something to move.
  const measure = (entries) => {
    for (const { target } of entries) {
      const names = { tabindex: "0", role: "region", "aria-label": target.firstElementChild?.getAttribute("aria-label") };
      for (const [name, value] of Object.entries(names)) {
        if (value && target.scrollWidth > target.clientWidth) target.setAttribute(name, value);
        else target.removeAttribute(name);
      }
    }
  };
  const sizes = new ResizeObserver(measure);

  // Streamlit switches a tab off from when a run is asked for until that run has drawn it, and forgets what is pressed
  // meanwhile: right after a key in a field, most often. It is pressed again as soon as it may be; the last one counts.
  let pressed = null;
  const press = () => {
    const { tab, key } = pressed ?? {};
    if (!tab || tab.getAttribute("aria-disabled") === "true") return;
    pressed = null;
    if (!tab.isConnected) return;
    if (key) tab.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    else tab.click();
  };
  const offTab = (target) => target.closest?.('[role="tab"][aria-disabled="true"]');
  document.addEventListener("pointerdown", (event) => {
    const tab = event.button === 0 && offTab(event.target);
    pressed = tab ? { tab } : null;
  }, { capture: true });
  document.addEventListener("keydown", (event) => {
    if (!event.isTrusted) return;
    const tab = /^(Arrow(Left|Right)|Home|End)$/.test(event.key) && offTab(event.target);
    pressed = tab ? { tab, key: event.key } : null;
  }, { capture: true });
  const MENDED = {
    // Lists whose items are no children of a list: links under a heading.
    '[data-testid="stSidebarNavItems"],[data-testid="stSidebarNavItems"] li': (e) => e.setAttribute("role", "none"),
    '[data-testid="stFileUploaderDropzone"][role="presentation"]': (e) => e.setAttribute("role", "group"),
    // The English name of a picture that stands beside its word.
    '[role="img"][aria-label$=" icon"]': (e) => {
      if (e.parentElement.textContent.trim() !== e.textContent.trim()) e.setAttribute("aria-hidden", "true");
    },
    // What is chosen has its frame and its ground; its letters in the first colour are too faint on them.
    '[data-variant],[role="tab"]': (e) => { e.style.color = e.hasAttribute("data-selected") ? "inherit" : ""; },
    '[data-testid="stTable"] > div': (e) => sizes.observe(e),
  };
  const mend = (root) => {
    for (const [place, cure] of Object.entries(MENDED)) {
      if (root.matches(place)) cure(root);
      root.querySelectorAll(place).forEach(cure);
    }
  };

  const walk = (root) => {
    if (root.nodeType === Node.TEXT_NODE) return reword(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    rename(root);
    mend(root);
    for (const element of root.querySelectorAll("[aria-label],[title],[placeholder]")) rename(element);
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) reword(texts.currentNode);
  };

  const line = document.createElement("div");
  line.setAttribute("role", "status");
  line.id = "server-away";
  Object.assign(line.style, {
    position: "fixed", insetInline: "0", bottom: "0", zIndex: "2147483647", padding: "10px 16px", textAlign: "center",
    font: "600 15px/1.4 system-ui, sans-serif", background: "#8a3b00", color: "#ffffff",
  });
  line.hidden = true;
  let was = false, waiting = 0;
  const look = () => {
    const app = document.querySelector("[data-test-connection-state]");
    const connected = !app || /^(STATIC_)?CONNECTED$/.test(app.getAttribute("data-test-connection-state"));
    was ||= Boolean(app) && connected;
    if (connected || !was) {
      clearTimeout(waiting);
      waiting = 0;
      line.hidden = true;
      line.textContent = "";
    } else if (!waiting) {
      // A connection that comes back at once is nothing to tell.
      waiting = setTimeout(() => { line.hidden = false; line.textContent = away; }, 1500);
    }
  };

  // «Copiar» under a text in a frame of its own (a button «copy_…»): done here, and said on the button.
  const copy = (words) => navigator.clipboard?.writeText(words) ?? Promise.reject(new Error("no clipboard"));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.('[class*="st-key-copy_"] button');
    const around = button?.closest('[class*="st-key-copyable_"],[role="dialog"],[data-testid="stMain"]');
    const code = around?.querySelector('[data-testid="stMetricValue"],[data-testid="stCodeUnhighlighted"],[data-testid="stCode"] code');
    const label = button?.querySelector("p");
    if (!code || !label) return;
    event.stopImmediatePropagation();
    const before = label.textContent;
    copy(code.textContent.trim()).then(() => { label.textContent = copied; }, () => {
      window.getSelection().selectAllChildren(code);
      label.textContent = document.execCommand("copy") ? copied : byHand;
    }).finally(() => setTimeout(() => { label.textContent = before; }, 2500));
  }, { capture: true });

  // What a click in a cell has come to stands under «…_verdict»; on a phone that may be below the edge. Whoever goes
  // on by themselves meanwhile is left alone.
  let clicked = "", ran = false, bringing = 0;
  document.addEventListener("click", (event) => {
    const cell = event.target.closest?.("button") && event.target.closest('[class*="st-key-cell_"]');
    clicked = cell ? [...cell.classList].find((name) => name.startsWith("st-key-cell_")) : "";
    ran = false;
  });
  for (const gesture of ["wheel", "touchmove", "pointerdown", "keydown"]) {
    document.addEventListener(gesture, () => { clicked = ""; }, { passive: true, capture: true });
  }
  const isRunning = () => document.querySelector('[data-test-script-state="running"]') !== null;
  const bring = () => {
    const told = clicked && !isRunning() && document.querySelector(`.${clicked} [class*="_verdict"]`);
    if (!told) return;
    const box = told.getBoundingClientRect();
    const edge = (name, side) => document.querySelector(`[data-testid="${name}"]`)?.getBoundingClientRect()[side];
    const top = edge("stHeader", "bottom") || 0, end = Math.min(edge("stBottom", "top") || innerHeight, innerHeight);
    if (box.top < top || box.bottom > end) told.scrollIntoView({ block: box.height < end - top ? "center" : "start" });
    clicked = "";
  };
  const seek = () => {
    ran ||= isRunning();
    if (!clicked || !ran) return;
    clearTimeout(bringing);
    bringing = setTimeout(bring, 150);
  };

  new MutationObserver((changes) => {
    seek();
    for (const change of changes) {
      if (change.type === "childList") change.addedNodes.forEach(walk);
      else if (change.type === "characterData") reword(change.target);
      else if (change.attributeName.startsWith("data-test-")) look();
      else if (change.attributeName === "data-selected") mend(change.target);
      else if (change.attributeName === "aria-disabled") press();
      else rename(change.target);
    }
    look();
  }).observe(document.documentElement, {
    subtree: true, childList: true, characterData: true, attributes: true,
    attributeFilter: [...ATTRIBUTES, "aria-disabled", "data-selected", "data-test-connection-state", "data-test-script-state"],
  });
  document.addEventListener("DOMContentLoaded", () => { document.body.append(line); walk(document.body); });
})();
