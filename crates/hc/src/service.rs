//! What concerns the service as a whole: check, inspect, doctor, state.

use std::path::Path;

use hostcompute::schema::Document;
use hostcompute::{Failure, Host};
use serde_json::Value;

use crate::arguments::{Form, StateCommand};
use crate::object::Session;
use crate::problem::{Done, Problem};
use crate::{files, print};

impl Session<'_> {
    /// `hc check`.
    ///
    /// # Errors
    /// The comparison is impossible, found something, or the kernel refused a repair.
    pub fn check(self, repair: bool) -> Done {
        if repair {
            let all = |failures: Vec<Failure>| {
                Problem::Several(failures.into_iter().map(Problem::from).collect())
            };
            self.host.repair().map_err(all)?;
        }
        let findings = self.host.check()?;
        let document = || Value::Array(findings.iter().map(Document::to_value).collect());
        match self.form {
            Form::Json => print::json(&document())?,
            Form::Yaml => print::yaml(&document())?,
            Form::Table | Form::Id if findings.is_empty() => {
                print::note("documents, journal and kernel agree")
            }
            Form::Table | Form::Id => {
                print::text(
                    &findings.iter().map(|finding| format!("{finding}\n")).collect::<String>(),
                )?;
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(Problem::Told) }
    }

    /// `hc inspect`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn inspect(self) -> Done {
        let tree = self.host.inspect()?;
        if self.form == Form::Json { print::json(&tree) } else { print::yaml(&tree) }
    }

    /// `hc state`.
    ///
    /// # Errors
    /// What is wrong with the document, or what the host refuses.
    pub fn state(self, command: &StateCommand) -> Done {
        match command {
            StateCommand::Export => {
                let state = self.host.export_state()?;
                if self.form == Form::Yaml { print::yaml(&state) } else { print::json(&state) }
            }
            StateCommand::Import { file } => import(self.host, file),
        }
    }
}

fn import(host: &Host, file: &Path) -> Done {
    let file = files::read(file)?;
    let count =
        host.import_state(&file.text).map_err(|failure| Problem::in_file(&file.name, failure))?;
    print::note(&format!("imported {count} objects"));
    Ok(())
}
