//! The services of Windows itself, through the libraries that Windows has for them: computenetwork.dll, computecore.dll and vmcompute.dll.
//! What a program asks is handed on, and what Windows says is handed back; nothing is kept here but handles.
//!
//! `boundary` has everything unsafe. A call that needs a function that this Windows lacks fails with E_NOTIMPL and names it; so does what
//! only a service of this project can do, such as comparing documents with a kernel.

#[cfg(adapters)]
pub(crate) mod adapters;
mod ask;
mod boundary;
mod compute;
mod ends;
mod events;
mod examine;
pub(crate) mod layers;
mod mailbox;
mod network;
mod refusal;

use hostcompute_schema::service::{HostFile, Obstacle, Progress, Step};
use hostcompute_schema::{Failure, HResult, ServiceOperation};
use serde_json::Value;

use super::{
    Answer, Ask, Call, ComputeAnswer, ComputeCall, ComputeEvents, Events, Log, Subscription, Topic,
    Transport,
};
use boundary::library::{COMPUTE, NETWORK, OLDER, STORAGE};

/// The services of this Windows.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Refuse members of documents that the schema does not know, before Windows sees them.
    strict: bool,
    ports: ask::Ports,
    systems: compute::Systems,
}

impl Windows {
    /// The services of this Windows, as far as it has them.
    ///
    /// # Errors
    /// RPC_S_SERVER_UNAVAILABLE where it has none of them.
    pub fn open(strict: bool) -> Result<Self, Failure> {
        if ![&NETWORK, &COMPUTE, &STORAGE, &OLDER].iter().any(|library| library.is_there()) {
            let why = "this Windows has neither the network nor the compute service";
            return Err(Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why)
                .hint("they come with the features Containers and Hyper-V"));
        }
        Ok(Self { strict, ..Self::default() })
    }
}

/// What no Windows does.
fn nowhere(what: impl std::fmt::Display) -> Failure {
    let why = format!("{what} is not among what the services of Windows do");
    Failure::new(HResult::E_NOTIMPL, why).hint("hostcomputed, on Linux, does it")
}

impl Transport for Windows {
    fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        network::call(call, self.strict)
    }

    fn serve(&self, ask: &Ask<'_>) -> Result<Value, Obstacle> {
        Ok(ask::serve(&self.ports, ask)?)
    }

    fn carry_out(
        &self,
        work: ServiceOperation,
        _: &[HostFile],
        _: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        Err(nowhere(work).into())
    }

    fn events(&self, _: u64) -> Result<Events, Failure> {
        Err(nowhere("remembering what has happened"))
    }

    fn subscribe(&self, to: Topic, after: Option<u64>) -> Result<Subscription, Failure> {
        match after {
            Some(_) => Err(nowhere("remembering what has happened")),
            None => events::subscribe(to),
        }
    }

    fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        self.systems.call(call, self.strict)
    }

    fn compute_events(&self, system: &str) -> Result<ComputeEvents, Failure> {
        events::of_system(system)
    }

    fn compute_log(&self, _: &ComputeCall<'_>) -> Result<Log, Failure> {
        Err(nowhere("keeping what processes wrote"))
    }

    fn older(&self, method: &str, path: &str, document: &str) -> Option<Result<String, Failure>> {
        Some(boundary::hns::call(method, path, document))
    }
}
