//! Full text: <https://hl7.org/fhir/R4/search.html#content>

use serde_json::json;
use tessera_fixtures::{condition, observation, patient};

use crate::space::{on_each_backend, refused};

fn told(text: &str) -> serde_json::Value {
    json!({ "status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}</div>") })
}

// https://hl7.org/fhir/R4/search.html#text: "_text: Search on the narrative of the resource"
#[test]
fn text_searches_the_words_of_the_narrative() {
    on_each_backend(|space| {
        space.add(
            "both",
            condition().set("text", told("<p class=\"hidden\">Bone</p> and <b>Liver</b>, Müller")).build(),
        );
        space.add("bone", condition().set("text", told("bone-marrow 50%")).build());
        space.add("none", condition().set("code.text", "bone liver").build());
        space.finds("Condition?_text=bone", "both bone");
        space.finds("Condition?_text=LIVER bone", "both");
        space.finds("Condition?_text=muller", "both");
        space.finds("Condition?_text=marrow", "bone");
        // Whole words: no part of one, no attribute of a tag, and no wildcard.
        for query in ["bon", "hidden", "xmlns", "b_ne", "bo%25"] {
            let reply = space.get(&space.within(&format!("Condition?_text={query}")));
            assert!(reply.entries().is_empty(), "{query}: {reply}");
        }
        space.finds("Condition?_text:missing=true", "none");
    });
}

// https://hl7.org/fhir/R4/search.html#content: "_content: Search on the entire content of the resource"
#[test]
fn content_searches_the_words_of_the_whole_resource() {
    on_each_backend(|space| {
        let contained = json!([{ "resourceType": "Practitioner", "id": "p", "name": [{ "family": "Østergård" }] }]);
        space.add("narrated", observation().set("text", told("tranquil")).build());
        space.add(
            "noted",
            observation().set("note", json!([{ "text": "A *tranquil* morning\nwith 山田太郎" }])).build(),
        );
        let holder = observation().set("contained", contained).set("performer", json!([{ "reference": "#p" }]));
        space.add("contained", holder.build());
        space.finds("Observation?_content=tranquil", "narrated noted");
        space.finds("Observation?_content=morning tranquil", "noted");
        space.finds("Observation?_content=山田", "noted");
        space.finds("Observation?_content=ostergard", "");
        space.finds("Observation?_content=Østergård", "contained");
        space.finds("?_content=tranquil&_type=Observation,Condition", "narrated noted");
        space.finds("Observation?_content=tranquil&_text:missing=true", "noted");
    });
}

// https://hl7.org/fhir/R4/search.html#content: "_text=(bone OR liver) and metastases"
#[test]
fn words_are_combined_by_and_or_not_and_parentheses() {
    on_each_backend(|space| {
        for text in ["bone metastases", "liver metastases", "bone", "metastases"] {
            space.add(&text.replace(' ', "-"), condition().set("text", told(text)).build());
        }
        space.finds("Condition?_text=(bone OR liver) and metastases", "bone-metastases liver-metastases");
        space.finds("Condition?_text=bone,liver", "bone-metastases liver-metastases bone");
        space.finds("Condition?_text=metastases NOT bone NOT liver", "metastases");
        space.finds("Condition?_text=bone&_text=metastases", "bone-metastases");
        space.finds("Patient?_has:Condition:subject:_text=bone", "");
        for bad in ["(bone", "bone)", "and bone", "bone or", "...", "not"] {
            refused(&space.get(&format!("Condition?_text={bad}")), &[400]);
        }
        refused(&space.get("Condition?_text=\"bone marrow\""), &[501]);
        refused(&space.get("Condition?_text:exact=bone"), &[400]);
        // A Bundle has no narrative.
        refused(&space.get("Bundle?_text=bone"), &[400]);
    });
}

#[test]
fn the_words_of_an_update_replace_those_before() {
    on_each_backend(|space| {
        let key = space.add("it", patient().family("Windsor").build());
        let mut changed = space.get(&key).expect_status(200).body;
        changed["name"] = json!([{ "family": "Mountbatten" }]);
        space.put(&key, &changed).assert_status(200);
        space.finds("Patient?_content=windsor", "");
        space.finds("Patient?_content=mountbatten", "it");
        space.delete(&key);
        space.finds("Patient?_content=mountbatten", "");
    });
}
