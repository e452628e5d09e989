//! The published schema: `hc schema openapi` against the reference tables and against a real OpenAPI validator.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Outcome, counts::Counts, python};
use crate::{process, product, root};

/// The validator, from the Python registry; the version is fixed so that today's answer is tomorrow's.
const VALIDATOR: &str = "openapi-spec-validator==0.9.0";

/// Every type, field and value of the reference tables, by the script that stands beside the checkout in CI.
///
/// # Errors
/// Something is not covered.
pub fn coverage(_: &mut Counts) -> Result<Outcome> {
    let shared = root::path().join("../shared");
    let script = shared.join("check/schema-coverage");
    if !script.is_file() {
        return Ok(Outcome::Skipped(
            "no ../shared/check/schema-coverage beside the checkout".to_owned(),
        ));
    }
    for api in ["hcn", "hcs"] {
        let printed = printed(api, "swagger2")?;
        let mut check = Command::new("python3");
        check.arg(&script).arg(shared.join(format!("reference/{api}-schema.json"))).arg(printed);
        process::run(&mut check)?;
    }
    Ok(Outcome::Passed)
}

/// The OpenAPI 3.1 document is one, says a validator that is not ours.
///
/// # Errors
/// It is not, or the validator cannot be installed.
pub fn openapi(_: &mut Counts) -> Result<Outcome> {
    let validator = python::environment("openapi-validator", &[VALIDATOR])?;
    let validator = validator.join("openapi-spec-validator");
    for api in ["hcn", "hcs", "service"] {
        let printed = printed(api, "openapi3")?;
        process::run(Command::new(&validator).arg("--schema").arg("3.1").arg(printed))?;
    }
    Ok(Outcome::Passed)
}

/// What `hc schema openapi` prints of this API in this form, as a file.
fn printed(api: &str, form: &str) -> Result<PathBuf> {
    let program = product::build()?;
    let mut hc = Command::new(program);
    let text = process::output(hc.args(["schema", "openapi", "--api", api, "--format", form]))?;
    let file = root::target().join(format!("{api}.{form}.json"));
    std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}
