// The console: keeps what the page shows in step with the service.
//
// Events tell at once that something happened; the revision that comes with the statistics tells what has no event. Either way the page
// asks for what changed since its own revision, and changes only the elements that differ.

import { Refusal, findToken, follow, forgetToken, get, keepToken } from "./api.js";
import { Dock, fillPeek } from "./dock.js";
import { setAttribute, setText, svg } from "./dom.js";
import { Glance } from "./glance.js";
import { TopologyMap } from "./map.js";
import { Model, filter } from "./model.js";
import { flowLines } from "./rails.js";
import { Rates } from "./rates.js";
import * as words from "./words.js";

const EACH_SECOND = 1000;
const FLOWS_EVERY = 3000;
const MOST_FLOWS = 2000;

/** Waiting before the next attempt: doubles up to this. */
const PATIENCE = 8000;

/** Events of one moment are answered with one look. */
const GATHER = 60;

/** With so few endpoints flow lines are drawn unless they are switched off. */
const LINES_UNASKED = 40;

const at = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const model = new Model();
const rates = new Rates();
const view = { model, rates, text: "", shown: undefined, selected: undefined, edges: [], flowsNote: undefined };
const wanted = new Set();
let loaded = false;
let lastEvent;
let lines;

const glance = new Glance(at("glance"), (word) => toggleWord(word));
const map = new TopologyMap(at("map"), { open, peek });
const dock = new Dock(at("dock"), { open, changed: () => draw("dock") });
const picture = svg("svg", { class: "currents", "aria-hidden": "true" });
at("map").append(picture);

// Drawing: what was asked for is done once before the next frame.

function draw(...parts) {
  if (!wanted.size) requestAnimationFrame(drawWanted);
  parts.forEach((part) => wanted.add(part));
}

function drawWanted() {
  const parts = new Set(wanted);
  wanted.clear();
  if (!loaded) return;
  if (parts.has("all")) {
    view.shown = filter(view.text, (endpoint) => rates.busy(endpoint.id));
    glance.render(view);
    map.render(view);
    setAttribute(at("lines"), "aria-pressed", String(linesOn()));
    tellMatches();
  } else {
    if (parts.has("selection")) map.select(view.selected);
    if (parts.has("rates")) map.tick();
    if (parts.has("lay")) map.lay();
  }
  glance.tick(view);
  dock.render(view);
  drawFlows();
}

function tellMatches() {
  const matching = view.shown ? [...model.objects.values()].filter(view.shown).length : 0;
  setText(at("matches"), view.shown ? words.count(matching, "match").replace("matchs", "matches") : "");
}

function drawFlows() {
  const chosen = view.selected && model.get(view.selected);
  let edges = [];
  if (chosen) edges = view.edges.filter((edge) => [edge.from, edge.to, edge.via].includes(chosen));
  if (!edges.length && linesOn()) edges = view.edges;
  flowLines(picture, at("map"), edges, (id) => map.find(id), chosen);
  setAttribute(picture, "data-chosen", Boolean(chosen));
}

const linesOn = () => lines ?? model.of("Endpoint").length <= LINES_UNASKED;

// What the service says.

let looking;
let lookAgain = false;

/** Asks for what changed; calls that come meanwhile lead to one more look. */
function look() {
  lookAgain = true;
  looking ??= (async () => {
    try {
      while (lookAgain) {
        lookAgain = false;
        const began = performance.now();
        const answer = await get(`host/topology?after=${encodeURIComponent(model.revision)}`);
        const first = !loaded;
        loaded = true;
        if (model.take(answer) || first) draw("all");
        // Where looking takes long and much happens, neither side does nothing else.
        if (lookAgain) await pause(2 * (performance.now() - began));
      }
    } finally {
      looking = undefined;
    }
  })();
  return looking;
}

async function count() {
  const answer = await get("host/statistics");
  rates.take(answer);
  draw("rates");
  if (/\bis:busy\b/.test(view.text)) draw("all");
  if (answer.Revision !== model.revision) await look();
}

async function askFlows() {
  if (document.hidden || !(dock.page === "flows" || linesOn() || view.selected)) return;
  const answer = await get(`host/flows?limit=${MOST_FLOWS}`);
  view.edges = model.flows(answer.Flows);
  view.flowsNote = answer.Flows.length === MOST_FLOWS ? `Only ${MOST_FLOWS} connections were looked at.` : undefined;
  draw("dock");
}

/** Does something again and again, and only while somebody looks at the page. */
async function regularly(every, work) {
  for (;;) {
    if (document.hidden) {
      rates.pause();
      await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    }
    if (document.body.dataset.phase === "live") {
      try {
        await work();
        tell(undefined, work);
      } catch (error) {
        failed(error, work);
      }
    }
    await pause(every);
  }
}

// The connection: a stream of events that is taken up again where it ended.

async function stayConnected() {
  let attempt = 0;
  for (;;) {
    try {
      await follow(
        lastEvent,
        () => {
          attempt = 0;
          connected();
        },
        happened,
      );
      throw new Error("the service ended the connection");
    } catch (error) {
      if (failed(error)) return;
    }
    const wait = Math.min(PATIENCE, 500 * 2 ** attempt++);
    lost(wait);
    await pause(wait);
  }
}

function connected() {
  setPhase("live", "Live");
  tell(undefined, connection);
  rates.pause();
  look().catch((error) => failed(error));
  get("version")
    .then((version) => (at("status").title = `${version.Name} ${version.Version}, schema ${version.Schema}`))
    .catch((error) => failed(error));
}

