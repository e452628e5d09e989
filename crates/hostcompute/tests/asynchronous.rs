//! The asynchronous API against a service that says what a test wants: what is asked when, and what becomes of calls that nobody awaits.
#![cfg(all(feature = "async", socket))]

#[allow(dead_code, reason = "what other tests look at")]
mod scripted;

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hostcompute::asynchronous::{Endpoint, EndpointAttachment, GuestService, Host, Network};
use hostcompute::attach::Wish;
use hostcompute::schema::service::{PortAccess, PortProtocol};
use hostcompute::schema::{
    ComputeOperation, GuestNetworkService, HostComputeNetwork, ServiceOperation,
};
use hostcompute::transport::{Ask, ComputeCall};
use hostcompute::{Failure, HResult, Notice, Options, Topic, Way};
use scripted::{Says, Scripted, document, problem, stream};
use tokio::runtime::{Builder, Runtime};

const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// Longer than anything here takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn runtime(threads: usize) -> Runtime {
    Builder::new_current_thread().max_blocking_threads(threads).build().expect("a runtime")
}

async fn connect(service: &Scripted) -> Host {
    let options = Options::at(service.directory().join("state"), service.directory().to_owned());
    let options = Options { way: Way::Socket(service.socket()), patience: LONG, ..options };
    Host::auto(options).await.expect("connected")
}

fn made() -> Says {
    Says::This(format!("HTTP/1.1 201 Created\r\ncontent-length: 38\r\n\r\n\"{ID}\""))
}

fn gone() -> Says {
    Says::This("HTTP/1.1 204 No Content\r\n\r\n".to_owned())
}

/// A service whose first creation is answered when the test says so, and which tells of everything that it is asked.
fn held_up() -> (Scripted, Sender<()>, Receiver<String>) {
    let (go, wait) = channel::<()>();
    let (tell, told) = channel();
    let (wait, tell) = (Mutex::new(wait), Mutex::new(tell));
    let service = Scripted::new(move |seen| {
        tell.lock().expect("whole").send(seen.line.clone()).expect("the test listens");
        if !seen.line.starts_with("POST") {
            return gone();
        }
        wait.lock().expect("whole").recv().expect("the test goes on");
        made()
    });
    (service, go, told)
}

/// Polls once; the call begins.
fn begin<F: Future>(future: std::pin::Pin<&mut F>) {
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.poll(&mut context).is_pending(), "it waits for an answer");
}

#[track_caller]
fn next(told: &Receiver<String>) -> String {
    told.recv_timeout(LONG).expect("asked")
}

#[test]
fn it_asks_and_hears_what_the_blocking_one_does() {
    let service = Scripted::new(|seen| match seen.line.as_str() {
        "POST /networks" => made(),
        line if line.starts_with("GET /networks/") => document(r#"{"Name":"web"}"#),
        _ => {
            let failure = Failure::new(HResult::HCN_E_ENTITY_HAS_REFERENCES, "endpoints use it");
            problem(&failure.at("X").hint("delete them"))
        }
    });
    runtime(4).block_on(async {
        let host = connect(&service).await;
        let network = Network::create_nat(&host, "web", "10.1.0.0/24").await.expect("made");
        assert_eq!(network.id().to_string(), ID);
        assert_eq!(network.query().await.expect("there").base.name.as_deref(), Some("web"));
        let failure = network.delete().await.expect_err("refused");
        assert_eq!(failure, network.blocking().delete().expect_err("refused"));
        assert!(failure.is_in_use());
        host.run(|host| {
            host.call(&hostcompute::transport::Call {
                operation: hostcompute::schema::Operation::EnumerateNetworks,
                id: None,
                network: None,
                document: "",
            })
        })
        .await
        .expect_err("refused");
        host.close().await.expect_err("refused, too");
    });
}

#[test]
fn without_a_runtime_it_is_refused() {
    let service = Scripted::new(|_| document("[]"));
    let host: Host = hostcompute::Host::connect(service.socket()).expect("connected").into();
    let mut future = pin!(host.check());
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(failure)) = future.as_mut().poll(&mut context) else { panic!("refused") };
    assert_eq!(failure.hresult, HResult::E_UNEXPECTED);
    assert!(failure.message.contains("tokio"), "{failure}");
}

#[test]
fn what_was_not_polled_is_not_asked_and_what_waits_for_a_thread_is_taken_back() {
    let (service, go, told) = held_up();
    runtime(1).block_on(async {
        let host = connect(&service).await;
        drop(Network::create_nat(&host, "never", "10.1.0.0/24"));
        let settings = HostComputeNetwork::default();
        let mut first = pin!(Network::create(&host, &settings));
        begin(first.as_mut());
        assert_eq!(next(&told), "POST /networks");
        {
            // The only thread is busy.
            let mut second = pin!(Network::create(&host, &settings));
            begin(second.as_mut());
        }
        go.send(()).expect("the service waits");
        let network = first.await.expect("made");
        network.delete().await.expect("deleted");
    });
    let lines: Vec<String> = service.seen().iter().map(|seen| seen.line.clone()).collect();
    assert_eq!(lines, ["POST /networks".to_owned(), format!("DELETE /networks/{ID}")]);
}

