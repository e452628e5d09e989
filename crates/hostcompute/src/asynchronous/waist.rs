//! Calls in their plainest form, with which everything else is said: what borrows is copied, to be said on another thread.

use hostcompute_schema::service::Obstacle;
use hostcompute_schema::{ComputeOperation, Failure};
use serde_json::Value;

use super::{Host, Log};
use crate::transport::{Answer, Ask, Call, ComputeAnswer, ComputeCall};

impl Host {
    /// [`crate::Host::call`], awaited. What it makes for nobody stays.
    ///
    /// # Errors
    /// As that.
    pub async fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let Call { operation, id, network, document } = *call;
        let document = document.to_owned();
        self.run(move |host| host.call(&Call { operation, id, network, document: &document })).await
    }

    /// [`crate::Host::serve`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn serve(&self, ask: &Ask<'_>) -> Result<Value, Obstacle> {
        let Ask { operation, id, parameters, document } = *ask;
        let (parameters, document) = (kept(parameters), document.to_owned());
        let serve = move |host: &crate::Host| {
            let parameters = &lent(&parameters);
            Ok(host.serve(&Ask { operation, id, parameters, document: &document }))
        };
        self.run(serve).await?
    }

    /// [`crate::Host::compute`], awaited. What it makes for nobody stays.
    ///
    /// # Errors
    /// As that.
    pub async fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        let call = Kept::of(call);
        self.run(move |host| call.lend(|call| host.compute(call))).await
    }

    /// [`crate::Host::compute_log`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn compute_log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure> {
        let call = Kept::of(call);
        Log::of_reader(self.run(move |host| call.lend(|call| host.compute_log(call))).await?)
    }

    /// [`crate::Host::hns_call`], awaited.
    ///
    /// # Errors
    /// E_UNEXPECTED outside of a tokio runtime; what is refused is part of the answer.
    pub async fn hns_call(
        &self,
        method: &str,
        path: &str,
        document: &str,
    ) -> Result<Value, Failure> {
        let [method, path, document] = [method, path, document].map(str::to_owned);
        self.run(move |host| Ok(host.hns_call(&method, &path, &document))).await
    }
}

/// A call about compute systems that owns its words.
struct Kept {
    operation: ComputeOperation,
    system: String,
    pid: Option<u32>,
    parameters: Vec<(String, String)>,
    document: String,
}

impl Kept {
    fn of(call: &ComputeCall<'_>) -> Self {
        Self {
            operation: call.operation,
            system: call.system.to_owned(),
            pid: call.pid,
            parameters: kept(call.parameters),
            document: call.document.to_owned(),
        }
    }

    fn lend<T>(&self, to: impl FnOnce(&ComputeCall<'_>) -> T) -> T {
        to(&ComputeCall {
            operation: self.operation,
            system: &self.system,
            pid: self.pid,
            parameters: &lent(&self.parameters),
            document: &self.document,
        })
    }
}

pub(super) fn kept(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn lent(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
