// The topology as a picture of HTML elements: the host on top, a panel for each network, its load balancers and its endpoints.
//
// How an endpoint is drawn depends on how many there are in its network and in all: a card with everything, a tile with the name, or a
// cell that only tells whether it is attached and busy. Cells are headed by cards of the busiest. A filter lowers the numbers, and so
// raises the detail.

import { chips, el, keyed, setAttribute, setText } from "./dom.js";
import { curve, draw } from "./rates.js";
import { rails } from "./rails.js";
import * as words from "./words.js";

/** With so many endpoints in all (the first row that holds), so many of a network get cards, so many tiles; beyond are cells. */
const DENSITIES = [
  { all: 40, cards: 40, tiles: 40 },
  { all: 160, cards: 12, tiles: 160 },
  { all: Infinity, cards: 0, tiles: 60 },
];

/** Cards above the cells of a large network. */
const BUSIEST = 4;

/** Load balancers of a network that get cards; the others are small labels. */
const BALANCER_CARDS = 8;

/** Labels that are shown in a place where many could be. */
const MOST_LABELS = 20;

/** How endpoints are drawn. */
export function draft(endpoints, all) {
  const { cards, tiles } = DENSITIES.find((row) => all <= row.all);
  return endpoints <= cards ? "card" : endpoints <= tiles ? "tile" : "cell";
}

