//! Much of everything on one host: what building it takes, and what one change costs with it and without.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Plan, progress};
use crate::daemon::End;
use crate::remote::Remote;
use crate::side::scale::{BACKENDS, Deed, Matter};
use crate::side::{Kind, SERVICE};
use crate::statistics::Samples;
use crate::worker::{Batch, Setup, Task};

/// How much there is, and how often each change is made.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub endpoints: u32,
    pub services: u32,
    pub remotes: u32,
    pub sets: u32,
    pub samples: u32,
    pub restarts: u32,
}

impl Extent {
    fn of(self, matter: Matter) -> u32 {
        match matter {
            Matter::Endpoint => self.endpoints,
            Matter::Service => self.services,
            Matter::RemoteSubnet => self.remotes,
            Matter::Set => self.sets,
        }
    }
}

/// What was found out.
#[derive(Debug, Default)]
pub struct ScaleRows {
    pub matters: Vec<MatterRow>,
    /// Until the service answered, after it was told to stop.
    pub stopped: Samples,
    /// The same after it was killed: everything is compared with the kernel first.
    pub killed: Samples,
    /// The comparison alone.
    pub check: Samples,
    /// In KiB, before it was restarted and after.
    pub resident: (usize, usize),
}

/// One kind of thing.
#[derive(Debug)]
pub struct MatterRow {
    pub matter: Matter,
    pub count: u32,
    /// Until all of them were there.
    pub build: Duration,
    /// With little on the host, then with everything.
    pub few: Deeds,
    pub many: Deeds,
}

/// What each deed took.
#[derive(Debug, Default)]
pub struct Deeds {
    pub add: Samples,
    pub change: Samples,
    pub remove: Samples,
}

/// Numbers of what comes and goes: above those that stay.
const PASSING: u32 = 20_000;

/// Measures the service whose program this is.
///
/// # Errors
///
/// When a request fails.
pub fn scale(plan: &Plan, program: &Path, extent: Extent) -> anyhow::Result<ScaleRows> {
    let mut remote = Remote::start(&Setup {
        name: SERVICE.to_owned(),
        task: Task::Scale(program.to_owned()),
        directory: plan.directory.join(Kind::Service(program.to_owned()).slug()).join("scale"),
    })?;
    // Those that serve, and pages and caches that are touched for the first time.
    remote.perform(Matter::Endpoint, Deed::Add, Batch { first: 0, count: BACKENDS })?;
    progress("changes with little on the host");
    passing(&mut remote, extent.samples)?;
    let few = passing(&mut remote, extent.samples)?;
    let mut builds = Vec::new();
    for matter in Matter::ALL {
        let (name, count) = (matter.name(), extent.of(matter));
        progress(&format!("{count} times one {name}"));
        let first = if matter == Matter::Endpoint { BACKENDS } else { 0 };
        let start = Instant::now();
        remote.perform(matter, Deed::Add, Batch { first, count: count.saturating_sub(first) })?;
        builds.push(start.elapsed());
    }
    progress("changes with everything on the host");
    passing(&mut remote, extent.samples)?;
    let many = passing(&mut remote, extent.samples)?;
    let mut rows = ScaleRows::default();
    for (((matter, build), few), many) in Matter::ALL.into_iter().zip(builds).zip(few).zip(many) {
        rows.matters.push(MatterRow { matter, count: extent.of(matter), build, few, many });
    }
    progress("starting again with everything on the host");
    rows.resident.0 = remote.service_resident()?;
    for _ in 0..extent.restarts {
        rows.stopped.append(remote.restart(End::Stopped)?);
        rows.check.append(remote.check()?);
        rows.killed.append(remote.restart(End::Killed)?);
    }
    rows.resident.1 = remote.service_resident()?;
    Ok(rows)
}

/// Each deed so often, to what comes and goes.
fn passing(remote: &mut Remote, samples: u32) -> anyhow::Result<Vec<Deeds>> {
    let batch = Batch { first: PASSING, count: samples };
    let measure = |matter: Matter| {
        let mut deed = |deed| Ok::<_, anyhow::Error>(remote.perform(matter, deed, batch)?.wall);
        let deeds = Deeds {
            add: deed(Deed::Add)?,
            change: deed(Deed::Change)?,
            remove: deed(Deed::Remove)?,
        };
        remote.settle()?;
        Ok(deeds)
    };
    Matter::ALL.into_iter().map(measure).collect()
}
