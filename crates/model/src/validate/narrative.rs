//! The XHTML of a narrative: what `Narrative.div` may hold (txt-1) and must hold (txt-2), and nothing that a browser
//! would run, however it parses it. <https://hl7.org/fhir/R4/narrative.html#xhtml>

use crate::xml::{
    entity,
    tag::{SPACE, attribute},
};
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

const XHTML: &str = "http://www.w3.org/1999/xhtml";
const DEPTH_MAX: usize = 64;
const ATTRIBUTES_MAX: usize = 32;

const MALFORMED: &str =
    "not well-formed XHTML: close every tag, quote every attribute value, write & as &amp; and < as &lt;";
const ROOT: &str = "XHTML has one root element, div, and nothing but white space around it";
const NAMESPACE: &str = "every element is in the XHTML namespace: <div xmlns=\"http://www.w3.org/1999/xhtml\">";
const ENTITY: &str = "an unknown entity or a reference to no character: write the character itself, or as &#160;";
const ELEMENT: &str = "has an element other than the basic formatting ones of HTML 4.0 (txt-1), such as script or form";
const ADDRESS: &str = "a link or an image has an address of a scheme that is not allowed: use http, https, mailto or urn \
                       for a link, http, https, urn or data:image/png, jpeg or gif for an image, or a relative one";

/// What is wrong with the XHTML, or `None` if it is right.
pub(crate) fn check(text: &str) -> Option<&'static str> {
    walk(text).err()
}

fn walk(text: &str) -> Result<(), &'static str> {
    if !entity::is_text(text) {
        return Err("has a control character, which XML does not allow");
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    // The prefix of the root, and so of every element; most often the empty one, which takes no allocation.
    let mut prefix: Option<String> = None;
    let (mut depth, mut content) = (0_usize, false);
    loop {
        match reader.read_event().map_err(|_| MALFORMED)? {
            event @ (Event::Start(_) | Event::Empty(_)) => {
                let (Event::Start(tag) | Event::Empty(tag)) = &event else { continue };
                content |= match &prefix {
                    Some(prefix) if depth > 0 => element(tag, prefix, false)?,
                    Some(_) => return Err(ROOT),
                    None => element(tag, prefix.insert(root_prefix(tag.name().as_ref())?), true)?,
                };
                if depth == DEPTH_MAX {
                    return Err("elements are nested more than 64 deep");
                }
                depth += usize::from(matches!(event, Event::Start(_)));
            }
            // The reader has matched it with its start.
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(run) => {
                if run.contains("]]>") {
                    return Err(MALFORMED);
                }
                let blank = run.trim_start_matches(SPACE).is_empty();
                if depth == 0 && !blank {
                    return Err(ROOT);
                }
                content |= !blank;
            }
            Event::GeneralRef(name) => {
                let character = entity::of_html(&name).ok_or(ENTITY)?;
                if depth == 0 {
                    return Err(ROOT);
                }
                content |= !SPACE.contains(&character);
            }
            // HTML ends these comments at once, and would take what follows as markup.
            Event::Comment(text) if text.starts_with('>') || text.starts_with("->") => {
                return Err("a comment starts with neither > nor ->");
            }
            Event::Comment(_) => {}
            // HTML knows none, and would take what is in it as markup.
            Event::CData(_) => return Err("no CDATA section: write < as &lt; and & as &amp;"),
            Event::Decl(_) | Event::PI(_) => return Err("no XML declaration and no processing instruction"),
            Event::DocType(_) => return Err("no document type declaration"),
            Event::Eof if prefix.is_none() => return Err(ROOT),
            Event::Eof if depth > 0 => return Err(MALFORMED),
            Event::Eof if !content => return Err("a narrative has some text or an image (txt-2)"),
            Event::Eof => return Ok(()),
        }
    }
}

/// The prefix of the root's name, which may be empty.
fn root_prefix(name: &str) -> Result<String, &'static str> {
    match name.strip_suffix(":div") {
        Some(prefix) if is_prefix(prefix) => Ok(prefix.to_owned()),
        None if name == "div" => Ok(String::new()),
        _ => Err(ROOT),
    }
}

