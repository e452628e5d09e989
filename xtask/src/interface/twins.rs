//! The asynchronous API has every call of the blocking one: a function in the list of the interface that has no twin there is named, and
//! so is an exception that is none any more.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

/// Where the twins are.
const ASIDE: &str = "hostcompute::asynchronous::";

/// What has none, and why. A word that ends with `::` is about everything below.
const ALONE: &[(&str, &str)] = &[
    ("local::", "the side of a service"),
    ("operation::", "another way not to wait"),
    ("store::", "the side of a service"),
    ("transport::", "the side of a transport"),
    ("Transport::", "the side of a transport"),
    ("ComputeEvents::", "a transport makes them; Heard is what is heard"),
    ("Log::", "a transport makes them; Heard is what is read"),
    ("Subscription::", "a transport makes them; Heard is what is heard"),
    ("events::", "a transport makes subscriptions; Heard is what is heard"),
    ("Stopper::", "does not wait; the same type in both"),
    ("Options::", "asks nobody; the same type in both"),
    ("Address::", "asks nobody; the same type in both"),
    ("handle::", "Object<H> has them for every kind of handle"),
    ("layer::id", "asks nobody on Linux"),
    ("network::internal", "a document"),
    ("network::nat", "a document"),
    ("network::overlay", "a document"),
    ("network::transparent", "a document"),
    ("Host::through", "From<hostcompute::Host> takes any"),
    ("Host::options", "asks nobody: Host::blocking has it"),
];

/// Free functions that are methods there.
const MOVED: &[(&str, &str)] = &[
    ("attach::list_owned", "EndpointAttachment::list_owned"),
    ("attach::delete_endpoint_and_namespace", "EndpointAttachment::delete"),
    ("guest_network_service::reservations", "Host::reservations"),
];

/// Types that are one generic type there.
const OBJECTS: &[&str] =
    &["Endpoint", "GuestService", "LoadBalancer", "Namespace", "Network", "SdnRoute"];

/// Modules whose types the crate shows at its top, too, or that are above those of the asynchronous side.
const LIFTED: &[&str] = &[
    "attach",
    "endpoint",
    "guest_network_service",
    "loadbalancer",
    "namespace",
    "network",
    "route",
];

/// Every function of the list has its twin, or a reason to have none.
///
/// # Errors
/// Functions without one; exceptions that are not needed.
pub fn check(list: &str) -> Result<()> {
    let (aside, before): (Vec<&str>, Vec<&str>) =
        list.lines().filter_map(name).partition(|name| name.starts_with(ASIDE));
    let aside: BTreeSet<&str> = aside.iter().filter_map(|name| name.strip_prefix(ASIDE)).collect();
    let before: BTreeSet<&str> =
        before.iter().filter_map(|name| name.strip_prefix("hostcompute::")).collect();
    let alone = |name: &str| {
        let covers = |word: &str| word == name || word.ends_with("::") && name.starts_with(word);
        ALONE.iter().map(|(word, _)| *word).find(|word| covers(word))
    };
    let missing: Vec<&&str> =
        before.iter().filter(|name| alone(name).is_none() && !has_twin(&aside, name)).collect();
    if !missing.is_empty() {
        bail!("nothing in {ASIDE} stands for these calls: {missing:?}");
    }
    let used: BTreeSet<&str> = before.iter().filter_map(|name| alone(name)).collect();
    let needless: Vec<&str> =
        ALONE.iter().map(|(word, _)| *word).filter(|word| !used.contains(word)).collect();
    if !needless.is_empty() {
        bail!("these exceptions are about nothing: {needless:?}");
    }
    Ok(())
}

/// The path of the function that a line is about.
fn name(line: &str) -> Option<&str> {
    let words = ["async fn ", "const fn ", "unsafe fn ", "fn "];
    let rest = words.iter().find_map(|word| line.strip_prefix(word))?;
    let end = rest.find('(')?;
    let name = rest.get(..end)?;
    // Parameters of the function itself, not those of its type.
    let last = name.rfind("::").map_or(0, |colons| colons + 2);
    let own = name.get(last..)?.find('<').map_or(end, |bracket| last + bracket);
    name.get(..own)
}

fn has_twin(aside: &BTreeSet<&str>, name: &str) -> bool {
    let name = MOVED.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| to);
    let name = match name.split_once("::") {
        Some((module, rest)) if LIFTED.contains(&module) && rest.contains("::") => rest,
        _ => name,
    };
    if aside.contains(name) {
        return true;
    }
    let Some((of, verb)) = name.split_once("::") else { return false };
    OBJECTS.contains(&of)
        && [of, "H"].iter().any(|kind| aside.contains(format!("Object<{kind}>::{verb}").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as every exception is needed.
    fn listed(more: &str) -> String {
        let word = |(word, _): &(&str, &str)| match word.strip_suffix("::") {
            Some(above) => format!("fn hostcompute::{above}::anything()\n"),
            None => format!("fn hostcompute::{word}()\n"),
        };
        ALONE.iter().map(word).collect::<String>() + more
    }

    #[test]
    fn the_committed_list_has_them_all() {
        let list = std::fs::read_to_string(super::super::committed("hostcompute")).unwrap();
        check(&list).unwrap();
    }

    #[test]
    fn a_call_without_a_twin_is_named() {
        for (call, twin) in [
            (
                "fn hostcompute::Host::check(&self)",
                "async fn hostcompute::asynchronous::Host::check(&self)",
            ),
            (
                "fn hostcompute::network::Network::create_nat(host: &Host)",
                "async fn hostcompute::asynchronous::Object<Network>::create_nat(host: &Host)",
            ),
            (
                "fn hostcompute::Endpoint::delete(&self)",
                "async fn hostcompute::asynchronous::Object<H>::delete(&self)",
            ),
            (
                "fn hostcompute::attach::list_owned(host: &Host)",
                "async fn hostcompute::asynchronous::EndpointAttachment::list_owned(host: &Host)",
            ),
            (
                "fn hostcompute::Namespace::run<T: Send>(&self)",
                "async fn hostcompute::asynchronous::Object<Namespace>::run<T: Send + 'static>(&self)",
            ),
        ] {
            let refused = check(&listed(call)).unwrap_err().to_string();
            assert!(refused.contains("stands for"), "{refused}");
            check(&listed(&format!("{call}\n{twin}\n"))).unwrap();
        }
    }

    #[test]
    fn an_exception_about_nothing_is_named() {
        let few = listed("").replace("fn hostcompute::layer::id()\n", "");
        assert!(check(&few).unwrap_err().to_string().contains("layer::id"));
    }
}
