//! The links of a Bundle: self and next. A page link holds the whole search, so nothing else may stand beside it.
//! <https://hl7.org/fhir/R4/http.html#paging>

use crate::error::Error;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tessera_model::interaction::{percent_encode, query_pairs};

/// Names and values of a query string.
pub(crate) type Parameters = Vec<(String, String)>;

/// The parameter of a page link.
pub(crate) const PAGE: &str = "_page";

/// Names and values as a query string.
pub(crate) fn query_string(parameters: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{}={}", percent_encode(name), percent_encode(value));
    parameters.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// A URL may have parameters already that say how the answer is written.
fn separator(url: &str) -> char {
    if url.contains('?') { '&' } else { '?' }
}

/// `url?…`
pub(crate) fn with_query(url: &str, parameters: &[(String, String)]) -> String {
    if parameters.is_empty() { url.to_owned() } else { format!("{url}{}{}", separator(url), query_string(parameters)) }
}

/// The URL of the page after `cursor`.
pub(crate) fn page(url: &str, parameters: &[(String, String)], cursor: &str) -> String {
    format!(
        "{url}{}{PAGE}={}",
        separator(url),
        URL_SAFE_NO_PAD.encode(format!("{cursor}?{}", query_string(parameters)))
    )
}

/// The parameters and the cursor that a request's parameters mean: its own, or those within its page link.
pub(crate) fn resolve(parameters: &[(String, String)]) -> Result<(Parameters, Option<String>), Error> {
    let Some((_, page)) = parameters.iter().find(|(name, _)| name == PAGE) else {
        return Ok((parameters.to_vec(), None));
    };
    let bad = || Error::Store(tessera_store::Error::BadCursor);
    if parameters.len() > 1 {
        return Err(Error::BadRequest("a page link stands alone: no other parameter may be added to it".into()));
    }
    let text = URL_SAFE_NO_PAD.decode(page).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
    let (cursor, query) = text.split_once('?').ok_or_else(bad)?;
    Ok((query_pairs(query), Some(cursor.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_link_holds_the_search() {
        let parameters = vec![("name".to_owned(), "a&b=é".to_owned()), ("_count".to_owned(), "2".to_owned())];
        let url = page("http://x/Patient", &parameters, "i1_i2_");
        let pairs = query_pairs(url.split_once('?').unwrap().1);
        assert_eq!(resolve(&pairs).unwrap(), (parameters, Some("i1_i2_".to_owned())));
        assert!(resolve(&[(PAGE.to_owned(), "%%%".to_owned())]).is_err());
        assert!(resolve(&[pairs[0].clone(), ("name".to_owned(), "x".to_owned())]).is_err());
    }
}
