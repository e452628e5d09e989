//! ProcessParameters, ProcessModifyRequest, SignalProcessOptions (hcs.md 3.6).

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use hostcompute_schema::hcs::{
    self, ModifyOperation, ProcessModifyRequest, ProcessParameters, ProcessSignal,
    SignalProcessOptions, StdHandle,
};
use hostcompute_schema::{Failure, HResult, Warning};

use super::command_line::{self, Unclosed};
use super::{Notes, path};
use crate::compute::launch::{ConsoleSize, ProcessLaunch, Signal, StandardStream};

/// What a program finds its programs by, when nobody says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The size of a terminal whose document names none.
const SIZE: ConsoleSize = ConsoleSize { rows: 25, columns: 80 };

/// Reads what HcsCreateProcess is given.
///
/// # Errors
/// HCS_E_INVALID_JSON for what is not the schema's, E_INVALIDARG for values, ERROR_NOT_SUPPORTED for what only a utility VM can do,
/// ERROR_NOT_FOUND for UseExistingLogin: nobody is logged in in a container.
pub fn read_process(text: &str) -> Result<(ProcessLaunch, Vec<Warning>), Failure> {
    let parameters: ProcessParameters = hcs::parse(text)?;
    let mut notes = Notes::default();
    refuse_guests(&parameters, &mut notes);
    let launch = launch(&parameters, &mut notes);
    notes.finish(launch, text)
}

/// Settings of processes in a virtual machine, or on Windows.
fn refuse_guests(parameters: &ProcessParameters, notes: &mut Notes) {
    if parameters.use_existing_login == Some(true) {
        let why = "nobody is logged in in a container";
        notes.refuse(HResult::ERROR_NOT_FOUND, "$.UseExistingLogin", why);
    }
    let guest = "only the agent in a utility VM understands it";
    for (name, given) in [
        ("OciProcess", parameters.oci_process.is_some()),
        ("OciSpecification", parameters.oci_specification.is_some()),
        ("CreateInUtilityVM", parameters.create_in_utility_vm == Some(true)),
    ] {
        if given {
            notes.unsupported(alloc::format!("$.{name}"), guest);
        }
    }
    if parameters.use_legacy_console == Some(true) {
        notes.ignore("$.UseLegacyConsole", "there is one sort of console");
    }
}

fn launch(parameters: &ProcessParameters, notes: &mut Notes) -> Option<ProcessLaunch> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let application = text(&parameters.application_name);
    let arguments = arguments(parameters, application.as_deref(), notes);
    let directory = match text(&parameters.working_directory) {
        Some(directory) => path::absolute(&directory, "$.WorkingDirectory", notes).map(Some),
        None => Some(None),
    };
    let console = console(parameters, notes);
    let nothing = BTreeMap::new();
    let wanted = parameters.environment.as_ref().unwrap_or(&nothing);
    let environment = environment(wanted, console.is_some_and(|size| size.is_some()), notes);
    refuse_zeros(parameters, notes);
    let console = console?;
    let flag = |flag: Option<bool>| flag.unwrap_or_default();
    Some(ProcessLaunch {
        application,
        arguments: arguments?,
        user: text(&parameters.user),
        directory: directory?,
        environment: environment?,
        restricted: flag(parameters.restricted_token),
        console,
        stdin: flag(parameters.create_std_in_pipe),
        stdout: flag(parameters.create_std_out_pipe),
        // A terminal has one stream for both.
        stderr: flag(parameters.create_std_err_pipe) && console.is_none(),
    })
}

fn arguments(
    parameters: &ProcessParameters,
    application: Option<&str>,
    notes: &mut Notes,
) -> Option<Vec<String>> {
    let given = parameters.command_args.as_deref().unwrap_or_default();
    if !given.is_empty() {
        if given.first().is_some_and(String::is_empty) && application.is_none() {
            notes.invalid("$.CommandArgs[0]", "the name of a program must not be empty");
            return None;
        }
        return Some(given.to_vec());
    }
    let line = parameters.command_line.as_deref().unwrap_or_default();
    let split = command_line::split(line);
    match (split, application) {
        (Ok(words), Some(application)) if words.is_empty() => Some(vec![application.to_string()]),
        (Ok(words), _) if words.iter().any(|word| !word.is_empty()) => Some(words),
        (Ok(_), _) => {
            notes.invalid(
                "$.CommandArgs",
                "there is nothing to run: give CommandArgs, or CommandLine",
            );
            None
        }
        (Err(unclosed), _) => {
            let why = match unclosed {
                Unclosed::Quote(quote) => alloc::format!("the quote {quote} is not closed"),
                Unclosed::Backslash => "nothing follows the backslash at the end".into(),
            };
            notes.invalid("$.CommandLine", why);
            None
        }
    }
}