let gathering;

function happened({ id, name, data }) {
  if (id !== undefined) lastEvent = id;
  if (name === "Missed") {
    const missed = data.Count ? `${words.count(data.Count, "event")} missed here` : "the service began anew here";
    dock.happened("gap", { text: missed });
  } else if (name === "ServiceDisconnect") {
    dock.happened("gap", { text: `disconnected: ${data.Data?.Reason ?? data.Reason ?? "the service said so"}` });
  } else {
    dock.happened("event", { id, name, data, whom: model.get((data.Data?.ID ?? "").toLowerCase())?.name });
  }
  gathering ??= setTimeout(() => {
    gathering = undefined;
    look().catch((error) => failed(error));
  }, GATHER);
  draw("dock");
}

let lostAt;

function lost(wait) {
  if (document.body.dataset.phase === "live") lostAt = new Date();
  setPhase("lost", "Reconnecting");
  const since = lostAt ? ` What is shown is from ${lostAt.toTimeString().slice(0, 8)}.` : "";
  tell(`The service does not answer.${since} Next attempt in ${Math.ceil(wait / 1000)} s.`, connection);
}

const connection = "connection";
let teller;

/** Shows what is wrong, until whoever told it has nothing to tell any more. */
function tell(text, who) {
  if (text) teller = who;
  else if (teller !== who) return;
  if (text) setText(at("banner"), text);
  setAttribute(at("banner"), "hidden", !text);
}

/** Tells what went wrong, until `who` succeeds; true when only another token helps. */
function failed(error, who = count) {
  if (error.name === "TimeoutError") tell("The service takes long to answer.", who);
  // Any other failure is the connection's, and told by its stream of events.
  if (!(error instanceof Refusal)) return false;
  if (error.status === 401 || error.status === 403) {
    forgetToken();
    openGate(
      error.status === 401
        ? "The token was refused: the service may have been started anew, with another one."
        : error.message,
    );
    return true;
  }
  tell(`The service refused: ${error.message}`, who);
  return false;
}

function setPhase(phase, text) {
  document.body.dataset.phase = phase;
  setText(at("status").querySelector("b"), text);
}

// What people do.

function open(id) {
  view.selected = view.selected === id ? undefined : id;
  if (view.selected) dock.show("details");
  askFlows().catch((error) => failed(error));
  draw("selection", "dock");
}

function peek(node) {
  const card = at("peek");
  const endpoint = node && model.get(node.dataset.id);
  setAttribute(card, "hidden", !endpoint);
  if (!endpoint) return;
  fillPeek(card, endpoint, rates);
  const box = node.getBoundingClientRect();
  const own = card.getBoundingClientRect();
  const below = box.bottom + 8 + own.height < innerHeight;
  card.style.left = `${Math.max(8, Math.min(box.left, innerWidth - own.width - 8))}px`;
  card.style.top = `${below ? box.bottom + 6 : box.top - own.height - 6}px`;
}

function search(text) {
  view.text = text;
  if (at("search").value !== text) at("search").value = text;
  draw("all");
}

function toggleWord(word) {
  const asked = view.text.split(/\s+/).filter(Boolean);
  const rest = asked.filter((other) => other !== word);
  search((rest.length < asked.length ? rest : [...asked, word]).join(" "));
}

function toggleLines() {
  lines = !linesOn();
  setAttribute(at("lines"), "aria-pressed", String(lines));
  askFlows().catch((error) => failed(error));
  draw("dock");
}

const THEMES = ["auto", "light", "dark"];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  setText(at("theme"), `Theme: ${theme}`);
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  localStorage.setItem("hostcompute.theme", theme);
  setTheme(theme);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || at("gate").open) return;
  const writing = event.target.matches("input, textarea");
  if (event.key === "Escape") {
    if (writing && view.text) search("");
    else if (writing) event.target.blur();
    else if (view.selected) open(view.selected);
    else if (view.text) search("");
  } else if (!writing && event.key === "/") {
    event.preventDefault();
    at("search").focus();
  } else if (!writing && event.key === "f") toggleLines();
  else if (!writing && event.key === "t") nextTheme();
}

function openGate(why) {
  setPhase("gate", "No token");
  setText(at("gate-why"), why);
  if (!at("gate").open) at("gate").showModal();
}

function start() {
  setPhase("connecting", "Connecting");
  stayConnected();
}

at("search").addEventListener("input", (event) => search(event.target.value));
at("lines").addEventListener("click", toggleLines);
at("theme").addEventListener("click", nextTheme);
at("gate").addEventListener("cancel", (event) => event.preventDefault());
at("gate-form").addEventListener("submit", () => {
  keepToken(at("gate-token").value.trim());
  location.reload();
});
document.addEventListener("keydown", pressed);
new ResizeObserver(() => draw("lay")).observe(at("map"));
addEventListener("hashchange", () => {
  // The address with another token was opened in this tab.
  if (location.hash.startsWith("#token=") && findToken()) location.reload();
});

setTheme(
  THEMES.includes(localStorage.getItem("hostcompute.theme")) ? localStorage.getItem("hostcompute.theme") : "auto",
);
if (findToken()) start();
else openGate("It is part of the address that the service prints when it starts.");
regularly(EACH_SECOND, count);
regularly(FLOWS_EVERY, askFlows);
