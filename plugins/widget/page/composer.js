// ---- The composer.

// On a touch screen the focus would raise the keyboard over the answer.
const touch = matchMedia("(hover: none) and (pointer: coarse)");

function focusInput() {
  if (touch.matches && document.activeElement !== input) log.focus({ preventScroll: true });
  else input.focus({ preventScroll: true });
}

function refreshComposer() {
  const count = length(input.value), over = count > MAX_LENGTH;
  byId("count").textContent = count < NEAR_LIMIT ? "" : t(over ? "tooLong" : "count", { count: number(count), max: number(MAX_LENGTH) });
  byId("count").classList.toggle("over", over);
  input.parentElement.classList.toggle("over", over);
  input.setAttribute("aria-invalid", String(over));
  byId("send").disabled = count === 0 || over;
  byId("send").hidden = state.turn !== null;
  byId("stop").hidden = state.turn === null;
  byId("find").disabled = state.turn !== null;
  input.dir = input.value ? "auto" : root.dir; // auto would take an empty field, and its placeholder, for left to right
  input.style.blockSize = "auto";
  input.style.blockSize = input.scrollHeight + "px";
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (!text || length(text) > MAX_LENGTH || state.turn) return;
  input.value = "";
  send(text);
  refreshComposer();
});
input.addEventListener("input", refreshComposer);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("composer").requestSubmit();
});
byId("stop").addEventListener("click", () => {
  state.turn?.abort(STOPPED);
  focusInput();
});
byId("latest").addEventListener("click", () => {
  following = toEnd = true;
  follow();
  focusInput();
});
byId("new").addEventListener("click", newConversation);
byId("find").addEventListener("click", qualify);
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => chooseLanguage(button.dataset.language));
}

