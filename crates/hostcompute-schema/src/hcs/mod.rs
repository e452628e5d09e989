//! The documents of the compute service, one file per subject.
//!
//! The Rust names are the published ones in Rust's spelling; a member called `Type` is the field
//! `kind`. Everything is optional, since leaving a member out and giving its default are told apart:
//! what was given is printed again. Members without a version stand in no published schema, but in
//! documents that clients send (hcs.md 3.14).
//!
//! What the service is given is read strictly ([`parse`]), its answers tolerantly ([`parse_answer`]).
//!
//! ```
//! use hostcompute_schema::hcs;
//!
//! let text = r#"{"CommandArgs": ["sh"], "ConsoleSize": [25, 80], "Detached": true}"#;
//! let failure = hcs::parse::<hcs::ProcessParameters>(text).unwrap_err();
//! assert_eq!(failure.path.as_deref(), Some("$.Detached"));
//! ```

mod container;
mod containersdef;
mod device;
mod feature;
mod guest;
mod image;
pub mod listing;
mod machine;
mod migration;
mod modify;
mod older;
mod options;
mod process;
mod processor;
mod property;
mod registry;
mod resource;
mod root;
mod scalar;
mod service;
mod share;
mod status;
mod storage;
mod system;

pub use crate::hcn::Version;
pub use crate::strict::{parse, parse_all, parse_answer, parse_optional, parse_value, read_json};
pub use container::*;
pub use containersdef::*;
pub use device::*;
pub use feature::*;
pub use guest::*;
pub use image::*;
pub use machine::*;
pub use migration::*;
pub use modify::*;
pub use older::*;
pub use options::*;
pub use process::*;
pub use processor::*;
pub use property::*;
pub use registry::*;
pub use resource::*;
pub use root::*;
pub use scalar::*;
pub use service::*;
pub use share::*;
pub use status::*;
pub use storage::*;
pub use system::*;
