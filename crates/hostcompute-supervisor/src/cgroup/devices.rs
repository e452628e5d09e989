//! Which devices may be used, on version 1. Version 2 knows that only by programs in the kernel; there it is capabilities and mounts that
//! keep devices away.

use std::fs;
use std::io;

use super::Group;

/// What every container has in `/dev`: null, zero, full, random, urandom, tty, console, ptmx, terminals.
const STANDARD: [&str; 9] = [
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

impl Group {
    /// Refuses all devices but the standard ones and these (`c MAJOR:MINOR ACCESS`).
    ///
    /// # Errors
    /// The group does not exist.
    pub fn restrict_devices(&self, rules: &[String]) -> io::Result<()> {
        self.write_device_rules("devices.deny", ["a"])?;
        self.write_device_rules("devices.allow", STANDARD)?;
        self.allow_devices(rules)
    }

    /// Allows these as well.
    ///
    /// # Errors
    /// The group does not exist.
    pub fn allow_devices(&self, rules: &[String]) -> io::Result<()> {
        self.write_device_rules("devices.allow", rules.iter().map(String::as_str))
    }

    /// Takes [`Self::allow_devices`] back.
    ///
    /// # Errors
    /// The group does not exist.
    pub fn deny_devices(&self, rules: &[String]) -> io::Result<()> {
        self.write_device_rules("devices.deny", rules.iter().map(String::as_str))
    }

    fn write_device_rules<'r>(
        &self,
        file: &str,
        rules: impl IntoIterator<Item = &'r str>,
    ) -> io::Result<()> {
        let Some(directory) = self.governing("devices").filter(|_| !self.is_unified()) else {
            return Ok(());
        };
        rules.into_iter().try_for_each(|rule| fs::write(directory.join(file), rule))
    }
}
