//! Control groups, version 1 (a hierarchy for each controller), version 2 (one for all) and both at once: where they are, who is in a
//! group, and its end.
//!
//! A [`Group`] is a path below the top of each hierarchy. Whoever makes containers makes groups of its own accord; [`Group::create`] is
//! for systems without one (host processes). Everything that is set, read and watched is here, for all of them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

mod devices;
mod freezer;
mod limits;
mod oom;
mod usage;

pub use oom::OomWatch;
pub use usage::Usage;

/// How long the last processes of a group may take to go once they have been killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The controllers of version 1 that systems are put into; version 2's are the same but for names.
const CONTROLLERS: [&str; 8] =
    ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    /// Empty for version 2.
    controllers: Vec<String>,
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        if self.controllers.is_empty() {
            has_controller(&self.mount, controller)
        } else {
            self.controllers.iter().any(|name| name == controller)
        }
    }
}

/// A group in every hierarchy that counts.
#[derive(Debug, Clone)]
pub struct Group {
    directories: Vec<(Hierarchy, PathBuf)>,
}

/// Ways into a group (see [`Group::entrance`]).
#[derive(Debug, Default)]
pub struct Entrance {
    /// The directory in which a child can be born, for `clone3`.
    pub born_in: Option<File>,
    /// What the child writes to.
    doors: Vec<File>,
}

impl Entrance {
    /// Moves the calling process, which has one thread, into the group.
    ///
    /// # Errors
    /// The group takes nobody.
    pub fn enter(&self) -> io::Result<()> {
        self.doors.iter().try_for_each(|mut door| door.write_all(b"0"))
    }
}

