//! The process dies anywhere: the next one finds a point of the history, and a machine that agrees with it.

mod world;

use hostcompute_engine::plan::{Fact, Family};
use hostcompute_engine::sim::{Fault, Listener, Moment, Tamper};
use hostcompute_schema::HResult;
use hostcompute_service::Outcome;
use world::{Machine, Scratch, boot, day, memory, open, play, sound};

/// Every plan of the day, cut at every step in every way a kernel can cut it, with the journal as it was at that moment.
#[test]
fn an_operation_cut_anywhere_is_finished_by_the_next_process() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    machine.watch(scratch.path());
    for act in day() {
        play(&mut service, &act).unwrap_or_else(|failure| panic!("{act:?}: {failure}"));
        let after = memory(service.state());
        for death in machine.deaths() {
            let directory = Scratch::copy_of(death.directory.path());
            let machine = Machine::of(death.machine);
            let mut next = open(directory.path(), &machine, &boot(1)).expect("recovered");
            let recovery = next.recovery().expect("something was pending").clone();
            assert_eq!(recovery.operation, act.operation.symbol());
            assert_eq!(
                (recovery.outcome, recovery.problems),
                (Outcome::Finished, vec![]),
                "{act:?}"
            );
            assert_eq!(memory(next.state()), after, "{act:?}");
            sound(&mut next);
            drop(next);
            assert!(
                open(directory.path(), &machine, &boot(1)).expect("again").recovery().is_none()
            );
        }
    }
    assert!(
        service.state().networks().all(|network| network.persistent()),
        "the day ends with the lasting network"
    );
}

/// A power cut leaves some beginning of the log: whatever its length, the state is a point of the history.
#[test]
fn every_beginning_of_the_log_is_a_point_of_the_history() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    let mut history = vec![memory(service.state())];
    for act in day() {
        play(&mut service, &act).expect("done");
        history.push(memory(service.state()));
    }
    let died = Scratch::copy_of(scratch.path());
    let log = died.path().join("state.sqlite-wal");
    let whole = std::fs::read(&log).expect("a log");
    let mut reached = 0;
    for length in (0..whole.len()).step_by(1031).chain([whole.len()]) {
        let cut = Scratch::copy_of(died.path());
        std::fs::write(cut.path().join("state.sqlite-wal"), &whole[..length]).expect("written");
        let store = hostcompute_service::Store::open(cut.path(), std::time::Duration::ZERO)
            .expect("opened");
        let state =
            hostcompute_engine::State::load(store.records().expect("readable")).expect("sound");
        let place = history.iter().rposition(|point| *point == memory(&state));
        let place =
            place.unwrap_or_else(|| panic!("the log cut at {length} is no point of the history"));
        assert!(place >= reached, "a longer log knows no less");
        reached = place;
    }
    assert_eq!(reached, history.len() - 1);
}

/// What the host no longer lets happen is undone, and the reason is told.
#[test]
fn an_operation_that_became_impossible_is_undone() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    let day = day();
    day[..3].iter().for_each(|act| drop(play(&mut service, act).expect("done")));
    let before = memory(service.state());
    machine.watch(scratch.path());
    play(&mut service, &day[3]).expect("done");
    let death = machine.deaths().remove(0);
    let mut simulator = death.machine;
    // From now on the machine refuses whatever is asked of it first.
    simulator.order(Fault { after: 0, moment: Moment::Before });
    let machine = Machine::of(simulator);
    let mut next = open(death.directory.path(), &machine, &boot(1)).expect("recovered");
    let recovery = next.recovery().expect("something was pending");
    assert!(matches!(recovery.outcome, Outcome::Undone(_)), "{recovery:?}");
    assert_eq!(memory(next.state()), before);
    sound(&mut next);
}

/// A process dies after it has answered, somebody takes the machine apart, and the machine refuses to be put right: what was answered
/// stays, the rest is told.
#[test]
fn what_was_answered_is_not_undone_because_of_something_else() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    let day = day();
    day[..9].iter().for_each(|act| drop(play(&mut service, act).expect("done")));
    let after = memory(service.state());
    // The last thing done was attaching an endpoint; what is lost concerns another.
    let lost = machine.with(|simulator| {
        let port =
            |fact: &Fact| matches!(fact, Fact::Port(port) if port.endpoint == world::guid(21));
        simulator.facts().into_iter().find(port).expect("attached")
    });
    let killed = Scratch::copy_of(scratch.path());
    let mut simulator = machine.with(|simulator| simulator.clone());
    simulator.tamper(Tamper::Lose(lost));
    for _ in 0..2 {
        simulator.order(Fault { after: 0, moment: Moment::Before });
    }
    let machine = Machine::of(simulator);
    let mut next = open(killed.path(), &machine, &boot(1)).expect("recovered");
    let recovery = next.recovery().expect("something was pending");
    assert_eq!(recovery.outcome, Outcome::Finished, "{recovery:?}");
    assert_eq!(memory(next.state()), after);
    machine.with(|simulator| simulator.cancel_faults());
    play(&mut next, &day[9]).expect("what is left is repaired before the next change");
    sound(&mut next);
}

/// Another boot: what does not outlive one is gone, the rest is there again.
#[test]
fn a_restarted_machine_is_rebuilt() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    day()[..12].iter().for_each(|act| drop(play(&mut service, act).expect("done")));
    drop(service);
    machine.with(|simulator| simulator.reboot());
    let mut service = open(scratch.path(), &machine, &boot(2)).expect("rebuilt");
    assert_eq!(service.recovery().expect("another boot").outcome, Outcome::Rebuilt);
    let names: Vec<_> = service.state().networks().map(|network| network.name()).collect();
    assert_eq!(names, ["lasting"]);
    assert_eq!(service.state().endpoints().count(), 1);
    assert_eq!(service.state().namespaces().count(), 0);
    sound(&mut service);
    drop(service);
    let mut service = open(scratch.path(), &machine, &boot(2)).expect("the same boot");
    assert!(service.recovery().is_none());
    sound(&mut service);
}

/// A host port that the service chose itself is chosen anew when somebody holds it; one that was asked for is refused.
#[test]
fn a_foreign_listener_keeps_its_port() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    let day = day();
    let listener =
        Listener { address: None, family: Family::V4, dual: false, protocol: 6, port: 8080 };
    machine.with(|simulator| simulator.listen(listener));
    play(&mut service, &day[0]).expect("done");
    let before = memory(service.state());
    let refused = play(&mut service, &day[4]).expect_err("the port is taken");
    assert_eq!(refused.hresult, HResult::HCN_E_PORT_ALREADY_EXISTS);
    assert_eq!(memory(service.state()), before);
    machine.with(|simulator| simulator.stop_listening());
    play(&mut service, &day[4]).expect("free now");
    sound(&mut service);
}
