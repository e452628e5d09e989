//! The files of the page, as they are in this program, and the headers that keep it to itself.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal: $kind:ident $file:literal;)*) => {
        /// Path, media type, content.
        const FILES: &[(&str, &str, &str)] = &[$(($path, $kind, include_str!(concat!("page/", $file)))),*];
    };
}

files! {
    "/": HTML "index.html";
    "/icon.svg": SVG "icon.svg";
    "/look.css": CSS "look.css";
    "/map.css": CSS "map.css";
    "/endpoints.css": CSS "endpoints.css";
    "/dock.css": CSS "dock.css";
    "/console.js": SCRIPT "console.js";
    "/api.js": SCRIPT "api.js";
    "/dock.js": SCRIPT "dock.js";
    "/dom.js": SCRIPT "dom.js";
    "/glance.js": SCRIPT "glance.js";
    "/map.js": SCRIPT "map.js";
    "/model.js": SCRIPT "model.js";
    "/rails.js": SCRIPT "rails.js";
    "/rates.js": SCRIPT "rates.js";
    "/words.js": SCRIPT "words.js";
}

/// Everything from here, nothing from elsewhere, no script but the files, no markup made of texts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The file at a path.
pub fn file(path: &str) -> Option<Response> {
    let (_, kind, text) = FILES.iter().find(|(other, ..)| *other == path)?;
    let mut response = Response::new(Body::from(*text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Some(response)
}

/// What goes with every answer.
pub fn guard(headers: &mut HeaderMap) {
    let pairs = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in pairs {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_that_is_named_is_served_and_every_file_is_named() {
        let mut named = BTreeSet::from(["/".to_owned()]);
        for (_, _, text) in FILES {
            for quoted in text.split('"') {
                let known = [".js", ".css", ".svg"].iter().any(|end| quoted.ends_with(end));
                if known && !quoted.contains(' ') {
                    named.insert(format!("/{}", quoted.trim_start_matches("./")));
                }
            }
        }
        let served: BTreeSet<String> = FILES.iter().map(|(path, ..)| (*path).to_owned()).collect();
        assert_eq!(named, served);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_nothing_is_inline() {
        for (path, _, text) in FILES {
            // The name of the language of drawings is no place.
            let text = text.replace("http://www.w3.org/2000/svg", "").replace("http://…", "");
            for foreign in ["http:", "https:", "//cdn", "innerHTML", "eval(", "style=", "onclick="]
            {
                assert!(!text.contains(foreign), "{path}: {foreign}");
            }
        }
        let page = FILES[0].2;
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script type=\"module\" src=").count()
        );
    }
}
