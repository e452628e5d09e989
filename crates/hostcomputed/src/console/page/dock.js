// What stands beside the picture: the details of one object, who is busy, the flows, and what happened.

import { chips, copy, el, keyed, setAttribute, setText } from "./dom.js";
import { curve, draw } from "./rates.js";
import * as words from "./words.js";

/** Lines that lists show; events that are kept. */
const MOST_LINES = 100;
const MOST_EVENTS = 300;

const TABS = [
  ["details", "Details"],
  ["busy", "Busiest"],
  ["flows", "Flows"],
  ["events", "Events"],
];

export class Dock {
  constructor(root, { open, changed }) {
    this.root = root;
    this.open = open;
    this.changed = changed;
    this.events = [];
    this.unseen = 0;
    this.tabs = el("div", { class: "tabs", role: "tablist" });
    this.pages = {};
    for (const [name, title] of TABS) {
      const tab = el(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": `page-${name}`,
          click: () => this.show(name),
        },
        title,
        el("span", { class: "badge" }),
      );
      this.tabs.append(tab);
      this.pages[name] = el("div", {
        class: `page ${name}`,
        role: "tabpanel",
        id: `page-${name}`,
        "aria-labelledby": `tab-${name}`,
        tabindex: "-1",
      });
    }
    root.append(this.tabs, ...Object.values(this.pages));
    this.tabs.addEventListener("keydown", (event) => this.#arrow(event));
    root.addEventListener("click", (event) => {
      const link = event.target.closest("[data-open]");
      if (link) this.open(link.dataset.open);
    });
    this.#buildDetails();
    this.#buildLists();
    this.show("busy");
  }

  show(name) {
    this.page = name;
    TABS.forEach(([other], place) => {
      const tab = this.tabs.children[place];
      setAttribute(tab, "aria-selected", String(other === name));
      setAttribute(tab, "tabindex", other === name ? "0" : "-1");
      setAttribute(this.pages[other], "hidden", other !== name);
    });
    if (name === "events") this.unseen = 0;
    this.changed?.();
  }

  /** Everything that is visible, from what `view` says. */
  render(view) {
    this.view = view;
    // Also while nobody looks at them: names are known later than a new object's event, and not any more when it is gone.
    for (const event of this.events) event.whom ??= view.model.get(subject(event))?.name;
    setText(
      this.tabs.children[3].lastElementChild,
      this.unseen ? (this.unseen > 99 ? "99+" : String(this.unseen)) : "",
    );
    if (this.page === "details") this.#details();
    if (this.page === "busy") this.#busy();
    if (this.page === "flows") this.#flows();
    if (this.page === "events") this.#events();
  }

  /** Something happened; `kind` is event, gap or end. */
  happened(kind, event) {
    this.serial = (this.serial ?? 0) + 1;
    this.events.unshift({ kind, serial: this.serial, at: new Date(), ...event });
    this.events.length = Math.min(this.events.length, MOST_EVENTS);
    if (this.page !== "events") this.unseen += 1;
  }

