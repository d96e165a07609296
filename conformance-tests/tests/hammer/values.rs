//! Values of search parameters, headers and ids, sound ones and odd ones.

use fastrand::Rng;

const MODIFIERS: [&str; 22] = [
    "not",
    "text",
    "in",
    "not-in",
    "above",
    "below",
    "of-type",
    "identifier",
    "missing",
    "exact",
    "contains",
    "iterate",
    "Patient",
    "Group",
    "type",
    "code-text",
    "ofType",
    "",
    "exact:contains",
    "MISSING",
    "[type]",
    "nonsense",
];

const PREFIXES: [&str; 12] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "", "", "xx"];

/// What goes wrong somewhere, sooner or later.
pub(crate) const ODD: [&str; 44] = [
    "",
    " ",
    ",",
    ",,,",
    "|",
    "||",
    "|||||",
    "$",
    "$$",
    "\\",
    "\\,",
    "\\|",
    "\\$",
    "a\\",
    "%",
    "%25",
    "_",
    "%_%",
    "'",
    "''",
    "\"",
    "';--",
    "*",
    "?",
    "\u{0}",
    "\n",
    "\u{feff}",
    "ä",
    "İ",
    "ß",
    "ﷺ",
    "\u{1F469}\u{200D}\u{1F52C}",
    "e\u{301}",
    "-",
    "+",
    "0",
    "-0",
    "1e9999",
    "99999999999999999999999999999999999999",
    "NaN",
    "null",
    "true",
    "#",
    "..",
];

const DATES: [&str; 24] = [
    "2020",
    "2020-02",
    "2020-02-29",
    "2021-02-29",
    "2020-02-30T00:00:00Z",
    "2020-01-01T10",
    "2020-01-01T10:00",
    "2020-01-01T10:00:00",
    "2020-01-01T10:00:00.123456789Z",
    "2020-01-01T10:00:00+14:00",
    "2020-01-01T10:00:00-14:01",
    "0000",
    "0001",
    "9999",
    "9999-12-31T23:59:59.999999999Z",
    "0001-01-01T00:00:00+14:00",
    "10000",
    "2020-13",
    "2020-00",
    "2016-12-31T23:59:60Z",
    "2020-01-01T24:00:00Z",
    "20200101",
    "2020-1-1",
    "now",
];

const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "-1",
    "100",
    "1.0",
    "1.00",
    "0.1",
    "5.4e1",
    "1e2",
    "1E-3",
    "1e308",
    "1e-308",
    "1e400",
    "1e-400",
    "-0.0",
    "123456789012345678901234567890",
    "0.00000000000000000000000000001",
    ".5",
    "5.",
    "--1",
];

const UNITS: [&str; 12] = [
    "|http://unitsofmeasure.org|mg",
    "|http://unitsofmeasure.org|kg",
    "||mg",
    "|http://unitsofmeasure.org|Cel",
    "|http://unitsofmeasure.org|[degF]",
    "|http://unitsofmeasure.org|1/",
    "|http://unitsofmeasure.org|{}",
    "|x|y",
    "|",
    "||",
    "|http://unitsofmeasure.org|10*400",
    "",
];

const TOKENS: [&str; 12] = [
    "male",
    "http://loinc.org|8867-4",
    "|8867-4",
    "http://loinc.org|",
    "final,amended",
    "true",
    "false",
    "a|b|c",
    "http://terminology.hl7.org/CodeSystem/v2-0203|MR|a",
    "FINAL",
    "urn:oid:1.2.3|x",
    "vital-signs",
];

const REFERENCES: [&str; 15] = [
    "Patient/h1",
    "h1",
    "Patient/h1/_history/1",
    "http://elsewhere.example/fhir/Patient/1",
    "urn:uuid:x",
    "#a",
    "Patient/",
    "/h1",
    "Nothing/1",
    "Patient/a b",
    "urn:oid:1.2.3",
    "http://example.org/canonical|1.0",
    "Patient/h1,Group/h1",
    "Patient",
    "https://",
];

const POSITIONS: [&str; 10] = [
    "48.2|16.4",
    "48.2|16.4|10|km",
    "48.2|16.4|10|[mi_i]",
    "91|181",
    "-90|180|1e9|km",
    "90|0|20000|km",
    "a|b|c|d",
    "48.2",
    "48.2|16.4|-1|km",
    "48.2|16.4|1|kg",
];

const FILTERS: [&str; 12] = [
    "name eq \"a\"",
    "gender eq male and not(birthdate gt 2000)",
    "name co \"%\" or (family sw \"a\" and given ew b)",
    "(((",
    "not",
    "a.b.c eq d",
    "Patient.name eq a",
    "_id eq h1",
    "birthdate ap 2000-01-01",
    "name pr true",
    "code in http://x",
    "related[type eq \"a\"].target pr false",
];

pub(crate) fn pick<'a>(random: &mut Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(..of.len())]
}

