//! What needs no host: help, versions, the schema, completions, wrong usage, readers that go away.

mod sandbox;

use std::io::Read;
use std::process::Stdio;

use sandbox::{Said, examples, hc, repository};

#[test]
fn help_and_version_go_to_standard_output() {
    for arguments in [
        &["--help"][..],
        &["network", "--help"],
        &["up", "--help"],
        &["namespace", "add", "--help"],
    ] {
        assert!(Said::of(&mut hc(arguments)).ok().contains("Usage:"), "{arguments:?}");
    }
    assert_eq!(Said::of(&mut hc(&["version"])).ok(), format!("hc {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["up"],
        &["network", "create", "--id", "not-a-guid", "x"],
        &["-o", "xml", "check"],
        &["schema", "openapi", "--version", "two"],
    ] {
        Said::of(&mut hc(arguments)).refused(2);
    }
}

#[test]
fn completions_exist_for_the_common_shells() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            Said::of(&mut hc(&["completions", shell])).ok().contains("loadbalancer"),
            "{shell}"
        );
    }
}

#[test]
fn the_schema_is_what_is_committed() {
    for (api, format, file) in [
        ("hcn", "swagger2", "hcn.swagger.json"),
        ("hcn", "openapi3", "hcn.openapi.json"),
        ("hcs", "swagger2", "hcs.swagger.json"),
        ("hcs", "openapi3", "hcs.openapi.json"),
        ("service", "openapi3", "service.openapi.json"),
    ] {
        let committed =
            std::fs::read_to_string(repository().join("docs/api").join(file)).expect("committed");
        let printed =
            Said::of(&mut hc(&["schema", "openapi", "--api", api, "--format", format])).ok();
        assert!(printed == committed, "docs/api/{file} is not what hc prints");
    }
    let older =
        Said::of(&mut hc(&["schema", "openapi", "--format", "swagger2", "--version", "2.0"])).ok();
    assert!(!older.contains("TierAcl") && older.contains("HostComputeNetwork"));
    for unwanted in [["--format", "swagger2"], ["--version", "2.0"]] {
        let words = [&["schema", "openapi", "--api", "service"], &unwanted[..]].concat();
        Said::of(&mut hc(&words)).refused(1);
    }
}

#[test]
fn every_example_is_a_valid_host_document() {
    for path in examples() {
        let said = Said::of(&mut hc(&["schema", "validate", &path]));
        assert_eq!(said.err, "", "{path}");
        assert!(said.ok().ends_with("a valid HostDocument\n"));
    }
}

#[test]
fn mistakes_are_told_with_file_line_and_code() {
    let file = std::env::temp_dir().join(format!("hc-usage-{}.json", std::process::id()));
    std::fs::write(&file, "{\n  \"Networks\": [{ \"Flags\": \"blue\" }]\n}").expect("written");
    let said = Said::of(&mut hc(&["schema", "validate", file.to_str().expect("text")])).refused(1);
    std::fs::remove_file(&file).expect("removed");
    for part in
        [file.to_str().expect("text"), "Networks[0].Flags", "2:18", "0x803b001b HCN_E_INVALID_JSON"]
    {
        assert!(said.contains(part), "{said}");
    }
    let missing = Said::of(&mut hc(&["schema", "validate", "/nowhere/at/all"])).refused(1);
    assert!(missing.contains("/nowhere/at/all") && missing.lines().count() == 1, "{missing}");
}

/// As strictly as the compute service reads them, at their place in the host's document.
#[test]
fn compute_systems_of_a_host_document_are_checked() {
    let file = std::env::temp_dir().join(format!("hc-systems-{}.json", std::process::id()));
    let text = r#"{ "ComputeSystems": [
        { "Id": "a", "SchemaVersion": { "Major": 2 }, "Container": { "Memory": { "SizeInMB": "much" },
          "Foo": 1 },
          "Processes": [{ "CommandArgs": 7 }] },
        { "Id": "b", "SchemaVersion": { "Major": 2 } }] }"#;
    std::fs::write(&file, text).expect("written");
    let said = Said::of(&mut hc(&["schema", "validate", file.to_str().expect("text")])).refused(1);
    std::fs::remove_file(&file).expect("removed");
    for part in [
        "(at ComputeSystems[0].Container.Memory.SizeInMB, 2:",
        "(at ComputeSystems[0].Container.Foo, 3:",
        "(at ComputeSystems[0].Processes[0].CommandArgs, 4:",
        "(at ComputeSystems[1], 5:",
        "0x8037010d HCS_E_INVALID_JSON",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn listening_without_a_service_says_what_to_do_instead() {
    for words in [&["events", "--embedded"][..], &["events", "--socket", "/nowhere/at/all"]] {
        assert!(Said::of(&mut hc(words)).refused(1).contains("hc up --events"), "{words:?}");
    }
    Said::of(&mut hc(&["events", "--network", "web"])).refused(2);
}

#[test]
fn a_socket_where_nothing_listens_is_told() {
    let said = Said::of(&mut hc(&["--socket", "/nowhere/at/all", "network", "ls"])).refused(1);
    assert!(
        said.contains("/nowhere/at/all") && said.contains("RPC_S_SERVER_UNAVAILABLE"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// `hc … | head -1`: the reader has enough, and nobody complains.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = hc(&["schema", "openapi"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
    assert_eq!((child.wait().expect("ended").code(), err.as_str()), (Some(0), ""));
}
