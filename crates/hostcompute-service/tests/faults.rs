//! The host refuses a step: the operation is taken back wholly, and the caller learns why. It refuses that, too: the next start
//! repairs it.

mod world;

use hostcompute_engine::sim::{Fault, Moment};
use world::{Machine, Scratch, boot, day, memory, open, play, sound};

const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Halfway, Moment::After];

/// Every step of every plan of the day fails once, in every way.
#[test]
fn a_failed_step_takes_the_whole_operation_back() {
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    for act in day() {
        let before = memory(service.state());
        let picture = machine.with(|simulator| simulator.picture());
        for after in 0.. {
            let mut struck = false;
            for moment in MOMENTS {
                machine.with(|simulator| simulator.order(Fault { after, moment }));
                let result = play(&mut service, &act);
                struck = machine.with(|simulator| simulator.pending_faults()) == 0;
                machine.with(|simulator| simulator.cancel_faults());
                if !struck {
                    result.unwrap_or_else(|failure| panic!("{act:?}: {failure}"));
                    break;
                }
                result.expect_err("a fault was ordered");
                assert_eq!(memory(service.state()), before, "{act:?} at {after} {moment:?}");
                assert_eq!(
                    machine.with(|simulator| simulator.picture()),
                    picture,
                    "{act:?} at {after} {moment:?}"
                );
                sound(&mut service);
            }
            if !struck {
                break;
            }
        }
    }
    let last = memory(service.state());
    drop(service);
    let service = open(scratch.path(), &machine, &boot(1)).expect("again");
    assert!(service.recovery().is_none());
    assert_eq!(memory(service.state()), last, "what was taken back stays away");
}

/// Taking back fails, too: both reasons are told, and whoever comes next puts it right.
#[test]
fn what_could_not_be_taken_back_is_repaired_later() {
    let day = day();
    for place in 0..day.len() {
        let scratch = Scratch::new();
        let machine = Machine::default();
        let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
        day[..place].iter().for_each(|act| drop(play(&mut service, act).expect("done")));
        let before = memory(service.state());
        machine.with(|simulator| {
            simulator.order(Fault { after: 0, moment: Moment::After });
            simulator.order(Fault { after: 0, moment: Moment::Before });
        });
        let result = play(&mut service, &day[place]);
        if machine.with(|simulator| simulator.pending_faults()) > 0 {
            // Nothing to do on the machine, or nothing to take back (a claim of a port leaves no trace).
            continue;
        }
        let failure = result.expect_err("two faults were ordered");
        assert!(failure.message.contains("taking it back failed too"), "{failure}");
        assert_eq!(memory(service.state()), before);
        drop(service);
        let mut next = open(scratch.path(), &machine, &boot(1)).expect("repaired");
        assert!(next.recovery().is_some_and(|recovery| recovery.problems.is_empty()));
        assert_eq!(memory(next.state()), before);
        sound(&mut next);
    }
}

/// The same process repairs before it changes anything else.
#[test]
fn debts_are_settled_before_the_next_change() {
    let day = day();
    let scratch = Scratch::new();
    let machine = Machine::default();
    let mut service = open(scratch.path(), &machine, &boot(1)).expect("new");
    machine.with(|simulator| {
        simulator.order(Fault { after: 0, moment: Moment::After });
        simulator.order(Fault { after: 0, moment: Moment::Before });
    });
    play(&mut service, &day[0]).expect_err("two faults were ordered");
    play(&mut service, &day[1]).expect("a machine without faults");
    sound(&mut service);
    drop(service);
    assert!(open(scratch.path(), &machine, &boot(1)).expect("again").recovery().is_none());
}
