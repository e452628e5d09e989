//! A service that ends and comes back under those who listen to it, and what can be done in a namespace from the program itself.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use hostcompute::events::{Event, Notice, Subscription, Topic};
use hostcompute::schema::HostComputeEndpoint;
use hostcompute::{Endpoint, Failure, HResult, Namespace, Network};

use crate::world::{Machine, play};

/// The next event that tells of something done, not of something about to be.
#[track_caller]
fn event(heard: &mut Subscription) -> Event {
    loop {
        match heard.next() {
            Some(Ok(Notice::Event(event))) if event.name.contains("Pre") => {}
            Some(Ok(Notice::Event(event))) => return event,
            other => panic!("{other:?}"),
        }
    }
}

/// So many notifications are said to be missing.
#[track_caller]
fn missed(heard: &mut Subscription, count: u64) {
    let notice = heard.next();
    assert!(matches!(notice, Some(Ok(Notice::Missed(told))) if told == count), "{notice:?}");
}

#[test]
fn who_listens_goes_on_listening_to_the_service_that_comes_back() {
    play::<1>(|_, [node]| services_come_and_go(node));
}

fn services_come_and_go(node: &mut Machine) {
    let host = node.host.clone();
    let mut all = host.subscribe(Topic::All, None).unwrap();
    let mut idle = host.subscribe(Topic::All, None).unwrap();
    let network = Network::create_internal(&host, "one", "10.9.1.0/24").unwrap();
    let mut one = host.subscribe(Topic::Network(network.id()), None).unwrap();
    let mut last = event(&mut all).number;
    assert_eq!(event(&mut idle).name, "NetworkCreate");

    // As by kill -9, and as by a service manager; the handles of before go on, too.
    for (round, ends) in [Machine::kill as fn(&mut _), Machine::stop].into_iter().enumerate() {
        ends(node);
        node.start();
        let settings = HostComputeEndpoint::default();
        let endpoint = Endpoint::create(&network, &settings).unwrap();
        let namespace = Namespace::create_host(&host).unwrap();
        namespace.add(&endpoint).unwrap();
        // Numbers go on where they were: nothing was missed, and nothing is told twice.
        for heard in [&mut all, &mut idle] {
            let told = event(heard);
            assert_eq!((told.name.as_str(), told.number), ("NamespaceCreate", last + 1));
            assert_eq!(event(heard).name, "NetworkEndpointAttached");
        }
        match round {
            // Who has heard nothing yet cannot know what there was, and goes on with what comes.
            0 => missed(&mut one, 0),
            // The namespace's end came behind what it heard last; what is counted is of any topic.
            _ => {
                missed(&mut one, 1);
                assert_eq!(event(&mut one).name, "NetworkEndpointAttached");
            }
        }
        // What was told by the service before is counted.
        let mut late = host.subscribe(Topic::All, Some(last - 1)).unwrap();
        missed(&mut late, 1);
        assert_eq!(event(&mut late).number, last + 1);
        endpoint.delete().unwrap();
        namespace.delete().unwrap();
        assert_eq!(event(&mut one).name, "NetworkEndpointDetached");
        last = [&mut all, &mut idle].map(|heard| {
            assert_eq!(event(heard).name, "NetworkEndpointDetached");
            let told = event(heard);
            assert_eq!(told.name, "NamespaceDelete");
            told.number
        })[0];
    }

    // Whoever does not want to wait for its return is told at once that it is over.
    node.kill();
    let stopper = all.stopper();
    let waiting = std::thread::spawn(move || all.next().is_none() && all.next().is_none());
    stopper.stop();
    assert!(waiting.join().unwrap(), "who was stopped hears nothing more");
    node.start();
    network.delete().unwrap();
    assert_eq!(event(&mut idle).name, "NetworkDelete");
}

#[test]
fn a_program_works_in_its_namespaces() {
    play::<1>(|_, [node]| a_program_moves(node));
}

fn a_program_moves(node: &Machine) {
    let network = Network::create_internal(&node.host, "lab", "10.9.2.0/24").unwrap();
    let [server, client] = [(); 2].map(|()| {
        let endpoint = Endpoint::create(&network, &HostComputeEndpoint::default()).unwrap();
        let namespace = Namespace::create_host(&node.host).unwrap();
        namespace.add(&endpoint).unwrap();
        (namespace, endpoint)
    });
    let address = server.1.primary_ip().unwrap();
    let listener = server.0.run(|| TcpListener::bind((address, 80))).unwrap().unwrap();
    let stream = client.0.run(|| TcpStream::connect((address, 80))).unwrap().unwrap();
    let (_, from) = listener.accept().unwrap();
    assert_eq!(
        (from.ip(), stream.peer_addr().unwrap().ip()),
        (client.1.primary_ip().unwrap(), address)
    );

    let mut ip = Command::new("ip");
    let child = server.0.spawn(ip.args(["-o", "addr"]).stdout(Stdio::piped())).unwrap();
    let told = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&told.stdout).contains(&address.to_string()));
    let refused = server.0.spawn(&mut Command::new("/no/such/program")).unwrap_err();
    assert_eq!(refused.hresult, HResult::ERROR_FILE_NOT_FOUND);
    assert!(std::error::Error::source(&refused).is_some());
    let panicked: Result<(), Failure> = server.0.run(|| panic!("on purpose"));
    assert_eq!(panicked.unwrap_err().hresult, HResult::E_UNEXPECTED);

    drop((listener, stream));
    for (namespace, endpoint) in [server, client] {
        endpoint.delete().unwrap();
        namespace.delete().unwrap();
        assert!(namespace.run(|| ()).unwrap_err().is_not_found());
    }
    network.delete().unwrap();
}
