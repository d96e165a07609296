//! The central property: for any resources and any query, each database returns exactly what `matches` says, page by page and
//! in order. Meaning is written once, SQL is checked against it, and so the two databases against each other.

mod grid;
mod queries;
mod world;

use crate::store::{BASE, TestStore, delete, label, on_both, parsed, put, resource};
use queries::Queries;
use tessera_model::{
    Definitions, Error, IndexValue,
    definitions::{ParameterId, SearchType},
    search::{
        Coded, Terminology, extract,
        matches::{Candidate, found},
        query::{Contained, Query, SortKey},
    },
};
use world::World;

/// Terminology of the world: `vs` has two codes, `all` more than are bound one by one, and each code has the next below it.
pub(crate) struct Codes;

impl Terminology for Codes {
    fn members(&self, value_set: &str) -> Result<Vec<Coded>, Error> {
        let pair = |system: &str, code: &str| (system.to_owned(), code.to_owned());
        let few = || world::SYSTEMS.into_iter().flat_map(|s| world::CODES[..2].iter().map(move |c| pair(s, c)));
        Ok(match value_set {
            "http://v/few" => few().collect(),
            "http://v/all" => few().chain((0..300).map(|n| pair(world::SYSTEMS[0], &format!("\"n{n}\"")))).collect(),
            _ => Vec::new(),
        })
    }

    fn ancestors_or_self(&self, system: &str, code: &str) -> Result<Vec<Coded>, Error> {
        let all = world::CODES.iter().take_while(|c| **c <= code).map(|c| (system.to_owned(), (*c).to_owned()));
        Ok(all.collect())
    }

    fn descendants_or_self(&self, system: &str, code: &str) -> Result<Vec<Coded>, Error> {
        let all = world::CODES.iter().skip_while(|c| **c < code).map(|c| (system.to_owned(), (*c).to_owned()));
        Ok(all.collect())
    }
}

/// Resources of a round, and queries asked of them.
const RESOURCES: usize = 250;
const QUERIES: usize = 600;
const ROUNDS: u64 = 6;

