// The row of numbers at the top: how much there is, what is published, what is guarded, what is busy. Each is a switch of the filter.

import { el, setAttribute, setText } from "./dom.js";
import { curve, draw } from "./rates.js";
import * as words from "./words.js";

const FIGURES = [
  { name: "networks", title: "Networks" },
  { name: "endpoints", title: "Endpoints", filter: "is:unattached", hint: "Show those that are not attached" },
  { name: "balancers", title: "Load balancers", filter: "is:balanced", hint: "Show endpoints behind load balancers" },
  { name: "published", title: "Published ports", filter: "is:published", hint: "Show endpoints with published ports" },
  {
    name: "guarded",
    title: "Access lists",
    filter: "is:guarded",
    hint: "Show endpoints with access lists: what no rule allows is blocked",
  },
  { name: "busy", title: "Busy", filter: "is:busy", hint: "Show endpoints with traffic" },
];

export class Glance {
  constructor(root, toggle) {
    this.figures = new Map();
    for (const { name, title, filter, hint } of FIGURES) {
      const parts = { number: el("b"), note: el("small") };
      const inside = [el("span", {}, title), parts.number, parts.note];
      const figure = filter
        ? el(
            "button",
            { type: "button", class: "figure", title: hint, "data-filter": filter, click: () => toggle(filter) },
            ...inside,
          )
        : el("div", { class: "figure" }, ...inside);
      this.figures.set(name, Object.assign(figure, { parts }));
      root.append(figure);
    }
    this.curve = curve("Traffic of all endpoints, the last minute");
    this.ways = { in: { rate: el("b"), note: el("small") }, out: { rate: el("b"), note: el("small") } };
    const lines = Object.values(this.ways).flatMap(({ rate, note }) => [rate, note]);
    root.append(
      el("div", { class: "figure wide", title: "Into and out of all endpoints together" }, ...lines, this.curve),
    );
  }

  render({ model, text }) {
    const [networks, endpoints, balancers] = ["Network", "Endpoint", "LoadBalancer"].map((kind) => model.of(kind));
    const types = new Map();
    for (const { type } of networks) types.set(type, (types.get(type) ?? 0) + 1);
    this.#set("networks", networks.length, [...types].map(([type, times]) => `${times} ${type}`).join(" · "));
    const loose = endpoints.filter((endpoint) => !endpoint.attached).length;
    this.#set("endpoints", endpoints.length, loose ? `${loose} not attached` : endpoints.length ? "all attached" : "");
    const backends = endpoints.filter((endpoint) => endpoint.balancers.length).length;
    this.#set("balancers", balancers.length, balancers.length ? words.count(backends, "backend") : "");
    const publishing = endpoints.filter((endpoint) => endpoint.ports.length);
    const ports = publishing.reduce((sum, endpoint) => sum + endpoint.ports.length, 0);
    this.#set("published", ports, ports ? `of ${words.count(publishing.length, "endpoint")}` : "nothing is reachable");
    const guarded = endpoints.filter((endpoint) => endpoint.rules.length);
    const blocks = guarded.reduce((sum, endpoint) => sum + endpoint.rules.filter((rule) => rule.blocks).length, 0);
    this.#set("guarded", guarded.length, access(guarded.length, blocks));
    const asked = new Set(text.toLowerCase().split(/\s+/));
    for (const figure of this.figures.values()) {
      if (figure.dataset.filter) setAttribute(figure, "aria-pressed", String(asked.has(figure.dataset.filter)));
    }
  }

  /** Once each second. */
  tick({ model, rates }) {
    const busy = model.of("Endpoint").filter((endpoint) => rates.busy(endpoint.id)).length;
    const { total } = rates;
    const dropped = total.dropped >= 0.5 ? `${words.many(total.dropped)} packets/s dropped` : "";
    this.#set("busy", busy, dropped || (busy ? "with traffic now" : "all quiet"));
    setText(this.ways.in.rate, `↓ ${words.rate(total.in)}`);
    setText(this.ways.in.note, `in, ${words.many(total.packets.received)} packets/s`);
    setText(this.ways.out.rate, `↑ ${words.rate(total.out)}`);
    setText(this.ways.out.note, `out, ${words.many(total.packets.sent)} packets/s`);
    draw(this.curve, total);
  }

  #set(name, number, note) {
    const { parts } = this.figures.get(name);
    setText(parts.number, number.toLocaleString("en"));
    setText(parts.note, note);
    setAttribute(parts.note, "title", note);
  }
}

/** With a rule, what no rule allows is blocked. */
function access(guarded, blocks) {
  if (!guarded) return "everything is allowed";
  return blocks ? `${words.count(blocks, "rule")} that block${blocks === 1 ? "s" : ""}` : "all else is blocked";
}
