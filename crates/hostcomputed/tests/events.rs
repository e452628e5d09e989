//! What happens, as clients of the socket hear it: in order, from where they were, and never at the cost of others.

mod lab;

use lab::{Daemon, Event, Machine};
use serde_json::json;

/// Makes and removes as many networks, which nothing on the kernel need follow.
#[track_caller]
fn stir(daemon: &Daemon, times: usize) {
    let mut client = daemon.connect();
    for number in 0..times {
        let network = json!({ "Name": format!("n{number}"), "Type": "Private", "Ipams": [
            { "Subnets": [{ "IpAddressPrefix": "10.77.0.0/24" }] }] });
        let id = client.ask("POST", "/networks", &network.to_string()).id();
        client.ask("DELETE", &format!("/networks/{id}"), "").ok();
    }
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn listeners_hear_everything_in_order_and_can_come_back() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mut all = daemon.connect().listen("/events", &[]);
    stir(&daemon, 1);
    let heard: Vec<Event> = (0..4).map_while(|_| all.next()).collect();
    let wanted = ["NetworkPreCreate", "NetworkCreate", "NetworkPreDelete", "NetworkDelete"];
    assert_eq!(names(&heard), wanted);
    let numbers: Vec<u64> = heard.iter().filter_map(|event| event.id).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(heard[1].data["Type"], 2);
    assert_eq!(heard[1].data["Name"], "NetworkCreate");
    assert_eq!(heard[1].data["Data"]["ID"].as_str().map(str::len), Some(36));
    drop(all);
    // Back again, with the second of the four as the last one known.
    let last = numbers[1].to_string();
    let mut again = daemon.connect().listen("/events", &[("Last-Event-ID", &last)]);
    let rest: Vec<Event> = (0..2).map_while(|_| again.next()).collect();
    assert_eq!(rest, heard[2..]);
    daemon
        .ask("GET", "/networks/11111111-2222-3333-4444-555555555555/events", "")
        .refused(404, "HCN_E_NETWORK_NOT_FOUND");
    daemon.stop();
    assert_eq!(again.next().map(|event| event.name), Some("ServiceDisconnect".to_owned()));
    assert_eq!(again.next(), None);
}

#[test]
fn a_listener_to_one_network_hears_nothing_of_others() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mine = daemon.ask("POST", "/networks", r#"{"Name":"mine"}"#).id();
    let mut heard = daemon.connect().listen(&format!("/networks/{mine}/events"), &[]);
    stir(&daemon, 1);
    daemon.ask("DELETE", &format!("/networks/{mine}"), "").ok();
    let events: Vec<Event> = (0..2).map_while(|_| heard.next()).collect();
    assert_eq!(names(&events), ["NetworkPreDelete", "NetworkDelete"]);
    assert!(events.iter().all(|event| event.data["Data"]["ID"] == mine.as_str()), "{events:?}");
    daemon.stop();
}

#[test]
fn who_comes_back_after_a_restart_is_told_what_is_missing() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mut all = daemon.connect().listen("/events", &[]);
    stir(&daemon, 2);
    let first = all.next().and_then(|event| event.id).expect("an event with a number");
    daemon.stop();
    let daemon = machine.daemon();
    let last = first.to_string();
    let mut again = daemon.connect().listen("/events", &[("Last-Event-ID", &last)]);
    let missed = again.next().expect("the news");
    assert_eq!(missed.name, "Missed");
    assert_eq!(missed.data["Count"], 7, "two networks bring eight, and the first was heard");
    daemon.stop();
}

#[test]
fn who_does_not_read_is_cut_off_and_delays_nobody() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with("write-patience = 600\n[limits]\nbacklog = 20\n");
    let mut slow = daemon.connect().listen("/events", &[]);
    let mut quick = daemon.connect().listen("/events", &[]);
    let metric = |name: &str| lab::metric(&daemon.ask("GET", "/metrics", "").body, name);
    // Until what the kernel and the daemon hold for the slow one is full.
    let mut heard = 0;
    while metric("subscriptions_cut_off_total") == 0 {
        stir(&daemon, 10);
        for _ in 0..40 {
            assert!(quick.next().is_some_and(|event| event.name.starts_with("Network")));
            heard += 1;
        }
        assert!(heard < 20_000, "nobody is cut off");
    }
    assert_eq!(metric("subscriptions"), 1);
    // What the slow one then reads has no gap, and says how it ended.
    let told: Vec<Event> = std::iter::from_fn(|| slow.next()).collect();
    let (last, told) = told.split_last().expect("events");
    assert_eq!(last.name, "ServiceDisconnect");
    assert!(
        last.data["Data"]["Reason"].as_str().is_some_and(|why| why.contains("behind")),
        "{last:?}"
    );
    let numbers: Vec<u64> = told.iter().filter_map(|event| event.id).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(numbers.len() > 20 && numbers.len() < heard);
    daemon.stop();
}

#[test]
fn a_connection_whose_answers_nobody_reads_is_cut() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with("write-patience = 1\n");
    let mut client = daemon.connect();
    // Far more than any buffer holds, and none of it read.
    let bytes = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    client.write(bytes.as_bytes());
    let sessions = || lab::metric(&daemon.ask("GET", "/metrics", "").body, "sessions");
    lab::wait_until(|| sessions() == 1);
    daemon.stop();
}