export class TopologyMap {
  constructor(root, { open, peek }) {
    this.root = root;
    this.open = open;
    this.host = el("section", { class: "host" }, el("h2", {}, "Host"), el("div", { class: "ports" }));
    this.networks = el("div", { class: "networks" });
    this.rest = el("div", { class: "rest" });
    this.empty = el("div", { class: "empty", hidden: true });
    root.append(this.host, this.networks, this.rest, this.empty);
    root.addEventListener("click", (event) => this.#clicked(event));
    root.addEventListener("keydown", (event) => this.#moved(event));
    for (const kind of ["pointerover", "focusin"]) root.addEventListener(kind, (event) => this.#pointed(event, peek));
    for (const kind of ["pointerleave", "focusout"]) root.addEventListener(kind, () => peek(undefined));
  }

  /** Everything: after objects, the filter or the selection changed. `shown` is a test for objects, or undefined for all. */
  render(view) {
    this.view = view;
    const { model, shown } = view;
    const networks = model
      .of("Network")
      .map((network) => picture(network, shown))
      .filter(Boolean);
    const all = networks.reduce((sum, { endpoints }) => sum + endpoints.length, 0);
    networks.forEach((item) => (item.draft = draft(item.endpoints.length, all)));
    this.#ports(networks);
    const last = networks.map(({ network }) => network.type !== "Private").lastIndexOf(true);
    networks.forEach((network, place) => (network.trunk = place < last ? "through" : place === last ? "end" : "none"));
    keyed(
      this.networks,
      networks,
      ({ network }) => network.id,
      (item) => this.#panel(item),
      (node, item) => this.#fill(node, item),
    );
    this.#rest(networks);
    this.#empty(networks);
    // Labels of the host come first, and give way to what they stand for.
    const nodes = this.root.querySelectorAll(".chip[data-id], .band, .balancer, .endpoints:not(.busiest) > .endpoint");
    this.places = new Map([...nodes].map((node) => [node.dataset.id, node]));
    this.select(view.selected);
    this.tick();
    this.lay();
  }

  /** Only the rates: once each second. */
  tick() {
    if (!this.view) return;
    const { rates } = this.view;
    for (const panel of this.networks.children) {
      const { item, parts } = panel;
      if (item.draft === "cell") this.#busiest(panel);
      const sum = rates.sum(item.network.endpoints);
      setText(parts.rate, `↓ ${words.rate(sum.in)}  ↑ ${words.rate(sum.out)}`);
      for (const card of panel.querySelectorAll(".endpoint")) {
        const heat = rates.heat(card.dataset.id);
        setAttribute(card, "data-heat", heat || null);
        if (card.classList.contains("card")) tickCard(card, rates.of(card.dataset.id));
      }
    }
  }

  /** Marks the selected object and what it has to do with. */
  select(id) {
    const object = id && this.view.model.get(id);
    const related = new Set(object ? this.view.model.related(object).map((other) => other.id) : []);
    setAttribute(this.root, "data-selecting", Boolean(object));
    for (const node of this.root.querySelectorAll("[data-id]")) {
      setAttribute(node, "aria-current", node.dataset.id === object?.id ? "true" : null);
      node.classList.toggle("related", related.has(node.dataset.id));
    }
  }

  /** Lines depend on where things lie. */
  lay() {
    for (const panel of this.networks.children) rails(panel, panel.item);
  }

  /** The element that stands for an object, for lines. */
  find(id) {
    return this.places?.get(id);
  }

  #ports(networks) {
    const published = networks.flatMap(({ endpoints }) =>
      endpoints.flatMap((endpoint) =>
        endpoint.ports.map((port) => ({ id: endpoint.id, text: `${port.outside} → ${endpoint.name}:${port.inside}` })),
      ),
    );
    const shown = published.slice(0, MOST_LABELS);
    const left = published.length - shown.length;
    const ports = this.host.lastElementChild;
    const none = [{ text: this.view.shown ? "none of these is published" : "no published ports", class: "absent" }];
    const more = left > 0 ? [{ text: `+ ${left} more`, class: "more" }] : [];
    keyed(
      ports,
      [...(shown.length ? shown : none), ...more],
      (port) => `${port.id} ${port.text}`,
      (port) =>
        port.id
          ? el("button", { type: "button", class: "chip port", "data-id": port.id }, port.text)
          : el("span", { class: port.class }, port.text),
    );
  }

  #panel({ network }) {
    const parts = {
      name: el("b"),
      kind: el("span", { class: "kind" }),
      lines: el("span", { class: "subnets" }),
      count: el("span", { class: "count" }),
      rate: el("span", { class: "rate" }),
      balancers: el("div", { class: "balancers" }),
      busiest: el("div", { class: "endpoints busiest", "data-draft": "card" }),
      endpoints: el("div", { class: "endpoints" }),
      legend: legend(),
    };
    const header = el(
      "button",
      { type: "button", class: "band", "data-id": network.id },
      el("span", { class: "first" }, parts.name, parts.count, parts.rate, parts.kind),
      parts.lines,
    );
    const body = el("div", { class: "body" }, parts.balancers, parts.busiest, parts.endpoints, parts.legend);
    const panel = el("section", { class: "network", "data-object": network.id }, header, body);
    return Object.assign(panel, { parts });
  }

  #fill(panel, item) {
    const { network, endpoints, balancers, parts = panel.parts } = item;
    panel.item = item;
    setAttribute(panel, "aria-label", `Network ${network.name}`);
    setAttribute(panel, "data-type", network.type);
    setAttribute(panel, "data-trunk", item.trunk);
    setText(parts.name, network.name);
    setText(parts.kind, `${network.type} · ${network.reach}`);
    const gateway = network.gateways.length ? `gateway ${network.gateways.join("  ")}` : "";
    setText(parts.lines, [...network.subnets, gateway].filter(Boolean).join("   "));
    setText(parts.count, summary(network, endpoints));
    const few = item.draft === "card" && balancers.length <= BALANCER_CARDS;
    setAttribute(parts.balancers, "data-few", few);
    keyed(parts.balancers, balancers, ({ id }) => id, balancerCard, fillBalancer);
    setAttribute(parts.endpoints, "data-draft", item.draft);
    setAttribute(parts.endpoints, "data-rails", item.draft === "card" && balancers.length > 0);
    // A node of one draft is no node of another.
    keyed(
      parts.endpoints,
      endpoints,
      ({ id }) => `${item.draft} ${id}`,
      (endpoint) => endpointNode(endpoint, item.draft),
      fillEndpoint,
    );
    if (!endpoints.length && !parts.endpoints.childElementCount) parts.endpoints.dataset.none = "no endpoints";
    else delete parts.endpoints.dataset.none;
    setAttribute(parts.legend, "hidden", item.draft !== "cell");
    this.#busiest(panel);
    const first = parts.endpoints.querySelector("[tabindex='0']");
    if (!first && parts.endpoints.firstElementChild) parts.endpoints.firstElementChild.tabIndex = 0;
  }