/// Checks a tag and its attributes; whether it is an image, which counts as content.
fn element(tag: &BytesStart<'_>, prefix: &str, root: bool) -> Result<bool, &'static str> {
    let name = tag.name();
    let local = match prefix {
        "" if name.as_ref().contains(':') => return Err(NAMESPACE),
        "" => name.as_ref(),
        _ => name.as_ref().strip_prefix(prefix).and_then(|name| name.strip_prefix(':')).ok_or(NAMESPACE)?,
    };
    match local {
        "a" | "abbr" | "acronym" | "address" | "b" | "bdo" | "big" | "blockquote" | "br" | "caption" | "center"
        | "cite" | "code" | "col" | "colgroup" | "dd" | "dfn" | "div" | "dl" | "dt" | "em" | "font" | "h1" | "h2"
        | "h3" | "h4" | "h5" | "h6" | "hr" | "i" | "img" | "kbd" | "li" | "ol" | "p" | "pre" | "q" | "s" | "samp"
        | "small" | "span" | "strike" | "strong" | "sub" | "sup" | "table" | "tbody" | "td" | "tfoot" | "th"
        | "thead" | "tr" | "tt" | "u" | "ul" | "var" => {}
        // "a < b"
        "" => return Err(MALFORMED),
        _ => return Err(ELEMENT),
    }
    let mut raw = tag.attributes_raw();
    if raw.is_empty() && !root {
        return Ok(false);
    }
    let (mut bound, mut image) = (false, false);
    let (mut seen, mut count) = ([""; ATTRIBUTES_MAX], 0);
    while !raw.trim_start_matches(SPACE).is_empty() {
        let (name, value, rest) = attribute(raw).ok_or(MALFORMED)?;
        raw = rest;
        if value
            .split('&')
            .skip(1)
            .any(|text| text.split_once(';').and_then(|(name, _)| entity::of_html(name)).is_none())
        {
            return Err(ENTITY);
        }
        if seen[..count].contains(&name) {
            return Err("an element has the same attribute twice");
        }
        *seen.get_mut(count).ok_or("an element has more than 32 attributes")? = name;
        count += 1;
        match (local, name) {
            ("a", "href") | ("q" | "blockquote", "cite") if is_safe(value, false) => {}
            ("img", "src" | "longdesc") if is_safe(value, true) => image |= name == "src",
            ("a", "href") | ("q" | "blockquote", "cite") | ("img", "src" | "longdesc") => return Err(ADDRESS),
            ("a", "name") => {}
            (_, "xmlns") if prefix.is_empty() && value != XHTML => return Err(NAMESPACE),
            (_, "xmlns") => bound |= prefix.is_empty(),
            (
                _,
                "abbr" | "accesskey" | "align" | "alt" | "axis" | "bgcolor" | "border" | "cellpadding" | "cellspacing"
                | "char" | "charoff" | "charset" | "class" | "clear" | "color" | "cols" | "colspan" | "compact"
                | "coords" | "dir" | "face" | "frame" | "headers" | "height" | "hreflang" | "hspace" | "id" | "lang"
                | "noshade" | "nowrap" | "rel" | "rev" | "rowspan" | "rules" | "scope" | "shape" | "size" | "span"
                | "start" | "style" | "summary" | "tabindex" | "title" | "type" | "valign" | "value" | "vspace"
                | "width" | "xml:lang" | "xml:space",
            ) => {}
            _ => match name.strip_prefix("xmlns:") {
                Some(other) if other == prefix && value != XHTML => return Err(NAMESPACE),
                // Another one: no element and no attribute may use it, so it does no harm. XSLT leaves such behind.
                Some(other) if is_prefix(other) && !value.is_empty() => bound |= other == prefix,
                Some(_) => return Err(MALFORMED),
                None if name.get(..2).is_some_and(|on| on.eq_ignore_ascii_case("on")) => {
                    return Err("has an event attribute, such as onclick: a narrative has no active content (txt-1)");
                }
                None => return Err("has an attribute that the formatting elements of HTML 4.0 do not have (txt-1)"),
            },
        }
    }
    if root && !bound { Err(NAMESPACE) } else { Ok(image) }
}

/// Whether an address is relative or of a scheme that runs nothing, once read as a browser does: without white space
/// and control characters, its references resolved, in lower case.
fn is_safe(value: &str, image: bool) -> bool {
    let mut rest = value;
    let characters = std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (character, length) = match rest.strip_prefix('&') {
            None => (first, first.len_utf8()),
            Some(text) => text.split_once(';').and_then(|(name, _)| Some((entity::of_html(name)?, name.len() + 2)))?,
        };
        rest = rest.get(length..)?;
        Some(character.to_ascii_lowercase())
    })
    .filter(|character| *character > ' ');
    let starts = |prefix: &str| prefix.chars().eq(characters.clone().take(prefix.len()));
    let images = ["png;", "png,", "jpeg;", "jpeg,", "jpg;", "jpg,", "gif;", "gif,"];
    match characters.clone().find(|character| matches!(character, ':' | '/' | '?' | '#')) {
        Some(':') if starts("data:image/") => {
            images.iter().any(|kind| kind.chars().eq(characters.clone().skip(11).take(kind.len())))
        }
        // A urn is what entries of a transaction call each other; a browser does nothing with one.
        Some(':') => starts("http:") || starts("https:") || starts("urn:") || !image && starts("mailto:"),
        _ => true,
    }
}

