//! Content codings: what the layers of tower-http leave to be done. <https://www.rfc-editor.org/rfc/rfc9110#section-8.4>

use crate::error::Error;
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
};

/// An answer can always be sent as it is: a write that has been done must not be answered with 406 because of its
/// coding, which the specification of HTTP leaves to the server. So what refuses `identity` is taken away.
pub(crate) fn keep_identity(mut request: Request) -> Request {
    let headers = request.headers_mut();
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let accepted = values.flat_map(|value| value.split(',')).filter(|range| !refuses_identity(range));
    if let Ok(accepted) = HeaderValue::from_str(&accepted.collect::<Vec<_>>().join(",")) {
        if accepted.is_empty() {
            headers.remove(header::ACCEPT_ENCODING);
        } else {
            headers.insert(header::ACCEPT_ENCODING, accepted);
        }
    }
    request
}

/// `identity;q=0`, `*;q=0`
fn refuses_identity(range: &str) -> bool {
    let (coding, parameters) = range.split_once(';').unwrap_or((range, ""));
    let weight = parameters.trim().to_ascii_lowercase();
    let zero = weight.strip_prefix("q=").is_some_and(|weight| weight.trim().parse::<f32>() == Ok(0.0));
    zero && matches!(coding.trim().to_ascii_lowercase().as_str(), "identity" | "*")
}

/// Refuses a body whose coding nobody has taken off.
pub(crate) fn check_content_encoding(headers: &HeaderMap) -> Result<(), Error> {
    let Some(coding) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
    let coding = coding.to_str().unwrap_or("?").trim();
    if coding.is_empty() || coding.eq_ignore_ascii_case("identity") {
        return Ok(());
    }
    let shown: String = coding.chars().take(100).collect();
    Err(Error::UnsupportedEncoding(shown))
}

#[cfg(test)]
mod tests {
    use super::refuses_identity;

    #[test]
    fn ranges_that_refuse_identity() {
        for range in ["identity;q=0", " *; Q=0.000", "IDENTITY ;q=0.0"] {
            assert!(refuses_identity(range), "{range}");
        }
        for range in ["gzip;q=0", "identity", "*;q=0.1", "identity;q=x", ""] {
            assert!(!refuses_identity(range), "{range}");
        }
    }
}
