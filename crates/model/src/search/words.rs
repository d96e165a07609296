//! Full text: the words of a narrative (`_text`) and of a whole resource (`_content`), split and folded here so that both
//! databases find the same (docs/adr/0012-full-text.md). <https://hl7.org/fhir/R4/search.html#content>

use super::{
    escape::Escaped,
    query::{Filter, Place},
    string::fold,
};
use crate::{
    Definitions, Error,
    definitions::{TypeDefinition, TypeId},
    json::{Kind, Node},
    subset::Withheld,
};
use std::ops::Range;

/// Longer words are cut: they are no words, and PostgreSQL refuses long keys.
const LETTERS_MAX: usize = 64;
/// Most words of one search (HTTP-5).
const WORDS_MAX: usize = 50;
/// Deepest nesting of parentheses (HTTP-5).
const NESTING_MAX: usize = 10;

/// Calls `found` with each word of a text: what lies between anything but letters and digits, folded. An ideograph is a word,
/// since nothing separates them.
fn split(text: &str, mut found: impl FnMut(&str)) {
    let folded = fold(text);
    for run in folded.split(|c: char| !c.is_alphanumeric()) {
        let mut rest = run;
        while let Some((at, ideograph)) = rest.char_indices().find(|(_, c)| is_ideograph(*c)) {
            let (before, from) = rest.split_at(at);
            let (alone, after) = from.split_at(ideograph.len_utf8());
            [before, alone].into_iter().filter(|word| !word.is_empty()).for_each(|word| found(cut(word)));
            rest = after;
        }
        if !rest.is_empty() {
            found(cut(rest));
        }
    }
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{323af}')
}

fn cut(word: &str) -> &str {
    word.char_indices().nth(LETTERS_MAX).map_or(word, |(at, _)| &word[..at])
}

/// Words as they were found, one behind the other in one text.
#[derive(Default)]
struct Words {
    text: String,
    words: Vec<Range<usize>>,
}

impl Words {
    /// Adds the words, and the letter of the place alone, which says that there are any.
    fn add(&mut self, text: &str, place: Place) {
        let before = self.words.len();
        split(text, |word| self.push(place, word));
        if self.words.len() > before {
            self.push(place, "");
        }
    }

    fn push(&mut self, place: Place, word: &str) {
        let start = self.text.len();
        self.text.push(place.letter());
        self.text.push_str(word);
        self.words.push(start..self.text.len());
    }

    /// Each once, in order, with spaces between; `None` if there are none.
    fn joined(&self) -> Option<String> {
        let mut words: Vec<&str> = self.words.iter().filter_map(|word| self.text.get(word.clone())).collect();
        words.sort_unstable();
        words.dedup();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// The words of a resource as the index holds them, each once, with spaces between; `None` if it has none.
pub(super) fn extract(resource: Node<'_>, type_id: TypeId, definitions: &Definitions) -> Option<String> {
    let mut words = Words::default();
    if let Some(narrative) = resource.get("text").and_then(|text| text.get_str("div")) {
        words.add(&without_tags(&narrative), Place::Narrative);
    }
    let types = definitions.types();
    content(resource, &types[type_id], None, definitions, &mut words);
    words.joined()
}

/// There are words at all, for `:missing`.
pub(super) fn present(place: Place) -> Filter {
    Filter::Words(place, vec![String::new()])
}

/// Every text for people and every code; not ids, URIs, times or data. Nor what is withheld from some of what is contained:
/// they may search the container.
fn content(
    node: Node<'_>,
    definition: &TypeDefinition,
    withheld: Option<&Withheld>,
    definitions: &Definitions,
    words: &mut Words,
) {
    let types = definitions.types();
    for member in node.children() {
        let name = member.name();
        let left_out = name == "id" || withheld.is_some_and(|withheld| withheld.holds(&definition.name, &name));
        let Some(property) = definition.property(&name).filter(|_| !left_out) else { continue };
        let of_type = &types[property.type_id];
        for item in member.items() {
            if item.kind() == Kind::Object {
                let inner = item.get_str("resourceType").and_then(|name| types.named(&name));
                let all = inner.filter(|_| name == "contained").map(|_| Withheld::of_all(definitions));
                let withheld = all.as_ref().or(withheld);
                content(item, inner.map_or(of_type, |id| &types[id]), withheld, definitions, words);
            } else if let Some(text) = item.as_str() {
                match &*of_type.name {
                    "string" | "markdown" | "code" => words.add(&text, Place::Content),
                    "xhtml" => words.add(&without_tags(&text), Place::Content),
                    _ => {}
                }
            }
        }
    }
}

/// The text between the tags of XHTML; a tag or comment ends a word.
fn without_tags(xhtml: &str) -> String {
    let mut out = String::with_capacity(xhtml.len() / 2);
    let mut rest = xhtml;
    while let Some((text, tag)) = rest.split_once('<') {
        push_text(text, &mut out);
        out.push(' ');
        let end = if tag.starts_with("!--") { "-->" } else { ">" };
        rest = tag.split_once(end).map_or("", |(_, after)| after);
    }
    push_text(rest, &mut out);
    out
}

/// Adds text with its entities resolved; those that HTML has beyond XML and numbers end a word.
fn push_text(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, after)) = after.split_once(';').filter(|(name, _)| name.len() <= 10) else {
            out.push(' ');
            rest = after;
            continue;
        };
        let number = name.strip_prefix('#').and_then(|digits| match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        });
        out.push(number.and_then(char::from_u32).unwrap_or(' '));
        rest = after;
    }
    out.push_str(rest);
}

