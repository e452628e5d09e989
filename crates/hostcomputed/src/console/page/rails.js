// Lines of the picture: rails from load balancers to their backends, in lanes of their own beside the cards, and the flows that run
// between objects.

import { keyed, setAttribute, svg } from "./dom.js";

/** Load balancers of one network that get rails, as in the drawings of `hc topology`. */
const LANES = 5;
const LANE = 6;

/** Flows that are drawn at once; the largest first. */
const MOST_FLOWS = 60;

/** Draws the rails of one network's panel. */
export function rails(panel, { network, balancers, draft }) {
  const body = panel.querySelector(".body");
  const few = draft === "card" ? balancers.slice(0, LANES) : [];
  panel.picture ??= body.insertBefore(svg("svg", { class: "rails", "aria-hidden": "true" }), body.firstChild);
  if (!few.length) return keyed(panel.picture, []);
  const origin = body.getBoundingClientRect();
  const place = (node) => {
    const box = node.getBoundingClientRect();
    return { left: box.left - origin.left, top: box.top - origin.top, bottom: box.bottom - origin.top };
  };
  const cards = new Map();
  for (const card of panel.parts.endpoints.children) cards.set(card.dataset.id, place(card));
  const top = Math.min(...[...cards.values()].map((card) => card.top));
  const heads = new Map([...panel.parts.balancers.children].map((node) => [node.dataset.id, place(node)]));
  const drawings = few.map((balancer, lane) => {
    const offset = lane * LANE;
    const ends = balancer.backends.map(({ id }) => cards.get(id)).filter(Boolean);
    return {
      balancer,
      path: rail(heads.get(balancer.id), ends, top - few.length * LANE - 8 + offset, offset),
      ends,
      offset,
    };
  });
  setAttribute(panel.picture, "data-network", network.id);
  keyed(
    panel.picture,
    drawings,
    ({ balancer }) => balancer.id,
    () => svg("g", {}, svg("path", { class: "rail" }), svg("path", { class: "knob" })),
    (group, { balancer, path, ends, offset }) => {
      setAttribute(group, "data-color", balancer.color);
      setAttribute(group, "data-balancer", balancer.id);
      setAttribute(group.firstChild, "d", path);
      setAttribute(group.lastChild, "d", ends.map(({ left, top }) => knob(left, top + 17 + offset)).join(""));
    },
  );
}

const knob = (x, y) => `M${x - 3.2} ${y}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0`;

/** Down from the load balancer to its lane, along it, down beside the columns, into the backends. */
function rail(head, ends, bus, offset) {
  if (!head || !ends.length) return "";
  const start = head.left + 22 + offset;
  const columns = new Map();
  for (const { left, top } of ends) {
    const x = left - 8 - offset;
    columns.set(x, Math.max(columns.get(x) ?? 0, top + 17 + offset));
  }
  const xs = [start, ...columns.keys()];
  let path = `M${start} ${head.bottom}V${bus}M${Math.min(...xs)} ${bus}H${Math.max(...xs)}`;
  for (const [x, low] of columns) path += `M${x} ${bus}V${low}`;
  for (const { left, top } of ends) path += `M${left - 8 - offset} ${top + 17 + offset}H${left}`;
  return path;
}

/**
 * Draws flows as curves between the elements that `find` knows. A flow to a load balancer ends there: its rails lead on. Flows from
 * and to the outside end at the host, and are drawn for a chosen object only: they are long, and nearly everybody has some.
 */
export function flowLines(picture, root, edges, find, chosen) {
  const origin = root.getBoundingClientRect();
  // Where the host does not count bytes, connections tell how much a flow is.
  const weight = edges.some((edge) => edge.bytes) ? (edge) => edge.bytes : (edge) => edge.connections;
  const largest = Math.max(1, ...edges.map(weight));
  const drawn = [];
  for (const edge of edges) {
    if (drawn.length === MOST_FLOWS) break;
    if (!chosen && !(edge.from && edge.to)) continue;
    const [from, to] = [anchor(edge.from), anchor(edge.to === chosen ? edge.to : (edge.via ?? edge.to))];
    if (!from || !to || from.node === to.node) continue;
    const width = 1.2 + 2 * Math.sqrt(weight(edge) / largest);
    drawn.push({ key: edge.key, path: bow(from, to), width: Math.round(width * 10) / 10 });
  }
  keyed(
    picture,
    drawn,
    ({ key }) => key,
    () => svg("path", { class: "flow" }),
    (node, { path, width }) => {
      setAttribute(node, "d", path);
      setAttribute(node, "stroke-width", width);
    },
  );

  function anchor(object) {
    const node = object ? find(object.id) : root.querySelector(".host");
    if (!node) return undefined;
    const box = node.getBoundingClientRect();
    const [x, y] = [origin.left - root.scrollLeft, origin.top - root.scrollTop];
    const half = [box.width / 2, box.height / 2];
    // The host is broad: its end of a line lies straight above the other.
    return { node, broad: !object, half, middle: [box.left - x + half[0], box.top - y + half[1]] };
  }
}

/** A curve from the edge of one box to the edge of another, with a point where it ends. */
function bow(from, to) {
  if (from.broad) from.middle[0] = to.middle[0] + 12;
  if (to.broad) to.middle[0] = from.middle[0] - 12;
  const [start, end] = [edge(from, to.middle), edge(to, from.middle)];
  const [dx, dy] = [end[0] - start[0], end[1] - start[1]];
  const length = Math.hypot(dx, dy) || 1;
  const bend = Math.min(46, length * 0.18);
  const control = [(start[0] + end[0]) / 2 - (dy / length) * bend, (start[1] + end[1]) / 2 + (dx / length) * bend];
  return [`M${round(start)}`, `Q${round(control)}`, `${round(end)}${head(control, end)}`].join(" ");
}

/** Where the line from the middle of a box to a point leaves the box. */
function edge({ middle, half }, point) {
  const way = [point[0] - middle[0], point[1] - middle[1]];
  const part = Math.min(1, ...way.map((value, axis) => (value ? (half[axis] + 2) / Math.abs(value) : Infinity)));
  return middle.map((value, axis) => value + way[axis] * part);
}

/** The head of an arrow that comes from `before`. */
function head(before, end) {
  const angle = Math.atan2(end[1] - before[1], end[0] - before[0]);
  const side = (turn) => round([end[0] - 7 * Math.cos(angle + turn), end[1] - 7 * Math.sin(angle + turn)]);
  return `M${side(0.45)}L${round(end)}L${side(-0.45)}`;
}

const round = (point) => point.map((value) => Math.round(value * 10) / 10).join(" ");
