//! `hostcomputed`: the service of hostcompute as a process of its own.
//!
//! `arguments` and `configuration` say how it runs, `socket` and `notify` are its side of the service manager, `daemon` is its life
//! from start to stop, `http` is what clients meet, `tcp` lets programs in
//! that have no unix sockets, `console` is what browsers meet, `door` guards both. What clients may do and what becomes of it is decided in
//! `hostcompute-service`.

mod accounts;
mod arguments;
mod configuration;
mod console;
mod daemon;
mod door;
mod http;
mod logs;
mod notify;
mod socket;
mod tcp;
mod watchdog;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "hostcomputed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let configuration = arguments.configuration()?;
    if arguments.print_config {
        return Ok(write!(std::io::stdout(), "{}", configuration.print())?);
    }
    daemon::run(arguments, configuration)
}
