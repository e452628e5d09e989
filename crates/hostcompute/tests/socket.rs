//! The client's side of the socket, against a service that breaks off, stops, refuses and misses things on purpose.
#![cfg(all(socket, unix))]

mod scripted;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use hostcompute::schema::HostComputeNetwork;
use hostcompute::schema::operation::{Kind, Operation};
use hostcompute::schema::service::{HostFile, Progress};
use hostcompute::transport::{Ask, Call, Event};
use hostcompute::{Failure, Guid, HResult, Host, Network, Notice, Options, Topic, Way};
use scripted::{Says, Scripted, document, problem, stream};

const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

fn options(service: &Scripted) -> Options {
    let options = Options::at(service.directory().join("state"), service.directory().to_owned());
    Options { way: Way::Socket(service.socket()), patience: Duration::from_secs(30), ..options }
}

fn connect(service: &Scripted) -> Host {
    Host::auto(options(service)).expect("connected")
}

fn made() -> Says {
    Says::This(format!("HTTP/1.1 201 Created\r\ncontent-length: 38\r\n\r\n\"{ID}\""))
}

#[test]
fn documents_ids_and_failures_are_what_the_service_says() {
    let service = Scripted::new(|seen| match seen.line.as_str() {
        "POST /networks" => Says::This(format!(
            "HTTP/1.1 201 Created\r\ncontent-length: 38\r\nHostcompute-Warnings: \
             [{{\"path\":\"Nmae\",\"detail\":\"od\\u0064\",\"line\":1,\"column\":2}}]\r\n\r\n\"{ID}\""
        )),
        line if line.starts_with("GET /host/resolve?kind=Network&text=w%20eb") => {
            document(&format!("\"{ID}\""))
        }
        line if line.starts_with("GET /networks/") => document(r#"{"Name":"w eb"}"#),
        line if line.starts_with("DELETE") => {
            let failure = Failure::new(HResult::HCN_E_NETWORK_NOT_FOUND, "there is none");
            problem(&failure.at("X").hint("look"))
        }
        line => panic!("{line}"),
    });
    let host = connect(&service);
    let (network, warnings) = Network::create_json(&host, None, r#"{"Nmae":1}"#).expect("made");
    assert_eq!(network.id().to_string(), ID);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].to_string(), "odd (at Nmae, 1:2)");
    assert_eq!(Network::find(&host, "w eb").expect("there").id(), network.id());
    assert_eq!(network.query().expect("there").base.name.as_deref(), Some("w eb"));
    let failure = network.delete().expect_err("refused");
    assert_eq!(
        failure.to_string(),
        "there is none (at X) [0x803b0001 HCN_E_NETWORK_NOT_FOUND]; look"
    );
    let seen = service.seen();
    assert!(seen.iter().all(|seen| seen.connection == 1), "one connection is enough: {seen:?}");
    assert_eq!(seen[0].body, r#"{"Nmae":1}"#);
}

#[test]
fn a_change_whose_answer_was_lost_is_asked_again_under_the_same_key() {
    let count = AtomicUsize::new(0);
    let service = Scripted::new(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Says::Last(String::new()),
        1 => Says::Last("HTTP/1.1 201 Created\r\ncontent-length: 38\r\n\r\n\"0f8fad".to_owned()),
        2 => problem(&Failure::new(HResult::HCN_E_MANAGER_STOPPED, "the service stops")),
        _ => made(),
    });
    let host = connect(&service);
    Network::create(&host, &HostComputeNetwork::default()).expect("made in the end");
    Network::create(&host, &HostComputeNetwork::default()).expect("made");
    let keys: Vec<String> = service
        .seen()
        .iter()
        .filter_map(|s| s.header("idempotency-key"))
        .map(str::to_owned)
        .collect();
    assert_eq!(keys.len(), 5);
    assert!(keys[..4].iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_ne!(keys[4], keys[0]);
}

#[test]
fn who_asks_too_much_in_a_second_waits_for_the_next() {
    let count = AtomicUsize::new(0);
    let service = Scripted::new(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0..3 => problem(&Failure::new(HResult::ERROR_NOT_ENOUGH_QUOTA, "too many requests")),
        _ => document("[]"),
    });
    Network::list(&connect(&service)).expect("in the end");
    assert_eq!(service.seen().len(), 4);
    // A limit that stays is told.
    let service = Scripted::new(|_| problem(&Failure::new(HResult::ERROR_NOT_ENOUGH_QUOTA, "no")));
    let host = Host::auto(Options { patience: Duration::ZERO, ..options(&service) });
    let failure = Network::list(&host.expect("connected")).expect_err("refused");
    assert_eq!(failure.hresult, HResult::ERROR_NOT_ENOUGH_QUOTA);
}