#[test]
fn each_database_finds_exactly_what_matches_says() {
    // A failing seed can be run alone: TESSERA_PROPERTY_SEED=7
    let fixed = std::env::var("TESSERA_PROPERTY_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = fixed.map_or_else(|| (1..=ROUNDS).collect::<Vec<_>>(), |seed| vec![seed]);
    for seed in seeds {
        on_both("each_database_finds_exactly_what_matches_says", async |t| round(&t, seed).await);
    }
}

async fn round(t: &TestStore, seed: u64) {
    let candidates = fill(t, seed).await;
    let mut queries = Queries::new(seed);
    let (mut found_something, mut found_contained) = (0, 0);
    for _ in 0..QUERIES {
        let url = queries.next();
        let query = match parsed(&url) {
            Ok(parsed) => parsed.query,
            Err(error) => panic!("seed {seed}: {url}: {error}"),
        };
        let expected = expected(&query, &candidates);
        let actual = t.pages(&url).await;
        assert_eq!(actual, expected, "seed {seed}: {url}");
        found_something += usize::from(!expected.is_empty());
        found_contained += usize::from(!expected.is_empty() && query.contained != Contained::False);
    }
    // Queries that find nothing prove little.
    assert!(found_something > QUERIES / 4, "only {found_something} of {QUERIES} queries found anything");
    assert!(found_contained > QUERIES / 20, "only {found_contained} of {QUERIES} found anything among the contained");
    t.is_sound().await;
}

/// Writes the resources, some twice, deletes a few, and returns what is left in the order of creation.
async fn fill(t: &TestStore, seed: u64) -> Vec<Candidate> {
    let mut world = World::new(seed);
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let mut values: Vec<(serde_json::Value, i64)> = Vec::new();
    for chunk in 0..RESOURCES / 10 {
        let changes: Vec<serde_json::Value> = (0..10).map(|n| world.resource(chunk * 10 + n)).collect();
        for (value, changed) in changes.iter().zip(t.write(changes.iter().map(put).collect()).await.unwrap()) {
            values.push((value.clone(), changed.version.unwrap().last_updated));
        }
    }
    for n in 0..RESOURCES / 5 {
        let at = random.usize(..values.len());
        let id = values[at].0["id"].as_str().unwrap().to_owned();
        let name = values[at].0["resourceType"].as_str().unwrap().to_owned();
        if n % 4 == 0 {
            t.write(vec![delete(&format!("{name}/{id}"))]).await.unwrap();
            values.remove(at);
        } else {
            let value = world.again(&name, &id);
            let changed = t.put(&value).await;
            values[at] = (value, changed.version.unwrap().last_updated);
        }
    }
    let mut candidates: Vec<Candidate> = values.iter().map(candidate).collect();
    // What something referred to before it was created has its rid from then.
    let order = rids(t).await;
    candidates.sort_by_key(|candidate| order.iter().position(|key| *key == candidate.key.to_string()));
    candidates
}

/// A resource and its time as search sees it.
fn candidate((value, last_updated): &(serde_json::Value, i64)) -> Candidate {
    let resource = resource(value);
    Candidate {
        key: crate::store::key(&format!("{}/{}", resource.resource_type(), resource.id().unwrap())),
        last_updated: *last_updated,
        rows: extract::extract(&resource, BASE, Definitions::r4()),
    }
}

/// All keys in the order of their rids: the default order of a search.
async fn rids(t: &TestStore) -> Vec<String> {
    let everything = crate::store::everything();
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = t.matches(&everything, "?_count=1000", cursor).await;
        found.extend(page.matches.iter().map(|version| version.key.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

/// What should be found, in order.
fn expected(query: &Query, candidates: &[Candidate]) -> Vec<String> {
    let world = candidates.to_vec();
    let mut all: Vec<(i64, &Candidate, u32)> = Vec::new();
    for (at, candidate) in (1..).zip(candidates) {
        // What is contained has rids below zero, by its container's.
        let order = |number: u32| if number == 0 { at } else { -(at * 1000 + i64::from(number)) };
        all.extend(found(query, candidate, &world).into_iter().map(|number| (order(number), candidate, number)));
    }
    all.sort_by_key(|(order, ..)| *order);
    all.sort_by(|(_, a, m), (_, b, n)| {
        let order = query.sort.iter().map(|sort| {
            let value = |candidate, number| sort_value(&sort.key, sort.descending, candidate, number);
            match (value(a, *m), value(b, *n)) {
                (None, None) => std::cmp::Ordering::Equal,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(_), None) => std::cmp::Ordering::Less,
                (Some(a), Some(b)) if sort.descending => b.compare(&a),
                (Some(a), Some(b)) => a.compare(&b),
            }
        });
        // A stable sort keeps the order of rids where the keys do not decide.
        order.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    all.iter().map(|(_, candidate, number)| label(&candidate.key.id, *number)).collect()
}

#[derive(Clone, Debug)]
enum SortValue {
    Text(String),
    Number(f64),
    Time(i64),
}

impl SortValue {
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Time(a), Self::Time(b)) => a.cmp(b),
            _ => panic!("values of one parameter are of one kind"),
        }
    }
}

fn sort_value(key: &SortKey, descending: bool, candidate: &Candidate, number: u32) -> Option<SortValue> {
    let own = || candidate.rows.iter().filter(|row| row.contained == number);
    let (parameters, search_type): (&[ParameterId], SearchType) = match key {
        SortKey::Id => {
            let within = own().find_map(|row| match &row.value {
                IndexValue::Itself { id, .. } => Some(id.clone()),
                _ => None,
            });
            return Some(SortValue::Text(within.unwrap_or_else(|| candidate.key.id.to_string())));
        }
        SortKey::LastUpdated => return Some(SortValue::Time(candidate.last_updated)),
        SortKey::Parameter(parameters, search_type) => (parameters, *search_type),
    };
    let rows = own().filter(|row| parameters.contains(&row.parameter));
    let values = rows.filter_map(|row| match (&row.value, search_type) {
        (IndexValue::String { norm, .. }, SearchType::String) => {
            Some(SortValue::Text(norm[..norm.floor_char_boundary(500)].to_owned()))
        }
        (IndexValue::Token { code, .. }, SearchType::Token) => Some(SortValue::Text(code.clone())),
        (IndexValue::Uri { value, .. }, SearchType::Uri) => Some(SortValue::Text(value.clone())),
        (IndexValue::Date { low, .. }, SearchType::Date) => Some(SortValue::Time(*low)),
        (IndexValue::Quantity(q), SearchType::Number | SearchType::Quantity) => Some(SortValue::Number(q.low)),
        _ => None,
    });
    if descending { values.max_by(SortValue::compare) } else { values.min_by(SortValue::compare) }
}
