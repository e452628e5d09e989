// From documents to what is shown: who is connected to what, under which name, found by which words.

import * as words from "./words.js";

const NOBODY = "00000000-0000-0000-0000-000000000000";
const KINDS = { Networks: "Network", Namespaces: "Namespace", Endpoints: "Endpoint", LoadBalancers: "LoadBalancer" };

/** Load balancers' colours, in turn. */
export const COLORS = 5;

export class Model {
  constructor() {
    this.revision = "";
    /** Every object by id: {kind, id, name, document, ...}; maps keep the order in which the service lists. */
    this.objects = new Map();
    this.order = { Network: [], Namespace: [], Endpoint: [], LoadBalancer: [] };
    this.#arrange();
  }

  of(kind) {
    return this.order[kind];
  }

  get(id) {
    return this.objects.get(id);
  }

  /** Takes over an answer of /host/topology: everything, or what changed since our revision. Says whether anything did. */
  take(answer) {
    if (answer.Revision === this.revision) return false;
    const documents = new Map();
    if (!answer.Complete) for (const [id, object] of this.objects) documents.set(id, [object.kind, object.document]);
    for (const id of answer.Removed ?? []) documents.delete(id.toLowerCase());
    for (const [list, kind] of Object.entries(KINDS)) {
      for (const document of answer[list] ?? []) documents.set(words.id(document), [kind, document]);
    }
    this.revision = answer.Revision;
    this.objects = new Map();
    this.order = { Network: [], Namespace: [], Endpoint: [], LoadBalancer: [] };
    for (const [id, [kind, document]] of documents) {
      const object = { kind, id, name: words.label(document), document };
      this.objects.set(id, object);
      this.order[kind].push(object);
    }
    this.#arrange();
    return true;
  }

  #arrange() {
    this.places = new Map();
    this.order.Network.forEach((network) => this.#network(network));
    for (const namespace of this.order.Namespace) {
      namespace.name = words.namespaceLabel(namespace.document);
      namespace.host = namespace.document.Type === "HostDefault";
      namespace.endpoints = [];
    }
    this.order.Endpoint.forEach((endpoint) => this.#endpoint(endpoint));
    this.order.LoadBalancer.forEach((balancer, place) => this.#balancer(balancer, place));
    for (const object of this.objects.values()) object.words = haystack(object);
  }

  #network(network) {
    const { document } = network;
    network.type = words.networkKind(document);
    network.reach = words.reach(network.type);
    network.subnets = words.subnets(document);
    network.gateways = words.gateways(document);
    network.endpoints = [];
    network.balancers = [];
    for (const gateway of network.gateways) this.places.set(gateway, network);
  }

  #endpoint(endpoint) {
    const { document } = endpoint;
    endpoint.network = this.objects.get((document.HostComputeNetwork ?? "").toLowerCase());
    endpoint.addresses = words.addresses(document);
    endpoint.ports = words.ports(document);
    endpoint.rules = words.rules(document);
    endpoint.policies = words.policies(document);
    endpoint.balancers = [];
    const namespace = (document.HostComputeNamespace ?? NOBODY).toLowerCase();
    endpoint.attached = namespace !== NOBODY;
    endpoint.namespace = this.objects.get(namespace);
    endpoint.inside = endpoint.namespace?.name ?? (endpoint.attached ? words.short(namespace) : undefined);
    endpoint.namespace?.endpoints?.push(endpoint);
    endpoint.network?.endpoints.push(endpoint);
    for (const address of endpoint.addresses) this.places.set(address, endpoint);
  }

