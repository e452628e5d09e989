//! The handle to one system.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hostcompute_engine::compute::{
    Cause, ConsoleSize, Created, DeviceNodes, Fault, Found, Leash, Limits, Mount, OnBehalf, Pipe,
    ProcessEntry, ProcessLaunch, Signal, StandardStream, Statistics, Stdio, Worker,
};
use hostcompute_supervisor::launch::Device;
use hostcompute_supervisor::message::{Answer, Request, Stream, Streams};

use super::hub::Hub;
use super::link::Link;
use super::{create, fault, place, rights, translate};

/// A system that a supervisor carries.
#[derive(Debug, Clone)]
pub struct Supervised {
    link: Arc<Link>,
    /// Hears the link for as long as there is a handle.
    _hub: Arc<Hub>,
}

impl Supervised {
    pub(super) fn new(link: Arc<Link>, hub: &Arc<Hub>) -> Self {
        Self { link, _hub: Arc::clone(hub) }
    }

    fn devices(devices: &DeviceNodes) -> Result<Vec<Device>, Fault> {
        let paths = translate::device_paths(devices)?;
        Ok(paths.into_iter().map(create::device).collect())
    }
}

impl Worker for Supervised {
    type Stream = OwnedFd;

    fn start(&self) -> Result<(), Fault> {
        self.link.tell(Request::Start)
    }

    fn create_process(&self, process: &ProcessLaunch) -> Result<Created<OwnedFd>, Fault> {
        let launch = Box::new(translate::process(process));
        let (answer, descriptors) = self.link.ask(Request::Process(launch))?;
        let Answer::Process { pid, streams } = answer else { return Err(fault::nonsense()) };
        Ok(Created { pid, stdio: stdio(streams, descriptors) })
    }

    fn attach(&self, pid: u32) -> Result<Stdio<OwnedFd>, Fault> {
        let streams = Streams { input: true, output: true, error: true };
        let (answer, descriptors) = self.link.ask(Request::Attach { pid, streams })?;
        let Answer::Process { streams, .. } = answer else { return Err(fault::nonsense()) };
        Ok(stdio(streams, descriptors))
    }

    fn signal(&self, pid: u32, Signal(signal): Signal) -> Result<(), Fault> {
        self.link.tell(Request::Signal { pid, signal: signal.into() })
    }

    fn resize(&self, pid: u32, size: ConsoleSize) -> Result<(), Fault> {
        self.link.tell(Request::Resize { pid, size: translate::size(size) })
    }

    fn close(&self, pid: u32, stream: StandardStream) -> Result<(), Fault> {
        self.link.tell(match stream {
            StandardStream::Input => Request::CloseInput { pid },
            StandardStream::Output => Request::CloseOutput { pid, stream: Stream::Output },
            StandardStream::Error => Request::CloseOutput { pid, stream: Stream::Error },
        })
    }

    fn pause(&self) -> Result<(), Fault> {
        self.link.tell(Request::Pause)
    }

    fn resume(&self) -> Result<(), Fault> {
        self.link.tell(Request::Resume)
    }

    fn update(&self, limits: &Limits) -> Result<(), Fault> {
        let bounds_disk = limits.iops.is_some() || limits.bandwidth.is_some();
        let disk = match place::disk(self.link.directory()) {
            Some(disk) => Some(disk),
            None if bounds_disk => return Err(create::no_disk()),
            None => None,
        };
        self.link.tell(Request::Update(translate::limits(limits, disk)))
    }

    fn add_mount(&self, mount: &Mount, on_behalf: Option<&OnBehalf>) -> Result<(), Fault> {
        self.link.tell(Request::AddMount(rights::mount(on_behalf, mount)?))
    }

    fn remove_mount(&self, container_path: &str) -> Result<(), Fault> {
        self.link.tell(Request::RemoveMount { target: PathBuf::from(container_path) })
    }

    fn add_pipe(&self, pipe: &Pipe, on_behalf: Option<&OnBehalf>) -> Result<(), Fault> {
        self.link.tell(Request::AddMount(rights::pipe(on_behalf, pipe)?))
    }

    fn remove_pipe(&self, name: &str) -> Result<(), Fault> {
        self.link.tell(Request::RemoveMount { target: translate::pipe_target(name) })
    }

    fn add_devices(&self, devices: &DeviceNodes) -> Result<(), Fault> {
        self.link.tell(Request::AddDevices(Self::devices(devices)?))
    }

    fn remove_devices(&self, devices: &DeviceNodes) -> Result<(), Fault> {
        let targets = Self::devices(devices)?.into_iter().map(|device| device.target).collect();
        self.link.tell(Request::RemoveDevices { targets })
    }

    fn statistics(&self) -> Result<Statistics, Fault> {
        match self.link.ask(Request::Statistics)? {
            (Answer::Statistics(statistics), _) => Ok(translate::statistics(&statistics)),
            _ => Err(fault::nonsense()),
        }
    }

    fn processes(&self) -> Result<Vec<ProcessEntry>, Fault> {
        match self.link.ask(Request::Processes)? {
            (Answer::Processes(found), _) => Ok(found.into_iter().map(translate::entry).collect()),
            _ => Err(fault::nonsense()),
        }
    }

    fn shut_down(
        &self,
        Signal(signal): Signal,
        force_after: Option<Duration>,
    ) -> Result<(), Fault> {
        let force_after =
            force_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX / 2));
        self.link.tell(Request::Shutdown { signal: signal.into(), force_after })
    }

    fn terminate(&self, why: Cause) -> Result<(), Fault> {
        self.link.tell(Request::Terminate(translate::cause(why)))
    }

    fn leash(&self, leash: Leash) -> Result<(), Fault> {
        self.link.tell(match leash {
            Leash::Held => Request::Leash,
            Leash::Released => Request::Release,
            Leash::Loose => Request::Unleash,
        })
    }

    fn inspect(&self) -> Result<Found, Fault> {
        match self.link.ask(Request::Inspect)? {
            (Answer::Inspection(inspection), _) => Ok(translate::found(&inspection)),
            _ => Err(fault::nonsense()),
        }
    }
}

fn stdio(streams: Streams, descriptors: Vec<OwnedFd>) -> Stdio<OwnedFd> {
    let mut descriptors = VecDeque::from(descriptors);
    let mut next = |is_there: bool| if is_there { descriptors.pop_front() } else { None };
    let input = next(streams.input);
    let output = next(streams.output);
    let error = next(streams.error);
    Stdio { input, output, error }
}
