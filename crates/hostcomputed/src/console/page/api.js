// The service as this page asks it: documents by fetch, events as a stream. The token travels in a header only, never in an address.

const KEPT = "hostcompute.token";

/** Takes the token out of the page's address, where it would stay in the history, or from this tab's memory. */
export function findToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    keepToken(token);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEPT);
}

export function keepToken(token) {
  sessionStorage.setItem(KEPT, token);
}

export function forgetToken() {
  sessionStorage.removeItem(KEPT);
}

/** The service said no: `status` and what its problem document tells. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the service answered ${status}`);
    this.status = status;
  }
}

async function ask(path, { headers = {}, signal, accept = "application/json" } = {}) {
  const answer = await fetch(path, {
    headers: { Accept: accept, Authorization: `Bearer ${sessionStorage.getItem(KEPT) ?? ""}`, ...headers },
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
    signal,
  });
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

/** A document; gives up when the service does not answer. */
export async function get(path, patience = 10_000) {
  const answer = await ask(path, { signal: AbortSignal.timeout(patience) });
  return answer.json();
}

/** Pieces of text of an event stream become events: {id, name, data}. Comments become {}, they show that the service lives. */
export class EventParser {
  #rest = "";

  *take(piece) {
    const blocks = (this.#rest + piece).split(/\r?\n\r?\n/);
    this.#rest = blocks.pop();
    for (const block of blocks) {
      const event = {};
      for (const line of block.split(/\r?\n/)) {
        const colon = line.indexOf(":");
        if (colon <= 0) continue;
        const value = line.slice(colon + 1).replace(/^ /, "");
        const field = line.slice(0, colon);
        if (field === "id") event.id = value;
        else if (field === "event") event.name = value;
        else if (field === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
      }
      yield event;
    }
  }
}

/** A comment comes every 15 seconds; so much silence is a dead connection. */
const SILENCE = 40_000;

/**
 * Reads events after the one with number `last` until the stream ends; `onOpen` is called when the service has accepted.
 * Returns when the service ends the stream, throws when it cannot be reached.
 */
export async function follow(last, onOpen, onEvent) {
  const stop = new AbortController();
  let silence;
  const alive = () => {
    clearTimeout(silence);
    silence = setTimeout(() => stop.abort(new Error("the service fell silent")), SILENCE);
  };
  alive();
  try {
    const headers = last === undefined ? {} : { "Last-Event-ID": last };
    const answer = await ask("events", { headers, signal: stop.signal, accept: "text/event-stream" });
    onOpen();
    const parser = new EventParser();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      for (const event of parser.take(value)) {
        if (event.name) onEvent({ id: event.id, name: event.name, data: event.data ? JSON.parse(event.data) : {} });
      }
    }
  } finally {
    clearTimeout(silence);
    stop.abort();
  }
}
