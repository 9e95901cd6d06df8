// Beside Streamlit's own script: its English words in Spanish, and a line that tells when the server is away.
// It only changes what is shown: whatever it does not know stays as it is.
"use strict";
(() => {
  const { labels, words, away } = JSON.parse(document.currentScript.dataset.texts);
  const ATTRIBUTES = ["aria-label", "title", "placeholder"];
  // Only where Streamlit speaks for itself: nobody's own text is touched.
  const ITS_OWN = '[data-testid^="stFileUploader"],[data-testid="stConnectionStatus"],[data-testid="stDialog"],' +
    '[data-testid="stStatusWidget"],[data-testid^="stMainMenu"],[data-testid="stTooltipContent"],[role="dialog"]';

  const rename = (element) => {
    for (const name of ATTRIBUTES) {
      const known = labels[element.getAttribute(name)];
      if (known) element.setAttribute(name, known);
    }
  };
  const reword = (node) => {
    const known = words[node.data.trim()];
    if (known && node.parentElement?.closest(ITS_OWN)) node.data = node.data.replace(node.data.trim(), known);
    const size = /^(\d+(?:\.\d+)?)\s?([KMG]?B) per file(.*)$/.exec(node.data);
    if (size && node.parentElement?.closest('[data-testid^="stFileUploader"]')) {
      node.data = `${size[1]} ${size[2]} ${words["per file"]}${size[3]}`;
    }
  };
  const walk = (root) => {
    if (root.nodeType === Node.TEXT_NODE) return reword(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    rename(root);
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

  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "childList") change.addedNodes.forEach(walk);
      else if (change.type === "characterData") reword(change.target);
      else if (change.attributeName === "data-test-connection-state") look();
      else rename(change.target);
    }
    look();
  }).observe(document.documentElement, {
    subtree: true, childList: true, characterData: true, attributes: true,
    attributeFilter: [...ATTRIBUTES, "data-test-connection-state"],
  });
  document.addEventListener("DOMContentLoaded", () => { document.body.append(line); walk(document.body); });
})();
