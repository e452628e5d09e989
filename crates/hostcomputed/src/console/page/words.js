// Parts of documents in a word or two: the same words as `hc` uses in its tables and drawings.

const PROTOCOLS = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp" };

export const protocol = (number) => PROTOCOLS[number] ?? `protocol ${number}`;

/** The first eight digits of a GUID. */
export const short = (id) => id.slice(0, 8);

export const id = (document) => (document.ID ?? "").toLowerCase();

export const label = (document) => document.Name || short(id(document));

export const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

/** NAT is the default and therefore not printed in documents. */
export const networkKind = (network) => network.Type ?? "NAT";

/** Whom a network of this type reaches. */
export function reach(kind) {
  if (kind === "Private") return "isolated";
  return kind === "Internal" ? "host only" : "host and outside";
}

const subnetsOf = (network) => (network.Ipams ?? []).flatMap((ipam) => ipam.Subnets ?? []);

export const subnets = (network) =>
  subnetsOf(network)
    .map((subnet) => subnet.IpAddressPrefix)
    .filter(Boolean);

export function gateways(network) {
  const hops = subnetsOf(network)
    .flatMap((subnet) => subnet.Routes ?? [])
    .map((route) => route.NextHop);
  return [...new Set(hops.filter(Boolean))];
}

export const addresses = (endpoint) => (endpoint.IpConfigurations ?? []).map((part) => part.IpAddress).filter(Boolean);

export function namespaceLabel(namespace) {
  return !namespace.Name && namespace.Type === "HostDefault" ? "HostDefault" : label(namespace);
}

const ofType = (endpoint, ...types) => (endpoint.Policies ?? []).filter((policy) => types.includes(policy.Type));

/** Published ports: "tcp 8080 → 80". */
export function ports(endpoint) {
  return ofType(endpoint, "PortMapping").map(({ Settings: mapping = {} }) => {
    const family = mapping.Flags & 2 ? "6" : "";
    const address = mapping.VIP ? `${mapping.VIP} ` : "";
    const inside = mapping.InternalPort ?? 0;
    return {
      outside: `${protocol(mapping.Protocol ?? 0)}${family} ${address}${mapping.ExternalPort ?? 0}`,
      inside,
      text: `${protocol(mapping.Protocol ?? 0)}${family} ${address}${mapping.ExternalPort ?? 0} → ${inside}`,
    };
  });
}

/** The rules of an endpoint's access lists, as sentences; with any of them, what no rule allows is blocked. */
export function rules(endpoint) {
  const listed = ofType(endpoint, "ACL").map((policy) => policy.Settings ?? {});
  const tiers = ofType(endpoint, "TierAcl").flatMap(({ Settings: tier = {} }) =>
    (tier.TierAclRules ?? []).map((rule) => ({ ...rule, Action: rule.TierAclRuleAction, Direction: tier.Direction })),
  );
  return [...listed, ...tiers].map((rule) => ({
    blocks: rule.Action === "Block",
    text: ruleText(rule),
  }));
}

function ruleText(rule) {
  const out = rule.Direction === "Out";
  const numbers = String(rule.Protocols ?? "")
    .split(",")
    .filter(Boolean);
  const parts = [rule.Action ?? "Allow", out ? "out" : "in"];
  if (numbers.length) parts.push(numbers.map((number) => protocol(number)).join(", "));
  if (rule.RemoteAddresses) parts.push(out ? "to" : "from", rule.RemoteAddresses);
  if (rule.RemotePorts) parts.push("remote port", rule.RemotePorts);
  if (rule.LocalAddresses) parts.push("at", rule.LocalAddresses);
  if (rule.LocalPorts) parts.push("local port", rule.LocalPorts);
  if (parts.length === 2) parts.push("everything");
  return parts.join(" ");
}

/** The policies that are no port mappings, counted by type. */
export function policies(endpoint) {
  const counts = new Map();
  const rates = [];
  for (const { Type: type, Settings: settings = {} } of endpoint.Policies ?? []) {
    if (!type || type === "PortMapping") continue;
    if (type === "QOS") rates.push(`QOS ${bytes(settings.MaximumOutgoingBandwidthInBytes ?? 0)}/s`);
    else counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  const counted = [...counts].sort().map(([type, times]) => (times === 1 ? type : `${times} ${type}`));
  return [...counted, ...rates];
}

/** "10.96.0.10 tcp 80 → 8080", for every address and port. */
export function frontends(balancer) {
  const vips = balancer.FrontendVIPs?.length ? balancer.FrontendVIPs : ["every host address"];
  return (balancer.PortMappings ?? []).flatMap((mapping) =>
    vips.map(
      (vip) => `${vip} ${protocol(mapping.Protocol ?? 0)} ${mapping.ExternalPort ?? 0} → ${mapping.InternalPort ?? 0}`,
    ),
  );
}

/** "1.2 MB": three digits at most. */
export function bytes(number) {
  for (const [unit, name] of [
    [1e12, "TB"],
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
  ]) {
    if (number >= unit) {
      const value = Math.floor((number / unit) * 10) / 10;
      return `${value < 100 ? value.toFixed(1) : value.toFixed(0)} ${name}`;
    }
  }
  return `${Math.round(number)} B`;
}

export const rate = (number) => `${bytes(number)}/s`;

/** "1.2k": for packets. */
export function many(number) {
  if (number >= 999_500) return `${(number / 1e6).toFixed(1)}M`;
  return number >= 999.5 ? `${(number / 1e3).toFixed(1)}k` : String(Math.round(number));
}

/** Address and port of "10.0.0.2:80" or "[fd00::2]:80". */
export function split(place) {
  const found = /^\[(.*)\]:(\d+)$/.exec(place) ?? /^([^:]*):(\d+)$/.exec(place);
  return found ? { address: found[1], port: Number(found[2]) } : { address: place, port: 0 };
}
