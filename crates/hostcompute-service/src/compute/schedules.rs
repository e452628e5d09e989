//! Compute systems under a randomised scheduler: everything that can come at the same time does, in many orders. See `crate::schedules`
//! for how to run it and how to see a failure again.
//!
//! Whatever the order: every call is answered once and with a code that fits, every event is told once and in order, the end of a
//! system is its last, and nothing is left on the machine.

use std::collections::BTreeSet;
use std::time::Duration;

use hostcompute_engine::compute::event::Event;
use hostcompute_engine::compute::sim::{Doing, Machine, Trouble};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Cause, End, ProcessStatus};
use hostcompute_schema::{Failure, HResult};
use serde_json::json;
use shuttle::rand::{Rng, thread_rng};

use super::{Call, Notice};
use crate::schedules::explore;
use crate::sync::{Arc, Mutex, lock, mpsc, thread};

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../tests/compute/lab.rs"]
mod lab;
use lab::{Asks, Client, Lab, Nets, container, container_with, guid, heard, mortal, process};

fn lab() -> Lab {
    Lab::on(&Machine::new(thread::yield_now), &Nets::default())
}

fn code<T>(answer: Result<T, Failure>) -> HResult {
    answer.map_or_else(|failure| failure.hresult, |_| HResult::S_OK)
}

#[track_caller]
fn one_of(code: HResult, allowed: &[HResult]) {
    assert!(allowed.contains(&code), "{code:?} is none of {allowed:?}");
}

/// Joins all of them; their panics are the test's.
fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// What a subscription told is in order: processes, each once, then the end of the system, once.
#[track_caller]
fn in_order(notices: &[Notice]) {
    let mut seen = BTreeSet::new();
    let Some((last, before)) = notices.split_last() else { panic!("nothing was told") };
    assert!(matches!(last, Notice::Event(Event::SystemExited(_))), "{last:?}");
    for notice in before {
        let Notice::Event(Event::ProcessExited(status)) = notice else { panic!("{notice:?}") };
        assert!(seen.insert(status.process_id), "{status:?} was told twice");
    }
}

/// Two clients want the same id; a third sees one system or none.
#[test]
fn an_id_is_taken_once() {
    explore(|| {
        let lab = Arc::new(lab());
        let makers: Vec<_> = ["web", "WEB"]
            .map(|id| {
                let lab = lab.clone();
                thread::spawn(move || {
                    let client = lab.client();
                    let made = client.ask(Verb::Create, id, container());
                    let code = code(made);
                    one_of(code, &[HResult::S_OK, HResult::HCS_E_SYSTEM_ALREADY_EXISTS]);
                    if code == HResult::S_OK {
                        client.act(Verb::Terminate, id).expect("mine");
                    }
                })
            })
            .into();
        let watcher = lab.client();
        let seen = watcher.properties("Web");
        one_of(code(seen), &[HResult::S_OK, HResult::HCS_E_SYSTEM_NOT_FOUND]);
        join(makers);
        lab.compute.settle();
        assert!(lab.machine.is_empty());
        lab.compute.stop();
    });
}

/// A system is started, paused, shut down, terminated and loses its worker, all at once.
#[test]
fn a_life_is_led_by_many() {
    explore(|| {
        let lab = Arc::new(lab());
        let maker = lab.client();
        maker.ask(Verb::Create, "c", container()).expect("made");
        let subscription = maker.subscribe("c").expect("there");
        if thread_rng().gen_bool(0.2) {
            lab.machine.order(Doing::Start, Trouble::DiesAfter);
        }
        const OVER: [HResult; 5] = [
            HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
            HResult::HCS_E_SYSTEM_NOT_FOUND,
            HResult::HCS_E_TERMINATED,
            HResult::HCS_E_UNEXPECTED_EXIT,
            HResult::HCS_E_TERMINATED_DURING_START,
        ];
        let leaders: Vec<_> = [Verb::Start, Verb::Pause, Verb::ShutDown, Verb::Terminate]
            .into_iter()
            .map(|verb| {
                let lab = lab.clone();
                thread::spawn(move || {
                    let client = lab.client();
                    let code = client.code(verb, "c");
                    if !matches!(code, HResult::S_OK | HResult::HCS_E_INVALID_STATE) {
                        one_of(code, &OVER);
                    }
                })
            })
            .collect();
        let machine = lab.machine.clone();
        let killer = thread::spawn(move || {
            if thread_rng().gen_bool(0.5) {
                machine.kill_worker("c");
            }
        });
        join(leaders.into_iter().chain([killer]));
        in_order(&heard(&subscription));
        assert!(maker.wait_for_exit("c", Duration::MAX).expect("held").is_some());
        lab.compute.settle();
        assert!(lab.machine.is_empty());
        lab.compute.stop();
    });
}

