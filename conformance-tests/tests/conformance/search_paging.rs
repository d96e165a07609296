//! <https://hl7.org/fhir/R4/http.html#paging>

use std::{collections::BTreeSet, thread};

use tessera_fixtures::{observation, patient};

use crate::space::{Space, on_each_backend, refused, run};

fn ids(space: &Space, query: &str, mut between: impl FnMut(&Space)) -> Vec<String> {
    let mut page = space.search(query);
    let mut ids = Vec::new();
    loop {
        ids.extend(page.resources().iter().map(|resource| resource["id"].as_str().unwrap().to_owned()));
        let Some(next) = page.link("next") else { return ids };
        between(space);
        page = space.get(next).expect_status(200);
        assert!(!page.entries().is_empty(), "an empty page: {page}");
        assert!(ids.len() < 10_000, "{query} never ends");
    }
}

fn crowd(space: &Space, count: usize) -> BTreeSet<String> {
    let create = |number: usize| {
        let body = observation()
            .quantity(&format!("{}", number % 5), "mg")
            .effective(&format!("2020-01-{:02}", number % 7 + 1))
            .build();
        space.add(&format!("{number}"), body)
    };
    (0..count).map(|number| create(number).rsplit('/').next().unwrap().to_owned()).collect()
}

// https://hl7.org/fhir/R4/http.html#paging: the pages together are the result
#[test]
fn pages_together_are_the_whole_without_repetition() {
    on_each_backend(|space| {
        let all = crowd(space, 23);
        for query in [
            "Observation?_count=5",
            "Observation?_count=1",
            "Observation?_count=22",
            "Observation?_count=23",
            "Observation?_sort=date&_count=4",
            "Observation?_sort=-value-quantity,date&_count=4",
            "Observation?_sort=-_lastUpdated&_count=6",
            "Observation?_sort=-_id&_count=6",
            "Observation?_sort=value-string&_count=6",
            "Observation?status=final&_summary=true&_count=6",
        ] {
            let found = ids(space, query, |_| ());
            assert_eq!(found.len(), 23, "{query}");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all, "{query}");
        }
    });
}

// https://hl7.org/fhir/R4/http.html#paging: no page is empty, the last has no next link
#[test]
fn the_last_page_has_no_next_link() {
    on_each_backend(|space| {
        crowd(space, 6);
        let mut page = space.search("Observation?_count=3");
        assert_eq!(page.entries().len(), 3);
        page = space.get(page.link("next").unwrap()).expect_status(200);
        assert_eq!(page.entries().len(), 3);
        assert!(page.link("next").is_none(), "{page}");
    });
}

// https://hl7.org/fhir/R4/http.html#paging: others write while the client pages
#[test]
fn resources_written_meanwhile_neither_repeat_nor_hide_others() {
    on_each_backend(|space| {
        for query in [
            "Observation?_count=3",
            "Observation?_sort=-date&_count=3",
            "Observation?_sort=value-quantity&_count=3",
            "Observation?_sort=-_lastUpdated&_count=3",
        ] {
            let space = &space.apart();
            let all = crowd(space, 15);
            let found = ids(space, query, |space| {
                space.add("new", observation().quantity("3", "mg").effective("2020-01-04").build());
            });
            let distinct: BTreeSet<_> = found.iter().cloned().collect();
            assert_eq!(found.len(), distinct.len(), "{query}: repeated");
            assert!(all.is_subset(&distinct), "{query}: lost {:?}", all.difference(&distinct));
        }
    });
}

// https://hl7.org/fhir/R4/http.html#paging: deletions and updates of others
#[test]
fn resources_deleted_meanwhile_hide_no_others() {
    on_each_backend(|space| {
        let all = crowd(space, 15);
        let first = space.search("Observation?_count=5");
        let gone: Vec<String> = first.resources()[1..4].iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
        for id in &gone {
            assert!(space.delete(&format!("Observation/{id}")).is_success());
        }
        let mut found: BTreeSet<String> =
            first.resources().iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
        let mut next = first.link("next").map(str::to_owned);
        while let Some(url) = next {
            let page = space.get(&url).expect_status(200);
            for resource in page.resources() {
                assert!(found.insert(resource["id"].as_str().unwrap().to_owned()), "repeated: {page}");
            }
            next = page.link("next").map(str::to_owned);
        }
        assert_eq!(found, all);
    });
}

// https://hl7.org/fhir/R4/http.html#paging: many writers at once
#[test]
fn concurrent_inserts_do_not_disturb_a_reader() {
    on_each_backend(|space| {
        let all = crowd(space, 40);
        let body = space.tagged(observation().effective("2020-01-03").build());
        thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    let (client, body) = (space.client.clone(), &body);
                    scope.spawn(move || (0..20).for_each(|_| run(client.post("Observation", body)).assert_status(201)))
                })
                .collect();
            for query in ["Observation?_count=3", "Observation?_sort=date&_count=3"] {
                let found = ids(space, query, |_| ());
                let distinct: BTreeSet<_> = found.iter().cloned().collect();
                assert_eq!(found.len(), distinct.len(), "{query}: repeated");
                assert!(all.is_subset(&distinct), "{query}: lost {:?}", all.difference(&distinct));
            }
            writers.into_iter().for_each(|writer| writer.join().unwrap());
        });
    });
}

// https://hl7.org/fhir/R4/http.html#paging: links keep the shape of the first page
#[test]
fn later_pages_have_the_shape_of_the_first() {
    on_each_backend(|space| {
        for name in ["a", "b", "c"] {
            space.add(name, patient().family(name).set("contact.0.name.family", "X").build());
        }
        let first = space.search("Patient?_summary=true&_count=1&_sort=-family");
        let second = space.get(first.link("next").unwrap()).expect_status(200);
        assert_eq!(space.names_in(&second, "match"), ["b"], "{second}");
        let resource = second.resources()[0];
        assert!(
            resource.get("contact").is_none() && resource["meta"]["tag"].to_string().contains("SUBSETTED"),
            "{second}"
        );
        assert_eq!(second.entries().len(), 1, "{second}");
    });
}

// https://hl7.org/fhir/R4/http.html#paging: a link cannot be made up
#[test]
fn a_link_that_was_tampered_with_is_refused() {
    on_each_backend(|space| {
        crowd(space, 4);
        let first = space.search("Observation?_count=2");
        let next = first.link("next").unwrap();
        // Some character of the longest value, which is the cursor if there is one.
        let longest = next.split(['?', '&', '=']).max_by_key(|part| part.len()).unwrap();
        let middle = longest.len() / 2;
        let other = if longest.as_bytes()[middle] == b'A' { 'B' } else { 'A' };
        let changed = next.replace(longest, &format!("{}{other}{}", &longest[..middle], &longest[middle + 1..]));
        let reply = space.get(&changed);
        assert!(reply.status < 500, "{reply}");
        if reply.status != 200 {
            refused(&reply, &[400, 404, 410]);
        }
    });
}

// https://hl7.org/fhir/R4/http.html#paging: a next link is used again
#[test]
fn a_page_can_be_read_twice() {
    on_each_backend(|space| {
        crowd(space, 7);
        let first = space.search("Observation?_count=3");
        let next = first.link("next").unwrap();
        let (once, twice) = (space.get(next).expect_status(200), space.get(next).expect_status(200));
        assert_eq!(space.names_in(&once, "match"), space.names_in(&twice, "match"));
    });
}