/// Reads words, `AND` (also where nothing stands between), `OR`, `NOT` and parentheses, as in the specification's
/// `(bone OR liver) and metastases`.
pub(super) fn parse(value: &Escaped<'_>, place: Place) -> Result<Filter, Error> {
    let text = value.text();
    if text.contains('"') {
        return Err(Error::NotSupported(
            "phrases in quotation marks are not supported; words are found in any order".into(),
        ));
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { value, place, tokens: &tokens, words: 0 };
    let filter = reader.any(0)?;
    if !reader.tokens.is_empty() {
        return Err(value.bad("a parenthesis is closed that was not opened"));
    }
    Ok(filter)
}

struct Reader<'a> {
    value: &'a Escaped<'a>,
    place: Place,
    tokens: &'a [&'a str],
    words: usize,
}

impl Reader<'_> {
    fn next_is(&self, word: &str) -> bool {
        self.tokens.first().is_some_and(|token| token.eq_ignore_ascii_case(word))
    }

    fn skip(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    fn any(&mut self, nesting: usize) -> Result<Filter, Error> {
        if nesting > NESTING_MAX {
            return Err(Error::TooCostly(format!("parentheses deeper than {NESTING_MAX}")));
        }
        let mut any = vec![self.all(nesting)?];
        while self.next_is("or") {
            self.skip();
            any.push(self.all(nesting)?);
        }
        Ok(if any.len() == 1 { any.swap_remove(0) } else { Filter::Any(any) })
    }

    fn all(&mut self, nesting: usize) -> Result<Filter, Error> {
        // Words that must all be there are one question to the index.
        let (mut words, mut others, mut expected) = (Vec::new(), Vec::new(), true);
        while let Some(&token) = self.tokens.first() {
            if token == ")" || self.next_is("or") {
                break;
            }
            if self.next_is("and") && !expected {
                self.skip();
                expected = true;
                continue;
            }
            match self.one(nesting)? {
                Filter::Words(_, found) => words.extend(found),
                other => others.push(other),
            }
            expected = false;
        }
        if expected {
            return Err(self.value.bad("expected words, with AND, OR, NOT and parentheses between them"));
        }
        if !words.is_empty() {
            others.insert(0, Filter::Words(self.place, words));
        }
        Ok(if others.len() == 1 { others.swap_remove(0) } else { Filter::All(others) })
    }

    fn one(&mut self, nesting: usize) -> Result<Filter, Error> {
        let Some(&token) = self.tokens.first() else { return Err(self.value.bad("a word is expected at the end")) };
        self.skip();
        if token.eq_ignore_ascii_case("not") {
            if nesting >= NESTING_MAX {
                return Err(Error::TooCostly(format!("NOT and parentheses deeper than {NESTING_MAX}")));
            }
            return Ok(Filter::Not(Box::new(self.one(nesting + 1)?)));
        }
        if token == "(" {
            let filter = self.any(nesting + 1)?;
            if self.tokens.first() != Some(&")") {
                return Err(self.value.bad("a parenthesis is not closed"));
            }
            self.skip();
            return Ok(filter);
        }
        let mut words = Vec::new();
        split(token, |word| words.push(word.to_owned()));
        self.words += words.len();
        if self.words > WORDS_MAX {
            return Err(Error::TooCostly(format!("more than {WORDS_MAX} words")));
        }
        if words.is_empty() || token.eq_ignore_ascii_case("and") || token.eq_ignore_ascii_case("or") {
            return Err(self.value.bad(&format!("{token} is no word")));
        }
        Ok(Filter::Words(self.place, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(text: &str) -> String {
        let mut words = Vec::new();
        split(text, |word| words.push(word.to_owned()));
        words.join(" ")
    }

    #[test]
    fn a_text_is_split_into_folded_words() {
        for (text, expect) in [
            ("Bone-marrow, LIVER!", "bone marrow liver"),
            ("Müllers Straße 5.4", "mullers strasse 5 4"),
            ("山田太郎 さん", "山 田 太 郎 さ ん"),
            ("COVID‑19", "covid 19"),
            ("…", ""),
        ] {
            assert_eq!(words_of(text), expect);
        }
        assert_eq!(words_of(&"a".repeat(100)).len(), LETTERS_MAX);
    }

    #[test]
    fn the_text_of_a_narrative_is_what_stands_between_its_tags() {
        let check = |xhtml: &str, expect: &str| assert_eq!(words_of(&without_tags(xhtml)), expect, "{xhtml}");
        check("<div><p class=\"hidden\">Bone</p><b>li</b>ver</div>", "bone li ver");
        check("<div>a<!-- b > c -->d &lt;e&gt; f&#233;g&#xe9;h &amp; i&nbsp;j & k</div>", "a d e fegeh i j k");
        check("<div", "");
    }

    #[test]
    fn words_are_combined() {
        let parse = |text: &str| {
            let parsed = parse(&Escaped::new("_content", text), Place::Content);
            parsed.map_or_else(|error| error.to_string(), |filter| format!("{filter:?}"))
        };
        let words = |words: &[&str]| format!("Words(Content, {words:?})");
        assert_eq!(parse("bone Marrow"), words(&["bone", "marrow"]));
        assert_eq!(parse("bone-marrow and liver"), words(&["bone", "marrow", "liver"]));
        assert_eq!(
            parse("(bone OR liver) and metastases"),
            format!("All([{}, Any([{}, {}])])", words(&["metastases"]), words(&["bone"]), words(&["liver"]))
        );
        assert_eq!(parse("a NOT b c"), format!("All([{}, Not({})])", words(&["a", "c"]), words(&["b"])));
        for bad in ["", "and a", "a or", "(a", "a)", "()", "...", "not"] {
            assert!(parse(bad).contains("_content="), "{bad}: {}", parse(bad));
        }
        assert!(parse("\"a b\"").contains("phrases"));
    }
}
