// ---- The beginning, going on, and beginning again.

async function greet() {
  const visit = ++state.visit;
  state.pristine = true;
  let greeting;
  try {
    greeting = await request("/api/greeting?language=" + state.language + "&sessionId=" + encodeURIComponent(record.session));
  } catch {
    greeting = null;
  }
  if (visit !== state.visit || !state.pristine) return;
  log.replaceChildren();
  anchor = null;
  if (!greeting) {
    add(shopSays(), notice(t("unreachable"), t("retry"), greet));
    return;
  }
  const options = greeting.showInitialChoice && choices(t("options"), greeting.initialOptions, option, pickAndSend("category_clicked"));
  if (options) options.classList.add("options");
  add(shopSays(greeting.message), options, ...categories(greeting), suggestions(greeting.suggestions));
}

// restore shows what was said before. It returns the turn that has no answer, if there is one.
function restore() {
  state.visit++;
  log.replaceChildren();
  for (const { customer, answer, question } of record.said) {
    if (customer) {
      customerSays(customer);
    } else if (question) {
      ask(question)(shopSays());
    } else {
      const message = shopSays(answer.fullMessage, answer.language);
      if (answer.products?.length) add(message, cards(answer.products));
      complete(message, answer);
    }
  }
  following = toEnd = true;
  follow();
  return record.said.at(-1)?.turn;
}

function begin() {
  if (record.said.length === 0) return greet();
  const turn = restore();
  if (!turn) return;
  const view = openAnswer();
  if (Date.now() - turn.at < REPEATED_FOR) answer(turn, view);
  else view.fail(t("lost"), t("retry"), () => answer(turn, view));
}

async function newConversation() {
  state.turn?.abort(STOPPED);
  state.turn = null;
  const old = record.session;
  record = newRecord();
  log.replaceChildren();
  refreshComposer();
  focusInput();
  greet();
  // The new conversation doesn't wait; should this fail, the old one ends with its time to live.
  request("/api/clear-history", { sessionId: old }).catch(() => {});
}

// What was said in another tab appears here, too.
addEventListener("storage", (event) => {
  if (event.key !== "innatural.conversation" || state.turn) return;
  record = readRecord();
  if (record.said.length > 0) restore();
  else greet();
});
