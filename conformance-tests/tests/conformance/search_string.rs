//! <https://hl7.org/fhir/R4/search.html#string>

use serde_json::json;
use tessera_fixtures::{patient, resource};

use crate::space::on_each_backend;

// https://hl7.org/fhir/R4/search.html#string: it equals or starts with the value, without case and accents
#[test]
fn string_matches_from_the_start_without_case_and_accents() {
    on_each_backend(|space| {
        space.add("eve", patient().given("Eve").build());
        space.add("evelyn", patient().given("Evelyn").build());
        space.add("severine", patient().given("Séverine").build());
        space.add("eveline", patient().given("ÉVELINE").build());
        space.finds("Patient?given=eve", "eve evelyn eveline");
        space.finds("Patient?given=EVE", "eve evelyn eveline");
        space.finds("Patient?given=évé", "eve evelyn eveline");
        space.finds("Patient?given=severine", "severine");
        space.finds("Patient?given=verine", "");
    });
}

// https://hl7.org/fhir/R4/search.html#string: `:contains`
#[test]
fn contains_matches_anywhere() {
    on_each_backend(|space| {
        space.add("eve", patient().given("Eve").build());
        space.add("severine", patient().given("Séverine").build());
        space.add("adam", patient().given("Adam").build());
        space.finds("Patient?given:contains=eve", "eve severine");
        space.finds("Patient?given:contains=VÉ", "eve severine");
        space.finds("Patient?given:contains=rine", "severine");
        space.finds("Patient?given:contains=am", "adam");
    });
}

// https://hl7.org/fhir/R4/search.html#string: `:exact`
#[test]
fn exact_matches_the_whole_string_as_it_is() {
    on_each_backend(|space| {
        space.add("plain", patient().given("Eve").build());
        space.add("lower", patient().given("eve").build());
        space.add("accent", patient().given("Evé").build());
        space.add("longer", patient().given("Evelyn").build());
        space.finds("Patient?given:exact=Eve", "plain");
        space.finds("Patient?given:exact=eve", "lower");
        space.finds("Patient?given:exact=Evé", "accent");
        space.finds("Patient?given:exact=Ev", "");
    });
}

// https://hl7.org/fhir/R4/search.html#string: all parts of a HumanName
#[test]
fn name_looks_at_every_part_of_a_human_name() {
    on_each_backend(|space| {
        let name = json!({
            "text": "Doctor No", "family": "Chalmers", "given": ["Peter", "James"],
            "prefix": ["Sir"], "suffix": ["III"],
        });
        space.add("a", patient().push("name", name).push("name", json!({ "family": "Windsor" })).build());
        for value in ["chalmers", "peter", "james", "sir", "iii", "doctor no", "windsor"] {
            space.finds(&format!("Patient?name={value}"), "a");
        }
        space.finds("Patient?family=peter", "");
        space.finds("Patient?given=chalmers", "");
        space.finds("Patient?name=official", "");
    });
}

// https://hl7.org/fhir/R4/search.html#string: all parts of an Address
#[test]
fn address_looks_at_every_part_of_an_address() {
    on_each_backend(|space| {
        let address = json!({
            "use": "home", "text": "behind the church", "line": ["534 Erewhon St", "Flat 2"], "city": "PleasantVille",
            "district": "Rainbow", "state": "Vic", "postalCode": "3999", "country": "Australia",
        });
        space.add("a", patient().push("address", address).build());
        for value in ["behind", "534 erewhon", "flat 2", "pleasant", "rainbow", "vic", "3999", "australia"] {
            space.finds(&format!("Patient?address={value}"), "a");
        }
        space.finds("Patient?address-city=pleasantville", "a");
        space.finds("Patient?address-state=vic&address-postalcode=39&address-country=austr", "a");
        space.finds("Patient?address-city=3999", "");
        space.finds("Patient?address=home", "");
    });
}

