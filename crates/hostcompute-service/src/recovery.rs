//! What happens before the first call: an interrupted operation is finished or undone, a restarted machine is rebuilt.
//!
//! ```text
//!   same machine, nothing pending            -> nothing to do (the normal start; the host is not even looked at)
//!   same machine, an operation pending       -> bring the host to the new state; if it refuses, to the old one
//!   another boot or host namespace           -> drop what does not outlive one, rebuild the rest
//! ```
//!
//! All three use one move: compare the host with the facts of the state, let the engine plan the difference, perform it. A host
//! that refuses single steps gets the others all the same: everything that can be right is made right, the rest is reported, and
//! every later start tries again.

use std::collections::BTreeSet;

use hostcompute_engine::host::{Difference, Fault, Host};
use hostcompute_engine::plan::Fact;
use hostcompute_engine::{State, after_reboot, reconcile};
use hostcompute_schema::{Failure, HResult};

use crate::store::{Durability, Entry, Identity, REPAIR};
use crate::{Service, perform, sync};

/// What had to be repaired at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovery {
    /// What was under way: the symbol of an operation, or a word for the occasion.
    pub operation: String,
    pub outcome: Outcome,
    /// What could not be repaired; the next start tries again.
    pub problems: Vec<Failure>,
}

/// How an interrupted operation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// As if it had not been interrupted.
    Finished,
    /// As if it had never been asked for; the host's reason.
    Undone(Failure),
    /// The host was another one than before: what outlives it was built anew.
    Rebuilt,
}

impl<H: Host> Service<H> {
    pub(crate) fn recover(&mut self, identity: &Identity) -> Result<Option<Recovery>, Failure> {
        let known = self.store.identity()?;
        let moved = known.as_ref().is_some_and(|known| !known.same_machine(identity));
        if moved && !self.state.is_empty() {
            return self.rebuild(identity).map(Some);
        }
        if known.as_ref() != Some(identity) {
            // A new state directory, or one with nothing in it that could be missed.
            self.store.begin_on(identity, "start", &[])?;
            self.store.done();
        }
        match self.store.pending()? {
            Some(operation) => self.resume(operation).map(Some),
            None => Ok(None),
        }
    }

    fn rebuild(&mut self, identity: &Identity) -> Result<Recovery, Failure> {
        self.store.verify()?;
        let changes = after_reboot(&self.state);
        let mut problems = Vec::new();
        if let Err(unwritten) = self.store.begin_on(identity, "restart", &changes) {
            // A full disk is no reason to leave the machine without its networks.
            self.store.owe(identity, "restart", &changes);
            problems.push(unwritten);
        }
        self.state.apply(&changes);
        problems.extend(self.realise_what_goes());
        self.conclude(problems.is_empty());
        Ok(Recovery { operation: "restart".to_owned(), outcome: Outcome::Rebuilt, problems })
    }

    fn resume(&mut self, operation: String) -> Result<Recovery, Failure> {
        self.store.verify()?;
        let Err(Fault { failure: refused, .. }) = self.realise() else {
            self.conclude(true);
            let (outcome, problems) = (Outcome::Finished, Vec::new());
            return Ok(Recovery { operation, outcome, problems });
        };
        let before = State::load(self.store.records_before()?)?;
        let (outcome, unwritten) = if self.is_performed(&before) {
            // It was through, so its client may know; what was refused is something else.
            (Outcome::Finished, None)
        } else {
            // Where the file cannot be written now it is owed, and the rows are read as if it had been done.
            let unwritten = self.store.revert(Durability::Disk).err();
            self.state = before;
            (Outcome::Undone(refused), unwritten)
        };
        let mut problems = self.realise_what_goes();
        problems.extend(unwritten);
        self.conclude(problems.is_empty());
        Ok(Recovery { operation, outcome, problems })
    }

    /// Whether everything that the pending operation changes is as the state has it, given the state before it.
    fn is_performed(&mut self, before: &State) -> bool {
        let (old, new) = (before.facts(), self.state.facts());
        let (Ok(now), Ok(then)) = (self.host.compare(&new), self.host.compare(&old)) else {
            return false;
        };
        let lacking = |differences: &[Difference]| -> BTreeSet<Fact> {
            differences.iter().filter_map(Difference::lacking).cloned().collect()
        };
        let (now, then) = (lacking(&now), lacking(&then));
        let (old, new) = (BTreeSet::from_iter(&old), BTreeSet::from_iter(&new));
        new.difference(&old).all(|fact| !now.contains(fact))
            && old.difference(&new).all(|fact| then.contains(fact))
    }