/// Whether a namespace may have that prefix (of the ASCII ones, which are enough).
fn is_prefix(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("xml"))
}

#[cfg(test)]
mod corpus;

#[cfg(test)]
mod tests {
    use super::*;

    fn div(inner: &str) -> Option<&'static str> {
        check(&format!("<div xmlns=\"{XHTML}\">{inner}</div>"))
    }

    #[test]
    fn right() {
        for inner in [
            "text",
            "a &lt; b &amp; c &#160;&#xA0;&nbsp;&eacute;&hellip; é > ü",
            "&nbsp;",
            "<p>one<br/>two<br /></p><hr/>\n<!-- a note - or two -->",
            "<img src=\"#photo\" alt='a \"photo\"'/>",
            "<img src=\"data:image/png;base64,AAAA\"/><img src=\"DATA:image/jpeg,x\"/>",
            "<a href=\"http://example.org/?a=1&amp;b=javascript:2\">x</a><a name=\"here\">y</a><a href=''>z</a>",
            "<a href=\"Patient/1\">x</a><a href=\"#here\">y</a><a href=\"mailto:a@b\">z</a><a href=\"urn:oid:1.2\">u</a>",
            "<table border=\"1\" class='grid'><tbody><tr><td colspan = \"2\" style=\"color: red\">1</td></tr></tbody></table>",
            "<p xml:lang=\"nl\" lang=\"nl\" dir=\"ltr\" title=\"a > b\">x</p><ol start=\"3\" type=\"a\"><li value=\"4\">x</li></ol>",
            "<blockquote cite=\"https://example.org\" xmlns=\"http://www.w3.org/1999/xhtml\">x</blockquote >",
        ] {
            assert_eq!(div(inner), None, "{inner}");
        }
        for text in [
            "<h:div xmlns:h='http://www.w3.org/1999/xhtml'><h:p>x</h:p></h:div>",
            "\n<!-- a --> <div xmlns:x=\"urn:x\" xmlns=\"http://www.w3.org/1999/xhtml\">x</div>\n",
        ] {
            assert_eq!(check(text), None, "{text}");
        }
    }

    #[test]
    fn wrong() {
        let deep = format!("{}x{}", "<p>".repeat(DEPTH_MAX), "</p>".repeat(DEPTH_MAX));
        for (inner, why) in [
            ("", "txt-2"),
            (" \n\t&#32;&#xA;<p> </p><!-- x --><img alt='x'/>", "txt-2"),
            ("<p>x", "well-formed"),
            ("x</p>", "well-formed"),
            ("<b><i>x</b></i>", "well-formed"),
            ("x</div><p>", "root"),
            ("x & y", "well-formed"),
            ("x ]]> y", "well-formed"),
            ("a < b", "well-formed"),
            ("<p class=x>x</p>", "well-formed"),
            ("<p class>x</p>", "well-formed"),
            ("<p class=\"a\"id=\"b\">x</p>", "well-formed"),
            ("<p title=\"<b>\">x</p>", "well-formed"),
            ("<p id='a' id='b'>x</p>", "twice"),
            ("&bogus;", "entity"),
            ("&#0;", "entity"),
            ("&#xD800;", "entity"),
            ("&#+65;", "entity"),
            ("<p title='&bogus;'>x</p>", "entity"),
            ("\u{1}x", "control"),
            ("<script>x</script>", "element"),
            ("<style>x</style>", "element"),
            ("<form>x</form>", "element"),
            ("<P>x</P>", "element"),
            ("<iframe src='http://x'/>x", "element"),
            ("<svg xmlns='http://www.w3.org/2000/svg'/>x", "element"),
            ("<s:svg xmlns:s='http://www.w3.org/2000/svg'/>x", "namespace"),
            ("<p xmlns='urn:x'>x</p>", "namespace"),
            ("<p onclick='x()'>x</p>", "event"),
            ("<img src='x' OnError='x()'/>", "event"),
            ("<img src='x'/onerror='x()'/>", "well-formed"),
            ("<p src='http://x'>x</p>", "attribute"),
            ("<a xlink:href='x'>x</a>", "attribute"),
            ("<a href='javascript:x()'>x</a>", "scheme"),
            ("<a href=' \n JaVa\tscript&#58;x()'>x</a>", "scheme"),
            ("<a href='&#x6A;avascript&#x3a;x()'>x</a>", "scheme"),
            ("<a href='java&#x9;script:x()'>x</a>", "scheme"),
            ("<a href='vbscript:x'>x</a>", "scheme"),
            ("<a href='data:text/html,x'>x</a>", "scheme"),
            ("<img src='data:image/svg+xml,x'/>", "scheme"),
            ("<img src='data:image/png+xml,x'/>", "scheme"),
            ("<q cite='javascript:x'>x</q>", "scheme"),
            ("<![CDATA[x]]>", "CDATA"),
            ("<!--><script>x()</script>-->x", "comment"),
            ("<!-- a -- b -->x", "well-formed"),
            ("<?php x ?>x", "instruction"),
            (&deep, "deep"),
        ] {
            assert!(div(inner).is_some_and(|found| found.contains(why)), "{inner}: {:?}", div(inner));
        }
        for (text, why) in [
            ("", "root"),
            ("x", "root"),
            ("<div>x</div>", "namespace"),
            ("<div xmlns='http://www.w3.org/1999/XHTML'>x</div>", "namespace"),
            ("<h:div xmlns='http://www.w3.org/1999/xhtml'>x</h:div>", "namespace"),
            ("<h:div xmlns:h='http://www.w3.org/1999/xhtml'><p>x</p></h:div>", "namespace"),
            ("<:div xmlns='http://www.w3.org/1999/xhtml'>x</:div>", "root"),
            ("<p xmlns='http://www.w3.org/1999/xhtml'>x</p>", "root"),
            ("<div xmlns='http://www.w3.org/1999/xhtml'>x</div>y", "root"),
            (
                "<div xmlns='http://www.w3.org/1999/xhtml'>x</div><div xmlns='http://www.w3.org/1999/xhtml'>y</div>",
                "root",
            ),
            ("<div xmlns='http://www.w3.org/1999/xhtml'>x", "well-formed"),
            ("<?xml version='1.0'?><div xmlns='http://www.w3.org/1999/xhtml'>x</div>", "declaration"),
            ("<!DOCTYPE div [<!ENTITY a 'b'>]><div xmlns='http://www.w3.org/1999/xhtml'>&a;</div>", "type declaration"),
        ] {
            assert!(check(text).is_some_and(|found| found.contains(why)), "{text}: {:?}", check(text));
        }
    }

    #[test]
    fn no_input_panics() {
        let whole =
            "<div xmlns='http://www.w3.org/1999/xhtml'><!-- é --><a href='&#x6A;é'>&nbsp;é</a><![CDATA[]]><?p?></div>";
        for (at, character) in whole.char_indices() {
            check(&whole[..at]);
            check(&whole[at..]);
            check(&format!("{}{}", &whole[..at], &whole[at + character.len_utf8()..]));
        }
    }
}
