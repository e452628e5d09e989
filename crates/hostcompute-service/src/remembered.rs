//! Answers that are remembered, so that a client may ask again for a change when its answer was lost.
//!
//! An answer is written in the transaction of its change: whoever finds the change finds the answer, also after a crash. Only what
//! succeeded is remembered; a failure changed nothing, and asking again may bring something better. Answers are kept for a day, and
//! [`MOST`] for each user.

use hostcompute_engine::Reply;
use hostcompute_schema::{Failure, Guid, HResult, Warning};
use serde_json::{Value, json};

use crate::group::Asked;
use crate::{Answer, Body, IdempotencyKey, Reading};

/// The most answers that are kept for one user; the oldest go first.
pub(crate) const MOST: usize = 4096;

/// How long an answer is kept, in seconds.
pub(crate) const LONGEST: u64 = 24 * 60 * 60;

/// Whose key it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed<'a> {
    pub uid: u32,
    pub key: &'a IdempotencyKey,
}

/// An answer as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub uid: u32,
    pub key: String,
    /// Tells the request from others.
    pub digest: String,
    pub answer: String,
}

impl Note {
    /// What to remember of a change that is about to be made; nothing for requests without a key.
    pub fn of(asked: &Asked<'_>, reply: &Reply, warnings: &[Warning]) -> Option<Self> {
        let Keyed { uid, key } = asked.key?;
        let body = match reply {
            Reply::Id(id) => json!({ "Id": id.to_string() }),
            Reply::Document(document) => json!({ "Document": document }),
            // What only looks has no key.
            Reply::None | Reply::Ids(_) | Reply::Text(_) | Reply::Statistics { .. } => json!({}),
        };
        let warnings: Vec<Value> = warnings
            .iter()
            .map(|warning| json!({ "Path": warning.path, "Message": warning.message }))
            .collect();
        let answer = json!({ "Body": body, "Warnings": warnings }).to_string();
        Some(Self { uid, key: key.as_str().to_owned(), digest: digest(asked), answer })
    }

    /// The answer that was given to the same request.
    ///
    /// # Errors
    /// E_INVALIDARG when the key belonged to another request.
    pub fn answer(&self, asked: &Asked<'_>) -> Result<Answer, Failure> {
        if self.digest != digest(asked) {
            let why = format!("the idempotency key '{}' belongs to another request", self.key);
            return Err(
                Failure::new(HResult::E_INVALIDARG, why).hint("use a new key for each change")
            );
        }
        read(&self.answer).ok_or_else(|| {
            let why = format!("the answer remembered for the key '{}' cannot be read", self.key);
            Failure::new(HResult::HCN_E_REGKEY_FAILURE, why)
                .hint("look whether the change was made")
        })
    }
}

fn read(answer: &str) -> Option<Answer> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let body = answer.get("Body")?;
    let body = match (body.get("Id"), body.get("Document")) {
        (Some(id), _) => Body::Id(id.as_str()?.parse::<Guid>().ok()?),
        (None, Some(document)) => Body::Document(document.clone()),
        (None, None) => Body::None,
    };
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let warning = |value: &Value| {
        Some(Warning {
            path: text(value, "Path")?,
            message: text(value, "Message")?,
            position: None,
        })
    };
    let warnings =
        answer.get("Warnings")?.as_array()?.iter().map(warning).collect::<Option<_>>()?;
    Some(Answer { body, warnings })
}

/// A number that two different requests do not share by accident (FNV-1a of 128 bits). Who made them share it on purpose would
/// only fool himself: keys belong to their user.
fn digest(asked: &Asked<'_>) -> String {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let request = &asked.request;
    let id = |id: Option<Guid>| id.map(|id| id.to_string()).unwrap_or_default();
    let strict = if asked.reading == Reading::Strict { "strict" } else { "" };
    let (object, network) = (id(request.id), id(request.network));
    let parts = [request.operation.symbol(), &object, &network, strict, request.document];
    let mut hash = BASIS;
    for part in parts {
        // The length first, so that no text can pretend to be two.
        for byte in part.len().to_le_bytes().iter().chain(part.as_bytes()) {
            hash = (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }
    format!("{hash:032x}")
}

#[cfg(all(test, not(feature = "schedules")))]
mod tests {
    use hostcompute_engine::Request;
    use hostcompute_schema::operation::Operation;

    use super::*;

    fn asked<'a>(key: &'a IdempotencyKey, document: &'a str) -> Asked<'a> {
        let operation = Operation::CreateNetwork;
        let request = Request { operation, id: None, network: None, document };
        Asked { request, reading: Reading::Lenient, key: Some(Keyed { uid: 7, key }) }
    }

    #[test]
    fn the_same_request_gets_its_answer_and_another_is_refused() {
        let key = IdempotencyKey::new("one").expect("a key");
        let warnings = vec![Warning { path: "x".into(), message: "odd".into(), position: None }];
        let id = Guid::from_bytes([5; 16]);
        let note = Note::of(&asked(&key, "{}"), &Reply::Id(id), &warnings).expect("keyed");
        let answer = note.answer(&asked(&key, "{}")).expect("the same");
        assert_eq!(answer, Answer { body: Body::Id(id), warnings });
        let refused = note.answer(&asked(&key, "{ }")).expect_err("another");
        assert_eq!(refused.hresult, HResult::E_INVALIDARG);
        assert_eq!(Note::of(&Asked { key: None, ..asked(&key, "") }, &Reply::None, &[]), None);
    }

    #[test]
    fn keys_are_short_and_printable() {
        for text in ["", "\n", "ä", &"x".repeat(256)] {
            assert!(IdempotencyKey::new(text).is_err(), "{text:?}");
        }
        assert_eq!(IdempotencyKey::new(&"x".repeat(255)).map(|key| key.as_str().len()), Ok(255));
    }
}
