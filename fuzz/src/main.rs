//! The short run: a fixed number of inputs per target, from seeds and a number, on the stable toolchain.
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml -- [--documents 100000] [--seed 1] [TARGET...]
//! cargo run --manifest-path fuzz/Cargo.toml -- --input FILE TARGET
//! ```
//! An input that breaks something is kept in `fuzz/artifacts/`, from where the second form runs it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hostcompute_fuzz::random::Random;
use hostcompute_fuzz::seeds;
use hostcompute_fuzz::targets::{ALL, Seen, Target};

struct Wishes {
    documents: usize,
    seed: u64,
    input: Option<PathBuf>,
    targets: Vec<Target>,
}

fn main() -> ExitCode {
    let wishes = match wishes(std::env::args().skip(1)) {
        Ok(wishes) => wishes,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let mut good = true;
    for target in &wishes.targets {
        let outcome = match &wishes.input {
            Some(path) => again(target, path),
            None => rounds(target, &wishes),
        };
        if let Err(why) = outcome {
            eprintln!("{}: {why}", target.name);
            good = false;
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wishes(mut arguments: impl Iterator<Item = String>) -> Result<Wishes, String> {
    let mut wishes = Wishes { documents: 100_000, seed: 1, input: None, targets: Vec::new() };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("'{text}' is not a number"));
        match argument.as_str() {
            "--documents" => wishes.documents = number(value()?)?,
            "--seed" => wishes.seed = number(value()?)? as u64,
            "--input" => wishes.input = Some(value()?.into()),
            name => {
                let found = ALL.iter().find(|target| target.name == name);
                let names: Vec<&str> = ALL.iter().map(|target| target.name).collect();
                let target =
                    found.ok_or(format!("no target '{name}'; there are {}", names.join(", ")))?;
                wishes.targets.push(*target);
            }
        }
    }
    if wishes.targets.is_empty() {
        wishes.targets = ALL.to_vec();
    }
    Ok(wishes)
}

/// One document in so many must be accepted.
const FEW: usize = 20;

/// Runs one input.
fn again(target: &Target, path: &Path) -> Result<(), String> {
    let input = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    (target.run)(&input);
    println!("{}: nothing is wrong with {}", target.name, path.display());
    Ok(())
}

/// Runs inputs until enough documents were seen: the seeds as they are, then mutations of them.
fn rounds(target: &Target, wishes: &Wishes) -> Result<(), String> {
    let folder = seeds::folder(target.name);
    let files = seeds::read(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let samples = target.samples();
    let seeds: Vec<Vec<u8>> =
        files.into_iter().chain(samples.into_iter().map(String::into_bytes)).collect();
    if seeds.is_empty() {
        return Err(format!("there are no seeds in {}", folder.display()));
    }
    let texts: Vec<String> =
        seeds.iter().map(|seed| String::from_utf8_lossy(seed).into_owned()).collect();
    let mut random = Random::new(wishes.seed);
    let start = Instant::now();
    let (mut total, mut round, mut slowest) = (Seen::default(), 0, Duration::ZERO);
    while total.documents < wishes.documents {
        let input = match seeds.get(round) {
            Some(seed) => seed.clone(),
            None => {
                let seed = random.pick(&seeds).cloned().unwrap_or_default();
                (target.mutate)(&seed, &texts, &mut random)
            }
        };
        let began = Instant::now();
        let seen = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        slowest = slowest.max(began.elapsed());
        let seen = seen.map_err(|_| keep(target, wishes.seed, round, &input))?;
        total.documents += seen.documents.max(1);
        total.accepted += seen.accepted;
        round += 1;
    }
    println!(
        "{}: {} documents, {} accepted, in {:.1} s, seed {}, slowest input {} ms",
        target.name,
        total.documents,
        total.accepted,
        start.elapsed().as_secs_f64(),
        wishes.seed,
        slowest.as_millis()
    );
    if total.accepted * FEW < total.documents {
        return Err("nearly everything was refused, so little was tried".into());
    }
    Ok(())
}

/// Keeps an input that broke something.
fn keep(target: &Target, seed: u64, round: usize, input: &[u8]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.name);
    let path = folder.join(format!("seed-{seed}-round-{round}"));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input));
    match kept {
        Ok(()) => format!("broken by {}; run it again with --input", path.display()),
        Err(error) => {
            format!("broken in round {round} of seed {seed}, which cannot be kept: {error}")
        }
    }
}