  #arrow(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const place = TABS.findIndex(([name]) => name === this.page);
    const next = (place + step + TABS.length) % TABS.length;
    this.show(TABS[next][0]);
    this.tabs.children[next].focus();
  }

  #buildDetails() {
    const parts = {
      kind: el("span", { class: "kind" }),
      name: el("h2"),
      id: el("button", { type: "button", class: "id", title: "Copy the id" }),
      none: el(
        "p",
        { class: "none" },
        "Choose something in the picture to see what it is, what it has to do with, and its document.",
      ),
      traffic: el(
        "div",
        { class: "big" },
        curve("Traffic of the last minute"),
        el("span", { class: "rate" }),
        el("span", { class: "note" }),
      ),
      facts: el("dl"),
      rules: el("ul", { class: "rules" }),
      related: el("div", { class: "related-list" }),
      copy: el("button", { type: "button", class: "tool copy" }, "Copy"),
      document: el("pre", { class: "document", tabindex: "0" }),
    };
    parts.what = el(
      "div",
      {},
      el("header", {}, parts.kind, parts.name, parts.id),
      parts.traffic,
      parts.facts,
      parts.rules,
      parts.related,
      el("div", { class: "heading" }, el("h3", {}, "Document"), parts.copy),
      parts.document,
    );
    parts.id.addEventListener("click", () => this.#copied(parts.id, parts.id.dataset.text, parts.id));
    parts.copy.addEventListener("click", () => this.#copied(parts.copy, parts.document.dataset.text, parts.document));
    this.pages.details.append(parts.none, parts.what);
    this.parts = parts;
  }

  #buildLists() {
    const note = () => el("p", { class: "none" });
    this.pages.busy.append(el("ol", { class: "list" }), note());
    this.pages.flows.append(el("ol", { class: "list" }), note());
    this.pages.events.append(el("ol", { class: "list" }), note());
  }

  async #copied(button, text, shown) {
    const before = button.textContent;
    setText(button, (await copy(text, shown)) ? "Copied" : "Press Ctrl+C");
    setTimeout(() => setText(button, before), 1200);
  }

  #details() {
    const { model, selected, rates } = this.view;
    const object = selected && model.get(selected);
    const { parts } = this;
    setAttribute(parts.none, "hidden", Boolean(object));
    setAttribute(parts.what, "hidden", !object);
    if (!object) return setText(parts.none, selected ? "This object is gone." : parts.none.textContent);
    setText(parts.kind, object.kind === "LoadBalancer" ? "Load balancer" : object.kind);
    setAttribute(parts.kind, "data-kind", object.kind);
    setText(parts.name, object.name);
    setText(parts.id, object.id);
    parts.id.dataset.text = object.id;
    this.#traffic(object, rates);
    keyed(
      parts.facts,
      facts(object),
      ([name, value]) => `${name} ${value}`,
      ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)),
    );
    const rules = object.rules?.length ? [...object.rules, { blocks: true, text: "Block everything else" }] : [];
    keyed(
      parts.rules,
      rules.map((rule, place) => ({ ...rule, place })),
      (rule) => `${rule.place} ${rule.text}`,
      (rule) => el("li", { class: rule.blocks ? "blocks" : "allows" }, rule.text),
    );
    this.#related(model.related(object));
    if (parts.shown !== object.document) {
      parts.shown = object.document;
      parts.document.dataset.text = JSON.stringify(object.document, null, 2);
      parts.document.replaceChildren(...colored(parts.document.dataset.text, model));
    }
  }

  #traffic(object, rates) {
    const [picture, rate, note] = this.parts.traffic.children;
    const counted = object.kind === "Endpoint" && rates.counters.has(object.id);
    setAttribute(this.parts.traffic, "hidden", !counted);
    if (!counted) return;
    const series = rates.of(object.id);
    const counters = rates.counters.get(object.id);
    draw(picture, series);
    setText(rate, `↓ ${words.rate(series.in)}  ↑ ${words.rate(series.out)}`);
    const packets = `${words.many(series.packets.received)} and ${words.many(series.packets.sent)} packets/s`;
    const dropped = counters.DroppedPacketsIncoming + counters.DroppedPacketsOutgoing;
    const all = `${words.bytes(counters.BytesReceived)} in, ${words.bytes(counters.BytesSent)} out in all`;
    setText(note, `${packets} · ${all}${dropped ? ` · ${words.count(dropped, "packet")} dropped` : ""}`);
  }

  #related(objects) {
    const shown = objects.slice(0, 60);
    const items = shown.map((object) => ({ key: object.id, object }));
    if (objects.length > shown.length) items.push({ key: "more", text: `+ ${objects.length - shown.length} more` });
    keyed(
      this.parts.related,
      items,
      ({ key, object }) => `${key} ${object?.name}`,
      ({ object, text }) => (object ? link(object) : el("span", { class: "more" }, text)),
    );
  }

  #busy() {
    const { model, rates, shown } = this.view;
    const endpoints = model.of("Endpoint").filter((endpoint) => rates.busy(endpoint.id) && (!shown || shown(endpoint)));
    endpoints.sort((a, b) => rates.of(b.id).lately - rates.of(a.id).lately);
    const [list, none] = this.pages.busy.children;
    keyed(
      list,
      endpoints.slice(0, 20),
      ({ id }) => id,
      (endpoint) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", "data-open": endpoint.id },
            el("b", {}, endpoint.name),
            el("span", { class: "note" }, endpoint.addresses[0] ?? ""),
            curve("Traffic of the last minute"),
            el("span", { class: "rate" }),
          ),
        ),
      (node, endpoint) => {
        const [, , picture, rate] = node.firstChild.children;
        const series = rates.of(endpoint.id);
        draw(picture, series);
        setText(rate, `↓ ${words.rate(series.in)}  ↑ ${words.rate(series.out)}`);
      },
    );
    setText(
      none,
      endpoints.length
        ? endpoints.length > 20
          ? `and ${endpoints.length - 20} more`
          : ""
        : "Nothing is busy at the moment.",
    );
  }

  #flows() {
    const { edges, flowsNote } = this.view;
    const [list, none] = this.pages.flows.children;
    keyed(
      list,
      edges.slice(0, MOST_LINES),
      ({ key }) => key,
      (edge) =>
        el(
          "li",
          {},
          el("span", { class: "way" }, end(edge.from, edge.fromText), el("i", {}, "→"), end(edge.to, edge.toText)),
          el("span", { class: "note" }),
          el("span", { class: "rate" }),
        ),
      (node, edge) => {
        const [, note, rate] = node.children;
        const by = edge.via ? ` by ${edge.via.name}` : edge.asked ? ` by ${edge.asked}` : "";
        const states = [...edge.states]
          .map(([state, times]) => (times > 1 ? `${times} ${state}` : state))
          .join(", ")
          .toLowerCase();
        setText(note, `${edge.protocol}${edge.port ? ` ${edge.port}` : ""}${by} · ${states}`);
        setText(rate, edge.bytes ? words.bytes(edge.bytes) : "");
      },
    );
    const more = edges.length > MOST_LINES ? `and ${edges.length - MOST_LINES} more` : "";
    setText(none, flowsNote ?? (edges.length ? more : "No connections to or from endpoints at the moment."));
  }

  #events() {
    const { model } = this.view;
    const [list, none] = this.pages.events.children;
    keyed(
      list,
      this.events,
      ({ serial }) => serial,
      line,
      (node, event) => whom(node, event, model),
    );
    setText(none, this.events.length ? "" : "Nothing has happened since this page was opened.");
  }
}