  #balancer(balancer, place) {
    const { document } = balancer;
    balancer.color = place % COLORS;
    balancer.frontends = words.frontends(document);
    balancer.vips = document.FrontendVIPs ?? [];
    balancer.backends = [];
    for (const id of document.HostComputeEndpoints ?? []) {
      const endpoint = this.objects.get(id.toLowerCase());
      if (!endpoint) continue;
      balancer.backends.push(endpoint);
      endpoint.balancers.push(balancer);
      const { network } = endpoint;
      if (network && !network.balancers.includes(balancer)) network.balancers.push(balancer);
    }
    for (const vip of balancer.vips) this.places.set(vip, balancer);
  }

  /** Objects that have to do with this one. */
  related(object) {
    switch (object.kind) {
      case "Network":
        return [...object.balancers, ...object.endpoints];
      case "Namespace":
        return object.endpoints;
      case "LoadBalancer":
        return object.backends;
      default:
        return [object.network, object.namespace, ...object.balancers].filter(Boolean);
    }
  }

  /** Connections between the same two objects by the same way become one. */
  flows(listed) {
    const edges = new Map();
    for (const flow of listed) {
      const [source, asked] = [words.split(flow.Source), words.split(flow.Destination)];
      const answering = flow.TranslatedTo ? words.split(flow.TranslatedTo) : asked;
      const from = this.#owner(source.address);
      const to = this.#owner(answering.address);
      const protocol = words.protocol(flow.Protocol);
      const via = flow.TranslatedTo ? (this.places.get(asked.address) ?? undefined) : undefined;
      const key = [from.id ?? source.address, to.id ?? answering.address, protocol, asked.address, asked.port].join(
        " ",
      );
      const edge = edges.get(key) ?? {
        key,
        from: from.object,
        to: to.object,
        via: via?.kind === "LoadBalancer" ? via : undefined,
        fromText: from.text,
        toText: to.text,
        asked: flow.TranslatedTo ? flow.Destination : undefined,
        port: answering.port,
        protocol,
        connections: 0,
        bytes: 0,
        states: new Map(),
      };
      edge.connections += 1;
      edge.bytes += flow.Bytes ?? 0;
      const state = flow.State ?? "";
      edge.states.set(state, (edge.states.get(state) ?? 0) + 1);
      edges.set(key, edge);
    }
    return [...edges.values()].sort((a, b) => b.bytes - a.bytes || b.connections - a.connections);
  }

  #owner(address) {
    const object = this.places.get(address);
    if (object?.kind === "Endpoint") return { object, id: object.id, text: object.name };
    return { object: undefined, text: object?.kind === "Network" ? `host (${address})` : address };
  }
}

function haystack(object) {
  const parts = [object.name, object.id, object.kind === "LoadBalancer" ? "load balancer" : object.kind];
  switch (object.kind) {
    case "Network":
      parts.push(object.type, ...object.subnets, ...object.gateways);
      break;
    case "Endpoint":
      parts.push(...object.addresses, object.document.MacAddress, object.inside, object.network?.name);
      parts.push(...object.ports.map((port) => port.text), ...object.policies);
      parts.push(...object.balancers.map((balancer) => balancer.name));
      break;
    case "LoadBalancer":
      parts.push(...object.frontends);
      break;
  }
  return parts.filter(Boolean).join(" ").toLowerCase();
}

/** What `is:` can ask of an endpoint. */
export const TRAITS = {
  attached: (endpoint) => endpoint.attached,
  unattached: (endpoint) => !endpoint.attached,
  published: (endpoint) => endpoint.ports.length > 0,
  guarded: (endpoint) => endpoint.rules.length > 0,
  balanced: (endpoint) => endpoint.balancers.length > 0,
};

/** A filter's text as a test for objects; `undefined` when it asks for nothing. `busy` tells whether an endpoint is. */
export function filter(text, busy) {
  const asked = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!asked.length) return undefined;
  const tests = asked.map((word) => {
    const [, trait] = /^is:(.*)$/.exec(word) ?? [];
    if (trait === undefined) return (object) => object.words.includes(word);
    const has = trait === "busy" ? busy : (TRAITS[trait] ?? (() => false));
    return (object) => object.kind === "Endpoint" && has(object);
  });
  return (object) => tests.every((test) => test(object));
}
