//! <http://hl7.org/fhirpath/N1/#string-manipulation>

use super::check;

#[test]
fn parts() {
    check("'äbc'.indexOf('c')", "2");
    check("'abc'.indexOf('x')", "-1");
    check("'abab'.lastIndexOf('ab')", "2");
    check("'äbc'.substring(1)", "bc");
    check("'äbc'.substring(0, 1)", "ä");
    check("'abc'.substring(3)", "");
    check("'abc'.substring(-1)", "");
    check("'abc'.substring(1, 0)", "");
    check("'abc'.startsWith('a') and 'abc'.endsWith('c') and 'abc'.contains('b')", "true");
    check("'abc'.startsWith('b') or 'abc'.endsWith('b') or 'abc'.contains('x')", "false");
    check("'äbc'.length()", "3");
    check("'äb'.toChars()", "ä, b");
    check("'a,,b'.split(',').count()", "3");
    check("name.given.take(3).join('+')", "Peter+James+Jim");
    check("{}.join(',')", "");
    check("'  a b '.trim() & '|'", "a b|");
    check("'Straße'.upper()", "STRASSE");
    check("'ÄB'.lower()", "äb");
    check("name.first().length()", "error: length(): the input must be a string, not FHIR.HumanName");
    check("'a'.indexOf(1)", "error: indexOf(): an argument must be a string, not System.Integer");
    check("{}.length()", "");
    check("'a'.contains({})", "");
}

#[test]
fn replacements_and_patterns() {
    check("'abcabc'.replace('b', 'x')", "axcaxc");
    check("'ab'.replace('', '-')", "-a-b-");
    check("'abc'.matches('b')", "true");
    check("'abc'.matches('^b$')", "false");
    check("'abc'.matchesFull('b')", "false");
    check("'abc'.matchesFull('a|abc')", "true");
    check("'a\\nb'.matches('a.b')", "true");
    check("'Ä1'.matches('^\\\\w\\\\d$')", "true");
    check("'a1b2'.replaceMatches('[0-9]', '#')", "a#b#");
    check("'2020-01'.replaceMatches('(?<y>[0-9]+)-(?<m>[0-9]+)', '${m}/${y}')", "01/2020");
    check("'a'.matches('(')", "error: no regular expression that this server can run: (");
}

#[test]
fn forms() {
    check("'ä?'.encode('base64')", "w6Q/");
    check("'ä?'.encode('urlbase64')", "w6Q_");
    check("'ä'.encode('hex')", "c3a4");
    check("'w6Q/'.decode('base64')", "ä?");
    check("'w6Q_'.decode('urlbase64')", "ä?");
    check("'c3a4'.decode('hex')", "ä");
    check("'c3a'.decode('hex')", "");
    check("'zz'.decode('base64')", "");
    check("'<a b=\"\\'&\">'.escape('html')", "&lt;a b=&quot;&#39;&amp;&quot;&gt;");
    check("'&lt;&#228;&#xe4;&nbsp;&'.unescape('html')", "<ää&nbsp;&");
    check("'a\\nb'.escape('json')", "a\\nb");
    check("'a\\\\u00e4'.unescape('json')", "aä");
    check("'a'.encode('rot13')", "error: there is no form \"rot13\": hex, base64 and urlbase64, or html and json");
}
