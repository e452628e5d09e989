//! Running the programs that the comparison needs: the peers, and `ip` and `nft` for what no clock measures.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Runs a program to its end with `input` on its standard input; returns its standard output.
///
/// # Errors
///
/// When it cannot be started or fails; the message carries what it wrote.
pub fn run<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
    input: &str,
) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    finish(&mut command, input)
}

/// As [`run`], for a command that has been prepared with an environment.
pub fn finish(command: &mut Command, input: &str) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let mut stdin = child.stdin.take().context("the pipe asked for above")?;
    // A program that does not read its input closes the pipe; its exit status says whether that matters.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().with_context(|| format!("waiting for {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{name}: {}: {} {}", output.status, complaint.trim(), text.trim());
    }
    Ok(text)
}
