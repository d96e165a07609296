//! A request and its answer, as reports show them.

/// A longer body is cut in reports.
const BODY_MAX: usize = 8 * 1024;

/// A request and what became of it. Nothing in it holds the token.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// `GET https://…`
    pub asked: String,
    /// The headers and the body that were sent.
    pub request: Message,
    /// The status, or why there is none.
    pub status: Result<u16, String>,
    /// The headers and the body that came.
    pub response: Message,
    /// How long it took.
    pub millis: u128,
}

/// Headers and a body, cut to a length that can be read.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Name and value.
    pub headers: Vec<(String, String)>,
    /// The text; what is no text is not shown.
    pub body: String,
}

impl Message {
    pub(crate) fn new(headers: &[(String, String)], body: &str) -> Self {
        let end = body.floor_char_boundary(BODY_MAX);
        let mut shown = body[..end].to_owned();
        if end < body.len() {
            shown.push_str(&format!("\n… {} bytes more", body.len() - end));
        }
        Self { headers: headers.to_vec(), body: shown }
    }

    /// As HTTP writes it, after the first line.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\n"));
        }
        if !self.body.is_empty() {
            text.push('\n');
            text.push_str(&pretty(&self.body));
        }
        text.trim_end().to_owned()
    }
}

/// A text without the token.
pub(crate) fn hide(token: Option<&str>, text: &str) -> String {
    match token {
        Some(token) if !token.is_empty() => text.replace(token, "…"),
        _ => text.to_owned(),
    }
}

/// JSON on several lines; anything else as it is.
fn pretty(body: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(body);
    value.ok().and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{BODY_MAX, Message, hide};

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let long = Message::new(&[], &"ä".repeat(BODY_MAX));
        assert!(long.body.ends_with(" bytes more") && long.body.len() < BODY_MAX + 40);
        assert_eq!(Message::new(&[("a".into(), "b".into())], "{\"c\":1}").text(), "a: b\n\n{\n  \"c\": 1\n}");
    }

    #[test]
    fn the_token_is_hidden() {
        assert_eq!(hide(Some("secret"), "Bearer secret"), "Bearer …");
        assert_eq!(hide(None, "Bearer secret"), "Bearer secret");
    }
}
