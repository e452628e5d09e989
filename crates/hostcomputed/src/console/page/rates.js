// Rates: what went through each endpoint and all of them, second by second, and the small curves that show it.

import { svg, setAttribute } from "./dom.js";

/** Samples that are kept: a minute, at one each second. */
export const KEPT = 60;

/** From this many bytes a second on an endpoint counts as busy. */
const BUSY = 1000;

class Series {
  constructor() {
    this.received = new Float64Array(KEPT);
    this.sent = new Float64Array(KEPT);
    this.packets = { received: 0, sent: 0 };
    this.dropped = 0;
    /** Samples so far. */
    this.known = 0;
  }

  push(received, sent) {
    this.received.copyWithin(0, 1);
    this.sent.copyWithin(0, 1);
    this.received[KEPT - 1] = received;
    this.sent[KEPT - 1] = sent;
    this.known = Math.min(KEPT, this.known + 1);
  }

  get in() {
    return this.received[KEPT - 1];
  }

  get out() {
    return this.sent[KEPT - 1];
  }

  get now() {
    return this.in + this.out;
  }

  /** Mean of the last seconds: an order by it does not jump about. */
  get lately() {
    let sum = 0;
    for (let place = KEPT - 5; place < KEPT; place++) sum += this.received[place] + this.sent[place];
    return sum / 5;
  }
}

export class Rates {
  constructor() {
    this.total = new Series();
    this.series = new Map();
    this.counters = new Map();
    this.at = undefined;
    this.none = new Series();
  }

  of(id) {
    return this.series.get(id) ?? this.none;
  }

  /** The sum of several endpoints' present rates. */
  sum(endpoints) {
    let [received, sent] = [0, 0];
    for (const endpoint of endpoints) {
      const series = this.of(endpoint.id);
      received += series.in;
      sent += series.out;
    }
    return { in: received, out: sent };
  }

  busy(id) {
    return this.of(id).lately >= BUSY;
  }

  /** How busy, in five steps of ten times as much each: 0 is silence. */
  heat(id) {
    const lately = this.of(id).lately;
    if (lately < 1) return 0;
    return Math.min(5, Math.max(1, Math.floor(Math.log10(lately)) - 1));
  }

  /** After a pause there is no rate to tell. */
  pause() {
    this.at = undefined;
  }

  /** Takes over an answer of /host/statistics. */
  take(answer) {
    const seconds = this.at === undefined ? 0 : (answer.Milliseconds - this.at) / 1000;
    this.at = answer.Milliseconds;
    const seen = new Map();
    const all = { in: 0, out: 0, packetsIn: 0, packetsOut: 0, dropped: 0 };
    for (const statistics of answer.Statistics) {
      const id = statistics.EndpointId.toLowerCase();
      const before = this.counters.get(id);
      seen.set(id, statistics);
      let series = this.series.get(id);
      if (!series) this.series.set(id, (series = new Series()));
      // Less than before: the endpoint was attached anew. Nothing before: it is new to us.
      const each = (name) => {
        const more = before && seconds > 0 ? statistics[name] - before[name] : 0;
        return more > 0 ? more / seconds : 0;
      };
      series.push(each("BytesReceived"), each("BytesSent"));
      series.packets = { received: each("PacketsReceived"), sent: each("PacketsSent") };
      series.dropped = each("DroppedPacketsIncoming") + each("DroppedPacketsOutgoing");
      all.in += series.in;
      all.out += series.out;
      all.packetsIn += series.packets.received;
      all.packetsOut += series.packets.sent;
      all.dropped += series.dropped;
    }
    for (const id of this.series.keys()) if (!seen.has(id)) this.series.delete(id);
    this.counters = seen;
    this.total.push(all.in, all.out);
    this.total.packets = { received: all.packetsIn, sent: all.packetsOut };
    this.total.dropped = all.dropped;
  }
}

const HEIGHT = 20;

/** An empty curve; `draw` fills it. */
export function curve(label) {
  return svg(
    "svg",
    {
      class: "curve",
      viewBox: `0 0 ${KEPT - 1} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    svg("path", { class: "in" }),
    svg("path", { class: "out" }),
  );
}

/** Draws received as an area and sent as a line, both to one scale, the least of which is 1 kB/s. */
export function draw(picture, series) {
  const first = KEPT - series.known;
  let top = BUSY;
  for (let place = first; place < KEPT; place++) top = Math.max(top, series.received[place], series.sent[place]);
  const points = (values) => {
    let path = "";
    for (let place = first; place < KEPT; place++) {
      const y = HEIGHT - 0.75 - (values[place] / top) * (HEIGHT - 1.5);
      path += `${place === first ? "M" : "L"}${place} ${Math.round(y * 100) / 100}`;
    }
    return path;
  };
  const area = series.known ? `${points(series.received)}L${KEPT - 1} ${HEIGHT}L${first} ${HEIGHT}Z` : "";
  setAttribute(picture.firstChild, "d", area);
  setAttribute(picture.lastChild, "d", points(series.sent));
}
