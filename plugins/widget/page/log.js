// ---- The log.

// An answer is read from its beginning: the page follows it until the customer's message is at the top, then waits. Who
// scrolls to the end wants to see it grow; who scrolls back is left alone.
let following = true, toEnd = false, anchor = null, top = 0;

const below = () => log.scrollHeight - log.clientHeight - log.scrollTop;

function follow() {
  let more = below();
  if (following) {
    const reach = toEnd ? Infinity : anchor ? anchor.offsetTop - 16 : 0;
    const step = Math.max(0, Math.min(more, reach - log.scrollTop));
    log.scrollTop += step;
    more -= step;
  }
  byId("latest").hidden = more < 60 || anchor === null;
}

log.addEventListener("scroll", () => {
  if (below() < 60) {
    following = true;
    toEnd = toEnd || log.scrollTop > (anchor ? anchor.offsetTop : 0);
    byId("latest").hidden = true;
  } else if (log.scrollTop < top) {
    following = toEnd = false;
  }
  top = log.scrollTop;
});

function append(message) {
  log.append(message);
  while (log.children.length > MAX_MESSAGES) log.firstChild.remove();
  follow();
  return message;
}

function customerSays(text) {
  state.pristine = false;
  for (const node of log.querySelectorAll(".transient")) node.remove();
  anchor = h("article", { class: "message user" }, h("span", { class: "sr" }, t("you") + " "), write(h("p", { class: "text", dir: "auto" }), text));
  following = true;
  toEnd = false;
  append(anchor);
}

// shopSays opens a message of the shop, whose parts are added as they arrive.
function shopSays(text, language = state.language) {
  const message = h("article", { class: "message shop" }, icon("logo", "avatar"), h("span", { class: "sr" }, t("shop") + " "));
  if (text) message.append(write(h("p", { class: "text", dir: "auto", lang: language }), text));
  return append(message);
}

function add(message, ...parts) {
  message.append(...parts.filter(Boolean));
  follow();
}

// choices draws buttons that vanish with the next message.
function choices(label, items, draw, pick) {
  if (!items || items.length === 0) return undefined;
  const group = h("div", { class: "choices transient", role: "group", "aria-label": label });
  for (const item of items) {
    const button = draw(item);
    button.type = "button";
    button.addEventListener("click", () => pick(item, button));
    group.append(button);
  }
  return group;
}

const chip = (item) => h("button", { class: "chip" }, emoji(item.icon), h("span", { dir: "auto" }, item.label));

const option = (item) =>
  h("button", { class: "option" }, emoji(item.icon), h("b", {}, item.label), item.description ? h("small", {}, item.description) : undefined);

function pickAndSend(kind) {
  return (item) => {
    track(kind, { id: item.id, label: item.label });
    send(item.label);
  };
}

function suggestions(texts) {
  return choices(t("suggestions"), (texts || []).map((label) => ({ label })), chip, pickAndSend("suggestion_clicked"));
}

function categories(answer) {
  return [
    answer.showCategories && choices(t("options"), answer.categories, chip, pickAndSend("category_clicked")),
    answer.showSubcategories && choices(t("options"), answer.subcategories, chip, pickAndSend("category_clicked")),
  ];
}

function card(product) {
  const address = webAddress(product.url);
  const picture = h("div", { class: "picture" });
  const image = webAddress(product.image);
  if (image) {
    const missing = () => picture.replaceChildren(icon("leaf"));
    picture.append(h("img", { src: image, alt: "", loading: "lazy", decoding: "async", width: "88", height: "88", error: missing }));
  } else {
    picture.append(icon("leaf"));
  }
  const opened = () => track("product_clicked", { id: product.id });
  const name = address
    ? h("a", { href: address, target: "_blank", rel: "noopener", click: opened }, product.name, h("span", { class: "sr" }, " " + t("newTab")))
    : product.name;
  return h("li", { class: "card", "data-product": product.id }, picture, h("div", {},
    h("h2", { dir: "auto" }, name),
    h("p", { class: "price" }, h("bdi", {}, money(product.price, product.currency)), product.size ? h("span", {}, h("bdi", {}, product.size)) : undefined),
    product.reason ? write(h("p", { class: "reason", dir: "auto" }), product.reason) : undefined));
}

const cards = (products) => h("ul", { class: "cards", role: "list", "aria-label": t("products") }, ...products.map(card));

function notice(text, label, action) {
  return h("div", { class: "notice" }, icon("alert"), h("p", { dir: "auto" }, text),
    h("button", { type: "button", class: "button quiet transient", click: action }, icon("again"), label));
}

// ticket shows the number of a request, to be kept, and how far it is.
function ticket({ id, status }, language) {
  const number = h("bdi", { dir: "ltr" }, id);
  const done = h("span", { class: "sr", role: "status" });
  const copy = h("button", { type: "button", class: "copy", "aria-label": t("copy", {}, language), title: t("copy", {}, language), click: async () => {
    getSelection().selectAllChildren(number); // for the eye, and for a browser that has no other way
    try {
      await navigator.clipboard.writeText(id);
    } catch {
      document.execCommand("copy");
    }
    done.textContent = t("copied", {}, language);
    copy.replaceChildren(icon("done"));
  } }, icon("copy"));
  return h("div", { class: "ticket", lang: language, dir: directionOf(language) }, icon("ticket"),
    h("p", {}, t("ticket", {}, language) + " ", h("strong", {}, number)), copy,
    status ? h("span", { class: "status" }, STRINGS[language][status] || status) : undefined, done);
}

const note = (picture, key, language) =>
  h("p", { class: "note", lang: language, dir: directionOf(language) }, icon(picture), h("span", {}, t(key, {}, language)));

// complete adds what comes after the words and the products of an answer, in its language.
function complete(message, answer, ...more) {
  const language = STRINGS[answer.language] ? answer.language : state.language;
  add(message, answer.ticket && ticket(answer.ticket, language), answer.degraded && note("leaf", "degraded", language),
    answer.stopped && note("stop", "stopped", language), ...more, ...categories(answer), suggestions(answer.suggestions));
}

function rating() {
  const thanks = h("span", { role: "status" });
  const thumb = (picture, label, value) => h("button", { type: "button", "aria-label": label, title: label, "aria-pressed": "false", click: rate },
    icon(picture), h("data", { value }));
  const group = h("div", { class: "rating", role: "group", "aria-label": t("rate") },
    thumb("up", t("helpful"), 5), thumb("thumbdown", t("unhelpful"), 1), thanks);
  const buttons = group.querySelectorAll("button");
  async function rate(event) {
    const picked = event.currentTarget;
    if (picked.getAttribute("aria-disabled")) return;
    const show = (on) => {
      picked.setAttribute("aria-pressed", String(on));
      for (const button of buttons) on ? button.setAttribute("aria-disabled", "true") : button.removeAttribute("aria-disabled");
      thanks.textContent = on ? t("thanks") : "";
    };
    show(true);
    try {
      await request("/api/analytics/feedback", { sessionId: record.session, rating: Number(picked.querySelector("data").value) });
    } catch {
      show(false);
    }
  }
  return group;
}
