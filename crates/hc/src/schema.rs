//! `hc schema`: the API's description, and documents checked against it. Needs no host.

use std::path::Path;

use hostcompute::schema::openapi::{self, openapi3, swagger2};
use hostcompute::schema::{Failure, HResult, type_named, validate};

use crate::arguments::{Api, Format, SchemaCommand};
use crate::problem::{Done, Problem};
use crate::{files, object, print};

/// Carries out a command on the schema.
///
/// # Errors
/// The document does not fit the schema.
pub fn run(command: &SchemaCommand) -> Done {
    match command {
        SchemaCommand::Openapi { api, format, version } => {
            let document = match (api, format, version) {
                (Api::Hcn, Format::Openapi3, version) => openapi3(openapi::Api::Hcn, *version),
                (Api::Hcn, Format::Swagger2, version) => swagger2(openapi::Api::Hcn, *version),
                (Api::Hcs, Format::Openapi3, version) => openapi3(openapi::Api::Hcs, *version),
                (Api::Hcs, Format::Swagger2, version) => swagger2(openapi::Api::Hcs, *version),
                (Api::Service, Format::Openapi3, None) => openapi::service(),
                (Api::Service, ..) => {
                    let why = "the service is described in OpenAPI 3.1 only, and only as it is";
                    return Err(Failure::new(HResult::E_INVALIDARG, why)
                        .hint("leave --format and --version out")
                        .into());
                }
            };
            print::text(&openapi::to_text(&document))
        }
        SchemaCommand::Validate { file, kind } => check(file, kind.as_deref()),
    }
}

fn check(path: &Path, kind: Option<&str>) -> Done {
    let file = files::read(path)?;
    let wanted = kind.map(|name| {
        type_named(name).ok_or_else(|| {
            let why = format!("the schema has no type {name}");
            Failure::new(HResult::E_INVALIDARG, why)
                .hint("hc schema openapi --format swagger2 lists them")
        })
    });
    let validated = validate(&file.text, wanted.transpose()?).map_err(|failures| {
        let told = |failure: Failure| match failure.hresult {
            // Its members tell no type.
            HResult::E_INVALIDARG if kind.is_none() => Problem::Failed {
                file: Some(file.name.clone()),
                failure: Box::new(failure.hint("say it: --type HostComputeNetwork, for example")),
            },
            _ => Problem::in_file(&file.name, failure),
        };
        Problem::Several(failures.into_iter().map(told).collect())
    })?;
    object::warn(&file.name, &validated.warnings);
    print::line(&format!("{}: a valid {}", file.name, validated.schema.name))
}
