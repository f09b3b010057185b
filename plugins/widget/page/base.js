const MAX_LENGTH = 5000; // characters that the server accepts in a message
const NEAR_LIMIT = 4500; // from here on the counter shows
const MAX_MESSAGES = 200; // messages kept on the page
const DEADLINE = 15000; // ms for every request but a message

const byId = (id) => document.getElementById(id);
const root = document.documentElement, log = byId("log"), input = byId("message"), shop = byId("shop").textContent;
const STRINGS = JSON.parse(byId("strings").textContent);
const fragment = new URLSearchParams(location.hash.slice(1)); // what the embedding script says

// Storage may be forbidden, as in a frame of another site: the page then forgets when it closes.
const memory = {
  get(key) { try { return localStorage.getItem("innatural." + key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem("innatural." + key, value); } catch { /* see above */ } },
};

const state = {
  language: preferredLanguage(),
  turn: null, // the AbortController of the turn that is under way
  visit: 0, // counts conversations, so that an answer to an earlier one is dropped
  pristine: true, // nothing but the greeting was said
};

function preferredLanguage() {
  const known = (tag) => STRINGS[tag] && tag;
  return known(memory.get("language")) || known(fragment.get("language")) ||
    (navigator.languages || []).map((tag) => known(tag.slice(0, 2).toLowerCase())).find(Boolean) || root.lang;
}

// newID returns 128 random bits, also where there is no randomUUID, as on a page without TLS.
function newID() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return "w-" + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

function t(key, values, language = state.language) {
  return STRINGS[language][key].replace(/\{(\w+)\}/g, (_, name) => (name === "shop" ? shop : values[name]));
}

const directionOf = (language) => (language === "ar" ? "rtl" : "ltr");
const number = (n) => new Intl.NumberFormat(state.language).format(n);
const delay = (seconds) => new Intl.NumberFormat(state.language, { style: "unit", unit: "second", unitDisplay: "long" }).format(seconds);
const length = (text) => Array.from(text.trim()).length; // code points, as the server counts

function money(amount, currency) {
  try {
    return new Intl.NumberFormat(state.language, { style: "currency", currency }).format(amount);
  } catch {
    return number(amount) + " " + (currency || "");
  }
}

// ---- Elements. Text only ever becomes a text node.

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== ""));
  return node;
}

function icon(name, className = "icon") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", "#i-" + name);
  svg.append(use);
  return svg;
}

// Within Arabic, a run of numbers and Latin letters with what joins them. A phone number, a date, a range or a discount that is not
// kept apart is written from its wrong end (Unicode Standard Annex 9, rules W2 to W7).
const FOREIGN = /([+\-−]?[\p{Script=Latin}\d](?:[\p{Script=Latin}\d .,:/+\-–_@'’\u00a0\u202f]*[\p{Script=Latin}\d])?(?:[ \u00a0\u202f]?[%€$£])?)/u;
const ARABIC = /\p{Script=Arabic}/u;

// The number of an order or a ticket stays on one line.
const CODE = /\b([A-Z]{2,}(?:-[0-9A-Z]+)+)\b/;
const whole = (text) => text.split(CODE).map((part, i) => (i % 2 ? h("span", { class: "code" }, part) : part));

// write makes a text what a node says.
function write(node, text) {
  text = text.replace(/(\d) (?=[€%$£])/g, "$1\u00a0"); // no line ends between a number and its sign
  const parts = ARABIC.test(text) ? text.split(FOREIGN) : [text]; // every second part is a run
  node.replaceChildren(...parts.flatMap((part, i) => (i % 2 ? h("bdi", { dir: "ltr" }, ...whole(part)) : whole(part))));
  return node;
}

const emoji = (text) => (text ? h("span", { class: "emoji", "aria-hidden": "true" }, text) : undefined);

// A link leads to a web page or nowhere.
function webAddress(address) {
  try {
    const url = new URL(address, location.href);
    return address && ["http:", "https:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

// ---- The language.

function applyLanguage() {
  root.lang = state.language;
  root.dir = directionOf(state.language);
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
  input.placeholder = t(input.dataset.placeholder);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === state.language));
  }
  for (const id of ["send", "stop"]) byId(id).title = t(id);
  refreshComposer();
}

function chooseLanguage(language) {
  if (language === state.language) return;
  state.language = language;
  memory.set("language", language);
  applyLanguage();
  track("language_changed", { language });
  if (state.pristine) greet();
}