#[test]
fn what_was_made_for_nobody_is_taken_back() {
    let (service, go, told) = held_up();
    runtime(4).block_on(async {
        let host = connect(&service).await;
        let settings = HostComputeNetwork::default();
        {
            // Dropped while the service makes it.
            let mut create = pin!(Network::create(&host, &settings));
            begin(create.as_mut());
            assert_eq!(next(&told), "POST /networks");
        }
        go.send(()).expect("the service waits");
        assert_eq!(next(&told), format!("DELETE /networks/{ID}"));
        {
            // Dropped when the answer may be there, and was not taken.
            let mut create = pin!(Network::create(&host, &settings));
            begin(create.as_mut());
            assert_eq!(next(&told), "POST /networks");
            go.send(()).expect("the service waits");
            while service.seen().len() < 3 {
                std::thread::yield_now();
            }
        }
        assert_eq!(next(&told), format!("DELETE /networks/{ID}"));
    });
}

#[test]
fn an_attachment_that_nobody_awaits_is_taken_apart_again() {
    let (go, wait) = channel::<()>();
    let (tell, told) = channel();
    let (wait, tell) = (Mutex::new(wait), Mutex::new(tell));
    let service = Scripted::new(move |seen| {
        tell.lock().expect("whole").send(seen.line.clone()).expect("the test listens");
        match seen.line.split(' ').next() {
            Some("GET") => document("{}"),
            Some("POST") if seen.line.ends_with("endpoints") => {
                wait.lock().expect("whole").recv().expect("the test goes on");
                made()
            }
            Some("POST") => made(),
            _ => gone(),
        }
    });
    runtime(4).block_on(async {
        let host = connect(&service).await;
        let network = Network::open(&host, ID.parse().expect("an id")).await.expect("there");
        let wish = Wish { owner: "agent".into(), container: "c".into(), ..Wish::default() };
        {
            let mut attach = pin!(EndpointAttachment::create_overlay(&network, wish));
            begin(attach.as_mut());
            while !next(&told).contains("/endpoints") {}
        }
        go.send(()).expect("the service waits");
        let mut lines = Vec::new();
        while !lines.contains(&format!("DELETE /namespaces/{ID}")) {
            lines.push(next(&told));
        }
        // It was made to its end, and then taken apart.
        let place = |line: &str| {
            let found = lines.iter().position(|seen| seen.starts_with(line));
            found.unwrap_or_else(|| panic!("no {line} in {lines:?}"))
        };
        assert!(place("PATCH /namespaces/") < place("DELETE /endpoints/"), "{lines:?}");
    });
}

#[test]
fn reserved_ports_are_given_back_by_dropping() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let service = Scripted::new(move |seen| {
        tell.lock().expect("whole").send(seen.line.clone()).expect("the test listens");
        match seen.line.split(' ').next() {
            Some("POST") if seen.line.contains("reserv") => {
                document(r#"{"Reservation":7,"StartingPort":80,"EndingPort":80}"#)
            }
            Some("POST") => made(),
            _ => gone(),
        }
    });
    runtime(4).block_on(async {
        let host = connect(&service).await;
        let settings = GuestNetworkService::default();
        let guest = GuestService::create(&host, &settings).await.expect("made");
        let (protocol, access) = (PortProtocol::Tcp, PortAccess::Exclusive);
        let ports = guest.reserve_port(protocol, access, 80).await.expect("reserved");
        assert_eq!(ports.ports(), 80..=80);
        drop(ports);
        while !next(&told).starts_with("DELETE") {}
    });
}

