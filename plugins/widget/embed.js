// Puts the shop's chat on any page: a button that opens the chat page, which stands beside this script, in a frame. The shadow
// tree keeps styles apart and needs nothing of the page's security policy.
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script || window.innaturalChat) return;

  const TEXTS = {
    fr: ["Discuter avec la boutique", "Fermer la discussion"],
    en: ["Chat with the shop", "Close the chat"],
    ar: ["تحدّث مع المتجر", "إغلاق المحادثة"],
  };
  const language = [script.dataset.language, document.documentElement.lang, ...navigator.languages, "fr"]
    .map((tag) => (tag || "").slice(0, 2).toLowerCase()).find((tag) => TEXTS[tag]);
  const [name, toClose] = TEXTS[language];
  const page = new URL(".", script.src);
  page.hash = new URLSearchParams({ host: location.origin, language });

  const style = new CSSStyleSheet();
  style.replaceSync(`
    :host { all: initial !important; }
    .panel, button { position: fixed; z-index: 2147483647; inset-inline-end: 20px; }
    button {
      inset-block-end: calc(20px + env(safe-area-inset-bottom)); width: 60px; height: 60px; padding: 16px;
      border: 1px solid #fff3; border-radius: 50%; background: #3d5a3a; color: #fbfaf4; cursor: pointer;
      box-shadow: 0 2px 6px #0003, 0 12px 32px -8px #0006; transition: background-color .15s;
    }
    button:hover { background: #2d452b; }
    button:focus-visible { outline: 3px solid #9a4a2b; outline-offset: 3px; }
    svg { display: block; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; }
    .open .chat, .cross { display: none; }
    .open .cross { display: inline; }
    .panel {
      inset-block-end: calc(94px + env(safe-area-inset-bottom)); box-sizing: border-box; overflow: hidden;
      width: min(420px, 100vw - 40px); height: min(700px, 100vh - 116px);
      border: 1px solid #0002; border-radius: 20px; background: #f4ede0; box-shadow: 0 24px 64px -16px #0006;
    }
    .panel[hidden] { display: none; }
    iframe { display: block; width: 100%; height: 100%; border: 0; }
    @media (max-width: 480px), (max-height: 480px) {
      .panel { inset: 0; width: auto; height: auto; border: 0; border-radius: 0; }
      .open.ready button { display: none; }
    }
    @media (prefers-color-scheme: dark) { .panel { background: #161a14; border-color: #fff2; } }
    @media (prefers-reduced-motion: no-preference) { .panel { animation: rise .2s ease-out; } }
    @media print { .panel, button { display: none; } }
    @keyframes rise { from { opacity: 0; translate: 0 12px; } }
  `);

  function element(tag, attributes, ...children) {
    const space = ["svg", "path"].includes(tag) ? "2000/svg" : "1999/xhtml";
    const node = document.createElementNS("http://www.w3.org/" + space, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  const host = element("innatural-chat", {});
  const button = element("button", { type: "button", "aria-label": name, "aria-expanded": "false" },
    element("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
      element("path", { class: "chat", d: "M4 18.5V7a2.5 2.5 0 0 1 2.5-2.5h11A2.5 2.5 0 0 1 20 7v7a2.5 2.5 0 0 1-2.5 2.5H8zM8.5 9h7M8.5 12.2h4.5" }),
      element("path", { class: "cross", d: "M6 6l12 12M18 6 6 18" })));
  const panel = element("div", { class: "panel", role: "dialog", "aria-label": name, hidden: "" });
  const root = element("div", { dir: language === "ar" ? "rtl" : "ltr", lang: language }, panel, button);
  let frame;

  function toggle(open) {
    if (open && !frame) {
      frame = element("iframe", { src: page.href, title: name, allow: "clipboard-write" });
      panel.append(frame);
    }
    const focused = document.activeElement === host;
    panel.hidden = !open;
    root.classList.toggle("open", open);
    button.setAttribute("aria-expanded", open);
    button.setAttribute("aria-label", open ? toClose : name);
    if (open) enter();
    else if (focused) button.focus();
  }

  function enter() {
    frame.focus();
    if (root.classList.contains("ready")) frame.contentWindow.postMessage("open", page.origin);
  }

  button.addEventListener("click", () => toggle(panel.hidden));
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) toggle(false);
  });
  addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== page.origin) return;
    if (event.data === "close") toggle(false);
    if (event.data === "ready") {
      root.classList.add("ready");
      if (!panel.hidden) enter();
    }
  });

  const shadow = host.attachShadow({ mode: "open" });
  shadow.adoptedStyleSheets = [style];
  shadow.append(root);
  window.innaturalChat = Object.freeze({ open: () => toggle(true), close: () => toggle(false) });
  if (document.body) document.body.append(host);
  else addEventListener("DOMContentLoaded", () => document.body.append(host));
})();