/// A modifier with its colon, or none.
pub(crate) fn modifier(random: &mut Rng) -> String {
    if random.u8(..3) > 0 { String::new() } else { format!(":{}", pick(random, &MODIFIERS)) }
}

/// A value of a search parameter of that type, as it stands before it is percent-encoded.
pub(crate) fn of_search_type(random: &mut Rng, search_type: &str) -> String {
    let value = match random.u8(..10) {
        0 => pick(random, &ODD).to_owned(),
        1 => {
            let other = pick(random, &["date", "number", "quantity", "token", "reference", "string", "uri", "special"]);
            sound(random, other)
        }
        _ => sound(random, search_type),
    };
    match random.u8(..12) {
        0 => format!("{value},{}", pick(random, &ODD)),
        1 => format!("{value}{}", pick(random, &ODD)),
        _ => value,
    }
}

fn sound(random: &mut Rng, search_type: &str) -> String {
    match search_type {
        "date" => format!("{}{}", pick(random, &PREFIXES), pick(random, &DATES)),
        "number" => format!("{}{}", pick(random, &PREFIXES), pick(random, &NUMBERS)),
        "quantity" => format!("{}{}{}", pick(random, &PREFIXES), pick(random, &NUMBERS), pick(random, &UNITS)),
        "token" => pick(random, &TOKENS).to_owned(),
        "reference" => pick(random, &REFERENCES).to_owned(),
        "uri" => pick(random, &["http://example.org", "http://example.org/a|2", "urn:oid:1.2", "HTTP://EXAMPLE.ORG/"])
            .to_owned(),
        "composite" => format!("{}${}", sound(random, "token"), sound(random, "quantity")),
        "special" => pick(random, &POSITIONS).to_owned(),
        _ => match random.u8(..6) {
            0 => "a".repeat(random.usize(..3000)),
            1 => pick(random, &ODD).repeat(random.usize(..50)),
            _ => pick(random, &["a", "Chalmers", "zoë", "O'Brien", "peter james"]).to_owned(),
        },
    }
}

/// A `_filter`.
pub(crate) fn filter(random: &mut Rng) -> String {
    pick(random, &FILTERS).to_owned()
}

/// A logical id, of a resource that there is, or of none, or no id at all.
pub(crate) fn id(random: &mut Rng) -> String {
    match random.u8(..8) {
        0 => pick(random, &ODD).to_owned(),
        1 => "a".repeat(60 + random.usize(..10)),
        2 => "no-such".to_owned(),
        3 => pick(random, &["..", ".", "_history", "$x", "h1/_history", "a b", "A%2FB", "_search", "*"]).to_owned(),
        _ => format!("h{}", random.u8(1..5)),
    }
}

/// A header's name and value.
pub(crate) fn header(random: &mut Rng) -> (&'static str, String) {
    const HEADERS: [(&str, &[&str]); 12] = [
        ("If-Match", &["W/\"1\"", "*", "W/\"1\", W/\"2\"", "1", "\"\"", "W/", "W/\"99999999999999999999\"", ",", "é"]),
        ("If-None-Match", &["W/\"1\"", "*", "\"1\"", "W/\"-1\"", "", "\"a"]),
        (
            "If-None-Exist",
            &["identifier=x", "?name=a", "nonsense=1", "", "_id=h1", "Patient?_format=json&name=%", "&&"],
        ),
        (
            "If-Modified-Since",
            &[
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sat, 29 Oct 2044 19:43:31 GMT",
                "yesterday",
                "0",
                "Sun, 99 Nov 0000 99:99:99 GMT",
            ],
        ),
        (
            "Prefer",
            &[
                "return=minimal",
                "return=OperationOutcome",
                "handling=lenient",
                "handling=strict",
                "=",
                ";;,",
                "respond-async",
            ],
        ),
        (
            "Accept",
            &[
                "application/fhir+json",
                "application/fhir+xml",
                "*/*",
                "text/html",
                "application/fhir+json;q=0",
                ",",
                ";",
                "a/b;q=x",
                "application/fhir+turtle",
                "application/json;fhirVersion=5.0",
            ],
        ),
        (
            "Content-Type",
            &[
                "application/fhir+json",
                "application/fhir+xml",
                "application/json-patch+json",
                "text/plain",
                "application/json; charset=utf-16",
                ";",
                "a",
                "application/merge-patch+json",
                "application/octet-stream",
                "application/x-www-form-urlencoded",
            ],
        ),
        ("Accept-Encoding", &["gzip", "br", "zstd", "identity;q=0", "*;q=0", "nonsense", ""]),
        ("Content-Encoding", &["gzip", "br", "zstd", "identity", "nonsense", "gzip, gzip"]),
        ("Idempotency-Key", &["a", "b", "", "é"]),
        ("Accept-Charset", &["utf-8", "latin1", "*;q=0"]),
        ("X-Forwarded-Host", &["elsewhere.example", "a b"]),
    ];
    let (name, values) = HEADERS[random.usize(..HEADERS.len())];
    (name, pick(random, values).to_owned())
}
