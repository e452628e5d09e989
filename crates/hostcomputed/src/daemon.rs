//! The life of the daemon, from start to stop.
//!
//! ```text
//!   sockets ──► state and kernel (what was interrupted is finished) ──► decider ──► serving ──► READY=1
//!                                                                                     │ SIGTERM, SIGINT
//!   end ◄── connections end ◄── decider finishes ◄── accepted requests go on ◄── no new connections, STOPPING=1
//! ```
//!
//! With socket activation the sockets outlive the process: clients that connect between a stop and the next start wait in the
//! kernel's queue.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hostcompute::{Options, local};
use hostcompute_linux::compute::Spare;
use hostcompute_linux::peer::UserNamespace;
use hostcompute_linux::{Linux, rootless};
use hostcompute_service::Service;
use hostcompute_service::compute::Adoption;
use hostcompute_service::server::{Groups, Server, Settings};
use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::arguments::Arguments;
use crate::configuration::Configuration;
use crate::console::Console;
use crate::http::{self, Compute, Edge, Phase};
use crate::logs::{self, Filter};
use crate::notify::{self, Notifier};
use crate::socket::Sockets;
use crate::tcp::{Gate, Port};
use crate::{accounts, watchdog};

/// Threads that accept connections and serve the console.
const WORKERS: usize = 1;

/// How often somebody looks whether changes are still taken.
const PULSE: Duration = Duration::from_secs(1);

/// How long requests that are on their way through a socket have to be accepted, when a stop begins.
const LAST_CALL: Duration = Duration::from_millis(250);

/// Runs until it is told to stop.
///
/// # Errors
/// What is wrong with the configuration, the sockets, the state or the kernel.
pub fn run(arguments: &Arguments, configuration: Configuration) -> Result<()> {
    let filter = logs::begin(&configuration.log)?;
    let notifier = Arc::new(Notifier::from_environment().context("NOTIFY_SOCKET")?);
    let passed = Sockets::passed()?;
    if passed.is_none() && !arguments.foreground {
        bail!("no socket was passed: start me as a systemd service, or with --foreground");
    }
    let console = Console::open(&configuration.console)?;
    let port = Port::open(&configuration.tcp, &configuration.options.runtime_dir)?;
    // Before joining an ordinary user's own namespace: clients are where we were started.
    let ours = UserNamespace::own().context("/proc is not there")?;
    let groups = Groups {
        manage: accounts::group(&configuration.manage_group, "hostcompute")?,
        read: accounts::group(&configuration.read_group, "")?,
    };
    let mut options = configuration.options.clone();
    let mut service = open(&mut options)?;
    let own_host = options.rootless.then(|| options.runtime_dir.clone());
    // Who comes for the state directory is told whom to ask instead.
    service.serve_at(&configuration.socket)?;
    let server = Server::start(service, Settings { limits: configuration.limits, groups })?;
    let sockets = match passed {
        Some(passed) => passed,
        None => Sockets::make(&configuration.socket)?,
    };
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("http")
        .enable_all()
        .build()
        .context("starting threads")?;
    // Root's: what a system needs of the network was asked for by somebody who may make systems.
    let compute =
        local::systems::systems(&options, server.desk()?, Adoption::AtStart, Spare::default())?;
    let edge = Edge::new(
        server.clone(),
        ours,
        http::Settings {
            limits: configuration.limits,
            options,
            write_patience: configuration.write_patience,
        },
        runtime.handle().clone(),
        compute.clone(),
    );
    if let Some(interval) = notify::watchdog_interval() {
        watchdog::begin(server.clone(), notifier.clone(), interval)?;
    }
    let looking = server.clone();
    let life = Life {
        edge,
        server,
        compute,
        notifier,
        arguments,
        filter,
        gate: port.as_ref().map(|port| port.gate.clone()),
        patience: configuration.stop_patience,
    };
    let listeners = sockets.listeners()?;
    let served = runtime.block_on(life.serve(listeners, port, console));
    // What still runs then has had its time.
    runtime.shutdown_background();
    drop(sockets);
    // An ordinary user's host is kept by a process that nobody else would ever end: it goes with the last object.
    let empty = || looking.metrics().objects.iter().all(|(_, count)| *count == 0);
    if let Some(directory) = own_host.filter(|_| empty()) {
        rootless::end_holder(&directory)?;
    }
    served
}

