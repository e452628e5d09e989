//! Host documents carried out: everything that some files ask for, made, compared or removed.
//!
//! The engine plans (`hostcompute_engine::apply`), this module performs the plan call by call, tells of each step, and takes back what
//! it has done when a step fails half-way: only what this run did, in reverse.

use hostcompute_engine::apply::{self, Action, Refusal, Source, Task, Wishes};
use hostcompute_schema::{Failure, Guid, Warning};
use hostcompute_service::Reading;

use crate::Host;
use crate::transport::{Call, Transport};

/// A file with a host document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What a person calls it.
    pub name: String,
    pub text: String,
}

/// One thing done, or to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// "create", "modify", "attach", "detach", "delete".
    pub verb: &'static str,
    /// The kind of object, such as `load balancer`.
    pub kind: String,
    pub id: Guid,
    pub name: String,
    /// What differs, or where to; may be empty.
    pub detail: String,
}

/// What [`Host::up`] and its like tell while they work.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Something in a file was tolerated.
    Tolerated { file: String, warning: Warning },
    /// So many steps are to come.
    Planned(usize),
    /// A step was done.
    Done(Step),
    /// A step failed; what was done is being taken back.
    TakingBack,
}

/// Why files could not be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Obstacle {
    /// The file to blame; none when it is not about a file.
    pub file: Option<String>,
    pub failure: Box<Failure>,
    /// What could not be taken back, or not be deleted, beside.
    pub further: Vec<Failure>,
}

impl From<Failure> for Obstacle {
    fn from(failure: Failure) -> Self {
        Self { file: None, failure: Box::new(failure), further: Vec::new() }
    }
}

impl Host {
    /// Makes what the files ask for and is not there yet. On failure takes back what it made.
    ///
    /// # Errors
    /// What is wrong with a file, or what the host refuses.
    pub fn up(
        &self,
        files: &[File],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        let tasks = self.plan_up(files, tell)?;
        tell(Progress::Planned(tasks.len()));
        let mut done: Vec<&Task> = Vec::new();
        for task in &tasks {
            if let Err(failure) = self.carry_out(&task.call) {
                if !done.is_empty() {
                    tell(Progress::TakingBack);
                }
                let further = self.take_back(&done);
                let text = files.get(task.origin.source).map_or("", |file| file.text.as_str());
                return Err(Obstacle { further, ..obstacle(task.blame(failure, text), files) });
            }
            done.push(task);
            tell(Progress::Done(step(task)));
        }
        Ok(tasks.iter().map(step).collect())
    }

    /// What [`Self::up`] would do.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn diff(
        &self,
        files: &[File],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        Ok(self.plan_up(files, tell)?.iter().map(step).collect())
    }

    /// Deletes exactly what the files name, and waits until the host is clean.
    ///
    /// # Errors
    /// What is wrong with a file, an object that others use, or what could not be deleted (the rest is).
    pub fn down(
        &self,
        files: &[File],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        let wishes = self.wishes(files, tell)?;
        let tasks = {
            let service = self.inside()?.service()?;
            apply::down(&wishes, &sources(files), service.state())
                .map_err(|refusal| obstacle(refusal, files))?
        };
        tell(Progress::Planned(tasks.len()));
        let mut done = Vec::new();
        let mut failures: Vec<Obstacle> = Vec::new();
        for task in &tasks {
            match self.carry_out(&task.call) {
                Ok(()) => {
                    tell(Progress::Done(step(task)));
                    done.push(step(task));
                }
                // One that cannot go must not keep the others.
                Err(failure) => {
                    let text = files.get(task.origin.source).map_or("", |file| file.text.as_str());
                    failures.push(obstacle(task.blame(failure, text), files));
                }
            }
        }
        self.settle()?;
        let mut failures = failures.into_iter();
        match failures.next() {
            None => Ok(done),
            Some(first) => {
                Err(Obstacle { further: failures.map(|other| *other.failure).collect(), ..first })
            }
        }
    }

    fn plan_up(
        &self,
        files: &[File],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Task>, Obstacle> {
        let wishes = self.wishes(files, tell)?;
        let mut service = self.inside()?.service()?;
        let fresh: Vec<Guid> = (0..wishes.len()).map(|_| service.new_id()).collect();
        let mut fresh = fresh.into_iter();
        let mut next = || fresh.next().expect("one id for each object");
        apply::up(&wishes, &sources(files), service.state(), &mut next)
            .map_err(|refusal| obstacle(refusal, files))
    }

    fn wishes(&self, files: &[File], tell: &mut dyn FnMut(Progress)) -> Result<Wishes, Obstacle> {
        let mut wishes =
            apply::read(&sources(files)).map_err(|refusal| obstacle(refusal, files))?;
        for (source, warning) in std::mem::take(&mut wishes.warnings) {
            if self.inside()?.reading() == Reading::Strict {
                return Err(obstacle(Refusal { source, failure: warning.into_failure() }, files));
            }
            tell(Progress::Tolerated { file: name(files, source), warning });
        }
        Ok(wishes)
    }

    fn carry_out(&self, call: &apply::Call) -> Result<(), Failure> {
        let call = Call {
            operation: call.operation,
            id: Some(call.id),
            network: call.network,
            document: &call.document,
        };
        self.inside()?.call(&call).map(drop)
    }

    fn take_back(&self, done: &[&Task]) -> Vec<Failure> {
        let calls = done.iter().rev().flat_map(|task| &task.back);
        calls.filter_map(|call| self.carry_out(call).err()).collect()
    }
}

fn sources(files: &[File]) -> Vec<Source<'_>> {
    files.iter().map(|file| Source { name: &file.name, text: &file.text }).collect()
}

fn name(files: &[File], source: usize) -> String {
    files.get(source).map(|file| file.name.clone()).unwrap_or_default()
}

fn obstacle(refusal: Refusal, files: &[File]) -> Obstacle {
    Obstacle {
        file: Some(name(files, refusal.source)),
        failure: Box::new(refusal.failure),
        further: Vec::new(),
    }
}

fn step(task: &Task) -> Step {
    let verb = match task.action {
        Action::Create => "create",
        Action::Modify => "modify",
        Action::Attach => "attach",
        Action::Detach => "detach",
        Action::Delete => "delete",
    };
    Step {
        verb,
        kind: task.kind.to_string(),
        id: task.id,
        name: task.name.clone(),
        detail: task.detail.clone(),
    }
}