    fn conclude(&mut self, settled: bool) {
        self.store.settled(settled);
        self.store.done();
    }

    /// Brings the host to what the state implies.
    pub(crate) fn realise(&mut self) -> Result<(), Fault> {
        let differences = self.host.compare(&self.state.facts())?;
        let plan = reconcile(&differences);
        perform(&mut self.host, &plan)
            .inspect_err(|fault| self.numbers.refused(fault.failure.hresult))
    }

    /// As [`Self::realise`], but a step that fails does not keep the others from being done.
    fn realise_what_goes(&mut self) -> Vec<Failure> {
        if self.realise().is_ok() {
            return Vec::new();
        }
        let differences = match self.host.compare(&self.state.facts()) {
            Ok(differences) => differences,
            Err(fault) => return vec![fault.failure],
        };
        let mut problems: Vec<Failure> = Vec::new();
        for step in reconcile(&differences) {
            if let Err(fault) = perform(&mut self.host, &[step])
                && !problems.contains(&fault.failure)
            {
                problems.push(fault.failure);
            }
        }
        problems
    }

    /// Tries once more what an earlier call or start left undone. Calls that change something ask for it first.
    pub(crate) fn settle_debts(&mut self) {
        // A store that cannot be written refuses the change that comes next, with the reason.
        let _ = self.store.repay();
        if !self.store.is_settled() && self.realise().is_ok() {
            self.store.settled(true);
        }
    }

    /// Two states on one host would each take the other's objects for strays. The first object of a state is therefore refused where
    /// there is something already; as long as a state has objects, no other state can get any.
    pub(crate) fn refuse_company(&mut self) -> Result<(), Failure> {
        if self.alone || !self.state.is_empty() {
            return Ok(());
        }
        let found = self.host.compare(&[]).map_err(|fault| fault.failure)?;
        let Some(Difference::Stray(stray)) = found.first() else {
            self.alone = true;
            return Ok(());
        };
        let why = format!(
            "this host has objects that are not in the state directory {}: {}",
            self.store.directory().display(),
            stray.what
        );
        Err(Failure::new(HResult::HCN_E_ENTITY_HAS_REFERENCES, why).hint(
            "use the state directory that they belong to, or remove them with `hc check --repair` when it is lost",
        ))
    }

    /// After a request that panicked: what is written and was answered counts, what the request did so far is taken back.
    pub(crate) fn mend(&mut self) {
        tracing::error!("a request panicked and is taken back");
        if !self.store.is_finished() {
            // Where that fails it is owed.
            let _ = self.store.revert(Durability::Disk);
        }
        match self.store.records().and_then(State::load) {
            Ok(mut state) => {
                state.continue_from(&self.state);
                self.state = state;
                self.show_all();
            }
            Err(failure) => {
                tracing::error!(failure = format!("{failure:#}"), "the state cannot be read anew");
                if let Some(view) = &self.view {
                    let mut seen = sync::read(view).clone();
                    seen.continue_from(&self.state);
                    self.state = seen;
                }
            }
        }
        self.store.settled(false);
        self.store.done();
    }

    /// Writes the file anew from memory when it is damaged.
    fn renew(&mut self) -> Result<(), Failure> {
        let Err(damage) = self.store.verify() else { return Ok(()) };
        let records = self.state.objects().map(|object| object.record());
        let kept = self.store.rewrite(records, &self.identity)?;
        tracing::warn!(%damage, kept = %kept.display(), "the state file was damaged and is written anew");
        Ok(())
    }

    /// Makes the host agree with the state, and a damaged file with memory: what is missing is made, what no object explains is removed.
    ///
    /// # Errors
    /// What the host refused; the rest is done.
    pub fn repair(&mut self) -> Result<(), Vec<Failure>> {
        self.renew().map_err(|failure| vec![failure])?;
        self.store
            .begin(&Entry::of(REPAIR, Durability::Process), &[])
            .map_err(|failure| vec![failure])?;
        let problems = self.realise_what_goes();
        self.conclude(problems.is_empty());
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}
