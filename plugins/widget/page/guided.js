// ---- Guided questions.

async function qualify() {
  if (state.turn) return;
  said(t("find"));
  track("qualification_started");
  await guided(async () => asked((await request("/api/qualification/start", identity())).question));
}

const identity = () => ({ sessionId: record.session, language: state.language });

function said(text) {
  customerSays(text);
  remember({ customer: text });
}

// guided runs one step of the questions and offers to repeat it when it fails.
async function guided(step) {
  const visit = state.visit;
  const message = shopSays();
  const typing = h("p", { class: "typing" }, h("i"), h("i"), h("i"), h("span", { class: "sr" }, t("typing")));
  message.append(typing);
  try {
    const draw = await step();
    typing.remove();
    if (visit === state.visit) draw(message);
  } catch (error) {
    typing.remove();
    add(message, notice(t("unreachable"), t("retry"), () => {
      message.remove();
      error.status === 404 ? qualify() : guided(step); // the shop has forgotten the answers before this one
    }));
  }
}

function asked(question) {
  remember({ question });
  return ask(question);
}

function ask(question) {
  return (message) => {
    const multiple = question.type === "multiple";
    const { min, max } = { min: 1, max: Infinity, ...question.config };
    const picked = new Set();
    const next = h("button", { type: "button", class: "button", click: () => reply([...picked]) });
    const count = () => {
      next.disabled = picked.size < min || picked.size > max;
      next.textContent = t(picked.size === 0 && min === 0 ? "skip" : "next");
    };
    const leave = h("button", { type: "button", class: "button plain", click: leaveQuestions }, t("leave"));
    const group = choices(question.question, question.options, chip, (item, button) => {
      if (!multiple) return reply([item]);
      picked.delete(item) || picked.add(item);
      button.setAttribute("aria-pressed", String(picked.has(item)));
      count();
    });
    count();
    if (multiple) {
      for (const button of group.children) button.setAttribute("aria-pressed", "false");
      group.prepend(h("p", {}, t("several")));
    }
    group.append(h("div", { class: "steps" }, multiple ? next : undefined, leave));
    const step = t("step", { step: number(question.currentStep), total: number(question.totalSteps) });
    add(message,
      h("div", { class: "progress" }, h("progress", { max: question.totalSteps, value: question.currentStep, "aria-label": step }), h("span", {}, step)),
      write(h("p", { class: "text", dir: "auto" }), question.question), group);
    if (document.hasFocus()) group.querySelector("button").focus({ preventScroll: true });

    function leaveQuestions() {
      for (const node of log.querySelectorAll(".transient")) node.remove();
      focusInput();
    }

    function reply(items) {
      said(items.map((item) => item.label).join(", ") || t("skip"));
      const ids = items.map((item) => item.id);
      guided(async () => {
        const answer = await request("/api/qualification/answer", {
          ...identity(), step: question.currentStep, answer: { selected: multiple ? ids : ids[0] },
        });
        return answer.completed ? recommend(answer.message) : asked(answer);
      });
    }
  };
}

async function recommend(thanks) {
  const { recommendations } = await request("/api/qualification/recommendations/" + encodeURIComponent(record.session) +
    "?language=" + state.language + "&limit=4");
  track("qualification_completed", { count: recommendations.count });
  return (message) => {
    const products = recommendations.recommendations || [];
    const fullMessage = recommendations.message || (products.length ? thanks : t("noProducts"));
    remember({ answer: { fullMessage, language: state.language, products } });
    add(message, write(h("p", { class: "text", dir: "auto" }), fullMessage), products.length > 0 && cards(products), rating(),
      choices(t("options"), [{ label: t("again") }], chip, qualify));
    focusInput();
  };
}
