//! What programs use around the engine: running something in a namespace, an ordinary user's own host, the doctor.
//!
//! Joining a user namespace takes a process with one thread, and becoming another program ends the test; so these tests run the
//! example `host_tools`, which cargo builds along with them.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::path::PathBuf;

use hostcompute_engine::plan::{Fact, Resolver};
use hostcompute_linux::doctor::{Severity, examine};
use lab::facts::{guid, nat};
use lab::{Lab, exec, privileged};

/// A program beside the crate, as cargo built it.
fn example(name: &str) -> PathBuf {
    let built = std::env::current_exe().unwrap();
    let built = built.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    assert!(built.exists(), "run `cargo build -p hostcompute-linux --examples` first");
    built
}

/// The example, copied to where every user may run it.
fn tools(lab: &Lab) -> PathBuf {
    let copy = lab.directory.join("host_tools");
    std::fs::copy(example("host_tools"), &copy).unwrap();
    copy
}

#[test]
fn the_measurement_of_attaching_runs_and_leaves_nothing_different() {
    if !privileged() {
        return;
    }
    let told = exec(&format!("{} 10 1", example("attach_cost").display()));
    assert!(told.contains("attach") && told.contains(" 0 differences"), "{told}");
}

#[test]
fn a_program_in_a_namespace_sees_its_network_and_its_resolver() {
    let Some(mut lab) = Lab::new() else { return };
    let mut facts = nat(1);
    let content = "nameserver 10.1.0.53\nsearch example.test\n".to_owned();
    facts.push(Fact::Resolver(Resolver { netns: guid(102), content: content.clone() }));
    lab.bring(&facts);
    lab.check();
    let tools = tools(&lab);
    let (netns, resolver) = (lab.linux.netns_path(guid(102)), lab.linux.resolver_path(guid(102)));
    let run = format!("{} exec {} {}", tools.display(), netns.display(), resolver.display());
    assert!(exec(&format!("{run} ip -o addr")).contains("10.1.0.2/24"));
    assert_eq!(exec(&format!("{run} cat /etc/resolv.conf")), content);
    // The host keeps its own.
    assert_ne!(std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(), content);
    // Exit status and signals are the program's own.
    let status = |line: &str| {
        let mut words = run.split(' ').chain(line.split(' '));
        std::process::Command::new(words.next().unwrap()).args(words).status().unwrap()
    };
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status("false").code(), Some(1));
    assert_eq!(status("sh -c kill$IFS-9$IFS$$").signal(), Some(9));
    assert_eq!(status("/nowhere/at/all").code(), Some(1));
}

#[test]
fn an_ordinary_user_gets_a_host_that_later_commands_find_again() {
    let Some(lab) = Lab::new() else { return };
    let tools = tools(&lab);
    let home = lab.directory.join("user");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    let user = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let run = format!("{user} {} rootless {}/run", tools.display(), home.display());
    assert!(exec(&format!("{run} id -u")).trim() == "0", "root inside");
    exec(&format!("{run} ip link add mark type bridge"));
    assert!(exec(&format!("{run} ip -o link show mark")).contains("mark"), "the same host again");
    let ours = exec("ip -o link");
    assert!(!ours.contains("mark"), "the host outside is another one");
    let holder = std::fs::read_to_string(home.join("run/holder")).unwrap();
    let pid = holder.split(' ').next().unwrap().to_owned();
    exec(&format!("{user} {} end {}/run", tools.display(), home.display()));
    let gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie waits for whoever inherited it.
        stat.is_empty() || stat.contains(") Z ")
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !gone() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(gone(), "the holder ended");
    // A new one is another host.
    assert!(!exec(&format!("{run} ip -o link")).contains("mark"));
    exec(&format!("{user} {} end {}/run", tools.display(), home.display()));
}

#[test]
fn an_ordinary_user_has_a_working_host_even_for_large_plans() {
    let Some(lab) = Lab::new() else { return };
    let tools = tools(&lab);
    let home = lab.directory.join("user");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    let user = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let run = format!("{user} {} rootless {}/run", tools.display(), home.display());
    let sample = |ports: u16| {
        exec(&format!("{run} {} sample {}/run {ports}", tools.display(), home.display()))
    };
    assert_eq!(sample(10), "0 differences\n");
    // More than the socket of an ordinary user takes at once.
    assert_eq!(sample(20_000), "0 differences\n");
    exec(&format!("{user} {} end {}/run", tools.display(), home.display()));
}

#[test]
fn without_privilege_the_failure_says_so_and_what_to_do() {
    let Some(lab) = Lab::new() else { return };
    let home = lab.directory.join("user");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(tools(&lab))
        .args([std::ffi::OsStr::new("sample"), home.as_os_str(), std::ffi::OsStr::new("1")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("0x80070005") && text.contains("rootless"), "{text}");
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_kernel_that_runs_the_other_tests() {
    let Some(mut lab) = Lab::new() else { return };
    let serious = |lab: &mut Lab| {
        let mut findings = examine(Some(&mut lab.linux));
        findings.retain(|finding| finding.severity >= Severity::Warning);
        findings
    };
    assert_eq!(serious(&mut lab), []);
    lab.host.exec("nft add table ip filter");
    lab.host.exec(
        "nft add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
    );
    let found = serious(&mut lab);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].found.contains("chain ip filter FORWARD"), "{found:?}");
}

#[test]
fn the_doctor_is_of_use_to_ordinary_users_too() {
    if !privileged() {
        return;
    }
    let Some(lab) = Lab::new() else { return };
    let user = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let text = exec(&format!("{user} {} doctor", tools(&lab).display()));
    assert!(text.contains("problem: network namespaces"), "{text}");
    assert!(text.contains("rootless"), "{text}");
}
