//! Host documents carried out: everything that some files ask for, made, compared or removed.
//!
//! The engine plans (`hostcompute_engine::apply`), this module performs the plan call by call, tells of each step, and takes back what
//! it has done when a step fails half-way: only what this run did, in reverse. Each step is an ordinary call, so that a long list keeps
//! nobody else waiting; where calls are made is a [`Desk`]: a service inside the process, or a session of a running one.

use hostcompute_engine::State;
use hostcompute_engine::apply::{
    self, Action, Call, Plan, PresentSystem, Refusal, Source, SystemTask, Task, Wishes,
};
use hostcompute_engine::host::Host;
use hostcompute_schema::operation::Right;
use hostcompute_schema::service::{HostFile, Obstacle, Progress, Step};
use hostcompute_schema::{Failure, Guid, HResult, ServiceOperation, Warning, locate};

use crate::server::{Session, new_id};
use crate::{Reading, Service};

/// Where calls are made.
pub trait Desk {
    /// Carries out one call, wholly or not at all; brings what was tolerated in its document.
    ///
    /// # Errors
    /// What the service refuses.
    fn carry_out(&self, call: &Call, reading: Reading) -> Result<Vec<Warning>, Failure>;

    /// Looks at the state as it is now.
    ///
    /// # Errors
    /// The service cannot be reached.
    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Failure>;

    /// As many ids that nothing has.
    ///
    /// # Errors
    /// The service cannot be reached.
    fn new_ids(&self, count: usize) -> Result<Vec<Guid>, Failure>;

    /// Waits until removals that the host finishes in the background are through.
    ///
    /// # Errors
    /// A removal failed for good.
    fn settle(&self) -> Result<(), Failure>;
}

/// Where compute systems are made, by those who carry some.
pub trait Systems {
    /// Those that are there.
    ///
    /// # Errors
    /// They cannot be read.
    fn present(&self) -> Result<Vec<PresentSystem>, Failure>;

    /// Makes a system and starts it, or leaves nothing.
    ///
    /// # Errors
    /// What the service or the host refuses.
    fn make(&self, id: &str, document: &str) -> Result<(), Failure>;

    /// Starts a process in it; its output goes to the log.
    ///
    /// # Errors
    /// What the service or the host refuses.
    fn run(&self, id: &str, process: &str) -> Result<(), Failure>;

    /// Ends a system, and waits until nothing is left of it; one that has ended meanwhile is as good.
    ///
    /// # Errors
    /// It could not be ended.
    fn end(&self, id: &str) -> Result<(), Failure>;
}

/// Nothing carries compute systems here.
impl Systems for () {
    fn present(&self) -> Result<Vec<PresentSystem>, Failure> {
        Err(no_systems())
    }

    fn make(&self, _: &str, _: &str) -> Result<(), Failure> {
        Err(no_systems())
    }

    fn run(&self, _: &str, _: &str) -> Result<(), Failure> {
        Err(no_systems())
    }

    fn end(&self, _: &str) -> Result<(), Failure> {
        Err(no_systems())
    }
}

fn no_systems() -> Failure {
    Failure::new(HResult::ERROR_NOT_SUPPORTED, "this service carries no compute systems")
        .at("ComputeSystems")
}

/// A client's session: each step waits for its turn among what others ask.
impl<H: Host + Send + 'static> Desk for Session<H> {
    fn carry_out(&self, call: &Call, reading: Reading) -> Result<Vec<Warning>, Failure> {
        let Call { operation, id, network, document } = call.clone();
        let call = crate::Call { operation, id: Some(id), network, document, reading, key: None };
        self.call_admitted(call).map(|answer| answer.warnings)
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Failure> {
        Ok(look(&self.snapshot()))
    }

    fn new_ids(&self, count: usize) -> Result<Vec<Guid>, Failure> {
        Ok((0..count).map(|_| new_id()).collect())
    }

    fn settle(&self) -> Result<(), Failure> {
        self.with_service(Right::Manage, "settle", Service::settle)?
    }
}

