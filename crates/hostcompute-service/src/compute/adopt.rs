//! Systems that others made: another process that serves the same host, or this service before it was started anew.

use hostcompute_engine::compute::record::{self, Record};
use hostcompute_engine::compute::system::System;
use hostcompute_engine::compute::{Leash, Workers};
use hostcompute_schema::{Failure, HResult};

use super::cell::Cell;
use super::{Networks, OwnNetwork, Shared, WorkerOf};
use crate::sync::{Arc, lock};

impl<W: Workers, N: Networks> Shared<W, N> {
    /// Finds all systems that are there and not known yet. One that cannot be reached is left out: it may be about to end, or to
    /// be made.
    pub(super) fn adopt_all(self: Arc<Self>) -> Result<(), Failure> {
        for id in self.workers.list()? {
            if self.known(&id).is_none()
                && let Err(failure) = self.adopt(&id)
                && failure.hresult != HResult::HCS_E_SYSTEM_NOT_FOUND
            {
                tracing::warn!(system = id, "could not be adopted: {failure:#}");
            }
        }
        Ok(())
    }

    /// Finds a system that is not known here.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND.
    pub(super) fn adopt(self: &Arc<Self>, id: &str) -> Result<Arc<Cell<WorkerOf<W>>>, Failure> {
        let cell = Arc::new(Cell::new(record::key(id), None));
        let adopted = self.workers.adopt(id, self.sink(&cell))?;
        let record = Record::from_text(&adopted.record)?;
        cell.describe(System::new(record, adopted.found.limits.clone()));
        let aftermath = cell.made(adopted.worker, &adopted.found, Leash::Loose);
        let ended = aftermath.ended;
        let known = if ended {
            None
        } else {
            let mut systems = lock(&self.systems);
            let known = systems.get(&cell.key).cloned();
            if known.is_none() {
                systems.insert(cell.key.clone(), cell.clone());
            }
            known
        };
        self.after(&cell, aftermath);
        // It may have ended between the two.
        if !cell.is_alive() {
            self.forget(&cell);
        }
        Ok(match known {
            Some(known) => {
                cell.retire();
                known
            }
            None => cell,
        })
    }

    /// Removes the networks of systems that ended while nobody looked.
    pub(super) fn sweep_networks(&self) {
        let debts = match self.workers.owing() {
            Ok(debts) => debts,
            Err(fault) => {
                return tracing::warn!("what is left of systems is not readable: {fault}");
            }
        };
        for debt in debts {
            let record = Record::from_text(&debt.record);
            match record.as_ref().ok().and_then(OwnNetwork::of) {
                Some(own) => self.release(&debt.id, &own),
                None => tracing::error!(system = debt.id, "nobody knows what was made for it"),
            }
        }
    }

    /// Removes the network that was made for a system, which has ended or was never there.
    pub(super) fn release(&self, id: &str, own: &OwnNetwork) {
        let namespace = own.namespace;
        let released = self.networks.release(own);
        let settled =
            released.and_then(|()| Ok(self.workers.settle(id, &namespace.to_string())?));
        if let Err(failure) = settled {
            tracing::error!(%namespace, "the network of a system that has ended stays: {failure:#}");
        }
    }
}
