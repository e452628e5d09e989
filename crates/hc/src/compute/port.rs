//! What can be typed about the endpoint that is made for a container: addresses, published ports, names.

use clap::Args;
use hostcompute::schema::{
    Dns, Document, EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, IpConfig,
    PortMappingPolicySetting, ProtocolType,
};
use hostcompute::{Failure, HResult};

/// The endpoint that is made on the network.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Its endpoint on the network")]
pub struct Port {
    /// A port of the host that leads to one inside; tcp unless udp or sctp is said
    #[arg(short, long, value_name = "[ADDRESS:]HOST:INSIDE[/PROTOCOL]")]
    pub publish: Vec<String>,
    /// Its address; twice for both families [default: a free one of the network]
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Vec<String>,
    /// Its MAC address [default: one of the network's]
    #[arg(long, value_name = "MAC")]
    pub mac: Option<String>,
    /// A server that it asks for names [default: the network's]
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// A domain in which it looks for names
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
}

impl Port {
    /// The endpoint, as the service is told of it; nothing where nothing was typed.
    ///
    /// # Errors
    /// E_INVALIDARG for a port that cannot be understood.
    pub fn term(&self) -> Result<Option<String>, Failure> {
        let mut endpoint = HostComputeEndpoint::default();
        for published in &self.publish {
            let mapping = mapping(published)?;
            let kind = EndpointPolicyType::PortMapping;
            endpoint.policies.push(EndpointPolicy::new(kind, &mapping));
        }
        let address =
            |text: &String| IpConfig { ip_address: Some(text.clone()), ..IpConfig::default() };
        endpoint.ip_configurations = self.ip.iter().map(address).collect();
        endpoint.mac_address.clone_from(&self.mac);
        let (server_list, search) = (self.dns.clone(), self.dns_search.clone());
        let dns = Dns { server_list, search, ..Dns::default() };
        endpoint.dns = Some(dns).filter(|dns| *dns != Dns::default());
        let is_said = endpoint != HostComputeEndpoint::default();
        Ok(is_said.then(|| endpoint.to_value().to_string()))
    }
}

/// `[ADDRESS:]HOST:INSIDE[/PROTOCOL]`; an IPv6 address is in brackets.
fn mapping(text: &str) -> Result<PortMappingPolicySetting, Failure> {
    let wrong = || {
        let why = format!("--publish {text}: that is no port");
        Failure::new(HResult::E_INVALIDARG, why)
            .hint("ports are published as 8080:80, 127.0.0.1:8080:80, [2001:db8::1]:53:53/udp")
    };
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, inside) = ports.rsplit_once(':').ok_or_else(wrong)?;
    let (address, outside) = match rest.rsplit_once(':') {
        Some((address, outside)) => (Some(address), outside),
        None => (None, rest),
    };
    let bare = |address: &str| {
        let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match inner {
            Some(inner) => Ok(inner.to_owned()),
            None if address.contains(':') || address.is_empty() => Err(wrong()),
            None => Ok(address.to_owned()),
        }
    };
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => ProtocolType::TCP,
        "udp" => ProtocolType::UDP,
        "sctp" => ProtocolType::SCTP,
        _ => return Err(wrong()),
    };
    Ok(PortMappingPolicySetting {
        protocol: Some(protocol),
        internal_port: Some(number(inside)?),
        external_port: Some(number(outside)?),
        vip: address.map(bare).transpose()?,
        ..PortMappingPolicySetting::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        mapping(text).ok().map(|mapping| mapping.to_value().to_string())
    }

    #[test]
    fn ports_are_read() {
        for (typed, told_as) in [
            ("8080:80", r#"{"Protocol":6,"InternalPort":80,"ExternalPort":8080}"#),
            ("53:5353/UDP", r#"{"Protocol":17,"InternalPort":5353,"ExternalPort":53}"#),
            (
                "192.0.2.1:1:2/sctp",
                r#"{"Protocol":132,"InternalPort":2,"ExternalPort":1,"VIP":"192.0.2.1"}"#,
            ),
            (
                "[2001:db8::1]:1:2",
                r#"{"Protocol":6,"InternalPort":2,"ExternalPort":1,"VIP":"2001:db8::1"}"#,
            ),
        ] {
            assert_eq!(told(typed).as_deref(), Some(told_as), "{typed}");
        }
        for wrong in
            ["", "80", "a:80", "80:65536", "80:80/icmp", ":80:80", "2001:db8::1:1:2", "80:"]
        {
            assert_eq!(told(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_says_nothing_says_nothing() {
        assert_eq!(Port::default().term(), Ok(None));
        let said = Port { dns: vec!["192.0.2.53".to_owned()], ..Port::default() };
        let text = r#"{"Dns":{"ServerList":["192.0.2.53"]}}"#;
        assert_eq!(said.term(), Ok(Some(text.to_owned())));
    }
}