#[expect(clippy::option_option, reason = "refused, no console, its size")]
fn console(parameters: &ProcessParameters, notes: &mut Notes) -> Option<Option<ConsoleSize>> {
    if parameters.emulate_console != Some(true) {
        return Some(None);
    }
    // Height first (hcs.md 3.6).
    match parameters.console_size {
        None | Some([0, 0]) => Some(Some(SIZE)),
        Some([0, _] | [_, 0]) => {
            notes.invalid("$.ConsoleSize", "a console has at least one row and one column");
            None
        }
        Some([rows, columns]) => Some(Some(ConsoleSize { rows, columns })),
    }
}

fn environment(
    wanted: &BTreeMap<String, String>,
    console: bool,
    notes: &mut Notes,
) -> Option<Vec<(String, String)>> {
    let mut environment = Vec::new();
    let mut fine = true;
    for (name, value) in wanted {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let at = alloc::format!("$.Environment[{name:?}]");
            notes.invalid(at, "a name must not be empty or contain '='; neither may contain 0");
            fine = false;
        }
        environment.push((name.clone(), value.clone()));
    }
    let mut default = |name: &str, value: &str| {
        if !wanted.contains_key(name) {
            environment.push((name.into(), value.into()));
        }
    };
    default("PATH", PATH);
    if console {
        default("TERM", "xterm");
    }
    fine.then_some(environment)
}

/// The kernel ends texts at a zero byte: one in the middle would change what is run.
fn refuse_zeros(parameters: &ProcessParameters, notes: &mut Notes) {
    let texts = [
        ("$.ApplicationName", parameters.application_name.as_deref()),
        ("$.CommandLine", parameters.command_line.as_deref()),
        ("$.User", parameters.user.as_deref()),
    ];
    let arguments = parameters.command_args.iter().flatten();
    let arguments = arguments.map(|argument| ("$.CommandArgs", Some(argument.as_str())));
    for (at, text) in texts.into_iter().chain(arguments) {
        if text.is_some_and(|text| text.contains('\0')) {
            notes.invalid(at, "a text for a process must not contain 0");
        }
    }
}

/// What HcsModifyProcess asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessChange {
    Resize(ConsoleSize),
    Close(Vec<StandardStream>),
}

/// Reads what HcsModifyProcess is given.
///
/// # Errors
/// HCS_E_INVALID_JSON for what is not the schema's or lacks what its Operation needs; E_INVALIDARG for a size of nothing.
pub fn read_process_modify(text: &str) -> Result<ProcessChange, Failure> {
    let request: ProcessModifyRequest = hcs::parse(text)?;
    let refuse = |code, at: &str, why: &str| Err(Failure::new(code, why).at(at).in_document(text));
    let operation = request.operation.unwrap_or_default();
    match (operation, request.console_size, request.close_handle) {
        (ModifyOperation::ConsoleSize, Some(size), _) => match (size.height, size.width) {
            (Some(rows), Some(columns)) if rows > 0 && columns > 0 => {
                Ok(ProcessChange::Resize(ConsoleSize { rows, columns }))
            }
            _ => {
                let why = "a console has at least one row and one column";
                refuse(HResult::E_INVALIDARG, "$.ConsoleSize", why)
            }
        },
        (ModifyOperation::CloseHandle, _, Some(close)) => {
            use StandardStream::{Error, Input, Output};
            Ok(ProcessChange::Close(match close.handle.unwrap_or_default() {
                StdHandle::StdIn => vec![Input],
                StdHandle::StdOut => vec![Output],
                StdHandle::StdErr => vec![Error],
                _ => vec![Input, Output, Error],
            }))
        }
        (operation, ..) => {
            let why = alloc::format!("{operation} needs the member of that name");
            refuse(HResult::HCS_E_INVALID_JSON, "$", &why)
        }
    }
}

