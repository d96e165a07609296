//! <https://hl7.org/fhir/R4/search.html#uri>

use serde_json::Value;
use tessera_fixtures::resource;

use crate::space::{Space, on_each_backend};

fn value_set(url: &str) -> Value {
    resource("ValueSet").set("status", "draft").set("url", url).build()
}

fn tree(space: &Space) -> String {
    let root = format!("http://example.org/{}", space.tag);
    for (name, path) in [("root", ""), ("a", "/a"), ("b", "/a/b"), ("c", "/a/b/c"), ("ab", "/ab")] {
        space.add(name, value_set(&format!("{root}{path}")));
    }
    root
}

// https://hl7.org/fhir/R4/search.html#uri: the whole URI, by case and accent
#[test]
fn uri_matches_the_whole_uri_only() {
    on_each_backend(|space| {
        let root = tree(space);
        space.finds(&format!("ValueSet?url={root}/a"), "a");
        space.finds(&format!("ValueSet?url={root}/A"), "");
        space.finds(&format!("ValueSet?url={root}/a/"), "");
        space.finds(&format!("ValueSet?url={root}/a,{root}/ab"), "a ab");
    });
}

// https://hl7.org/fhir/R4/search.html#uri: `:below`
#[test]
fn below_finds_what_starts_with_the_value() {
    on_each_backend(|space| {
        let root = tree(space);
        space.finds(&format!("ValueSet?url:below={root}/a/b"), "b c");
        space.finds(&format!("ValueSet?url:below={root}"), "root a b c ab");
        let below = space.found(&format!("ValueSet?url:below={root}/a"));
        // R4 speaks of the start of the text in its example, and of segments in its definition.
        assert!(["a", "b", "c"].iter().all(|name| below.iter().any(|found| found == name)), "{below:?}");
    });
}

// https://hl7.org/fhir/R4/search.html#uri: `:above`
#[test]
fn above_finds_what_the_value_starts_with() {
    on_each_backend(|space| {
        let root = tree(space);
        space.finds(&format!("ValueSet?url:above={root}/a/b/c"), "root a b c");
        space.finds(&format!("ValueSet?url:above={root}/a/b/x"), "root a b");
    });
}

// https://hl7.org/fhir/R4/search.html#uri: URNs have no hierarchy
#[test]
fn urns_are_matched_as_they_are() {
    on_each_backend(|space| {
        let urn = "urn:oid:1.2.3.4.5";
        space.add("oid", value_set(urn));
        space.add("uuid", value_set("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"));
        space.finds(&format!("ValueSet?url={urn}"), "oid");
        space.finds("ValueSet?url=urn:oid:1.2.3", "");
        space.finds("ValueSet?url=urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "uuid");
    });
}

// https://hl7.org/fhir/R4/search.html#uri
#[test]
fn missing_speaks_of_the_uri() {
    on_each_backend(|space| {
        tree(space);
        space.add("none", resource("ValueSet").set("status", "draft").build());
        space.finds("ValueSet?url:missing=true", "none");
        space.finds("ValueSet?url:missing=false", "root a b c ab");
    });
}

// https://hl7.org/fhir/R4/search.html#uri: the query of a URL and long URLs
#[test]
fn uris_of_all_forms_are_matched() {
    on_each_backend(|space| {
        let long = format!("http://example.org/{}", "segment/".repeat(150));
        space.add("query", value_set("http://example.org/a?b=c&d=e#f"));
        space.add("long1", value_set(&format!("{long}1")));
        space.add("long2", value_set(&format!("{long}2")));
        space.finds("ValueSet?url=http://example.org/a%3Fb%3Dc%26d%3De%23f", "query");
        space.finds(&format!("ValueSet?url={long}1"), "long1");
    });
}
