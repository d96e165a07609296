//! What has made browsers run scripts, made of what such attacks consist of (HTTP-9).

use super::{XHTML, check};

const SCHEMES: [&str; 14] = [
    "javascript:alert(1)",
    "vbscript:msgbox(1)",
    "livescript:x",
    "mocha:x",
    "data:text/html,<script>alert(1)</script>",
    "data:text/html;base64,PHNjcmlwdD4=",
    "data:image/svg+xml,<svg onload='alert(1)'/>",
    "data:application/xhtml+xml,x",
    "data:,x",
    "file:///etc/passwd",
    "blob:http://here/1",
    "view-source:javascript:x",
    "feed:javascript:x",
    "jar:javascript:x!",
];

/// Ways to write a scheme so that a browser reads it and a filter may not.
fn written(scheme: &str) -> Vec<String> {
    let (first, rest) = scheme.split_at(1);
    let (middle, end) = scheme.split_at(scheme.find(':').unwrap());
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let code = u32::from(first.chars().next().unwrap());
    let mut ways = vec![
        escaped(scheme),
        escaped(&scheme.to_uppercase()),
        format!("&#{code};{}", escaped(rest)),
        format!("&#x{code:x};{}", escaped(rest)),
        format!("&#{code:07};{}", escaped(rest)),
        format!("{middle}&colon;{}", escaped(&end[1..])),
        format!("{middle}&#58;{}", escaped(&end[1..])),
        format!("{middle}&#x3A;{}", escaped(&end[1..])),
        format!("{middle}&#9;{}", escaped(end)),
        format!("//x/../{middle}&#10;{}", escaped(end)).replacen("//x/../", "", 1),
        format!("\u{a0}{}", escaped(scheme)),
        format!("\u{feff}{}", escaped(scheme)),
    ];
    // Browsers leave out what of U+0000 to U+0020 leads, and tabs and ends of lines wherever they are.
    for control in 0..=0x20_u32 {
        ways.push(format!("&#{control};{}", escaped(scheme)));
        ways.push(format!("{first}&#x{control:X};{}", escaped(rest)));
    }
    for control in ["\t", "\n", "\r", " ", "\u{1}", "\u{0}", "\u{8}", "\u{1f}"] {
        ways.push(format!("{control}{}", escaped(scheme)));
        ways.push(format!("{first}{control}{}", escaped(rest)));
    }
    ways
}

const ELEMENTS: &str = "script style iframe frame frameset noframes object embed applet param form input button select option \
    textarea isindex fieldset keygen svg math base link meta title head body html layer ilayer bgsound video audio source track \
    picture canvas template slot portal dialog details summary marquee blink xml xss noscript plaintext listing xmp image \
    animate set use foreignObject handler listener map area menu menuitem label legend optgroup output progress";

const EVENTS: &str = "onclick ondblclick onmousedown onmouseup onmouseover onmousemove onmouseout onmouseenter onkeydown \
    onkeypress onkeyup onload onunload onerror onabort onfocus onfocusin onblur onchange onsubmit onreset onselect onresize \
    onscroll onanimationstart onanimationend ontransitionend onpointerover onpointerenter ontoggle onwheel oncopy onpaste \
    oncontextmenu ondrag ondrop onhashchange onpageshow onbeforeunload onbegin onend onrepeat onreadystatechange ONCLICK \
    OnLoad onfilterchange onsomethingnew";

const ATTRIBUTES: &str = "src href action formaction background dynsrc lowsrc srcset srcdoc poster data code codebase classid \
    archive usemap ismap longdesc profile cite ping manifest xlink:href xml:base content http-equiv form target download \
    contenteditable autofocus is part slot style:x v-on:click ng-app";

#[test]
fn http_9_nothing_that_a_browser_would_run_is_a_narrative() {
    let mut vectors = Vec::new();
    for scheme in SCHEMES {
        for address in written(scheme) {
            vectors.push(format!("<a href=\"{address}\">x</a>"));
            vectors.push(format!("x<img src=\"{address}\"/>"));
            vectors.push(format!("<q cite='{}'>x</q>", address.replace('\'', "&#39;")));
        }
    }
    for element in ELEMENTS.split_whitespace() {
        vectors.push(format!("x<{element}/>"));
        vectors.push(format!("<{element}>x</{element}>"));
        vectors.push(format!("x<{} src='http://x/x.js'/>", element.to_uppercase()));
        vectors.push(format!("x<x:{element} xmlns:x='{XHTML}'/>"));
        vectors.push(format!("x<{element} xmlns='http://www.w3.org/2000/svg'/>"));
    }
    for event in EVENTS.split_whitespace() {
        vectors.push(format!("<p {event}=\"alert(1)\">x</p>"));
        vectors.push(format!("<img src='x' {event}='alert(1)'/>"));
        vectors.push(format!("<a href='#' x:{event}='alert(1)' xmlns:x='{XHTML}'>x</a>"));
    }
    for attribute in ATTRIBUTES.split_whitespace() {
        vectors.push(format!("<p {attribute}=\"javascript:alert(1)\">x</p>"));
    }
    for whole in [
        "<p title=\"<script>alert(1)</script>\">x</p>",
        "<p title='x' onclick=alert(1)>x</p>",
        "<p title=\"x\"onclick=\"alert(1)\">x</p>",
        "<p/onclick=\"alert(1)\">x</p>",
        "<img src=\"x\"/onerror=\"alert(1)\"/>",
        "<<script>alert(1)//<</script>",
        "<scr<script>ipt>alert(1)</script>",
        "<script\u{a0}src='x'></script>x",
        "\u{ff1c}script\u{ff1e}</script>",
        "<!--><img src='x' onerror='alert(1)'/>-->x",
        "<!---><img src='x' onerror='alert(1)'/>-->x",
        "<!-- --!><img src='x' onerror='alert(1)'/>-->x",
        "<![CDATA[<img src='x' onerror='alert(1)'/>]]>",
        "<?xml-stylesheet href='javascript:alert(1)'?>x",
        "<!DOCTYPE x [<!ENTITY e '<script/>'>]>x",
        "<!ENTITY e SYSTEM 'file:///etc/passwd'>x",
        "&e;x",
        "<p>x</p></div><script>alert(1)</script><div>",
        "<p xmlns='http://www.w3.org/1999/XSL/Transform'>x</p>",
        "<html:script xmlns:html='http://www.w3.org/1999/xhtml'>x</html:script>",
    ] {
        vectors.push(whole.to_owned());
    }
    assert!(vectors.len() > 300, "{}", vectors.len());
    let accepted: Vec<&String> =
        vectors.iter().filter(|inner| check(&format!("<div xmlns=\"{XHTML}\">{inner}</div>")).is_none()).collect();
    assert!(accepted.is_empty(), "{} of {}: {accepted:#?}", accepted.len(), vectors.len());
}
