// ---- A turn of the conversation: a message and its answer. However often it is sent, its key and its body are the same, so that
// it is answered once.

const TRIES = 5; // by the page itself; then the customer decides
const REPEATED_FOR = 5 * 60 * 1000; // ms after which a page that is loaded again asks before it sends again

async function send(text) {
  text = text.trim();
  if (!text || length(text) > MAX_LENGTH || state.turn) return;
  const turn = { text, language: languageOf(text), key: newID(), at: Date.now() };
  customerSays(text);
  remember({ customer: text, turn });
  track("message_sent");
  focusInput();
  await answer(turn, openAnswer());
}

// A message in Arabic script is answered in Arabic, whatever the page's language.
const languageOf = (text) => (ARABIC.test(text) ? "ar" : state.language);

// openAnswer draws an answer as it arrives. What was received stays until an attempt has more to say.
function openAnswer() {
  const message = shopSays();
  const typing = h("p", { class: "typing" }, h("i"), h("i"), h("i"), h("span", { class: "sr" }, t("typing")));
  const words = h("p", { class: "text", dir: "auto" });
  let shown = "", said = "", products, problem;

  const say = (text, language) => {
    shown = text;
    write(words, text).lang = language || state.language;
    if (words.isConnected) return;
    if (typing.isConnected) typing.before(words);
    else message.append(words);
  };
  const showProducts = (list) => {
    if (!list || list.length === 0) return;
    const drawn = cards(list);
    products ? products.replaceWith(drawn) : add(message, drawn);
    products = drawn;
  };
  return {
    message,
    begin() {
      said = "";
      problem?.remove();
      add(message, typing);
    },
    hear(event) {
      if (event.showProducts) showProducts(event.products);
      if (!event.content) return;
      log.setAttribute("aria-busy", "true"); // a screen reader waits for the whole answer
      typing.remove();
      said += event.content;
      if (!shown.startsWith(said)) say(said, event.language);
      follow();
    },
    fail(text, label, action) {
      this.end();
      problem = notice(text, label, action);
      add(message, problem);
    },
    end() {
      log.removeAttribute("aria-busy");
      typing.remove();
    },
    stop() {
      problem?.remove();
      remember({ answer: { fullMessage: shown, stopped: true } });
      complete(message, { stopped: true });
    },
    finish(event) {
      if (event.fullMessage && event.fullMessage !== shown) say(event.fullMessage, event.language);
      showProducts(event.products);
      remember({ answer: kept({ ...event, fullMessage: shown }) });
      complete(message, event, rating());
    },
  };
}

// answer sends a turn until it is answered, as long as the failure may pass by itself.
async function answer(turn, view) {
  const control = new AbortController();
  const again = () => {
    focusInput();
    answer(turn, view);
  };
  state.turn = control;
  refreshComposer();
  let end;
  for (let tries = 1; ; tries++) {
    view.begin();
    end = await attempt(turn, control.signal, view.hear);
    if (end.seconds === Infinity) tries = 0;
    if (!end.failed || end.seconds === undefined || tries >= TRIES) break;
    // With jitter: what one customer has lost, many have, at the same moment.
    const seconds = Math.max(end.seconds * (1 + Math.random() / 4), 2 ** (tries - 2) * (0.5 + Math.random()));
    await new Promise((hurry) => {
      view.fail(t(end.failed + "Wait", { delay: delay(Math.ceil(seconds)) }), t("now"), hurry);
      pause(seconds, control.signal).then(hurry);
    });
    if (control.signal.aborted) {
      end = { stopped: true };
      break;
    }
  }
  if (state.turn === control) state.turn = null;
  view.end();
  if (!view.message.isConnected) return; // another conversation has begun
  if (end.done) view.finish(end.done);
  else if (end.stopped) view.stop();
  else if (end.failed === "rejected") view.fail(t("rejected"), t("edit"), () => edit(turn.text));
  else view.fail(end.text || t(end.failed), t("retry"), again);
  refreshComposer();
  if (document.hasFocus() && [null, document.body, byId("stop")].includes(document.activeElement)) focusInput();
}

// pause ends after some seconds, when the connection is back, or with its signal.
function pause(seconds, signal) {
  return new Promise((end) => {
    const over = new AbortController();
    const finish = () => {
      clearTimeout(timer);
      over.abort();
      end();
    };
    const timer = seconds === Infinity ? 0 : setTimeout(finish, 1000 * seconds);
    addEventListener("online", finish, { signal: over.signal });
    signal.addEventListener("abort", finish, { signal: over.signal });
  });
}

function edit(text) {
  input.value = text;
  refreshComposer();
  focusInput();
}
