//! Systems of host documents, made by a session: they are there with what runs in them, found again, and gone when they are taken down.

use hostcompute_engine::compute::sim::{Doing, Trouble};
use hostcompute_schema::HResult;
use hostcompute_service::apply::Systems;
use serde_json::json;

use crate::lab::{Lab, container, process};

#[test]
fn a_wished_system_runs_and_outlives_who_wished_it() {
    let lab = Lab::default();
    let client = lab.client();
    client.make("web", &container().to_string()).expect("made");
    client.run("web", &process(&["serve"]).to_string()).expect("runs");
    assert_eq!(client.handles(), (0, 0), "nobody keeps a handle");
    drop(client);
    let present = lab.client().present().expect("readable");
    assert_eq!((present.len(), &*present[0].id, &present[0].document), (1, "web", &container()));
    let other = Lab::on(&lab.machine, &lab.nets);
    assert_eq!(other.client().present().expect("readable"), present);
    Systems::end(&other.client(), "WEB").expect("ended");
    Systems::end(&other.client(), "web").expect("gone is as good");
    assert_eq!(lab.client().present().expect("readable"), []);
}

#[test]
fn what_cannot_start_leaves_nothing() {
    let lab = Lab::default();
    let client = lab.client();
    let mut leashed = container();
    leashed["ShouldTerminateOnLastHandleClosed"] = json!(true);
    let refused = client.make("web", &leashed.to_string()).expect_err("nobody would hold it");
    assert_eq!(refused.path.as_deref(), Some("ShouldTerminateOnLastHandleClosed"));
    lab.machine.order(Doing::Start, Trouble::DiesBefore);
    let refused = client.make("web", &container().to_string()).expect_err("not today");
    assert_ne!(refused.hresult, HResult::S_OK);
    assert_eq!((client.present().expect("readable"), client.handles()), (Vec::new(), (0, 0)));
}