// https://hl7.org/fhir/R4/search.html#combining
#[test]
fn commas_mean_or_and_repetition_means_and() {
    on_each_backend(|space| {
        space.add("both", patient().given("Anna").given("Maria").build());
        space.add("anna", patient().given("Anna").build());
        space.add("maria", patient().given("Maria").build());
        space.add("eve", patient().given("Eve").build());
        space.finds("Patient?given=anna,maria", "both anna maria");
        space.finds("Patient?given=anna&given=maria", "both");
        space.finds("Patient?given=anna,eve&given=maria,eve", "both eve");
    });
}

// https://hl7.org/fhir/R4/search.html#escaping
#[test]
fn separators_are_escaped_by_a_backslash() {
    on_each_backend(|space| {
        space.add("comma", resource("Organization").set("name", "Smith, Jones").build());
        space.add("smith", resource("Organization").set("name", "Smith").build());
        space.add("jones", resource("Organization").set("name", "Jones").build());
        space.add("odd", resource("Organization").set("name", "a|b$c\\d").build());
        space.finds("Organization?name=Smith\\, J", "comma");
        space.finds("Organization?name=Smith%5C%2C%20Jones", "comma");
        space.finds("Organization?name=smith,jones", "comma smith jones");
        space.finds("Organization?name=a\\|b\\$c\\\\d", "odd");
        space.finds("Organization?name:exact=a\\|b\\$c\\\\d", "odd");
    });
}

// https://www.unicode.org/reports/tr15/: one text in two spellings
#[test]
fn the_spelling_in_unicode_does_not_matter() {
    on_each_backend(|space| {
        space.add("composed", patient().family("Müller").build());
        space.add("decomposed", patient().family("Mu\u{308}ller").build());
        space.add("greek", patient().family("ΣΊΣΥΦΟΣ").build());
        space.add("kanji", patient().family("山田").given("太郎").build());
        space.add("emoji", patient().family("🐟sh").build());
        for query in ["family=müller", "family=mu\u{308}", "family=MULLER", "family:contains=ülle"] {
            space.finds(&format!("Patient?{query}"), "composed decomposed");
        }
        space.finds("Patient?family=σίσυφος", "greek");
        space.finds("Patient?family=山", "kanji");
        space.finds("Patient?name:contains=田", "kanji");
        space.finds("Patient?family=🐟", "emoji");
    });
}

// https://hl7.org/fhir/R4/search.html#string: patterns of databases have no meaning
#[test]
fn wildcards_of_databases_are_plain_characters() {
    on_each_backend(|space| {
        space.add("percent", patient().family("100%").build());
        space.add("under", patient().family("a_b").build());
        space.add("plain", patient().family("axb").build());
        space.add("quote", patient().family("O'Neil").build());
        space.finds("Patient?family=%25", "");
        space.finds("Patient?family:contains=%25", "percent");
        space.finds("Patient?family=a_", "under");
        space.finds("Patient?family:contains=_b", "under");
        space.finds("Patient?family=o'neil", "quote");
        space.finds("Patient?family=o' OR '1'='1", "");
        space.finds("Patient?family:contains=*", "");
    });
}

// https://hl7.org/fhir/R4/search.html#string: long texts are compared to their end
#[test]
fn long_strings_are_compared_to_their_end() {
    on_each_backend(|space| {
        let long = |end: &str| format!("{}{end}", "abcdefghij".repeat(200));
        space.add("one", patient().family(&long("one")).build());
        space.add("two", patient().family(&long("two")).build());
        space.finds(&format!("Patient?family={}", long("one")), "one");
        space.finds(&format!("Patient?family:exact={}", long("two")), "two");
        space.finds("Patient?family:contains=jtwo", "two");
        space.finds(&format!("Patient?family={}", long("")), "one two");
    });
}

// https://hl7.org/fhir/R4/search.html#string: an update replaces what is found
#[test]
fn an_update_changes_what_is_found() {
    on_each_backend(|space| {
        let key = space.add("a", patient().family("Before").build());
        let mut body = space.get(&key).expect_status(200).body;
        body["name"][0]["family"] = json!("After");
        space.put(&key, &body).assert_status(200);
        space.finds("Patient?family=before", "");
        space.finds("Patient?family=after", "a");
    });
}
