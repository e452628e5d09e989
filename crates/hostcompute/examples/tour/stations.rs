//! The stations of the tour, in order. Sockets and programs in namespaces are what only Linux has.

use std::error::Error as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use hostcompute::attach::{self, EndpointAttachment, Wish};
use hostcompute::schema::service::{PortAccess, PortProtocol, TraceRequest};
use hostcompute::schema::{
    AclPolicySetting, ActionType, DirectionType, EndpointPolicy, EndpointPolicyType,
    GuestNetworkService, GuestNetworkServiceState, HostComputeEndpoint, HostComputeLoadBalancer,
    HostComputeRoute, LoadBalancerPortMapping, ModifyRequestType, ProtocolType,
    SdnRoutePolicySetting,
};
use hostcompute::{
    Endpoint, Error, GuestService, Host, LoadBalancer, Namespace, Network, Notice, Options,
    SdnRoute, Topic,
};

pub type Done = Result<(), Box<dyn std::error::Error>>;

/// All of them; whatever was made is gone in the end.
pub fn visit() -> Done {
    let host = Host::auto(Options::from_env())?;
    let heard = host.subscribe(Topic::All, None)?;

    let network = Network::create_nat(&host, "tour", "10.77.0.0/24")?;
    let mut places = Vec::new();
    for name in ["tour-client", "tour-server"] {
        let endpoint = Endpoint::create(&network, &HostComputeEndpoint::default().name(name))?;
        let namespace = Namespace::create_host(&host)?;
        namespace.add(&endpoint)?;
        println!("{name}: {} in {}", endpoint.primary_ip()?, namespace.id());
        places.push((namespace, endpoint));
    }
    let [client, server] = places.as_slice() else { return Err("two places".into()) };

    talk(client, server)?;
    balance(&host, client, server)?;
    restrict(&host, client, server)?;
    route(&host, &client.1)?;
    attachment(&host)?;
    guest(&host)?;
    mistakes(&host)?;

    for (namespace, endpoint) in &places {
        endpoint.delete()?;
        namespace.delete()?;
    }
    network.delete()?;
    host.settle()?;
    for notice in heard {
        let Notice::Event(event) = notice? else { return Err("something was missed".into()) };
        if event.name == "NetworkDelete" && event.data["ID"] == network.id().to_string() {
            break;
        }
    }
    println!("tour: ok");
    Ok(())
}

type Place = (Namespace, Endpoint);

/// Sockets of this program in two namespaces, and a program in one.
fn talk(client: &Place, server: &Place) -> Done {
    let address = (server.1.primary_ip()?, 8080);
    let listener = server.0.run(|| TcpListener::bind(address))??;
    let mut stream = client.0.run(|| TcpStream::connect(address))??;
    stream.write_all(b"hello")?;
    drop(stream);
    let mut text = String::new();
    listener.accept()?.0.read_to_string(&mut text)?;
    assert_eq!(text, "hello");
    assert!(client.1.statistics()?.packets_sent > Some(0));
    let child = server.0.spawn(Command::new("cat").arg("/proc/net/dev").stdout(Stdio::piped()))?;
    assert!(String::from_utf8(child.wait_with_output()?.stdout)?.contains("eth0"));
    Ok(())
}

/// A virtual address in front of the server.
fn balance(host: &Host, client: &Place, server: &Place) -> Done {
    let port = LoadBalancerPortMapping::default()
        .protocol(ProtocolType::TCP)
        .external_port(80u16)
        .internal_port(8080u16);
    let settings = HostComputeLoadBalancer::default()
        .host_compute_endpoints([server.1.id().to_string()])
        .frontend_vips(["10.96.77.1"])
        .port_mappings([port]);
    let balancer = LoadBalancer::create(host, &settings)?;
    let listener = server.0.run(|| TcpListener::bind("0.0.0.0:8080"))??;
    client.0.run(|| TcpStream::connect("10.96.77.1:80"))??;
    println!("balanced to {}", listener.local_addr()?);
    balancer.delete()?;
    Ok(())
}

/// A rule that stops the client, and what says so.
fn restrict(host: &Host, client: &Place, server: &Place) -> Done {
    let rule = AclPolicySetting::default()
        .action(ActionType::Block)
        .direction(DirectionType::In)
        .priority(100u16);
    let rules = vec![EndpointPolicy::new(EndpointPolicyType::ACL, &rule)];
    server.1.change_policies(ModifyRequestType::Add, rules.clone())?;
    let request = TraceRequest {
        from: Some(client.1.id().to_string()),
        to: Some(server.1.id().to_string()),
        ..TraceRequest::default()
    };
    assert_eq!(host.trace(&request)?.reaches, Some(false));
    server.1.change_policies(ModifyRequestType::Remove, rules)?;
    assert_eq!(host.trace(&request)?.reaches, Some(true));
    Ok(())
}

/// A way of its own for one destination.
fn route(host: &Host, endpoint: &Endpoint) -> Done {
    let way =
        SdnRoutePolicySetting::default().destination_prefix("198.51.100.0/24").need_encap(false);
    let settings = HostComputeRoute::default()
        .host_compute_endpoints([endpoint.id().to_string()])
        .routes([way]);
    SdnRoute::create(host, &settings)?.delete()?;
    Ok(())
}

/// A container's place in one call, found again after a crash by its owner.
fn attachment(host: &Host) -> Done {
    let network = Network::create_internal(host, "tour-cluster", "10.78.0.0/28")?;
    let wish = Wish {
        owner: "tour".into(),
        container: "c1".into(),
        cluster: vec!["10.78.0.0/16".into()],
        ..Wish::default()
    };
    let attached = EndpointAttachment::create_overlay(&network, &wish)?;
    let owned = attach::list_owned(host, "tour")?;
    assert_eq!(owned.len(), 3, "the two of before are called alike");
    assert!(owned.iter().any(|(endpoint, _)| endpoint.id() == attached.endpoint_id()));
    attached.teardown()?;
    network.delete()?;
    Ok(())
}

/// The agent of a virtual machine, and ports that nobody else gets while it has them.
fn guest(host: &Host) -> Done {
    let guest = GuestService::create(host, &GuestNetworkService::default())?;
    guest.set_state(GuestNetworkServiceState::Synchronized)?;
    match guest.reserve_port(PortProtocol::Tcp, PortAccess::Exclusive, 40077) {
        Ok(ports) => {
            assert!(guest.reserve_port(PortProtocol::Tcp, PortAccess::Exclusive, 40077).is_err());
            println!("kept: {:?}", ports.ports());
        }
        // Ports are kept by a service that stays.
        Err(refused) => assert!(refused.is_unsupported(), "{refused:#}"),
    }
    guest.delete()?;
    Ok(())
}

/// What errors tell.
fn mistakes(host: &Host) -> Done {
    let twice = Network::create_nat(host, "tour", "10.79.0.0/24").expect_err("the name is taken");
    assert!(twice.is_already_exists(), "{twice}");
    let error: Error =
        Network::create_json(host, None, "{\n  \"Type\": 8\n}").expect_err("no type");
    assert!(error.is_invalid_document());
    assert_eq!(
        (error.path.as_deref(), error.position.map(|place| place.line)),
        (Some("Type"), Some(2))
    );
    assert!(Network::find(host, "nothing").expect_err("no such network").is_not_found());
    let nowhere = Host::connect("/no/such/socket").expect_err("nothing is there");
    assert!(nowhere.is_unavailable() && nowhere.source().is_some(), "{nowhere:#}");
    Ok(())
}