impl Group {
    /// The group of this path, as `hostcompute.name`, whether or not it exists.
    ///
    /// # Errors
    /// The mounts cannot be read.
    pub fn new(path: &str) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self::among(hierarchies(&mounts), path))
    }

    fn among(hierarchies: Vec<Hierarchy>, path: &str) -> Self {
        let path = path.trim_start_matches('/');
        let directories = hierarchies
            .into_iter()
            .map(|hierarchy| {
                let directory = hierarchy.mount.join(path);
                (hierarchy, directory)
            })
            .collect();
        Self { directories }
    }

    /// Whether this machine has one hierarchy for everything.
    pub fn is_unified(&self) -> bool {
        self.directories.iter().any(|(hierarchy, _)| hierarchy.controllers.is_empty())
    }

    /// The directory in which a controller is governed; `None` where there is no such controller.
    fn governing(&self, controller: &str) -> Option<&Path> {
        let place = self.directories.iter().find(|(hierarchy, _)| hierarchy.has(controller));
        place.map(|(_, directory)| directory.as_path())
    }

    /// Whether the calling user may make the group.
    pub fn can_create(&self) -> bool {
        !self.directories.is_empty() && self.directories.iter().all(|(_, place)| is_writable(place))
    }

    /// Whether a controller can be used here at all, by the calling user.
    pub fn can(&self, controller: &str) -> bool {
        let name = if self.is_unified() { unified_name(controller) } else { controller };
        let place = if name == "freezer" && self.is_unified() {
            self.directories.first().map(|(_, directory)| directory.as_path())
        } else {
            self.governing(name)
        };
        place.is_some_and(is_writable)
    }

    /// Makes the group in every hierarchy.
    ///
    /// # Errors
    /// A directory cannot be made; those that were made stay for [`Self::remove`].
    pub fn create(&self) -> io::Result<()> {
        for (hierarchy, directory) in &self.directories {
            let mut tries = 0;
            while let Err(error) = create_below(hierarchy, directory) {
                tries += 1;
                // Whoever leaves the group above last removes it.
                if !is_absent(&error) || tries > 100 {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Ways into the group for a child that is about to be made. Moving somebody else takes a lock for which the kernel waits until every
    /// processor has been somewhere else, some 10 ms; being born in the group (version 2) or entering it oneself (version 1)
    /// does not.
    ///
    /// # Errors
    /// The group does not exist.
    pub fn entrance(&self) -> io::Result<Entrance> {
        if self.is_unified() {
            let born_in = match self.directories.first() {
                Some((_, directory)) => Some(File::open(directory)?),
                None => None,
            };
            return Ok(Entrance { born_in, doors: Vec::new() });
        }
        let doors = self
            .directories
            .iter()
            .map(|(_, directory)| File::options().write(true).open(directory.join("tasks")));
        Ok(Entrance { born_in: None, doors: doors.collect::<Result<_, _>>()? })
    }

    /// Everybody in the group and in groups below it, by the host's numbers.
    ///
    /// # Errors
    /// The group cannot be read. One that does not exist has nobody in it.
    pub fn processes(&self) -> io::Result<BTreeSet<i32>> {
        let mut found = BTreeSet::new();
        for (_, directory) in &self.directories {
            members(directory, &mut found)?;
        }
        Ok(found)
    }

    /// Kills everybody in the group and waits until they are gone.
    ///
    /// # Errors
    /// Somebody is still there after ten seconds.
    pub fn kill(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = self.processes()?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(io::Error::other(format!("{} processes do not end", left.len())));
            }
            for pid in left.into_iter().filter_map(Pid::from_raw) {
                // Gone already, or about to: the next look tells.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            // Whoever is frozen cannot end; it is killed by now, so it runs no more.
            let _ = self.thaw();
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Removes the group with all groups below it, and those above that are left empty. Nobody must be in it.
    ///
    /// # Errors
    /// It cannot be removed; one that does not exist is removed already.
    pub fn remove(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        for (hierarchy, directory) in &self.directories {
            loop {
                match remove_tree(directory) {
                    // The last processes of a group leave it a moment after they are seen to be gone.
                    Err(error) if is_busy(&error) && Instant::now() < until => {
                        thread::sleep(Duration::from_micros(200));
                    }
                    removed => break removed?,
                }
            }
            // Groups above hold nothing but others like this one; who is the last takes them along.
            let above = directory.ancestors().skip(1);
            for above in above.take_while(|above| *above != hierarchy.mount) {
                if fs::remove_dir(above).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether there is such a group in any hierarchy.
    pub fn exists(&self) -> bool {
        self.directories.iter().any(|(_, directory)| directory.exists())
    }
}

/// Makes the directories that are missing.
fn create_below(hierarchy: &Hierarchy, directory: &Path) -> io::Result<()> {
    let mut missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|above| *above != hierarchy.mount && !above.exists())
        .collect();
    missing.reverse();
    for step in missing {
        if hierarchy.controllers.is_empty() {
            step.parent().map_or(Ok(()), enable_controllers)?;
        }
        match fs::create_dir(step) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if hierarchy.controllers.iter().any(|name| name == "cpuset") {
            inherit_cpuset(step)?;
        }
    }
    Ok(())
}

/// Whether the calling user may make this directory, or what is in it.
fn is_writable(directory: &Path) -> bool {
    let existing = directory.ancestors().find(|directory| directory.exists());
    existing.is_some_and(|directory| {
        rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).is_ok()
    })
}

/// What controllers of version 1 are called in version 2.
fn unified_name(controller: &str) -> &str {
    match controller {
        "blkio" => "io",
        "cpuacct" => "cpu",
        other => other,
    }
}

fn has_controller(directory: &Path, controller: &str) -> bool {
    fs::read_to_string(directory.join("cgroup.controllers"))
        .is_ok_and(|text| text.split_whitespace().any(|name| name == controller))
}

/// Lets groups below have all controllers that this one has.
fn enable_controllers(directory: &Path) -> io::Result<()> {
    let there = fs::read_to_string(directory.join("cgroup.controllers"))?;
    let control = directory.join("cgroup.subtree_control");
    let given = fs::read_to_string(&control)?;
    let given: BTreeSet<&str> = given.split_whitespace().collect();
    for name in there.split_whitespace().filter(|name| !given.contains(name)) {
        // Some cannot be given where processes are; whoever needs them finds out when a limit is set.
        let _ = fs::write(&control, format!("+{name}"));
    }
    Ok(())
}

/// A new group of the cpuset hierarchy has no processors at all until it is told.
fn inherit_cpuset(directory: &Path) -> io::Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let file = directory.join(name);
        if fs::read_to_string(&file)?.trim().is_empty() {
            fs::write(file, fs::read_to_string(parent.join(name))?.trim())?;
        }
    }
    Ok(())
}

fn members(directory: &Path, found: &mut BTreeSet<i32>) -> io::Result<()> {
    let text = match fs::read_to_string(directory.join("cgroup.procs")) {
        Err(error) if is_absent(&error) => return Ok(()),
        text => text?,
    };
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for below in subdirectories(directory)? {
        members(&below, found)?;
    }
    Ok(())
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) if is_busy(&error) => {}
        removed => return removed,
    }
    for below in subdirectories(directory)? {
        remove_tree(&below)?;
    }
    match fs::remove_dir(directory) {
        Err(error) if !is_absent(&error) => Err(error),
        _ => Ok(()),
    }
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A group may go while it is looked at.
fn is_absent(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NODEV))
}

