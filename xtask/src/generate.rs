//! `cargo xtask generate`: rewrites the committed documents that are made by programs.
//!
//! - `docs/api/`: the published schema, by the schema crate's own test (which also keeps it current);
//! - `docs/images/web.svg`: the topology of `examples/web.json`, as `hc topology --svg` draws it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::check::{Counts, Outcome, cargo};
use crate::{interface, lab, process, product, root};

/// The picture, and the document that it shows.
const PICTURE: &str = "docs/images/web.svg";
const DOCUMENT: &str = "examples/web.json";

/// Tells the inner part where to put the picture.
const TARGET: &str = "XTASK_PICTURE";

/// `cargo xtask generate`.
///
/// # Errors
/// Something does not build, or the sandbox cannot be made.
pub fn run(arguments: &[String]) -> Result<()> {
    if let Some(unknown) = arguments.first() {
        bail!("generate takes no argument, and got {unknown}");
    }
    let mut schema = cargo(&["test", "--quiet", "--package", "hostcompute-schema"]);
    process::run(schema.env("HOSTCOMPUTE_BLESS", "1"))?;
    interface::generate()?;
    draw(&root::path().join(PICTURE))
}

/// The committed picture is what `hc` draws today.
///
/// # Errors
/// It is not.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    let fresh = root::target().join("web.svg");
    draw(&fresh)?;
    let committed = std::fs::read(root::path().join(PICTURE)).unwrap_or_default();
    if std::fs::read(&fresh)? != committed {
        bail!("{PICTURE} is out of date: cargo xtask generate");
    }
    println!("{PICTURE} is what hc draws");
    Ok(Outcome::Passed)
}

/// Inside the sandbox: the document up, the picture drawn, the document down.
///
/// # Errors
/// `hc` refuses.
pub fn run_inside() -> Result<()> {
    let target = PathBuf::from(std::env::var_os(TARGET).context("who runs this says where")?);
    let program = product::build()?;
    let folders = lab::Folders::new("picture")?;
    let hc = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        folders.apply(&mut command).current_dir(root::path()).args(arguments);
        process::output(&mut command)
    };
    hc(&["up", DOCUMENT])?;
    let drawn = hc(&["topology", "--svg", &target.to_string_lossy()]);
    hc(&["down", DOCUMENT])?;
    drawn.map(drop)
}

fn draw(target: &Path) -> Result<()> {
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let program = product::build()?;
    let inner = ["inside".to_owned(), "picture".to_owned()];
    lab::run_inside(&inner, &[(product::PROGRAM, &program), (TARGET, target)])
}
