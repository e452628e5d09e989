//! Making a system: wholly or not at all.

use hostcompute_engine::compute::document::{Meaning, Wanted, WantedNetwork, read_system};
use hostcompute_engine::compute::record::Record;
use hostcompute_engine::compute::system::System;
use hostcompute_engine::compute::{
    Cause, Found, Isolation, Launch, Leash, NetworkPlace, OnBehalf, Phase, Terms, Worker, Workers,
};
use hostcompute_schema::{Failure, Guid, HResult, Warning};

use super::allowance::Allowance;
use super::call::Call;
use super::cell::Cell;
use super::{Adapter, Adoption, Networks, OwnNetwork, Placed, Shared, WorkerOf};
use crate::sync::{Arc, lock};

impl<W: Workers, N: Networks> Shared<W, N> {
    /// Takes an id: from now on nobody else can make a system of it.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_ALREADY_EXISTS; ERROR_NOT_ENOUGH_QUOTA.
    pub(super) fn reserve(
        &self,
        id: &str,
        allowance: &Allowance,
    ) -> Result<Arc<Cell<WorkerOf<W>>>, Failure> {
        let key = hostcompute_engine::compute::record::key(id);
        let cell = Arc::new(Cell::new(key, allowance.uid));
        let mut systems = lock(&self.systems);
        if let Some(uid) = allowance.uid {
            // Those that are being made are among them.
            let has = systems.values().filter(|cell| cell.belongs_to(uid)).count();
            allowance.admits_system(has)?;
        }
        if systems.contains_key(&cell.key) {
            let why = format!("there is a compute system {id:?} already");
            return Err(Failure::new(HResult::HCS_E_SYSTEM_ALREADY_EXISTS, why));
        }
        systems.insert(cell.key.clone(), cell.clone());
        Ok(cell)
    }

    /// Makes the system of a cell that was reserved.
    pub(super) fn create(
        self: &Arc<Self>,
        cell: &Arc<Cell<WorkerOf<W>>>,
        call: &Call,
        client: Option<&OnBehalf>,
    ) -> Result<Vec<Warning>, Failure> {
        let made = self.make(cell, call, client);
        if made.is_err() {
            self.forget(cell);
            cell.failed().call();
        }
        made
    }