/// Processes are made, end by themselves and are killed, while the system ends.
#[test]
fn every_process_ends_once_and_before_its_system() {
    explore(|| {
        let lab = Arc::new(lab());
        let maker = lab.client();
        maker.running("c", &container());
        let subscription = maker.subscribe("c").expect("there");
        let made = Arc::new(Mutex::new(BTreeSet::new()));
        let clients: Vec<_> = ["sleep", "true"]
            .map(|program| {
                let (lab, made) = (lab.clone(), made.clone());
                thread::spawn(move || {
                    let client = lab.client();
                    for _ in 0..2 {
                        let Ok(pid) = client.exec("c", &[program]) else { return };
                        lock(&made).insert(pid);
                        lab.machine.exit("c", pid, ProcessStatus::Exited(3));
                        let status = client.wait_for_process("c", pid, Duration::MAX);
                        assert!(status.expect("held").is_some());
                    }
                })
            })
            .into();
        let ended = lab.clone();
        let ender = thread::spawn(move || match thread_rng().gen_range(0..3) {
            0 => ended.client().act(Verb::Terminate, "c").expect("there"),
            1 => ended.machine.kill_worker("c"),
            _ => ended
                .machine
                .end("c", End { cause: Cause::Crashed("init".into()), out_of_memory: true }),
        });
        join(clients.into_iter().chain([ender]));
        let notices = heard(&subscription);
        in_order(&notices);
        let told: BTreeSet<u32> = notices
            .iter()
            .filter_map(|notice| match notice {
                Notice::Event(event) => event.process(),
                Notice::Disconnected(_) => None,
            })
            .collect();
        assert!(told.is_superset(&lock(&made)), "{told:?} {made:?}");
        lab.compute.settle();
        lab.compute.stop();
    });
}

/// Clients come and go with a system that ends with its last handle, and one makes it while its session ends.
#[test]
fn the_last_handle_ends_it_whoever_closes_it() {
    explore(|| {
        let lab = Arc::new(lab());
        let maker = lab.client();
        let (sender, answered) = mpsc::channel();
        let call = Call::of(Verb::Create, "c", &mortal().to_string());
        maker.submit(call, move |answer| {
            let _ = sender.send(code(answer));
        });
        let visitors: Vec<_> = (0..2)
            .map(|_| {
                let lab = lab.clone();
                thread::spawn(move || {
                    let client = lab.client();
                    if client.open("c").is_ok() {
                        one_of(
                            code(client.properties("c")),
                            &[HResult::S_OK, HResult::HCS_E_SYSTEM_NOT_FOUND],
                        );
                    }
                })
            })
            .collect();
        drop(maker);
        join(visitors);
        assert_eq!(answered.recv().expect("told"), HResult::S_OK);
        lab.compute.settle();
        assert!(lab.machine.is_empty());
        lab.compute.stop();
    });
}

/// Clients of a service find a system that it did not make, at the same time: it is one system, with all their handles.
#[test]
fn a_system_is_found_once() {
    explore(|| {
        let first = lab();
        first.client().ask(Verb::Create, "c", container()).expect("made");
        first.client().act(Verb::Terminate, "c").expect("ended");
        let maker = first.client();
        maker.running("c", &mortal());
        first.compute.stop();
        let lab = Arc::new(Lab::on(&first.machine, &first.nets));
        let finder = Lab::with(
            &first.machine,
            &first.nets,
            super::Settings { adoption: super::Adoption::WhenAsked, ..super::Settings::default() },
        );
        let finder = Arc::new(finder);
        let (sender, found) = mpsc::channel();
        let finders: Vec<_> = (0..2)
            .map(|_| {
                let (finder, sender) = (finder.clone(), sender.clone());
                thread::spawn(move || {
                    let client = finder.client();
                    client.open("c").expect("it lives");
                    let _ = sender.send(client);
                })
            })
            .collect();
        let clients: Vec<Client> = (0..2).map(|_| found.recv().expect("opened")).collect();
        join(finders);
        let [one, two] = clients.as_slice() else { panic!("two clients") };
        one.close("c").expect("held");
        assert_eq!(two.properties("c").expect("held")["State"], "Running");
        two.close("c").expect("held");
        finder.compute.settle();
        assert!(lab.machine.is_empty());
        lab.compute.stop();
        finder.compute.stop();
    });
}