/// Carries out files: `Up`, `Down` or `Diff`.
///
/// # Errors
/// As [`up`], [`down`] and [`diff`]; E_NOTIMPL for another operation.
pub fn carry_out(
    desk: &impl Desk,
    systems: &dyn Systems,
    work: ServiceOperation,
    files: &[HostFile],
    reading: Reading,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Step>, Obstacle> {
    match work {
        ServiceOperation::Up => up(desk, systems, files, reading, tell),
        ServiceOperation::Down => down(desk, systems, files, reading, tell),
        ServiceOperation::Diff => diff(desk, systems, files, reading, tell),
        other => {
            let why = format!("{other} does not carry out files");
            Err(Failure::new(HResult::E_NOTIMPL, why).into())
        }
    }
}

/// Makes what the files ask for and is not there yet. On failure takes back what it made.
///
/// # Errors
/// What is wrong with a file, or what the host refuses.
pub fn up(
    desk: &impl Desk,
    systems: &dyn Systems,
    files: &[HostFile],
    reading: Reading,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Step>, Obstacle> {
    let plan = plan_up(desk, systems, files, reading, tell)?;
    tell(Progress::Planned(plan.tasks.len() + plan.systems.len()));
    let mut done = Done { desk, systems, tasks: Vec::new(), made: Vec::new() };
    for task in &plan.tasks {
        match desk.carry_out(&task.call, reading) {
            Ok(warnings) => warn(task, warnings, files, tell),
            Err(failure) => return Err(done.take_back(blame(task, failure, files), tell)),
        }
        done.tasks.push(task);
        tell(Progress::Done(step(task)));
    }
    for task in &plan.systems {
        done.make(task, files).map_err(|obstacle| done.take_back(obstacle, tell))?;
        tell(Progress::Done(system_step(task)));
    }
    Ok(steps(&plan))
}

/// What one run has done so far.
struct Done<'a, D> {
    desk: &'a D,
    systems: &'a dyn Systems,
    tasks: Vec<&'a Task>,
    made: Vec<&'a SystemTask>,
}

impl<'a, D: Desk> Done<'a, D> {
    fn make(&mut self, task: &'a SystemTask, files: &[HostFile]) -> Result<(), Obstacle> {
        let blame = |failure, process| {
            let text = files.get(task.origin.source).map(HostFile::content).unwrap_or_default();
            obstacle(task.blame(failure, process, text), files)
        };
        self.systems.make(&task.id, &task.document).map_err(|failure| blame(failure, None))?;
        self.made.push(task);
        for (index, process) in task.processes.iter().enumerate() {
            let run = self.systems.run(&task.id, process);
            run.map_err(|failure| blame(failure, Some(index)))?;
        }
        Ok(())
    }

    /// Takes everything back; the obstacle tells also what cannot be.
    fn take_back(&self, obstacle: Obstacle, tell: &mut dyn FnMut(Progress)) -> Obstacle {
        if !(self.tasks.is_empty() && self.made.is_empty()) {
            tell(Progress::TakingBack);
        }
        let ended = self.made.iter().rev().map(|task| self.systems.end(&task.id));
        let mut further: Vec<Failure> = ended.filter_map(Result::err).collect();
        // The calls of a run of ours, made from documents that were read already: nothing in them is the caller's to mend.
        let calls = self.tasks.iter().rev().flat_map(|task| &task.back);
        further.extend(calls.filter_map(|call| self.desk.carry_out(call, Reading::Lenient).err()));
        Obstacle { further, ..obstacle }
    }
}

/// What [`up`] would do.
///
/// # Errors
/// What is wrong with a file.
pub fn diff(
    desk: &impl Desk,
    systems: &dyn Systems,
    files: &[HostFile],
    reading: Reading,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Step>, Obstacle> {
    Ok(steps(&plan_up(desk, systems, files, reading, tell)?))
}

/// Deletes exactly what the files name, and waits until the host is clean.
///
/// # Errors
/// What is wrong with a file, an object that others use, or what could not be deleted (the rest is).
pub fn down(
    desk: &impl Desk,
    systems: &dyn Systems,
    files: &[HostFile],
    reading: Reading,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Step>, Obstacle> {
    let wishes = wishes(files, reading, tell)?;
    let tasks = desk
        .look(|state| apply::down(&wishes, &sources(files), state))?
        .map_err(|refusal| obstacle(refusal, files))?;
    let doomed = match wishes.has_systems() {
        true => apply::systems_down(&wishes, &systems.present()?),
        false => Vec::new(),
    };
    tell(Progress::Planned(doomed.len() + tasks.len()));
    let mut done = Vec::new();
    let mut failures: Vec<Obstacle> = Vec::new();
    for task in &doomed {
        match systems.end(&task.id) {
            Ok(()) => {
                tell(Progress::Done(system_step(task)));
                done.push(system_step(task));
            }
            Err(failure) => {
                let text = files.get(task.origin.source).map(HostFile::content).unwrap_or_default();
                failures.push(obstacle(task.blame(failure, None, text), files));
            }
        }
    }
    for task in &tasks {
        match desk.carry_out(&task.call, reading) {
            Ok(_) => {
                tell(Progress::Done(step(task)));
                done.push(step(task));
            }
            // One that cannot go must not keep the others.
            Err(failure) => failures.push(blame(task, failure, files)),
        }
    }
    desk.settle()?;
    let mut failures = failures.into_iter();
    match failures.next() {
        None => Ok(done),
        Some(first) => {
            Err(Obstacle { further: failures.map(|other| *other.failure).collect(), ..first })
        }
    }
}

fn plan_up(
    desk: &impl Desk,
    systems: &dyn Systems,
    files: &[HostFile],
    reading: Reading,
    tell: &mut dyn FnMut(Progress),
) -> Result<Plan, Obstacle> {
    let wishes = wishes(files, reading, tell)?;
    let mut fresh = desk.new_ids(wishes.len())?.into_iter();
    let mut next = || fresh.next().expect("one id for each object");
    let present = if wishes.has_systems() { systems.present()? } else { Vec::new() };
    desk.look(|state| apply::up(&wishes, &sources(files), state, &present, &mut next))?
        .map_err(|refusal| obstacle(refusal, files))
}

fn wishes(
    files: &[HostFile],
    reading: Reading,
    tell: &mut dyn FnMut(Progress),
) -> Result<Wishes, Obstacle> {
    let mut wishes = apply::read(&sources(files)).map_err(|refusal| obstacle(refusal, files))?;
    for (source, warning) in std::mem::take(&mut wishes.warnings) {
        if reading == Reading::Strict {
            return Err(obstacle(Refusal { source, failure: warning.into_failure() }, files));
        }
        let file = files.get(source).map(HostFile::called).unwrap_or_default().to_owned();
        tell(Progress::Tolerated { file, warning });
    }
    Ok(wishes)
}

fn sources(files: &[HostFile]) -> Vec<Source<'_>> {
    files.iter().map(|file| Source { name: file.called(), text: file.content() }).collect()
}

fn blame(task: &Task, failure: Failure, files: &[HostFile]) -> Obstacle {
    let text = files.get(task.origin.source).map(HostFile::content).unwrap_or_default();
    obstacle(task.blame(failure, text), files)
}

/// Tells what was tolerated in the document of a task, in terms of the file.
fn warn(task: &Task, warnings: Vec<Warning>, files: &[HostFile], tell: &mut dyn FnMut(Progress)) {
    let Some(file) = files.get(task.origin.source) else { return };
    for Warning { path, message, .. } in warnings {
        let path = format!("{}.{path}", task.origin.path);
        let position = locate(file.content(), &path);
        let warning = Warning { path, message, position };
        tell(Progress::Tolerated { file: file.called().to_owned(), warning });
    }
}

fn obstacle(refusal: Refusal, files: &[HostFile]) -> Obstacle {
    let file = files.get(refusal.source).map(HostFile::called).filter(|name| !name.is_empty());
    Obstacle { file: file.map(str::to_owned), ..Obstacle::from(refusal.failure) }
}

fn steps(plan: &Plan) -> Vec<Step> {
    plan.tasks.iter().map(step).chain(plan.systems.iter().map(system_step)).collect()
}

fn system_step(task: &SystemTask) -> Step {
    Step {
        action: Some(word(task.action).to_owned()),
        kind: Some("compute system".to_owned()),
        name: Some(task.id.clone()),
        ..Step::default()
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Modify => "modify",
        Action::Attach => "attach",
        Action::Detach => "detach",
        Action::Delete => "delete",
    }
}

fn step(task: &Task) -> Step {
    Step {
        action: Some(word(task.action).to_owned()),
        kind: Some(task.kind.to_string()),
        id: Some(task.id),
        name: Some(task.name.clone()),
        detail: (!task.detail.is_empty()).then(|| task.detail.clone()),
        ..Step::default()
    }
}
