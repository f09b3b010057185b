// ---- What was said, kept in the browser: a page that is loaded again, or in another tab, goes on where this one is. An entry is
// a customer's text, with the turn that asks for its answer, or an answer or a question of the shop.

const KEPT_FOR = 24 * 3600 * 1000; // ms after the last message, as the server keeps a conversation
const KEPT_ENTRIES = 60;
const KEPT_LENGTH = 200000; // characters of JSON

let record = readRecord();

function readRecord() {
  try {
    const kept = JSON.parse(memory.get("conversation"));
    if (Date.now() - kept.at < KEPT_FOR && typeof kept.session === "string" && Array.isArray(kept.said)) return kept;
  } catch { /* there is none */ }
  return newRecord();
}

function newRecord() {
  const fresh = { session: newID(), at: Date.now(), said: [] };
  memory.set("conversation", JSON.stringify(fresh));
  return fresh;
}

// kept returns of a last event what is shown of it.
const SHOWN = [
  "fullMessage", "language", "products", "ticket", "degraded", "suggestions", "showCategories", "categories", "showSubcategories", "subcategories",
];
const kept = (event) => Object.fromEntries(SHOWN.map((key) => [key, event[key]]));

function remember(entry) {
  record.said.push(entry);
  record.at = Date.now();
  let text;
  do {
    text = JSON.stringify(record);
  } while ((record.said.length > KEPT_ENTRIES || text.length > KEPT_LENGTH) && record.said.shift());
  memory.set("conversation", text);
}