fn event(number: u64) -> String {
    let data = format!(r#"{{"Type":2,"Name":"NetworkCreate","Data":{{"ID":"{ID}"}}}}"#);
    format!("id: {number}\nevent: NetworkCreate\ndata: {data}\n\n")
}

#[test]
fn a_stream_goes_on_over_breaks_and_ends_when_it_is_stopped() {
    let count = std::sync::atomic::AtomicU64::new(0);
    let service = Scripted::new(move |_| {
        let first = 2 * count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        stream(&[event(first), event(first + 1)].concat())
    });
    runtime(2).block_on(async {
        let host = connect(&service).await;
        let mut heard = host.subscribe(Topic::All, None).await.expect("subscribed");
        let mut numbers = Vec::new();
        while numbers.len() < 6 {
            // A future that is dropped before it is ready takes nothing with it.
            let early = pin!(heard.next()).as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let notice = match early {
                Poll::Ready(notice) => notice,
                Poll::Pending => heard.next().await,
            };
            let Some(Ok(Notice::Event(event))) = notice else { panic!("{notice:?}") };
            numbers.push(event.number);
        }
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        heard.stopper().stop();
        while heard.next().await.is_some() {}
        assert!(heard.next().await.is_none());
    });
}

/// Futures move between threads, and are what timeouts and selections want.
#[test]
fn futures_can_be_sent() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    let service = Scripted::new(|_| document("[]"));
    let listed = runtime(2).block_on(async {
        let host = connect(&service).await;
        sendable(Endpoint::list(&host)).await
    });
    assert!(listed.expect("listed").is_empty());
}

#[test]
fn a_log_comes_in_pieces_and_ends_when_it_is_stopped() {
    // No length: it goes on.
    let service = Scripted::new(|seen| match seen.line.contains("follow=true") {
        true => Says::This("HTTP/1.1 200 OK\r\n\r\nhello".to_owned()),
        false => Says::Last("HTTP/1.1 200 OK\r\n\r\nworld".to_owned()),
    });
    runtime(2).block_on(async {
        let host = connect(&service).await;
        let call = ComputeCall::on(ComputeOperation::GetComputeSystemLog, "c", "");
        let mut log = host.compute_log(&call.with(&[("follow", "true")])).await.expect("a log");
        assert_eq!(log.next().await.expect("a piece").expect("read"), b"hello");
        begin(pin!(log.next()));
        log.stopper().stop();
        assert!(log.next().await.is_none());
        let mut log = host.compute_log(&call).await.expect("a log");
        let mut read = Vec::new();
        while let Some(piece) = log.next().await {
            read.extend(piece.expect("read"));
        }
        assert_eq!(read, b"world");
    });
}

#[test]
fn plain_calls_say_what_the_blocking_ones_say() {
    let service = Scripted::new(|_| document("[]"));
    runtime(2).block_on(async {
        let host = connect(&service).await;
        let call = ComputeCall::on(ComputeOperation::EnumerateComputeSystems, "", "{}");
        assert_eq!(host.compute(&call).await.expect("told").body, "[]");
        host.blocking().compute(&call).expect("told");
        let parameters = [("limit", "7")];
        let ask = Ask { parameters: &parameters, ..Ask::plain(ServiceOperation::Flows) };
        assert_eq!(host.serve(&ask).await.expect("told"), serde_json::json!([]));
        host.blocking().serve(&ask).expect("told");
        let old = host.hns_call("GET", "/networks/", "").await.expect("carried out");
        assert_eq!(old, host.blocking().hns_call("GET", "/networks/", ""));
    });
    let seen = service.seen();
    let said: Vec<_> = seen.iter().map(|seen| (&seen.line, &seen.body)).collect();
    let pairs: Vec<_> = said.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    assert!(pairs.iter().all(|(one, other)| one == other), "{pairs:?}");
    assert!(said.iter().any(|(line, _)| line.contains("limit=7")), "{said:?}");
}

#[cfg(images)]
#[test]
fn work_that_nobody_awaits_is_called_off_and_leaves_nothing() {
    use std::ops::ControlFlow;

    use hostcompute::asynchronous::layer::Layers;
    use hostcompute::layer::Limits;
    use hostcompute::schema::hcs::LayerData;

    let service = Scripted::new(|_| document("[]"));
    let (source, layer) = (service.directory().join("source"), service.directory().join("layer"));
    std::fs::create_dir_all(source.join("Files")).expect("a directory");
    std::fs::write(source.join("Files/one"), "1").expect("a file");
    let (go, wait) = channel::<()>();
    let (tell, told) = channel::<()>();
    let shared = Mutex::new((tell, wait));
    let held_up = move |_: hostcompute::layer::Event<'_>| {
        let shared = shared.lock().expect("whole");
        let (tell, wait) = &*shared;
        // Only the first one waits: the test is gone afterwards.
        if tell.send(()).is_ok() {
            let _ = wait.recv();
        }
        ControlFlow::Continue(())
    };
    runtime(1).block_on(async {
        let layers = Layers::here();
        let (data, limits) = (LayerData::default(), Limits::default());
        {
            let mut import = pin!(layers.import(&layer, &source, &data, &limits, held_up));
            begin(import.as_mut());
            told.recv_timeout(LONG).expect("it has begun");
        }
        go.send(()).expect("it waits");
        // The watcher goes with the work.
        while told.recv_timeout(LONG).is_ok() {}
        assert!(!layer.exists(), "half a layer");
    });
}