  #busiest(panel) {
    const { item, parts } = panel;
    const { rates } = this.view;
    const busy = item.draft === "cell" ? item.endpoints.filter(({ id }) => rates.busy(id)) : [];
    busy.sort((a, b) => rates.of(b.id).lately - rates.of(a.id).lately);
    const top = busy.slice(0, BUSIEST);
    keyed(
      parts.busiest,
      top,
      ({ id }) => id,
      (endpoint) => endpointNode(endpoint, "card"),
      fillEndpoint,
    );
  }

  #rest(networks) {
    const { model, shown } = this.view;
    const idle = model
      .of("Namespace")
      .filter((namespace) => !namespace.host && !namespace.endpoints.length && (!shown || shown(namespace)));
    const drawn = new Set(networks.flatMap(({ balancers }) => balancers));
    const lonely = model.of("LoadBalancer").filter((balancer) => !drawn.has(balancer) && (!shown || shown(balancer)));
    const filled = shown
      ? model.of("Namespace").filter((namespace) => namespace.endpoints.length && shown(namespace))
      : [];
    const groups = [
      { title: "Load balancers without backends here", objects: lonely },
      { title: "Namespaces without endpoints", objects: idle },
      { title: "Namespaces", objects: filled },
    ].filter(({ objects }) => objects.length);
    keyed(
      this.rest,
      groups,
      ({ title }) => title,
      ({ title }) => el("section", {}, el("h3", {}, `${title}:`), el("div", { class: "labels" })),
      (node, { objects }) => {
        const left = objects.length - MOST_LABELS;
        const items = objects.slice(0, MOST_LABELS);
        if (left > 0) items.push({ id: "", name: `+ ${left} more` });
        keyed(
          node.lastElementChild,
          items,
          ({ id, name }) => `${id} ${name}`,
          ({ id, name }) =>
            id
              ? el("button", { type: "button", class: "chip", "data-id": id }, name)
              : el("span", { class: "more" }, name),
        );
      },
    );
  }

  #empty(networks) {
    const { model, shown } = this.view;
    const nothing = !networks.length && !this.rest.childElementCount;
    setAttribute(this.empty, "hidden", !nothing);
    setAttribute(this.host, "hidden", nothing && Boolean(shown));
    if (!nothing) return;
    const why = shown && model.objects.size ? "filter" : "new";
    if (this.empty.dataset.why === why) return;
    this.empty.dataset.why = why;
    this.empty.replaceChildren(
      ...(why === "filter"
        ? [
            el("h2", {}, "Nothing matches"),
            el("p", {}, "No object has all of these words in its name, addresses or id."),
          ]
        : [
            el("h2", {}, "No networks yet"),
            el("p", {}, "What is made appears here at once. For instance:"),
            el("pre", {}, "hc up examples/web.json"),
          ]),
    );
  }

  #clicked(event) {
    const node = event.target.closest("[data-id]");
    if (node) this.open(node.dataset.id);
  }

  /** Arrow keys go to the next card in that direction. */
  #moved(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    const from = event.target.closest(".endpoint, .balancer, .band, .port");
    if (!step || !from || event.altKey || event.ctrlKey || event.metaKey) return;
    const middle = (node) => {
      const { left, right, top, bottom } = node.getBoundingClientRect();
      return [(left + right) / 2, (top + bottom) / 2];
    };
    const [x, y] = middle(from);
    let best;
    for (const node of this.root.querySelectorAll(".endpoint, .balancer, .band, .port")) {
      const [dx, dy] = middle(node).map((value, axis) => value - [x, y][axis]);
      const along = dx * step[0] + dy * step[1];
      const across = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
      if (node === from || along < 3) continue;
      const far = along + across * 3;
      if (!best || far < best.far) best = { node, far };
    }
    if (!best) return;
    event.preventDefault();
    best.node.focus();
  }

  #pointed(event, peek) {
    const node = event.target.closest(".endpoint.tile, .endpoint.cell");
    peek(node ?? undefined);
  }
}

/** What the colours and marks of cells mean. */
function legend() {
  const cell = (attributes) => el("i", { class: "cell", ...attributes });
  const heats = [0, 1, 2, 3, 4, 5].map((heat) => cell({ "data-heat": heat }));
  return el(
    "div",
    { class: "legend", "aria-hidden": "true" },
    el("span", {}, "quiet", ...heats, "10 MB/s"),
    el("span", {}, cell({ "data-published": true }), "published"),
    el("span", {}, cell({ "data-guarded": true }), "access list"),
    el("span", {}, cell({ "data-state": "loose" }), "not attached"),
  );
}

/** What of a network is drawn; nothing when a filter matches nothing of it. */
function picture(network, shown) {
  const whole = !shown || shown(network);
  const endpoints = whole ? network.endpoints : network.endpoints.filter(shown);
  let balancers = network.balancers;
  if (!whole) {
    const needed = new Set(endpoints.flatMap((endpoint) => endpoint.balancers));
    balancers = balancers.filter((balancer) => needed.has(balancer) || shown(balancer));
  }
  if (!whole && !endpoints.length && !balancers.length) return undefined;
  return { network, endpoints, balancers };
}