fn is_busy(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::BUSY | Errno::NOTEMPTY))
}

/// The hierarchies that count: those of version 1 that have one of our controllers, else that of version 2.
fn hierarchies(mounts: &str) -> Vec<Hierarchy> {
    let mut split = Vec::new();
    let mut unified = None;
    for line in mounts.lines() {
        // 36 35 98:0 /root /point options [tags] - type source superoptions
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        let Some(point) = place.split(' ').nth(4).map(PathBuf::from) else { continue };
        let mut kind = kind.split(' ');
        match (kind.next(), kind.nth(1)) {
            (Some("cgroup2"), _) => {
                unified.get_or_insert(Hierarchy { mount: point, controllers: Vec::new() });
            }
            (Some("cgroup"), Some(options)) => {
                let controllers: Vec<String> = options
                    .split(',')
                    .filter(|option| CONTROLLERS.contains(option))
                    .map(str::to_owned)
                    .collect();
                let known = |other: &Hierarchy| other.controllers == controllers;
                if !controllers.is_empty() && !split.iter().any(known) {
                    split.push(Hierarchy { mount: point, controllers });
                }
            }
            _ => {}
        }
    }
    if split.is_empty() { unified.into_iter().collect() } else { split }
}

/// Reads a number from a file of a group; `max` and what is beyond 64 bits are the greatest.
fn number(directory: &Path, file: &str) -> io::Result<u64> {
    let text = fs::read_to_string(directory.join(file))?;
    Ok(text.trim().parse().unwrap_or(u64::MAX))
}

/// Reads lines of a name and a number.
fn numbers(directory: &Path, file: &str) -> io::Result<Vec<(String, u64)>> {
    let text = fs::read_to_string(directory.join(file))?;
    let pairs = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    });
    Ok(pairs.collect())
}

fn value(pairs: &[(String, u64)], name: &str) -> u64 {
    pairs.iter().find(|(found, _)| found == name).map_or(0, |(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPLIT: &str = "\
30 23 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 23 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
32 23 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
33 23 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
34 23 0:27 / /elsewhere/memory rw,relatime - cgroup cgroup rw,memory
";
    const UNIFIED: &str = "29 23 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn both_layouts_are_found() {
        let split = hierarchies(SPLIT);
        let points: Vec<_> = split.iter().map(|found| found.mount.as_path()).collect();
        assert_eq!(
            points,
            [Path::new("/sys/fs/cgroup/cpu,cpuacct"), Path::new("/sys/fs/cgroup/memory")]
        );
        let unified = hierarchies(UNIFIED);
        assert_eq!(unified.len(), 1);
        assert!(Group::among(unified, "a").is_unified());
        assert!(hierarchies("").is_empty());
    }

    #[test]
    fn a_group_is_below_the_top_wherever_its_path_begins() {
        let group = Group::among(hierarchies(UNIFIED), "/hostcompute/one");
        let places: Vec<_> = group.directories.iter().map(|(_, place)| place.as_path()).collect();
        assert_eq!(places, [Path::new("/sys/fs/cgroup/hostcompute/one")]);
    }
}