/// Opens state and kernel; what an earlier process left unfinished is finished or undone.
fn open(options: &mut Options) -> Result<Service<Linux>> {
    let service = local::open(options)?;
    for line in service.recovery().map(local::repaired).unwrap_or_default() {
        tracing::warn!("{line}");
    }
    Ok(service)
}

/// Every connection takes two descriptors, every namespace some more: as many as this process may have.
fn raise_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the number of descriptors stays as it is");
    }
}

/// What the time between start and stop needs.
struct Life<'a> {
    edge: Arc<Edge>,
    server: Server<Linux>,
    compute: Compute,
    notifier: Arc<Notifier>,
    arguments: &'a Arguments,
    filter: Filter,
    gate: Option<Arc<Gate>>,
    patience: Duration,
}

impl Life<'_> {
    async fn serve(
        self,
        listeners: Vec<UnixListener>,
        port: Option<Port>,
        console: Option<Console>,
    ) -> Result<()> {
        let mut stops = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        let mut reloads = signal(SignalKind::hangup())?;
        let (phase, watched) = watch::channel(Phase::Serving);
        let working = self.edge.clone();
        let (edge, looking) = (self.edge.clone(), watched.clone());
        let at =
            |listener: &UnixListener| Some(listener.local_addr().ok()?.as_pathname()?.to_owned());
        let places: Vec<_> = listeners.iter().filter_map(at).collect();
        let sockets = edge.clone().serve(listeners, port, watched);
        let mut serving = tokio::spawn(async move {
            match console {
                Some(console) => tokio::try_join!(sockets, console.serve(edge, looking)).map(drop),
                None => sockets.await,
            }
        });
        self.notifier.ready();
        tracing::info!(sockets = ?places, "serving");
        let [terminate, interrupt] = &mut stops;
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = reloads.recv() => self.reload(),
                _ = pulse.tick() => {
                    // The service manager starts another one, which finds out from the journal what to do.
                    if !self.server.is_open() {
                        bail!("the thread that changes the host has ended; the log says why");
                    }
                }
                ended = &mut serving => return ended.context("the connections' thread")?.context("listening"),
            }
        }
        tracing::info!("stopping");
        self.notifier.stopping();
        // Connections end from here on, and with them their handles: no system is to go with the last of those.
        self.compute.loosen();
        phase.send_replace(Phase::Closing);
        // Requests of accepted connections may still be in their sockets: they are served, not cut.
        let over = tokio::time::timeout(LAST_CALL, &mut serving).await.is_ok();
        working.end_work();
        let (server, compute) = (self.server.clone(), self.compute.clone());
        // Blocks until what was accepted is done, and ends the event streams. Systems go on.
        let stopped = tokio::task::spawn_blocking(move || {
            compute.stop();
            server.stop();
        });
        let rest = async {
            let _ = stopped.await;
            if !over {
                let _ = serving.await;
            }
        };
        match tokio::time::timeout(self.patience, rest).await {
            Ok(_) => tracing::info!("stopped"),
            Err(_) => {
                tracing::warn!(
                    "what is under way takes longer than stop-patience; the next start finishes it"
                )
            }
        }
        Ok(())
    }

    /// Reads the configuration anew. What can change while clients are connected does.
    fn reload(&self) {
        self.notifier.reloading();
        let read = self.arguments.configuration().and_then(|new| self.filter.set(&new.log.filter));
        match read {
            Ok(()) => tracing::info!("log.filter was read anew; other keys need a restart"),
            Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
        }
        match self.gate.as_ref().map(|gate| gate.reload()) {
            Some(Ok(())) => tracing::info!("the token for programs was read anew"),
            Some(Err(error)) => tracing::error!("the token stays as it was: {error:#}"),
            None => {}
        }
        self.notifier.ready();
    }
}
