//! `hc`, the command line of hostcompute: host networks, namespaces, endpoints, load balancers and containers by documents.
//!
//! `arguments` is the grammar, `object`, `compute` and `apply` do the work, `print` and `problem` say how it went. The programs' rule: results on
//! standard output, everything said about them on standard error, and a status that scripts can tell apart.

mod apply;
mod arguments;
mod compute;
mod doctor;
mod events;
mod files;
#[cfg(unix)]
mod image;
#[cfg(unix)]
mod inside;
#[cfg(unix)]
mod layer;
#[cfg(unix)]
mod meter;
mod object;
mod print;
mod problem;
#[cfg(all(unix, feature = "registry"))]
mod pull;
mod schema;
mod service;
mod topology;
mod trace;
mod yaml;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use hostcompute::{Host, Options};

use arguments::{Arguments, Command, Form, NamespaceVerb};
use object::Session;
use problem::{Done, Problem};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let text = problem.to_string();
            if !text.is_empty() {
                print::note(&text);
            }
            problem.exit_code()
        }
    }
}

fn run(arguments: &Arguments) -> Done {
    match &arguments.command {
        // These need no host.
        Command::Schema(command) => schema::run(command),
        Command::Completions { shell } => completions(*shell),
        Command::Version => print::line(concat!("hc ", env!("CARGO_PKG_VERSION"))),
        Command::Events { follow, json, network } => {
            let as_json = *json || arguments.global.output == Form::Json;
            events::run(&arguments.global.options(), *follow, network.as_deref(), as_json)
        }
        #[cfg(unix)]
        Command::Image(verb) => {
            image::run(&arguments.global.options(), arguments.global.output, verb)
        }
        #[cfg(unix)]
        Command::Layer(verb) => {
            layer::run(&arguments.global.options(), arguments.global.output, verb)
        }
        Command::Doctor => doctor::run(arguments.global.options(), arguments.global.output),
        command => on_host(arguments, command),
    }
}

fn on_host(arguments: &Arguments, command: &Command) -> Done {
    let files = match command {
        Command::Up { files, .. } | Command::Down { files } | Command::Diff { files } => {
            apply::read(files)?
        }
        _ => Vec::new(),
    };
    if let Command::Run(typed) = command {
        compute::bring(&arguments.global.options(), typed).map_err(compute::failed)?;
    }
    let expects_system = matches!(command, Command::Run(_));
    let host = Host::auto(Options { expects_system, ..arguments.global.options() });
    let host = match command {
        // Their status is that of a command, but for this one.
        Command::Run(_) | Command::Exec(_) => host.map_err(compute::failed)?,
        _ => host?,
    };
    for line in host.repaired()? {
        print::note(&format!("hc: {line}"));
    }
    #[cfg(unix)]
    if let Command::Namespace(NamespaceVerb::Exec { id, command }) = command {
        return inside::execute(host, id, command);
    }
    let session = Session { host: &host, form: arguments.global.output };
    match command {
        Command::Up { events, .. } => apply::up(session, &files, *events),
        Command::Down { .. } => apply::down(session, &files),
        Command::Diff { .. } => apply::diff(session, &files),
        Command::Network(verb) => session.network(verb),
        Command::Loadbalancer(verb) => session.load_balancer(verb),
        Command::Route(verb) => session.route(verb),
        Command::Guestservice(verb) => session.guest_service(verb),
        Command::Endpoint(verb) => session.endpoint(verb),
        Command::Namespace(NamespaceVerb::Object(verb)) => session.namespace(verb),
        Command::System(verb) => compute::system(session, verb),
        Command::Run(typed) => compute::run(&host, typed),
        Command::Exec(typed) => compute::exec(&host, typed),
        Command::Ps(listing) => compute::list(session, listing),
        Command::Logs(typed) => compute::logs(&host, typed),
        Command::Topology { svg } => draw(session, svg.as_deref()),
        Command::Trace(typed) => trace::run(session, typed),
        Command::Check { repair } => session.check(*repair),
        Command::Inspect => session.inspect(),
        Command::State(command) => session.state(command),
        _ => Ok(()),
    }
}

fn draw(session: Session<'_>, file: Option<&Path>) -> Done {
    let documents = topology::Documents::of(session.host)?;
    let topology = topology::Topology::new(&documents);
    match file {
        None => print::text(&topology::draw_text(&topology)),
        Some(path) if path == Path::new("-") => print::text(&topology::draw_svg(&topology)),
        Some(path) => std::fs::write(path, topology::draw_svg(&topology)).map_err(|error| {
            print::note(&format!("hc: cannot write {}: {error}", path.display()));
            Problem::Told
        }),
    }
}

fn completions(shell: clap_complete::Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "hc", &mut script);
    print::text(&String::from_utf8_lossy(&script))
}
