//! Where log lines go: standard error, as text or JSON. Under the journal, which has its own clock, text goes without the time.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::configuration::{Form, Log};

/// Changes what is logged while the daemon runs.
#[derive(Debug, Clone)]
pub struct Filter(reload::Handle<EnvFilter, Registry>);

/// Begins to log.
///
/// # Errors
/// The filter cannot be understood.
pub fn begin(log: &Log) -> Result<Filter> {
    let (filter, handle) = reload::Layer::new(parse(&log.filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match log.form {
        Form::Json => registry.with(lines.json().flatten_event(true)).init(),
        Form::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            registry.with(lines.with_ansi(false).without_time()).init();
        }
        Form::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).init(),
    }
    Ok(Filter(handle))
}

impl Filter {
    /// Logs something else from now on.
    ///
    /// # Errors
    /// The filter cannot be understood; the old one stays.
    pub fn set(&self, filter: &str) -> Result<()> {
        self.0.reload(parse(filter)?).context("the log ended")
    }
}

fn parse(filter: &str) -> Result<EnvFilter> {
    EnvFilter::builder().parse(filter).with_context(|| format!("{filter:?} is no log filter"))
}
