//! Target `host_document`: any text given to `hc up`, and taken down again.
//!
//! - Planning ends with tasks or with a refusal that says what and where.
//! - Tasks that all succeed leave nothing to do for a second run, and `down` takes everything away.
//! - When a task fails, the way back of those before it leaves nothing.

use hostcompute_engine::apply::{Refusal, Source, Task, Wishes, down, read, up};

use super::Seen;
use crate::machine::{Machine, check_failure};
use crate::random::hash;

/// One document, accepted when all of it was carried out.
///
/// # Panics
/// Something that must hold does not.
pub fn run(data: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(data);
    let sources = [Source { name: "input", text: &text }];
    let mut machine = Machine::new(hash(data));
    let wishes = match read(&sources) {
        Ok(wishes) => wishes,
        Err(refusal) => {
            check_refusal(&refusal, &text);
            return Seen::one(false);
        }
    };
    let tasks = match plan(&mut machine, &wishes, &sources) {
        Ok(tasks) => tasks,
        Err(refusal) => {
            check_refusal(&refusal, &text);
            return Seen::one(false);
        }
    };
    let accepted = carry_out(&mut machine, &tasks, &text);
    if accepted {
        stays(&mut machine, &wishes, &sources);
    }
    assert!(machine.state.is_empty(), "something is left of the document");
    machine.check();
    Seen::one(accepted && !tasks.is_empty())
}

fn check_refusal(refusal: &Refusal, text: &str) {
    assert_eq!(refusal.source, 0, "no such file");
    check_failure(&refusal.failure, text);
}

fn plan(
    machine: &mut Machine,
    wishes: &Wishes,
    sources: &[Source<'_>],
) -> Result<Vec<Task>, Refusal> {
    let mut ids: Vec<_> = (0..wishes.len() + 1).map(|_| machine.guid()).collect();
    let mut fresh = || ids.pop().unwrap_or_default();
    // Compute systems are made by their own service: there are none here.
    Ok(up(wishes, sources, &machine.state, &[], &mut fresh)?.tasks)
}

/// Carries out the tasks; when one fails, takes back those before it. Whether all succeeded.
fn carry_out(machine: &mut Machine, tasks: &[Task], text: &str) -> bool {
    for (number, task) in tasks.iter().enumerate() {
        let Err(failure) = machine.call(&task.call.request()) else { continue };
        check_refusal(&task.blame(failure, text), text);
        let done = tasks.iter().take(number).rev();
        for back in done.flat_map(|task| &task.back) {
            let outcome = machine.call(&back.request());
            assert!(outcome.is_ok(), "the way back is barred: {back:?}: {outcome:?}");
        }
        return false;
    }
    true
}

/// What is there stays, needs nothing, and goes as a whole.
fn stays(machine: &mut Machine, wishes: &Wishes, sources: &[Source<'_>]) {
    match plan(machine, wishes, sources) {
        Ok(tasks) if tasks.is_empty() => {}
        again => panic!("a second run would do something: {again:?}"),
    }
    let tasks = match down(wishes, sources, &machine.state) {
        Ok(tasks) => tasks,
        Err(refusal) => panic!("cannot be taken down: {}", refusal.failure),
    };
    for task in tasks {
        let outcome = machine.call(&task.call.request());
        assert!(outcome.is_ok(), "cannot be taken down: {task:?}: {outcome:?}");
    }
}
