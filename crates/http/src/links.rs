//! The links of a Bundle: self and next. A page link holds the whole search, so nothing else may stand beside it.
//! <https://hl7.org/fhir/R4/http.html#paging>

use crate::{Context, error::Error};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tessera_auth::MasterKey;
use tessera_model::{
    AccessContext,
    interaction::{percent_encode, query_pairs},
    temporal::Micros,
};

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

/// Makes page links, and reads them. What a link holds is sealed for whoever it was made for: it can be neither read, nor
/// changed, nor used by another (CMP-7).
pub(crate) struct Pages<'a> {
    /// `None`: there is no authentication, and so nobody to seal for.
    key: Option<&'a MasterKey>,
    caller: String,
    now: Micros,
}

/// What the key is used for.
const PURPOSE: &str = "page";
/// How long a page link is good for. In microseconds.
const GOOD_FOR: Micros = 24 * 3600 * 1_000_000;

impl<'a> Pages<'a> {
    pub(crate) fn of(context: &'a Context, access: &AccessContext) -> Self {
        Self { key: context.master_key.as_deref(), caller: access.caller().identity(), now: context.clock.now() }
    }

    /// The URL of the page after `cursor`.
    pub(crate) fn link(&self, url: &str, parameters: &[(String, String)], cursor: &str) -> Result<String, Error> {
        let text = format!("{cursor}?{}", query_string(parameters));
        let page = match self.key {
            None => URL_SAFE_NO_PAD.encode(text),
            Some(key) => key
                .seal(PURPOSE, &self.caller, format!("{}?{text}", self.now).as_bytes())
                .map_err(|error| tessera_store::Error::Backend(error.to_string()))?,
        };
        Ok(format!("{url}{}{PAGE}={page}", separator(url)))
    }

    /// The parameters and the cursor that a request's parameters mean: its own, or those within its page link.
    pub(crate) fn resolve(&self, parameters: &[(String, String)]) -> Result<(Parameters, Option<String>), Error> {
        let Some((_, page)) = parameters.iter().find(|(name, _)| name == PAGE) else {
            return Ok((parameters.to_vec(), None));
        };
        if parameters.len() > 1 {
            return Err(Error::BadRequest("a page link stands alone: no other parameter may be added to it".into()));
        }
        let (cursor, query) = self.opened(page).ok_or(Error::Store(tessera_store::Error::BadCursor))?;
        Ok((query_pairs(&query), Some(cursor)))
    }

    fn opened(&self, page: &str) -> Option<(String, String)> {
        let bytes = match self.key {
            None => URL_SAFE_NO_PAD.decode(page).ok()?,
            Some(key) => key.open(PURPOSE, &self.caller, page).ok()?,
        };
        let text = String::from_utf8(bytes).ok()?;
        let text = match self.key {
            None => text.as_str(),
            Some(_) => {
                let (made, text) = text.split_once('?')?;
                let made: Micros = made.parse().ok()?;
                (self.now.saturating_sub(made) < GOOD_FOR).then_some(text)?
            }
        };
        let (cursor, query) = text.split_once('?')?;
        Some((cursor.to_owned(), query.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages<'a>(key: Option<&'a MasterKey>, caller: &str) -> Pages<'a> {
        Pages { key, caller: caller.to_owned(), now: 0 }
    }

    fn link(pages: &Pages<'_>) -> (Parameters, Parameters) {
        let parameters = vec![("name".to_owned(), "a&b=é".to_owned()), ("_count".to_owned(), "2".to_owned())];
        let url = pages.link("http://x/Patient", &parameters, "i1_i2_").unwrap();
        (query_pairs(url.split_once('?').unwrap().1), parameters)
    }

    #[test]
    fn a_page_link_holds_the_search() {
        let pages = pages(None, "app");
        let (pairs, parameters) = link(&pages);
        assert_eq!(pages.resolve(&pairs).unwrap(), (parameters, Some("i1_i2_".to_owned())));
        assert!(pages.resolve(&[(PAGE.to_owned(), "%%%".to_owned())]).is_err());
        assert!(pages.resolve(&[pairs[0].clone(), ("name".to_owned(), "x".to_owned())]).is_err());
    }

    #[test]
    fn cmp_7_a_page_link_is_good_for_whom_it_was_made_as_it_was_made_and_for_a_day() {
        let key = MasterKey::new([1; 32]);
        let mine = pages(Some(&key), "app");
        let (pairs, parameters) = link(&mine);
        assert_eq!(mine.resolve(&pairs).unwrap(), (parameters, Some("i1_i2_".to_owned())));
        assert!(pages(Some(&key), "another").resolve(&pairs).is_err());
        assert!(Pages { now: GOOD_FOR, ..pages(Some(&key), "app") }.resolve(&pairs).is_err());
        for n in 0..pairs[0].1.len() {
            let mut text = pairs[0].1.clone().into_bytes();
            text[n] = if text[n] == b'A' { b'B' } else { b'A' };
            let changed = [(PAGE.to_owned(), String::from_utf8(text).unwrap())];
            assert!(mine.resolve(&changed).is_err(), "{n}");
        }
        assert!(mine.resolve(&link(&pages(None, "app")).0).is_err());
    }
}
