//! The commands in README.md and docs/*.md, executed, and the output that they show, compared.
//!
//! Every fenced block that begins with ```` ```sh ```` is run, in order, all blocks of a document in one shell, in a sandbox
//! ([`crate::lab`]) with `hc` and `hostcomputed` on the path and `examples/` in the working folder. Marked otherwise:
//!
//! - `sh rootless`: in a second shell, as an ordinary user, in no sandbox: `hc` makes its own;
//! - `sh by-hand`: not run (the document says why).
//!
//! A block `text output` after a block is what it prints. There `…` stands for anything: a part of a line, or alone for any
//! number of lines. The amount of blank between words does not matter.

mod expected;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Outcome, counts::Counts, snapshot};
use crate::ordinary::Ordinary;
use crate::{lab, process, product, root};

/// Who runs a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Sandbox,
    Ordinary,
}

/// One block of commands.
struct Block {
    /// Of the document, 1-based: where the block's first command stands.
    line: usize,
    who: Who,
    script: String,
    output: Option<String>,
}

/// Runs the documents.
///
/// # Errors
/// A command failed, or printed something else than the document shows.
pub fn check(_: &mut Counts) -> Result<Outcome> {
    let program = product::build()?;
    // Cargo puts it beside `hc`, where the shells below find it.
    product::daemon()?;
    let mut wrong = Vec::new();
    for document in documents()? {
        let text = std::fs::read_to_string(root::path().join(&document))?;
        let blocks = blocks(&text);
        for who in [Who::Sandbox, Who::Ordinary] {
            let count = blocks.iter().filter(|block| block.who == who).count();
            if count == 0 {
                continue;
            }
            println!(
                "{document}: {count} blocks{}",
                if who == Who::Ordinary { ", as an ordinary user" } else { "" }
            );
            let outcome = match who {
                Who::Sandbox => {
                    let inner = ["inside".to_owned(), "document".to_owned(), document.clone()];
                    lab::run_inside(&inner, &[(product::PROGRAM, &program)])
                }
                Who::Ordinary => {
                    let user = Ordinary::new(&program)?;
                    session(&document, &blocks, who, user.command("sh"))
                }
            };
            if let Err(error) = outcome {
                println!("  {error:#}");
                wrong.push(document.clone());
            }
        }
    }
    match wrong.as_slice() {
        [] => Ok(Outcome::Passed),
        names => bail!("these documents do not tell the truth: {}", names.join(", ")),
    }
}

/// Inside the sandbox: one document.
///
/// # Errors
/// A command failed, printed something else, or left something behind.
pub fn run_inside(document: &str) -> Result<()> {
    let program = product::build()?;
    let folder = program.parent().context("a program lies in a folder")?;
    let outside = lab::Outside::connect()?;
    let before = snapshot::take()?;
    let folders = lab::Folders::new("documents")?;
    let home = folders.join("home");
    std::fs::create_dir(&home)?;
    std::os::unix::fs::symlink(root::path().join("examples"), home.join("examples"))?;
    let text = std::fs::read_to_string(root::path().join(document))?;
    let mut shell = Command::new("sh");
    folders.apply(&mut shell).current_dir(&home).env("PATH", process::path_with(folder));
    session(document, &blocks(&text), Who::Sandbox, shell)?;
    drop(folders);
    println!("  {}", snapshot::unchanged_since(&before)?);
    drop(outside);
    Ok(())
}

/// One shell that runs all blocks of one kind; compares what each prints.
fn session(document: &str, blocks: &[Block], who: Who, mut shell: Command) -> Result<()> {
    let chosen: Vec<&Block> = blocks.iter().filter(|block| block.who == who).collect();
    let mut script = String::from("exec 2>&1\nset -eu\n");
    for (index, block) in chosen.iter().enumerate() {
        script.push_str(&format!("echo '{}'\n{}\n", marker(index), block.script));
    }
    let output = shell
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("starting a shell")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut wrong = Vec::new();
    let mut reached = 0;
    for (index, block) in chosen.iter().enumerate() {
        let Some((_, rest)) = said.split_once(&format!("{}\n", marker(index))) else { break };
        reached = index;
        let printed = rest.split("@@ block ").next().unwrap_or(rest);
        if let Some(expected) = &block.output
            && !expected::matches(expected, printed)
        {
            let line = block.line;
            wrong.push(format!("{document}:{line} shows\n{expected}\nand it prints\n{printed}"));
        }
    }
    if !output.status.success() {
        let line = chosen.get(reached).map_or(0, |block| block.line);
        let last = said.rsplit("@@ block ").next().unwrap_or_default();
        wrong.push(format!("{document}:{line} failed ({}):\n{last}", output.status));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => bail!("{}", wrong.join("\n")),
    }
}

fn marker(index: usize) -> String {
    format!("@@ block {index}")
}

/// README.md and every Markdown file of docs/.
fn documents() -> Result<Vec<String>> {
    let files = root::files(&root::path())?;
    let names = files.iter().map(|file| file.to_string_lossy().into_owned());
    Ok(names
        .filter(|name| name == "README.md" || name.starts_with("docs/") && name.ends_with(".md"))
        .collect())
}

/// The blocks to run, with what they are said to print.
fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut lines = text.lines().enumerate();
    // Whether nothing but blank lines stood between the last block of commands and here.
    let mut adjacent = false;
    while let Some((index, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            adjacent &= line.trim().is_empty();
            continue;
        };
        let content: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let content = content.join("\n");
        let who = match info.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["sh"] => Who::Sandbox,
            ["sh", "rootless"] => Who::Ordinary,
            ["text", "output"] if adjacent => {
                if let Some(block) = found.last_mut() {
                    block.output = Some(content);
                }
                continue;
            }
            _ => {
                adjacent = false;
                continue;
            }
        };
        adjacent = true;
        found.push(Block { line: index + 2, who, script: content, output: None });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Head\n```sh\nhc up x\n```\n\n```text output\nmade …\n```\n\
                        ```sh by-hand\nrm\n```\n```json\n{}\n```\n```sh rootless\nhc ls\n```\nwords\n\
                        ```text output\nnot its output\n```\n";

    #[test]
    fn blocks_are_found_with_their_line_and_their_output() {
        let blocks = blocks(TEXT);
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].line, blocks[0].who), (3, Who::Sandbox));
        assert_eq!(blocks[0].output.as_deref(), Some("made …"));
        assert_eq!((blocks[1].who, &*blocks[1].script), (Who::Ordinary, "hc ls"));
        assert_eq!(blocks[1].output, None);
    }

    fn run(text: &str) -> Result<()> {
        session("X.md", &blocks(text), Who::Sandbox, Command::new("sh"))
    }

    #[test]
    fn a_shell_keeps_its_state_from_block_to_block_and_lies_are_found() {
        let head = "```sh\na=one\n```\n```sh\necho $a\n```\n";
        run(&format!("{head}```text output\none\n```\n")).unwrap();
        let lie = run(&format!("{head}```text output\ntwo\n```\n")).unwrap_err().to_string();
        assert!(lie.contains("X.md:5") && lie.contains("two") && lie.contains("one"), "{lie}");
    }

    #[test]
    fn a_failing_command_is_found_with_its_line_and_its_complaint() {
        let error =
            run("```sh\ntrue\n```\n```sh\necho why >&2\nfalse\n```\n").unwrap_err().to_string();
        assert!(error.contains("X.md:5") && error.contains("why"), "{error}");
    }
}