    fn make(
        self: &Arc<Self>,
        cell: &Arc<Cell<WorkerOf<W>>>,
        call: &Call,
        client: Option<&OnBehalf>,
    ) -> Result<Vec<Warning>, Failure> {
        let Call { system: id, document, terms, .. } = call;
        if let (Some(what), Some(_)) = (terms.loosens(), client) {
            return Err(Failure::new(HResult::E_ACCESSDENIED, format!("{what}: root's to say")));
        }
        let facts = self.workers.facts();
        let mut wanted =
            match read_system(id, document, &facts, self.settings.policy, self.fresh())? {
                Meaning::Container(wanted) => *wanted,
                Meaning::VirtualMachine(_) => return Err(no_machines("$.VirtualMachine")),
                Meaning::Hosted { host, .. } => return Err(self.no_host(&host)),
            };
        wanted.record.stop_signal = terms.stop_signal;
        wanted.record.user = cell.user();
        let placed = self.place(&mut wanted, terms);
        let (place, adapters) = placed.map_err(|failure| failure.in_document(document))?;
        let resolv_conf = wanted.resolver.configuration(place.resolv_conf.as_deref());
        let launch = wanted.launch(place.place, resolv_conf, client.cloned());
        let launch = Launch { terms: terms.clone(), ..launch };
        if let (Some(what), Isolation::HostProcess { .. }) =
            (terms.of_containers_only(), &launch.isolation)
        {
            let why = format!("processes of the host do not have {what}");
            return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why));
        }
        let record = wanted.record.clone();
        let refused = |record: &Record, fault| record.failure(fault).in_document(document);
        cell.describe(System::new(record.clone(), launch.limits.clone()));
        let created = self.workers.create(&launch, self.sink(cell));
        let worker = created.map_err(|fault| refused(&record, fault))?;
        let finished = self.make_network(&wanted, &adapters).and_then(|()| {
            // Until here it would have ended with this process.
            match leash(&record) {
                Leash::Held => Ok(()),
                other => worker.leash(other).map_err(|fault| refused(&record, fault)),
            }
        });
        let finished = if cell.ended_early() { Err(died()) } else { finished };
        if let Err(failure) = finished {
            if let Err(fault) = worker.terminate(Cause::ServiceStopped)
                && fault.hresult != HResult::HCS_E_SYSTEM_ALREADY_STOPPED
            {
                tracing::error!(system = id, "what was begun could not be undone: {fault}");
            }
            if let Some(own) = OwnNetwork::of(&record) {
                self.release(id, &own);
            }
            return Err(failure.in_document(document));
        }
        let found = Found { phase: Phase::Created, limits: launch.limits, processes: Vec::new() };
        let aftermath = cell.made(worker, &found, leash(&record));
        self.after(cell, aftermath);
        // Its handle may be closed already.
        cell.mind_leash()?;
        Ok(wanted.warnings)
    }

    /// Where the network is; what is to be made for it is noted in the record, so that it is found again.
    fn place(
        self: &Arc<Self>,
        wanted: &mut Wanted,
        terms: &Terms,
    ) -> Result<(Placed, Vec<Adapter>), Failure> {
        const AT: &str = "$.Container.Networking";
        let unresolved = |place| Placed { place, resolv_conf: None };
        let placed = match &wanted.network {
            WantedNetwork::None => unresolved(NetworkPlace::Own),
            WantedNetwork::Host => unresolved(NetworkPlace::Host),
            WantedNetwork::Namespace(id) => {
                wanted.record.namespace = Some(*id);
                let found = self.networks.namespace(*id);
                found.map_err(|failure| failure.at(format!("{AT}.Namespace")))?
            }
            WantedNetwork::Adapters(ids) => {
                if self.settings.adoption == Adoption::WhenAsked {
                    // An endpoint may still be with a system that ended while nobody looked.
                    self.sweep_networks();
                }
                let id = self.fresh();
                let adapters: Vec<Adapter> = self.adapters(ids, wanted.endpoint_name(), terms)?;
                let planned = self.networks.plan(id, &adapters);
                let planned =
                    planned.map_err(|failure| failure.at(format!("{AT}.NetworkAdapters")))?;
                let made = adapters.iter().filter_map(|adapter| match adapter {
                    Adapter::Given(_) => None,
                    Adapter::Made { endpoint, .. } => Some(*endpoint),
                });
                wanted.record.namespace = Some(id);
                wanted.record.own_namespace = Some(id);
                wanted.record.own_endpoints = made.collect();
                return Ok((planned, adapters));
            }
            WantedNetwork::SharedWith(other) => {
                let at = format!("{AT}.NetworkSharedContainerName");
                let shared = self.shared_with(other).map_err(|failure| failure.at(at))?;
                let (system, namespace) = shared;
                wanted.record.namespace = namespace;
                match namespace {
                    Some(id) => self.networks.namespace(id)?,
                    None => unresolved(NetworkPlace::SharedWith { system }),
                }
            }
        };
        nothing_of_endpoints(terms)?;
        Ok((placed, Vec::new()))
    }

    /// What a document means by these ids: a network is one on which an endpoint is wanted, which is called as the system is inside (so that it
    /// is found by that name where names of endpoints resolve), and of which more may be said.
    fn adapters(&self, ids: &[Guid], name: &str, terms: &Terms) -> Result<Vec<Adapter>, Failure> {
        let mut made = 0;
        let adapter = |id: &Guid| {
            if !self.networks.is_network(*id) {
                return Adapter::Given(*id);
            }
            made += 1;
            let mut like = terms.endpoint.clone().unwrap_or_default();
            like.base.name.get_or_insert_with(|| name.to_owned());
            Adapter::Made { endpoint: self.fresh(), network: *id, like }
        };
        let adapters: Vec<Adapter> = ids.iter().map(adapter).collect();
        match made {
            1 => Ok(adapters),
            _ => nothing_of_endpoints(terms).map(|()| adapters),
        }
    }

    /// The id of a system that runs or may run, and the HCN namespace that it is in.
    fn shared_with(self: &Arc<Self>, other: &str) -> Result<(String, Option<Guid>), Failure> {
        let cell = self.find(other)?;
        cell.look(|system| {
            if system.end().is_some() {
                let why = format!("the compute system {other:?} has ended");
                return Err(Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, why));
            }
            Ok((system.record().id.clone(), system.record().namespace))
        })
    }

    fn make_network(&self, wanted: &Wanted, adapters: &[Adapter]) -> Result<(), Failure> {
        let Some(id) = wanted.record.own_namespace else { return Ok(()) };
        let made = self.networks.make(id, adapters);
        made.map_err(|failure| failure.at("$.Container.Networking.NetworkAdapters"))
    }

    /// Why there can be no container in this machine.
    fn no_host(self: &Arc<Self>, host: &str) -> Failure {
        match self.find(host) {
            Err(failure) => failure.at("$.HostingSystemId"),
            Ok(_) => {
                let why =
                    format!("{host:?} is a container, and only a virtual machine can host one");
                Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at("$.HostingSystemId")
            }
        }
    }
}

/// Where no endpoint is made, or more than one, nothing can be said of it.
fn nothing_of_endpoints(terms: &Terms) -> Result<(), Failure> {
    if terms.endpoint.is_none() {
        return Ok(());
    }
    let why = "it is said what the endpoint is like, and not exactly one is made";
    Err(Failure::new(HResult::E_INVALIDARG, why)
        .hint("one is made for each network in NetworkAdapters"))
}

fn died() -> Failure {
    let why = "what was to carry the system died while it was made";
    Failure::new(HResult::HCS_E_UNEXPECTED_EXIT, why)
}

/// A system that is not to outlive its handles is held from the beginning.
fn leash(record: &Record) -> Leash {
    if record.ends_with_last_handle { Leash::Held } else { Leash::Loose }
}

/// The one place that refuses virtual machines.
fn no_machines(at: &str) -> Failure {
    Failure::new(HResult::HCS_E_SERVICE_NOT_AVAILABLE, "this service carries no virtual machines")
        .at(at)
        .hint("containers are made of a document with the member Container")
}
