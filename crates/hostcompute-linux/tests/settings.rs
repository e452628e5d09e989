//! The host's own settings: changed while they must be, put back exactly, by whichever process comes to it.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_engine::host::Host;
use hostcompute_engine::plan::{Fact, Family, Step};
use lab::Lab;

const ON: [Step; 2] =
    [Step::Add(Fact::Forwarding(Family::V4)), Step::Add(Fact::Forwarding(Family::V6))];
const OFF: [Step; 2] =
    [Step::Remove(Fact::Forwarding(Family::V6)), Step::Remove(Fact::Forwarding(Family::V4))];

fn set(lab: &Lab, setting: &str, value: &str) {
    lab.host.run(|| std::fs::write(format!("/proc/sys/net/{setting}"), value).unwrap());
}

#[track_caller]
fn check(lab: &Lab, settings: &[(&str, &str)]) {
    for (setting, value) in settings {
        let found =
            lab.host.run(|| std::fs::read_to_string(format!("/proc/sys/net/{setting}")).unwrap());
        assert_eq!(found.trim(), *value, "{setting}");
    }
}

#[test]
fn every_value_that_the_switch_touches_is_put_back() {
    let Some(mut lab) = Lab::new() else { return };
    // One device forwards on its own account, and another one accepts advertisements in spite of forwarding.
    lab.host.exec("ip link add own0 type bridge");
    let odd = [
        ("ipv4/conf/own0/forwarding", "1"),
        ("ipv4/conf/default/forwarding", "1"),
        ("ipv4/conf/all/accept_redirects", "1"),
        ("ipv6/conf/own0/forwarding", "1"),
        ("ipv6/conf/own0/accept_ra", "2"),
        ("ipv6/conf/up0/accept_ra", "0"),
        ("ipv6/conf/lo/accept_ra", "1"),
    ];
    for (setting, value) in odd {
        set(&lab, setting, value);
    }
    let before = lab.fingerprint();
    lab.perform(&ON);
    check(
        &lab,
        &[
            ("ipv4/conf/all/forwarding", "1"),
            ("ipv4/conf/up0/forwarding", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv6/conf/own0/accept_ra", "2"),
            ("ipv6/conf/up0/accept_ra", "0"),
            // Routes from advertisements go on.
            ("ipv6/conf/lo/accept_ra", "2"),
        ],
    );
    lab.perform(&OFF);
    check(&lab, &odd);
    lab.check_unchanged(&before);
}

#[test]
fn what_was_on_before_stays_on() {
    let Some(mut lab) = Lab::new() else { return };
    set(&lab, "ipv4/conf/all/forwarding", "1");
    set(&lab, "ipv4/conf/up0/forwarding", "0");
    set(&lab, "ipv6/conf/all/forwarding", "1");
    let before = lab.fingerprint();
    lab.perform(&ON);
    lab.perform(&OFF);
    lab.check_unchanged(&before);
}

#[test]
fn another_process_puts_it_back() {
    let Some(mut lab) = Lab::new() else { return };
    let before = lab.fingerprint();
    lab.perform(&ON);
    // Doing it again, as after a crash, does not take our own values for the host's.
    lab.perform(&ON);
    let mut other = lab.reopen();
    other.perform(&ON).unwrap();
    other.perform(&OFF).unwrap();
    drop(other);
    lab.check_unchanged(&before);
}

#[test]
fn values_of_another_boot_or_host_say_nothing_about_this_one() {
    let Some(mut lab) = Lab::new() else { return };
    let before = lab.fingerprint();
    let saved = lab.directory.join("saved.json");
    let stale = r#"{"Boot":"x","Netns":1,"Values":{"ipv4":{"ipv4/conf/all/forwarding":"1"}}}"#;
    std::fs::write(&saved, stale).unwrap();
    lab.perform(&OFF);
    assert_eq!(std::fs::read_to_string(&saved).unwrap(), stale, "not ours to use or to drop");
    lab.perform(&ON);
    lab.perform(&OFF);
    lab.check_unchanged(&before);
    // A damaged file is reported, not guessed at.
    std::fs::write(&saved, "{").unwrap();
    let fault = lab.linux.perform(&ON).unwrap_err();
    assert!(fault.failure.message.contains("saved.json"), "{fault:?}");
}
