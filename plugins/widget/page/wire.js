// ---- Requests.

const SILENCE = 35000; // ms without a byte after which a stream is lost: the server pings every 15 s
const MOST_PATIENCE = 60; // seconds that the page waits because the server asks for it
const STOPPED = new DOMException("stopped by the customer", "AbortError");

async function request(path, body) {
  const options = { signal: AbortSignal.timeout(DEADLINE) };
  if (body) Object.assign(options, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok || answer.success === false) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}

// What is measured is never worth an error to the customer.
function track(event, data) {
  request("/api/analytics/track", { event, sessionId: record.session, data }).catch(() => {});
}

// attempt sends a turn once, gives its events to hear and tells how it ended: done by the last event, stopped by the customer, or
// failed for a reason, to be tried again after some seconds where the failure may pass.
async function attempt(turn, stop, hear) {
  const silence = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE);
  };
  try {
    alive();
    const response = await fetch("/api/chat/stream", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream", "Idempotency-Key": turn.key },
      body: JSON.stringify({ message: turn.text, sessionId: record.session, language: turn.language }),
      signal: AbortSignal.any([stop, silence.signal]),
    });
    if (!response.ok) return refusal(response);
    if (!/^text\/event-stream/.test(response.headers.get("Content-Type"))) return lost(); // another network's own page
    for await (const event of events(response.body, alive)) {
      if (event.done && event.success) return { done: event };
      if (event.done) return { failed: "failed", text: event.message, seconds: event.code === "stopping" ? 1 : undefined };
      hear(event);
    }
    return lost();
  } catch {
    return stop.aborted ? { stopped: true } : lost();
  } finally {
    clearTimeout(timer);
  }
}

const lost = () => (navigator.onLine ? { failed: "lost", seconds: 0 } : { failed: "offline", seconds: Infinity });

function refusal(response) {
  response.body?.cancel();
  switch (response.status) {
    case 409: case 425: case 429: case 503: {
      const seconds = Number(response.headers.get("Retry-After")) || 2;
      return { failed: "busy", seconds: seconds <= MOST_PATIENCE ? seconds : undefined };
    }
    case 408: case 502: case 504:
      return { failed: "unreachable", seconds: 0 };
    default:
      return { failed: response.status < 500 ? "rejected" : "failed" };
  }
}

// events reads server-sent events (HTML Standard, section 9.2): lines may be split over chunks and end in LF, CR or CRLF,
// comments keep the connection alive, a data field may span lines.
async function* events(stream, alive) {
  const reader = stream.getReader(), decoder = new TextDecoder(); // a pipe would drop what came just before a break
  let buffer = "", data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      buffer += decoder.decode(value, { stream: true });
      // A CR at the end may be the first half of a CRLF.
      for (let end; (end = /\r\n|\n|\r(?!$)/.exec(buffer)); ) {
        const line = buffer.slice(0, end.index);
        buffer = buffer.slice(end.index + end[0].length);
        if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        } else if (line === "" && data.length > 0) {
          const event = JSON.parse(data.join("\n"));
          data = [];
          yield event;
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