/// A network that is a system's own is gone when the end is heard, and never while the system lives.
#[test]
fn networks_go_with_their_system() {
    explore(|| {
        let lab = Arc::new(lab());
        lab.nets.with(|nets| {
            nets.endpoints.insert(guid(7));
            nets.pause = Some(thread::yield_now);
        });
        let maker = lab.client();
        let networking = json!({ "NetworkAdapters": [guid(7).to_string()] });
        maker.running("c", &container_with("Networking", networking));
        let subscription = maker.subscribe("c").expect("there");
        let (machine, other) = (lab.machine.clone(), lab.clone());
        let enders = [
            thread::spawn(move || machine.kill_worker("c")),
            thread::spawn(move || {
                let client = other.client();
                let code = client.code(Verb::Terminate, "c");
                if code == HResult::S_OK {
                    assert!(other.nets.with(|nets| nets.namespaces.is_empty()));
                }
            }),
        ];
        in_order(&heard(&subscription));
        assert!(lab.nets.with(|nets| nets.namespaces.is_empty()));
        join(enders);
        lab.compute.settle();
        lab.compute.stop();
    });
}

/// Calls that wait for their turn are answered once, in order, also when the service stops meanwhile.
#[test]
fn what_waits_is_answered_once() {
    explore(|| {
        let lab = Arc::new(lab());
        let client: Client = lab.client();
        let (sender, answers) = mpsc::channel();
        let document = container().to_string();
        for (number, verb) in
            [Verb::Create, Verb::Start, Verb::Pause, Verb::Resume, Verb::CreateProcess]
                .into_iter()
                .enumerate()
        {
            let document = match verb {
                Verb::Create => document.clone(),
                Verb::CreateProcess => process(&["true"]).to_string(),
                _ => String::new(),
            };
            let sender = sender.clone();
            client.submit(Call::of(verb, "c", &document), move |answer| {
                let _ = sender.send((number, code(answer)));
            });
        }
        drop(sender);
        let stopping = lab.clone();
        let stopper = thread::spawn(move || {
            if thread_rng().gen_bool(0.3) {
                stopping.compute.stop();
            }
        });
        let all: Vec<(usize, HResult)> = answers.iter().collect();
        join([stopper]);
        let mut numbers: Vec<usize> = all.iter().map(|(number, _)| *number).collect();
        let accepted: Vec<usize> = all
            .iter()
            .filter(|(_, code)| *code == HResult::S_OK)
            .map(|(number, _)| *number)
            .collect();
        assert!(accepted.is_sorted(), "{all:?}");
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        lab.compute.stop();
    });
}

/// Whoever watches an end is called once, or not at all after giving up.
#[test]
fn watchers_are_called_once() {
    explore(|| {
        let lab = Arc::new(lab());
        let client = lab.client();
        client.running("c", &container());
        let (sender, calls) = mpsc::channel();
        let given_up = sender.clone();
        let watcher = lab.clone();
        let watching = thread::spawn(move || {
            let client = watcher.client();
            let watching = client.watch_exit("c", move || {
                let _ = sender.send("kept");
            });
            // It may have ended and be forgotten but for its remains: then it is called at once.
            std::mem::forget(watching);
            let Ok(dropped) = client.watch_exit("c", move || {
                let _ = given_up.send("given up");
            }) else {
                return;
            };
            drop(dropped);
        });
        client.act(Verb::Terminate, "c").expect("mine");
        join([watching]);
        let calls: Vec<_> = calls.iter().collect();
        assert_eq!(calls.iter().filter(|call| **call == "kept").count(), 1, "{calls:?}");
        assert!(calls.len() <= 2, "{calls:?}");
        lab.compute.settle();
        lab.compute.stop();
    });
}