const KINDS = { Network: "network", Namespace: "namespace", LoadBalancer: "load balancer" };

function link(object) {
  const kind = KINDS[object.kind] ? el("span", { class: "note" }, `${KINDS[object.kind]} `) : null;
  return el("button", { type: "button", class: "chip", "data-open": object.id }, kind, object.name);
}

const end = (object, text) =>
  object ? el("button", { type: "button", class: "link", "data-open": object.id }, text) : el("span", {}, text);

/** One line of the list of events. */
function line(event) {
  const time = el("time", { datetime: event.at.toISOString() }, event.at.toTimeString().slice(0, 8));
  if (event.kind !== "event") return el("li", { class: event.kind }, time, el("span", {}, event.text));
  const what = el("b", { class: /Delete|Detach/.test(event.name) ? "gone" : "came" }, event.name);
  return el("li", {}, time, what, el("span"), el("span", { class: "number" }, `#${event.id ?? ""}`));
}

/** The id of the object that an event is about. */
const subject = (event) => (event.data?.Data?.ID ?? "").toLowerCase();

/** Whom an event is about: a link while the object is there. */
function whom(node, event, model) {
  if (event.kind !== "event") return;
  const id = subject(event);
  const object = model.get(id);
  const name = event.whom ?? words.short(id);
  const place = node.children[2];
  if (place.textContent === name && Boolean(object) === place.matches("button")) return;
  place.replaceWith(object ? end(object, name) : el("span", { class: "note", title: id }, name));
}

/** What is known of an object, as pairs. */
function facts(object) {
  const { document } = object;
  const pairs = [];
  const add = (name, value) => value !== undefined && value !== "" && pairs.push([name, String(value)]);
  switch (object.kind) {
    case "Network":
      add("Type", `${object.type}, ${object.reach}`);
      object.subnets.forEach((subnet) => add("Subnet", subnet));
      add("Gateway", object.gateways.join("  "));
      add("Endpoints", object.endpoints.length);
      break;
    case "Endpoint":
      object.addresses.forEach((address) => add("Address", address));
      add("MAC", document.MacAddress);
      add("State", object.attached ? `attached, in namespace ${object.inside}` : "not attached");
      object.ports.forEach((port) => add("Published", port.text));
      object.policies.forEach((policy) => add("Policy", policy));
      break;
    case "LoadBalancer":
      object.frontends.forEach((frontend) => add("Frontend", frontend));
      add("Backends", object.backends.length);
      break;
    default:
      add("Type", document.Type ?? "Host");
      add("Endpoints", object.endpoints.length);
  }
  add("Name servers", (document.Dns?.ServerList ?? []).join("  "));
  return pairs;
}

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** JSON with its parts coloured; ids of objects lead to them. */
function* colored(text, model) {
  let done = 0;
  for (const found of text.matchAll(TOKENS)) {
    yield text.slice(done, found.index);
    const [whole, string, colon] = found;
    const object = string && !colon ? model.get(string.slice(1, -1).toLowerCase()) : undefined;
    if (object)
      yield el("button", { type: "button", class: "link s", "data-open": object.id, title: object.name }, whole);
    else if (colon) yield el("span", { class: "k" }, string);
    else yield el("span", { class: string ? "s" : "n" }, whole);
    if (colon) yield colon;
    done = found.index + whole.length;
  }
  yield text.slice(done);
}

/** The small card beside a tile or a cell. */
export function fillPeek(peek, endpoint, rates) {
  const series = rates.of(endpoint.id);
  peek.replaceChildren(
    el("b", {}, endpoint.name),
    el("span", { class: "addresses" }, endpoint.addresses.join("  ")),
    el("span", { class: "note" }, endpoint.attached ? `in namespace ${endpoint.inside}` : "not attached"),
    el("span", { class: "rate" }, `↓ ${words.rate(series.in)}  ↑ ${words.rate(series.out)}`),
  );
  const labels = [
    ...endpoint.ports.map((port) => ({ text: port.text, class: "published" })),
    ...endpoint.balancers.map((balancer) => `⇢ ${balancer.name}`),
  ];
  if (endpoint.rules.length) labels.push({ text: `⊘ ${words.count(endpoint.rules.length, "rule")}`, class: "guarded" });
  const row = el("span", { class: "chips" });
  chips(row, labels.slice(0, 6));
  peek.append(row);
}