function summary(network, endpoints) {
  const all = network.endpoints.length;
  const attached = network.endpoints.filter((endpoint) => endpoint.attached).length;
  const shown =
    endpoints.length === all ? words.count(all, "endpoint") : `${endpoints.length} of ${words.count(all, "endpoint")}`;
  return attached === all ? shown : `${shown}, ${all - attached} not attached`;
}

function balancerCard(balancer) {
  return el(
    "button",
    { type: "button", class: "balancer", "data-id": balancer.id },
    el("b"),
    el("span", { class: "address" }),
    el("span", { class: "note" }),
  );
}

function fillBalancer(node, balancer) {
  const [name, address, note] = node.children;
  const more = balancer.frontends.length - 1;
  setAttribute(node, "data-color", balancer.color);
  setText(name, balancer.name);
  setText(address, balancer.frontends[0] ?? "no ports");
  const also = more > 0 ? `+ ${words.count(more, "more frontend")} · ` : "";
  setText(note, `${also}${words.count(balancer.backends.length, "backend")}`);
}

function endpointNode(endpoint, kind) {
  const node = el("button", { type: "button", class: `endpoint ${kind}`, "data-id": endpoint.id, tabindex: "-1" });
  if (kind === "cell") return node;
  const parts = { name: el("b"), dot: el("i", { class: "dot" }) };
  if (kind === "tile") {
    parts.pins = el("span", { class: "pins" });
    node.append(parts.dot, parts.name, parts.pins);
    return Object.assign(node, { parts });
  }
  Object.assign(parts, {
    addresses: el("span", { class: "addresses" }),
    inside: el("span", { class: "inside" }),
    chips: el("span", { class: "chips" }),
    rate: el("span", { class: "rate" }),
    curve: curve(`Traffic of ${endpoint.name}, the last minute`),
  });
  node.append(
    el("span", { class: "first" }, parts.name, parts.dot),
    parts.addresses,
    parts.inside,
    parts.chips,
    el("span", { class: "traffic" }, parts.curve, parts.rate),
  );
  return Object.assign(node, { parts });
}

function fillEndpoint(node, endpoint) {
  const { parts } = node;
  setAttribute(node, "data-state", endpoint.attached ? "attached" : "loose");
  setAttribute(node, "data-published", endpoint.ports.length > 0);
  setAttribute(node, "data-guarded", endpoint.rules.length > 0);
  if (!parts) return setAttribute(node, "aria-label", `${endpoint.name}, ${endpoint.addresses.join(", ")}`);
  setText(parts.name, endpoint.name);
  setAttribute(parts.dot, "title", endpoint.attached ? "attached" : "not attached");
  if (parts.pins) return pins(parts.pins, endpoint);
  keyed(
    parts.addresses,
    endpoint.addresses,
    (address) => address,
    (address) => el("span", {}, address),
  );
  setText(parts.inside, endpoint.attached ? `in namespace ${endpoint.inside}` : "not attached");
  chips(parts.chips, labels(endpoint));
}

/** Colours of load balancers, and marks for what is published and what is guarded. */
function pins(parent, endpoint) {
  const marks = endpoint.balancers.slice(0, 3).map((balancer) => ({ color: balancer.color, title: balancer.name }));
  if (endpoint.ports.length) marks.push({ text: "↥", class: "published", title: "published" });
  if (endpoint.rules.length) marks.push({ text: "⊘", class: "guarded", title: "access list" });
  keyed(
    parent,
    marks,
    (mark) => JSON.stringify(mark),
    (mark) => el("span", { class: mark.class ?? "pin", "data-color": mark.color, title: mark.title }, mark.text ?? ""),
  );
}

/** The labels of an endpoint's card. */
export function labels(endpoint) {
  const published = endpoint.ports.map((port) => ({ text: port.text, class: "published", title: "published" }));
  const others = endpoint.policies.map((text) =>
    /ACL$|TierAcl$/i.test(text)
      ? { text: `⊘ ${text}`, class: "guarded", title: endpoint.rules.map((rule) => rule.text).join("\n") }
      : { text },
  );
  const all = [...published, ...others];
  return all.length <= 6 ? all : [...all.slice(0, 5), { text: `+ ${all.length - 5} more` }];
}

function tickCard(card, series) {
  const { parts } = card;
  draw(parts.curve, series);
  const quiet = series.now < 1;
  setAttribute(parts.rate, "data-quiet", quiet);
  setText(parts.rate, quiet ? "quiet" : `↓ ${words.rate(series.in)}  ↑ ${words.rate(series.out)}`);
}
