// ---- In a frame, the button that opens and closes the chat is on the page around it, whose origin is in the fragment. Pages that
// the policy doesn't name can't show this one.

const embedder = parent === window ? null : fragment.get("host");

function tell(word) {
  if (embedder) parent.postMessage(word, embedder);
}

addEventListener("message", (event) => {
  if (event.source === parent && event.origin === embedder && event.data === "open") focusInput();
});
byId("close").hidden = !embedder;
byId("close").addEventListener("click", () => tell("close"));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) tell("close");
});

applyLanguage();
begin();
if (!embedder) focusInput();
tell("ready");
track("widget_opened", { language: state.language });
