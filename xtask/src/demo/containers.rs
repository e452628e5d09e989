//! Containers by the same document: two of them behind a load balancer, over this machine's own root, so that nothing is downloaded.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::proof::Proofs;
use super::{Hc, heading};

/// The document.
pub const DOCUMENT: &str = "examples/containers.json";

/// Its virtual address.
const ADDRESS: &str = "10.97.0.10:80";

/// The systems that answer there, each with its name.
const SYSTEMS: [&str; 2] = ["site-1", "site-2"];

/// How long a program may take until it listens, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes them, asks them, ends them.
///
/// # Errors
/// They cannot be made, or not be ended.
pub fn show(hc: &Hc, proofs: &mut Proofs) -> Result<()> {
    heading("Two containers, by one document");
    hc.shown(&["up", DOCUMENT])?;
    let outcome = hc.shown(&["ps"]);
    proofs.check("both answer behind the load balancer", answers);
    for system in SYSTEMS {
        proofs.check(&format!("{system} is a host of its own"), || {
            let name = hc.output(&["exec", system, "--", "hostname"])?;
            if name.trim() != system {
                bail!("it calls itself {name:?}");
            }
            let first = hc.output(&["exec", system, "--", "cat", "/proc/1/comm"])?;
            Ok(format!("hostname {system}, process 1 is {}", first.trim()))
        });
    }
    heading("And away again");
    hc.shown(&["down", DOCUMENT])?;
    outcome?;
    proofs.check("no container is left", || {
        let left = hc.output(&["ps", "-o", "id"])?;
        if left.trim().is_empty() { Ok("hc ps is empty".into()) } else { bail!("{left}") }
    });
    Ok(())
}

/// Asks until everybody has answered.
fn answers() -> Result<String> {
    let began = Instant::now();
    let mut heard = BTreeSet::new();
    let mut asked = 0;
    loop {
        asked += 1;
        let answer = ask();
        let name = answer.as_ref().ok().and_then(|text| text.lines().last()).map(str::to_owned);
        heard.extend(name.filter(|name| SYSTEMS.contains(&name.as_str())));
        if heard.len() == SYSTEMS.len() {
            return Ok(format!("{} after {asked} questions to {ADDRESS}", SYSTEMS.join(", ")));
        }
        if began.elapsed() > PATIENCE {
            answer.context("the last question")?;
            bail!("only {heard:?} answered {asked} questions");
        }
    }
}

fn ask() -> Result<String> {
    let address: SocketAddr = ADDRESS.parse()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
