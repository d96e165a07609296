//! [`Published`]: something that stays the same as long as the server runs, and that clients may keep: pages, the OpenAPI
//! document, what the explorer is made of.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use std::io::Read as _;

/// What is served, with its entity tag.
pub(super) struct Published {
    content_type: &'static str,
    /// What a browser may do with it, if it is a page.
    policy: Option<&'static str>,
    bytes: Bytes,
    is_compressed: bool,
    tag: String,
}

impl Published {
    pub(super) fn new(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest: String = Sha256::digest(&bytes).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        // Weak: it may leave compressed.
        Self { content_type, policy: None, bytes, is_compressed: false, tag: format!("W/\"{digest}\"") }
    }

    /// Of bytes that gzip has compressed.
    pub(super) fn compressed(content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { is_compressed: true, ..Self::new(content_type, bytes) }
    }

    /// A page, with its content security policy.
    pub(super) fn page(html: String, policy: &'static str) -> Self {
        Self { policy: Some(policy), ..Self::new("text/html; charset=utf-8", html) }
    }

    /// The answer to a request with these headers.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let has_it = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let has_it = has_it.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == self.tag));
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&self.tag) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(policy) = self.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        if has_it {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if !self.is_compressed {
            *response.body_mut() = Body::from(self.bytes.clone());
            return response;
        }
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if takes_gzip(asked) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            *response.body_mut() = Body::from(self.bytes.clone());
            return response;
        }
        let mut plain = Vec::new();
        match GzDecoder::new(&self.bytes[..]).read_to_end(&mut plain) {
            Ok(_) => *response.body_mut() = Body::from(plain),
            Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
        response
    }
}

/// Whether gzip is named, and not with the weight 0.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let codings = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|codings| codings.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        let check =
            |codings, expect| assert_eq!(takes_gzip(&asked(header::ACCEPT_ENCODING, codings)), expect, "{codings}");
        check("br, GZIP;q=0.5", true);
        check("gzip;q=0, br", false);
        check("identity", false);
        check("*", false);
    }

    #[test]
    fn who_has_it_gets_304() {
        let published = Published::new("text/plain", "x");
        let tag: &'static str = published.tag.clone().leak();
        assert_eq!(published.answer(&HeaderMap::new()).status(), StatusCode::OK);
        assert_eq!(published.answer(&asked(header::IF_NONE_MATCH, tag)).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(published.answer(&asked(header::IF_NONE_MATCH, "W/\"1\"")).status(), StatusCode::OK);
    }
}
