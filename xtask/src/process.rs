//! Starts other programs and says which one failed, and how.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs to the end with our own input and output.
///
/// # Errors
/// It could not be started, or did not succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", line(command)))?;
    succeeded(command, status)
}

/// Runs to the end and returns what it printed.
///
/// # Errors
/// It could not be started, did not succeed (its complaints are in the error), or printed something that is not text.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", line(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", line(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("reading what {} says", line(command)))
}

/// Runs to the end, output and complaints in one stream, each line shown at once and handed to `heed`.
///
/// # Errors
/// It could not be started, or did not succeed.
pub fn watch(command: &mut Command, mut heed: impl FnMut(&str)) -> Result<()> {
    let (reader, writer) = std::io::pipe().context("making a pipe")?;
    let started = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("sharing a pipe")?)
        .stderr(writer)
        .spawn();
    // The command keeps its copies of the writing ends; the pipe ends only when they are closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = started.with_context(|| format!("starting {}", line(command)))?;
    for text in BufReader::new(reader).split(b'\n') {
        let text = text.context("reading a program's output")?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        heed(&text);
    }
    let status = child.wait().with_context(|| format!("waiting for {}", line(command)))?;
    succeeded(command, status)
}

/// Whether a program of this name is on the search path.
pub fn exists(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The search path with one more folder before it.
pub fn path_with(folder: &Path) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// Whether we are root.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_heeded_and_failure_is_told() {
        let mut heard = Vec::new();
        let outcome =
            watch(&mut shell("echo one; echo two >&2; exit 3"), |line| heard.push(line.to_owned()));
        assert_eq!(heard, ["one", "two"]);
        assert!(outcome.unwrap_err().to_string().contains("exit status: 3"));
    }

    #[test]
    fn complaints_become_part_of_the_error() {
        let error = output(&mut shell("echo because >&2; false")).unwrap_err().to_string();
        assert!(error.contains("because"), "{error}");
    }
}
