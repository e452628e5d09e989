//! The parts of this crate that a program uses around the engine, as small commands: what this machine lacks, a program in a
//! namespace, and an ordinary user's own host.
//!
//! `host_tools doctor | exec NETNS RESOLVER PROGRAM [ARGUMENT...] | rootless RUNTIME_DIR PROGRAM [ARGUMENT...] | end RUNTIME_DIR`

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use hostcompute_linux::{doctor, exec, rootless};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.to_string_lossy().into_owned(), rest),
        None => (String::new(), &[][..]),
    };
    let failure = match (command.as_str(), rest) {
        ("doctor", []) => {
            for finding in doctor::examine(None) {
                println!("{}: {}: {}", finding.severity, finding.subject, finding.found);
                println!("    {} -> {}", finding.consequence, finding.remedy);
            }
            return ExitCode::SUCCESS;
        }
        ("exec", [netns, resolver, program, arguments @ ..]) => {
            let place = exec::Place { netns: netns.into(), resolver: resolver.into() };
            place.execute(program, arguments)
        }
        ("rootless", [directory, program, arguments @ ..]) => {
            match rootless::ensure_joined(&PathBuf::from(directory)) {
                Err(failure) => failure,
                Ok(()) => {
                    let error = std::process::Command::new(program).args(arguments).exec();
                    eprintln!("{}: {error}", program.display());
                    return ExitCode::from(127);
                }
            }
        }
        ("end", [directory]) => match rootless::end_holder(&PathBuf::from(directory)) {
            Err(failure) => failure,
            Ok(()) => return ExitCode::SUCCESS,
        },
        _ => {
            eprintln!("see the head of this example for its commands");
            return ExitCode::from(2);
        }
    };
    eprintln!("{failure}");
    ExitCode::FAILURE
}
