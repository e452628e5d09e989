//! The console in a real browser, on a real daemon with real objects and packets, in a network namespace of its own.
//!
//! `cargo xtask test console` installs Chromium and runs these.

mod browser;
#[path = "../lab/mod.rs"]
mod lab;

use browser::Browser;
use lab::{Daemon, Machine, repository};
use serde_json::{Value, json};

const ADDRESS: &str = "127.0.0.1:8642";

/// Documents as schema 2 has them.
const IN_TWO: &str = "?query=%7B%22SchemaVersion%22%3A%7B%22Major%22%3A2%7D%7D";

/// A daemon with a console whose token stays.
fn daemon(machine: &Machine) -> (Daemon, String) {
    let file = machine.path("token");
    let configuration = format!(
        "[console]\nlisten = \"{ADDRESS}\"\ntoken-file = \"{}\"\n[log]\nfilter = \"info,audit=off\"\n",
        file.display()
    );
    let daemon = machine.daemon_with(&configuration);
    let token = std::fs::read_to_string(file).expect("the token");
    (daemon, token.trim().to_owned())
}

fn console(machine: &Machine, token: &str) -> Browser {
    let mut browser = Browser::new(machine, 1440, 900);
    browser.open(&format!("http://{ADDRESS}/#token={token}"));
    browser.wait(
        "document.body.dataset.phase === 'live' && document.querySelector('.glance b').textContent",
    );
    browser
}

/// Makes what a file of the examples asks for.
#[track_caller]
fn up(daemon: &Daemon, example: &str) {
    let text =
        std::fs::read_to_string(repository().join("examples").join(example)).expect("an example");
    daemon.ask("POST", "/host/up", &text).ok();
}

