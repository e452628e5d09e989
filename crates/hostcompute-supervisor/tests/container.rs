//! Real containers: what processes in them see, and that nothing is left of them.

mod lab;

use hostcompute_supervisor::message::{Cause, Request, Status};
use lab::{Lab, is_possible};

#[test]
fn a_process_runs_and_everything_goes() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new();
    let mut system = lab.create(lab.launch("one")).expect("created");
    system.ask(Request::Start).expect("started");
    let (output, error, status) = system.shell("echo out; echo err >&2; exit 3");
    assert_eq!((output.as_str(), error.as_str()), ("out\n", "err\n"));
    assert_eq!(status, Status::Exited(3));
    assert_eq!(system.prints("hostname"), "one\n");
    let exit = system.terminate();
    assert_eq!(exit.cause, Cause::Terminated);
}