/// Reads what HcsSignalProcess is given. Without a document, and for the number 0, the process is killed: that is how clients of
/// containers end one (hcs.md 3.6).
///
/// # Errors
/// HCS_E_INVALID_JSON for what is no signal.
pub fn read_signal(text: &str) -> Result<Signal, Failure> {
    let options: SignalProcessOptions = hcs::parse_optional(text)?;
    Ok(match options.signal {
        None | Some(hcs::Signal::Number(0)) => Signal::KILL,
        Some(hcs::Signal::Event(event)) => match event {
            ProcessSignal::CtrlC => Signal::INTERRUPT,
            ProcessSignal::CtrlBreak => Signal::QUIT,
            ProcessSignal::CtrlShutdown => Signal::TERMINATE,
            _ => Signal::HANGUP,
        },
        Some(hcs::Signal::Number(number)) => {
            let known = u8::try_from(number).ok().filter(|number| (1..=64).contains(number));
            let Some(known) = known else {
                let why = alloc::format!("{number} is not a signal; there are 1 to 64");
                let failure = Failure::new(HResult::HCS_E_INVALID_JSON, why).at("$.Signal");
                return Err(failure.in_document(text));
            };
            Signal(known)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_process_is_read() {
        let text = r#"{"CommandArgs":["sh","-c","exit 42"],"WorkingDirectory":"/","Environment":{"PATH":"/bin"},
            "EmulateConsole":true,"ConsoleSize":[30,90],"CreateStdInPipe":true,"CreateStdOutPipe":true,
            "CreateStdErrPipe":true,"User":""}"#;
        let (launch, warnings) = read_process(text).expect("canonical");
        assert_eq!(warnings, []);
        assert_eq!(launch.arguments, ["sh", "-c", "exit 42"]);
        assert_eq!(launch.console, Some(ConsoleSize { rows: 30, columns: 90 }));
        assert_eq!((launch.stdin, launch.stdout, launch.stderr), (true, true, false));
        let environment =
            [("PATH".to_string(), "/bin".to_string()), ("TERM".into(), "xterm".into())];
        assert_eq!(launch.environment, environment);
        assert_eq!(launch.user, None);
    }

    #[track_caller]
    fn refused(text: &str, code: HResult, at: &str) {
        let failure = read_process(text).expect_err("a mistake");
        assert_eq!((failure.hresult, failure.path.as_deref()), (code, Some(at)), "{failure}");
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        refused("{}", HResult::E_INVALIDARG, "$.CommandArgs");
        refused(r#"{"CommandLine":"sh -c 'x"}"#, HResult::E_INVALIDARG, "$.CommandLine");
        refused(
            r#"{"CommandLine":"a","Detached":true}"#,
            HResult::HCS_E_INVALID_JSON,
            "$.Detached",
        );
        refused(
            r#"{"CommandLine":"a","WorkingDirectory":"C:\\"}"#,
            HResult::E_INVALIDARG,
            "$.WorkingDirectory",
        );
        refused(
            r#"{"CommandLine":"a","UseExistingLogin":true}"#,
            HResult::ERROR_NOT_FOUND,
            "$.UseExistingLogin",
        );
        refused(
            r#"{"CommandLine":"a","CreateInUtilityVM":true}"#,
            HResult::ERROR_NOT_SUPPORTED,
            "$.CreateInUtilityVM",
        );
        refused(
            r#"{"CommandLine":"a","Environment":{"a=b":""}}"#,
            HResult::E_INVALIDARG,
            r#"$.Environment["a=b"]"#,
        );
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, signal) in [
            ("", Signal::KILL),
            ("{}", Signal::KILL),
            (r#"{"Signal":"CtrlC"}"#, Signal::INTERRUPT),
            (r#"{"Signal":"CtrlBreak"}"#, Signal::QUIT),
            (r#"{"Signal":"CtrlClose"}"#, Signal::HANGUP),
            (r#"{"Signal":"CtrlLogOff"}"#, Signal::HANGUP),
            (r#"{"Signal":"CtrlShutdown"}"#, Signal::TERMINATE),
            (r#"{"Signal":0}"#, Signal::KILL),
            (r#"{"Signal":10}"#, Signal(10)),
        ] {
            assert_eq!(read_signal(text).expect("a signal"), signal, "{text}");
        }
        for wrong in [r#"{"Signal":"SIGTERM"}"#, r#"{"Signal":65}"#, r#"{"Signal":-1}"#] {
            let failure = read_signal(wrong).expect_err("no signal");
            assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON);
        }
    }

    #[test]
    fn changes_say_what_they_need() {
        let resize = r#"{"Operation":"ConsoleSize","ConsoleSize":{"Height":40,"Width":132}}"#;
        let size = ConsoleSize { rows: 40, columns: 132 };
        assert_eq!(read_process_modify(resize), Ok(ProcessChange::Resize(size)));
        let close = r#"{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdIn"}}"#;
        let input = ProcessChange::Close(vec![StandardStream::Input]);
        assert_eq!(read_process_modify(close), Ok(input));
        assert!(read_process_modify(r#"{"Operation":"CloseHandle"}"#).is_err());
        assert!(read_process_modify(r#"{"Operation":"ConsoleSize","ConsoleSize":{}}"#).is_err());
    }
}