/// The document of the object of this name, as the API tells it.
#[track_caller]
fn document(daemon: &Daemon, kind: &str, name: &str) -> Value {
    let ids = daemon.ask("GET", &format!("/{kind}"), "").ok();
    let ids = ids.as_array().expect("ids").clone();
    let mut documents = ids.iter().map(|id| {
        let id = id.as_str().expect("an id");
        daemon.ask("GET", &format!("/{kind}/{id}{IN_TWO}"), "").ok()
    });
    documents.find(|document| document["Name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

/// A selector for what stands for an object.
fn card(document: &Value) -> String {
    format!(".endpoint[data-id=\"{}\"]", document["ID"].as_str().expect("an id"))
}

/// What is between the lines of a page that did well.
#[track_caller]
fn assert_clean(browser: &mut Browser, token: &str) {
    assert_eq!(browser.complaints(), Vec::<Value>::new());
    let origin = format!("http://{ADDRESS}/");
    for (url, _) in browser.requests() {
        assert!(url.starts_with(&origin) || url.starts_with("about:"), "{url}");
    }
    let later = browser.requests().into_iter().skip(1);
    for (url, headers) in later {
        assert!(!url.contains(token), "{url}");
        let file = [".js", ".css", ".svg"].iter().any(|end| url.ends_with(end));
        assert!(file || headers["Authorization"] == format!("Bearer {token}"), "{url} {headers}");
    }
    assert!(!browser.text("location.href").contains(token));
}

#[test]
#[ignore = "needs Chromium: cargo xtask test console"]
fn the_page_shows_what_the_service_says_and_follows_it() {
    let Some(machine) = Machine::new() else { return };
    let (daemon, token) = daemon(&machine);
    let mut browser = console(&machine, &token);
    browser.wait("document.querySelector('.empty').innerText.includes('No networks yet')");
    browser.value("window.loaded = 'once'");
    up(&daemon, "web.json");
    up(&daemon, "policies.json");
    let front = document(&daemon, "endpoints", "front");
    browser.wait(&format!("document.querySelector('{}')", card(&front)));
    browser.wait("document.querySelectorAll('.endpoint').length === 5 && document.querySelectorAll('.balancer').length === 2");
    for (selector, text) in [
        (card(&front), "172.28.0.10"),
        (card(&front), "in namespace front"),
        (card(&front), "tcp 8080 → 80"),
        (card(&front), "⊘ 3 ACL"),
        (".host".into(), "tcp 8080 → front:80"),
        (".balancer".into(), "10.96.0.10 tcp 80 → 8000"),
        (".network".into(), "NAT · host and outside"),
        (".network".into(), "gateway 172.28.0.1"),
    ] {
        let shown = browser.text(&format!("document.querySelector('{selector}').innerText"));
        assert!(shown.contains(text), "{text}: {shown}");
    }
    // Two backends of two load balancers each: as many ends of rails.
    browser.wait("[...document.querySelectorAll('.rails .knob')].map((knob) => knob.getAttribute('d').split('M').length - 1).join() === '2,2'");

    // What has an event, and what has none.
    let network = document(&daemon, "networks", "web")["ID"].as_str().expect("an id").to_owned();
    let new = daemon
        .ask(
            "POST",
            &format!("/networks/{network}/endpoints"),
            &json!({ "Name": "late" }).to_string(),
        )
        .id();
    browser
        .wait(&format!("document.querySelector('.endpoint[data-id=\"{new}\"][data-state=loose]')"));
    let namespace =
        daemon.ask("POST", "/namespaces", &json!({ "Name": "latecomer" }).to_string()).id();
    let attach = json!({ "ResourceType": "Endpoint", "RequestType": "Add", "Settings": { "EndpointId": new } });
    daemon.ask("PATCH", &format!("/namespaces/{namespace}"), &attach.to_string()).ok();
    browser.wait(&format!("document.querySelector('.endpoint[data-id=\"{new}\"][data-state=attached]')?.innerText.includes('latecomer')"));
    let balancer = json!({ "Name": "late-service", "HostComputeEndpoints": [new], "FrontendVIPs": ["10.96.0.77"],
        "PortMappings": [{ "Protocol": 6, "ExternalPort": 80, "InternalPort": 80 }] });
    daemon.ask("POST", "/loadbalancers", &balancer.to_string()).id();
    browser.wait("[...document.querySelectorAll('.balancer')].some((node) => node.innerText.includes('late-service'))");
    daemon.ask("DELETE", &format!("/namespaces/{namespace}"), "").ok();
    daemon.ask("DELETE", &format!("/endpoints/{new}"), "").ok();
    browser.wait(&format!("!document.querySelector('.endpoint[data-id=\"{new}\"]')"));
    browser.click("#tab-events");
    browser.wait("document.querySelector('.events').innerText.includes('NetworkEndpointAttached')");
    browser.wait("[...document.querySelectorAll('.events li')].some((line) => line.innerText.includes('Attached') && line.querySelector('button')?.textContent === 'front')");
    browser.wait("[...document.querySelectorAll('.events li')].some((line) => line.innerText.includes('Detached') && line.innerText.includes('late'))");
    assert_eq!(browser.text("window.loaded"), "once");
    assert_clean(&mut browser, &token);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test console"]
fn details_filters_and_keys_lead_to_every_object() {
    let Some(machine) = Machine::new() else { return };
    let (daemon, token) = daemon(&machine);
    for example in ["web.json", "policies.json", "private.json", "internal.json"] {
        up(&daemon, example);
    }
    let mut browser = console(&machine, &token);
    let database = document(&daemon, "endpoints", "database");
    browser.click(&card(&database));
    browser.wait("document.querySelector('.details h2').textContent === 'database'");
    let shown = browser.text("document.querySelector('.document').textContent");
    assert_eq!(serde_json::from_str::<Value>(&shown).expect("the document"), database);
    let details = browser.text("document.querySelector('.details').innerText");
    assert!(details.contains("Allow in tcp from 10.79.0.20/32 local port 5432"), "{details}");
    assert!(details.contains("Block everything else"), "{details}");
    // Ids in documents lead to what they name.
    browser.click(&format!(
        ".document .link[data-open=\"{}\"]",
        database["HostComputeNetwork"].as_str().expect("an id")
    ));
    browser.wait("document.querySelector('.details h2').textContent === 'guarded'");
    browser.press("Escape");
    browser.wait("document.querySelector('.details .none').offsetParent");

    let seen = "[...document.querySelectorAll('.endpoint')].map((node) => node.querySelector('b').textContent).join()";
    browser.press("/");
    browser.wait("document.activeElement.id === 'search'");
    for key in ["1", "0", ".", "7", "9"] {
        browser.press(key);
    }
    browser.wait(&format!("{seen} === 'database,client'"));
    browser.press("Escape");
    browser.wait(&format!("{seen}.split(',').length === 10"));
    browser.click("[data-filter='is:published']");
    browser.wait(&format!("{seen} === 'front'"));
    assert_eq!(browser.text("document.querySelector('#matches').textContent"), "1 match");
    browser.click("[data-filter='is:published']");
    browser.value("document.querySelector('#search').value = 'nowhere-to-be-found'; document.querySelector('#search').dispatchEvent(new Event('input'))");
    browser.wait("document.querySelector('.empty').innerText.includes('Nothing matches')");
    browser.value("document.querySelector('#search').focus()");
    browser.press("Escape");
    browser.wait(&format!("{seen}.split(',').length === 10"));

    // Arrow keys walk through the picture.
    browser.value("document.querySelector('.endpoint').focus()");
    let first = browser.text("document.activeElement.dataset.id");
    browser.press("ArrowRight");
    browser.wait(&format!("document.activeElement.matches('.endpoint') && document.activeElement.dataset.id !== '{first}'"));
    browser.press("ArrowLeft");
    browser.wait(&format!("document.activeElement.dataset.id === '{first}'"));
    browser.click("#theme");
    assert_eq!(browser.text("document.documentElement.dataset.theme"), "light");
    assert_clean(&mut browser, &token);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test console"]
fn traffic_shows_as_rates_and_flows() {
    let Some(machine) = Machine::new() else { return };
    let (daemon, token) = daemon(&machine);
    up(&daemon, "web.json");
    let mut browser = console(&machine, &token);
    let front = document(&daemon, "endpoints", "front");
    let ping = ping(&machine, &daemon, "front", "172.28.0.11", "0.02");
    browser.wait(&format!("document.querySelector('{}').innerText.includes('kB/s')", card(&front)));
    browser.wait("document.querySelector('.figure.wide').innerText.includes('kB/s')");
    browser.wait("document.querySelector('.busy').innerText.includes('front') && document.querySelector('.busy').innerText.includes('app-1')");
    browser.click("#tab-flows");
    browser.wait("[...document.querySelectorAll('.flows .way')].some((way) => way.innerText.replace(/\\s+/g, '') === 'front→app-1')");
    browser.wait("document.querySelector('.currents .flow')");
    drop(ping);
    assert_clean(&mut browser, &token);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test console"]
fn a_wrong_token_is_refused_and_the_right_one_opens() {
    let Some(machine) = Machine::new() else { return };
    let (_daemon, token) = daemon(&machine);
    let mut browser = Browser::new(&machine, 1000, 700);
    browser.open(&format!("http://{ADDRESS}/"));
    browser.wait("document.querySelector('#gate').open");
    assert!(browser.told("Network.requestWillBeSent").len() > 3);
    browser.value("document.querySelector('#gate-token').value = 'wrong'");
    browser.click("#gate .go");
    browser.wait("document.querySelector('#gate').open && document.querySelector('#gate-why').innerText.includes('refused')");
    assert_eq!(browser.value("document.querySelectorAll('.network').length"), 0);
    browser.value(&format!("document.querySelector('#gate-token').value = '{token}'"));
    browser.click("#gate .go");
    browser.wait("document.body.dataset.phase === 'live' && !document.querySelector('#gate').open");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test console"]
fn the_page_waits_for_a_service_that_restarts_and_goes_on() {
    let Some(machine) = Machine::new() else { return };
    let (running, token) = daemon(&machine);
    up(&running, "web.json");
    let mut browser = console(&machine, &token);
    browser.wait("document.querySelectorAll('.endpoint').length === 3");
    let namespace = running.ask("POST", "/namespaces", "{}").id();
    browser.wait("document.querySelector('#tab-events .badge').textContent");
    running.stop();
    browser.wait(
        "document.body.dataset.phase === 'lost' && !document.querySelector('#banner').hidden",
    );
    assert!(
        browser.text("document.querySelector('#banner').innerText").contains("does not answer")
    );
    assert_eq!(browser.value("document.querySelectorAll('.endpoint').length"), 3);
    let (again, _) = daemon(&machine);
    browser
        .wait("document.body.dataset.phase === 'live' && document.querySelector('#banner').hidden");
    again.ask("DELETE", &format!("/namespaces/{namespace}"), "").ok();
    browser.click("#tab-events");
    browser.wait("document.querySelector('.events').innerText.includes('NamespaceDelete')");
    let mut resumed = browser.requests().into_iter().filter(|(url, _)| url.ends_with("/events"));
    let last = resumed.next_back().expect("asked for events");
    assert!(last.1["Last-Event-ID"].is_string(), "{last:?}");
}

/// What is drawn stays within the page, in both themes and on narrow screens. Where `HOSTCOMPUTE_PICTURES` names a folder, the
/// pictures are kept there, to be looked at.
#[test]
#[ignore = "needs Chromium: cargo xtask test console"]
fn everything_has_its_place_in_both_themes_and_on_narrow_screens() {
    let Some(machine) = Machine::new() else { return };
    let (daemon, token) = daemon(&machine);
    for example in ["web.json", "policies.json", "private.json", "internal.json"] {
        up(&daemon, example);
    }
    daemon.ask("POST", "/host/up", &attached(many("workers", 10), 8).to_string()).ok();
    let pings = [
        ("front", "172.28.0.11", "0.004"),
        ("app-1", "172.28.0.12", "0.05"),
        ("node-1", "10.78.0.5", "0.03"),
        ("lab-a", "10.77.0.5", "0.05"),
        ("worker-1", "10.244.0.6", "0.02"),
    ];
    let pings = pings.map(|(from, to, seconds)| ping(&machine, &daemon, from, to, seconds));
    let mut browser = console(&machine, &token);
    browser.wait("document.querySelectorAll('.busy li').length === 9 && document.querySelectorAll('.endpoint').length === 20");
    let front = document(&daemon, "endpoints", "front");
    for theme in ["light", "dark"] {
        browser.theme(theme);
        keep(&mut browser, &format!("20-{theme}"));
        browser.click(&card(&front));
        browser.wait("document.querySelector('.details h2').textContent === 'front'");
        keep(&mut browser, &format!("20-{theme}-details"));
        browser.press("Escape");
        browser.click("#tab-busy");
    }
    for width in [1440, 1100, 700] {
        browser.resize(width, 900);
        browser.wait("document.documentElement.scrollWidth <= innerWidth");
        let wide = "[...document.querySelectorAll('.map, .page, .host, .network, .body')].filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.className)";
        assert_eq!(browser.value(wide), json!([]), "{width}");
    }
    keep(&mut browser, "20-narrow");
    drop(pings);
    assert_clean(&mut browser, &token);
}

/// Keeps a picture of the page where somebody wants them.
fn keep(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("HOSTCOMPUTE_PICTURES") {
        // Curves of some length.
        browser.wait(
            "document.querySelector('.figure.wide .out').getAttribute('d').split('L').length > 24",
        );
        let path = std::path::Path::new(&folder).join(format!("console-{name}.png"));
        std::fs::write(path, browser.picture()).expect("a picture");
    }
}

/// A ping that goes on until it is dropped.
struct Ping(std::process::Child);

impl Drop for Ping {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

/// Pings from an endpoint's namespace, with packets that are larger than what counts as busy.
#[track_caller]
fn ping(machine: &Machine, daemon: &Daemon, from: &str, to: &str, seconds: &str) -> Ping {
    let endpoint = document(daemon, "endpoints", from);
    let namespace = endpoint["HostComputeNamespace"].as_str().expect("attached");
    let place = daemon.ask("GET", &format!("/namespaces/{namespace}/place"), "").ok();
    let netns = format!("--net={}", place["Netns"].as_str().expect("a file"));
    let mut command = machine.command("nsenter");
    command.args([&*netns, "ping", "-q", "-i", seconds, "-s", "1000", to]);
    Ping(command.stdout(std::process::Stdio::null()).spawn().expect("ping"))
}

#[test]
#[ignore = "needs Chromium: cargo xtask test console"]
fn five_hundred_endpoints_are_one_picture_and_change_one_by_one() {
    let Some(machine) = Machine::new() else { return };
    let (daemon, token) = daemon(&machine);
    // Namespaces take their time; for a picture it is worth it.
    let count = if std::env::var_os("HOSTCOMPUTE_PICTURES").is_some() { 470 } else { 24 };
    daemon.ask("POST", "/host/up", &attached(many("pods", 500), count).to_string()).ok();
    let pings = [(1, 2, "0.002"), (3, 17, "0.01"), (5, 8, "0.03"), (9, 20, "0.1"), (12, 13, "0.2")];
    let pings = pings.map(|(from, to, seconds)| {
        let to = document(&daemon, "endpoints", &format!("pod-{to}"));
        let to = to["IpConfigurations"][0]["IpAddress"].as_str().expect("an address");
        ping(&machine, &daemon, &format!("pod-{from}"), to, seconds)
    });
    let mut browser = console(&machine, &token);
    browser.wait("document.querySelectorAll('.endpoint.cell').length === 500");
    assert_eq!(
        browser.text("document.querySelector('.endpoints:not(.busiest)').dataset.draft"),
        "cell"
    );
    browser.wait("document.querySelectorAll('.busy li').length === 10 && document.querySelectorAll('.busiest .endpoint').length === 4");
    for theme in ["light", "dark"] {
        browser.theme(theme);
        keep(&mut browser, &format!("500-{theme}"));
    }
    drop(pings);
    // Elements that stay carry a mark of ours.
    browser
        .value("document.querySelectorAll('.endpoint.cell').forEach((node) => (node.mark = true))");
    let gone = document(&daemon, "endpoints", "pod-70");
    daemon.ask("DELETE", &format!("/endpoints/{}", gone["ID"].as_str().expect("an id")), "").ok();
    browser.wait("document.querySelectorAll('.endpoint.cell').length === 499");
    browser.wait("[...document.querySelectorAll('.endpoint.cell')].every((node) => node.mark)");
    let asked = browser.requests();
    let single = asked.iter().filter(|(url, _)| url.contains("/endpoints/")).count();
    assert_eq!(single, 0, "documents and statistics come in one answer");
    // A filter lowers the number, and so raises the detail.
    browser.value("document.querySelector('#search').value = 'pod-49'; document.querySelector('#search').dispatchEvent(new Event('input'))");
    browser.wait("document.querySelectorAll('.endpoint.card').length === 11");
    assert_clean(&mut browser, &token);
}

/// A host document with so many endpoints.
fn many(network: &str, endpoints: usize) -> Value {
    let endpoint = |number: usize| {
        let mut policies = Vec::new();
        if number.is_multiple_of(20) {
            policies.push(json!({ "Type": "PortMapping",
                "Settings": { "Protocol": 6, "InternalPort": 80, "ExternalPort": 9000 + number } }));
        }
        if number.is_multiple_of(11) {
            policies.push(json!({ "Type": "ACL", "Settings": { "Action": "Allow", "Direction": "In", "Priority": 100 } }));
        }
        json!({ "Name": format!("{}-{number}", network.trim_end_matches('s')), "HostComputeNetwork": network, "Policies": policies })
    };
    json!({
        "Networks": [{ "Name": network, "Type": "NAT", "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.244.0.0/20" }] }] }],
        "Endpoints": (0..endpoints).map(endpoint).collect::<Vec<_>>(),
    })
}

/// The same, with the first so many endpoints in a namespace each.
fn attached(mut host: Value, count: usize) -> Value {
    let names: Vec<Value> =
        (0..count).map(|number| host["Endpoints"][number]["Name"].clone()).collect();
    for (number, name) in names.iter().enumerate() {
        host["Endpoints"][number]["HostComputeNamespace"] = name.clone();
    }
    host["Namespaces"] = names.into_iter().map(|name| json!({ "Name": name })).collect();
    host
}
