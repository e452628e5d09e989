//! The body of `up`, `down` and `diff`: files with their names, or one host document as it is.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::Value;

use crate::failure::Failure;
use crate::parse::{parse_value, read_json};
use crate::service::{HostFile, HostFiles};

impl HostFile {
    /// A file; the name is what messages call it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> HostFile {
        HostFile { name: Some(name.into()), text: Some(text.into()), ..HostFile::default() }
    }

    /// What a person calls it; empty for a document that came without a name.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The document's text.
    pub fn content(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

impl HostFiles {
    /// The files of a body: those that it lists, or the body itself, which then has no name.
    ///
    /// # Errors
    /// HCN_E_INVALID_JSON for a body that is neither.
    pub fn of_body(body: &str) -> Result<Vec<HostFile>, Failure> {
        let value = read_json(body)?;
        let listed = |members: &serde_json::Map<String, Value>| {
            members.keys().any(|name| name.eq_ignore_ascii_case("Files"))
        };
        if value.as_object().is_some_and(listed) {
            let read = parse_value::<HostFiles>(&value, "");
            return read.map(|read| read.document.files).map_err(|f| f.in_document(body));
        }
        Ok(vec![HostFile { text: Some(body.into()), ..HostFile::default() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use alloc::string::ToString;

    #[test]
    fn a_body_lists_files_or_is_one() {
        let files = vec![HostFile::new("web.json", "{}"), HostFile::new("-", "{ }")];
        let body = HostFiles { files: files.clone(), ..HostFiles::default() };
        let body = body.to_value().to_string();
        assert_eq!(HostFiles::of_body(&body), Ok(files));
        let plain = HostFiles::of_body(r#"{"Networks":[]}"#).expect("a document");
        assert_eq!(
            (plain.len(), plain[0].called(), plain[0].content()),
            (1, "", r#"{"Networks":[]}"#)
        );
        assert!(HostFiles::of_body("{").is_err());
        assert!(HostFiles::of_body(r#"{"Files":7}"#).is_err());
    }
}