#[test]
fn what_is_not_safe_to_ask_twice_is_asked_once() {
    let service = Scripted::new(|_| Says::Last(String::new()));
    let host = connect(&service);
    let refused = host.import_state("{}").expect_err("broken off");
    assert_eq!(refused.hresult, HResult::RPC_S_SERVER_UNAVAILABLE);
    assert!(refused.hint.is_some_and(|hint| hint.contains("whether it was done")));
    let refused = host.up(&[HostFile::new("f", "{}")], &mut |_| {}).expect_err("broken off");
    assert_eq!(refused.failure.hresult, HResult::RPC_S_SERVER_UNAVAILABLE);
    assert_eq!(service.seen().len(), 2);
}

/// A connection that was ended while nobody used it is no reason to fail, not even for what may be asked only once.
#[test]
fn an_old_connection_is_replaced() {
    let service = Scripted::new(|seen| match seen.line.as_str() {
        "GET /host/check" => {
            let body = r#"{"Findings":[]}"#;
            let length = body.len();
            Says::Last(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"))
        }
        _ => document(r#"{"Objects":3}"#),
    });
    let host = connect(&service);
    for _ in 0..3 {
        host.check().expect("asked");
        assert_eq!(host.import_state("{}").expect("asked"), 3);
    }
    assert_eq!(service.seen().len(), 6);
}

#[test]
fn a_service_that_went_for_good_is_told_when_patience_ends() {
    let service = Scripted::new(|_| document("[]"));
    let options = Options { patience: Duration::ZERO, ..options(&service) };
    let host = Host::auto(options).expect("connected");
    Network::list(&host).expect("there");
    std::fs::remove_file(service.socket()).expect("removed");
    // The connection that is there still works.
    Network::list(&host).expect("there");
    let gone = Scripted::new(|_| Says::Last(String::new()));
    let away = Host::auto(Options { patience: Duration::ZERO, ..self::options(&gone) });
    let away = away.expect("connected");
    std::fs::remove_file(gone.socket()).expect("removed");
    let failure = Network::list(&away).expect_err("gone");
    assert_eq!(failure.hresult, HResult::RPC_S_SERVER_UNAVAILABLE);
    assert!(failure.message.contains(&gone.socket().display().to_string()), "{failure}");
}

#[test]
fn calls_of_several_threads_do_not_wait_for_each_other() {
    let together = Arc::new(Barrier::new(3));
    let meet = together.clone();
    let service = Scripted::new(move |_| {
        // Only if all three are asked at the same time does any get an answer.
        meet.wait();
        document("[]")
    });
    let host = connect(&service);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| Network::list(&host).expect("answered"));
        }
    });
}

#[test]
fn progress_is_told_line_by_line_and_the_end_decides() {
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let step = r#"{"Action":"create","Kind":"network","ID":"ID","Name":"n"}"#
        .replace("ID\":\"ID", &format!("ID\":\"{ID}"));
    let told = format!(
        "{{\"Planned\":1}}\n{{\"Tolerated\":{{\"File\":\"f\",\"Message\":\"odd\",\"Path\":\"A\"}}}}\n{{\"Done\":{step}}}\n{{\"Newer\":1}}\n"
    );
    let good = format!("{told}{{\"Result\":{{\"Steps\":[{step}]}}}}\n");
    let bad = format!(
        "{told}{{\"TakingBack\":true}}\n{{\"Problem\":{{\"hresult\":\"0x803b001e\",\"detail\":\"no\",\"file\":\"f\"}}}}\n"
    );
    let service = Scripted::new(move |seen| {
        assert_eq!(seen.header("accept"), Some("application/x-ndjson"));
        let text = match seen.line.as_str() {
            "POST /host/up?strict=true" => &good,
            "POST /host/down?strict=true" => &bad,
            // Nobody says how it ended.
            _ => &told,
        };
        let (one, two) = text.split_at(20);
        Says::This(format!("{head}{}{}0\r\n\r\n", chunk(one), chunk(two)))
    });
    let host = Host::auto(Options { strict: true, ..options(&service) }).expect("connected");
    let files = [HostFile::new("f", "{}")];
    let mut heard = Vec::new();
    let steps = host.up(&files, &mut |progress| heard.push(progress)).expect("done");
    assert_eq!(steps.len(), 1);
    assert!(
        matches!(heard.as_slice(), [Progress::Planned(1), Progress::Tolerated { .. }, Progress::Done(done)] if *done == steps[0])
    );
    let mut last = None;
    let obstacle = host.down(&files, &mut |progress| last = Some(progress)).expect_err("refused");
    assert_eq!(
        (obstacle.file.as_deref(), obstacle.failure.hresult),
        (Some("f"), HResult::HCN_E_INVALID_IP)
    );
    assert_eq!(last, Some(Progress::TakingBack));
    let obstacle = host.diff(&files, &mut |_| {}).expect_err("unfinished");
    assert_eq!(obstacle.failure.hresult, HResult::RPC_S_SERVER_UNAVAILABLE);
    assert!(
        service.seen().iter().all(|seen| seen.body == r#"{"Files":[{"Name":"f","Text":"{}"}]}"#)
    );
}

fn event(number: u64) -> String {
    let data = format!(r#"{{"Type":2,"Name":"NetworkCreate","Data":{{"ID":"{ID}"}}}}"#);
    format!("id: {number}\nevent: NetworkCreate\ndata: {data}\n\n")
}

#[test]
fn a_subscription_goes_on_where_it_broke_off_and_tells_of_gaps() {
    let count = AtomicUsize::new(0);
    let service = Scripted::new(move |seen| {
        assert_eq!(seen.line, "GET /events");
        let bye = "event: ServiceDisconnect\ndata: {\"Type\":16777216}\n\n";
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => stream(&format!(": still here\n\n{}{}", event(4), event(5))),
            1 => stream(&format!("{}{bye}", event(6))),
            2 => stream(&format!("event: Missed\ndata: {{\"Count\":3}}\n\n{}", event(10))),
            _ => problem(&Failure::new(HResult::E_ACCESSDENIED, "not any more")),
        }
    });
    let host = connect(&service);
    let mut heard = Vec::new();
    let mut refused = None;
    for notice in host.subscribe(Topic::All, Some(3)).expect("subscribed") {
        match notice {
            Ok(Notice::Event(Event { number, code, name, data })) => {
                assert_eq!(
                    (code, name.as_str(), data["ID"].as_str()),
                    (2, "NetworkCreate", Some(ID))
                );
                heard.push(number);
            }
            Ok(Notice::Missed(count)) => heard.push(1000 + count),
            Err(failure) => refused = Some(failure),
        }
    }
    assert_eq!(heard, [4, 5, 6, 1003, 10]);
    assert!(refused.is_some_and(|failure| failure.is_access_denied()));
    let seen = service.seen();
    let after: Vec<_> =
        seen.iter().map(|seen| seen.header("last-event-id").map(str::to_owned)).collect();
    let expected = ["3", "5", "6", "10"].map(|number| Some(number.to_owned()));
    assert_eq!(after, expected);
}

#[test]
fn what_happened_until_now_is_read_to_its_end() {
    let service = Scripted::new(|seen| match seen.line.as_str() {
        "GET /host/inspect" => document(r#"{"Events":6}"#),
        _ => {
            assert_eq!(seen.header("last-event-id"), Some("2"));
            // It goes on, as a service does, and the reader does not wait for it.
            let text = stream(&format!(
                "event: Missed\ndata: {{\"Count\":1}}\n\n{}{}{}",
                event(4),
                event(5),
                event(6)
            ));
            let Says::Last(text) = text else { unreachable!("a stream is the last") };
            Says::This(text)
        }
    });
    let host = connect(&service);
    let told = host.events(3).expect("told");
    let numbers: Vec<u64> = told.events.iter().map(|event| event.number).collect();
    assert_eq!((numbers.as_slice(), told.next, told.missed), (&[4, 5, 6][..], 7, 1));
    assert_eq!(host.events(u64::MAX).expect("told").next, 7);
}

#[test]
fn the_way_is_found_where_something_listens() {
    let service = Scripted::new(|_| document("[]"));
    let any = Options { way: Way::Any, ..options(&service) };
    Network::list(&Host::running(&any).expect("it listens")).expect("asked");
    let nowhere = Options { runtime_dir: "/nowhere".into(), ..any };
    let failure = Host::running(&nowhere).expect_err("nothing listens");
    assert_eq!(failure.hresult, HResult::RPC_S_SERVER_UNAVAILABLE);
    assert!(failure.message.contains("/nowhere/hostcompute.sock"), "{failure}");
}

#[test]
fn what_concerns_the_calling_process_only_is_not_asked() {
    let service = Scripted::new(|seen| panic!("{seen:?}"));
    let host = connect(&service);
    let id: Guid = ID.parse().expect("a GUID");
    let close = host.call(&Call::on(Operation::CloseNetwork, id, ""));
    assert_eq!(close.expect_err("refused").hresult, HResult::E_NOTIMPL);
    let place = host.serve(&Ask::plain(hostcompute::schema::ServiceOperation::Place));
    assert_eq!(place.expect_err("refused").failure.hresult, HResult::E_INVALIDARG);
    let nameless = host.resolve(Kind::PortReservation, "x");
    assert_eq!(nameless.expect_err("refused").hresult, HResult::E_NOTIMPL);
}

/// Whatever answers there, it is told in one line and nothing panics.
#[test]
fn what_is_no_service_is_told() {
    for text in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nwhat"] {
        let service = Scripted::new(move |_| Says::Last(text.to_owned()));
        let failure = Network::list(&connect(&service)).expect_err("no answer");
        assert_eq!(failure.hresult, HResult::E_UNEXPECTED, "{failure}");
        assert_eq!(failure.to_string().lines().count(), 1);
    }
}
