//! Whatever a search says, it reaches the database as a value (HTTP-10): every kind of parameter with every modifier, with texts
//! that have changed what other servers' statements mean.

use crate::store::{BASE, TestStore, criteria, everything, on_both, post, put};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tessera_model::{
    Definitions, Patch,
    search::{Context, modifier::supported, parse::parse},
};
use tessera_store::{Action, Change, Error, Location, Precondition, Store as _};

const TEXTS: [&str; 52] = [
    "'",
    "''",
    "' OR '1'='1",
    "' OR 1=1 --",
    "' OR 1=1 /*",
    "') OR ('1'='1",
    "')) OR (('1'='1",
    "\" OR \"\"=\"",
    "\" OR 1=1 --",
    "1 OR 1=1",
    "1) OR (1=1",
    "1' OR '1",
    "'; DROP TABLE resource; --",
    "'; DELETE FROM resource; --",
    "'); DELETE FROM idx_token; --",
    "'; UPDATE resource SET deleted = 1; --",
    "'; INSERT INTO setting VALUES ('x', 'y'); --",
    "1; DROP TABLE idx_string",
    "' UNION SELECT body FROM resource --",
    "' UNION ALL SELECT rid FROM resource --",
    "') UNION SELECT 1,2,3 --",
    "'||(SELECT body FROM resource LIMIT 1)||'",
    "' AND (SELECT COUNT(*) FROM resource) > 0 --",
    "' AND 1=(SELECT 1 FROM pg_sleep(5)) --",
    "'; SELECT pg_sleep(5); --",
    "' AND randomblob(1000000000) --",
    "'; ATTACH DATABASE '/tmp/x' AS x; --",
    "'; COPY resource TO PROGRAM 'id'; --",
    "'; PRAGMA writable_schema = 1; --",
    "' AND load_extension('x') --",
    "$1",
    "$1 OR 1=1",
    "$$; DROP TABLE resource; $$",
    "?1",
    ":x",
    "@x",
    "%",
    "_",
    "%%%",
    "\\%",
    "\\'",
    "\\\\' OR 1=1 --",
    "E'\\x27'",
    "U&'\\0027'",
    "\u{2019} OR 1=1 --",
    "\u{ff07} OR 1=1 --",
    "/* x */ OR 1=1",
    "-- x\nOR 1=1",
    "0x27",
    "{\"$gt\": \"\"}",
    "]\") OR 1=1 --",
    "\"], [\"",
];

/// A parameter of each type, and whatever else reads a value.
const PARAMETERS: [(&str, &str); 24] = [
    ("Patient", "family"),
    ("Patient", "address"),
    ("Patient", "identifier"),
    ("Observation", "code"),
    ("Patient", "gender"),
    ("Patient", "birthdate"),
    ("Observation", "date"),
    ("RiskAssessment", "probability"),
    ("Observation", "value-quantity"),
    ("Observation", "subject"),
    ("Patient", "organization"),
    ("ValueSet", "url"),
    ("ValueSet", "reference"),
    ("Observation", "code-value-quantity"),
    ("Location", "near"),
    ("Patient", "_id"),
    ("Patient", "_lastUpdated"),
    ("Patient", "_tag"),
    ("Patient", "_profile"),
    ("Patient", "_text"),
    ("Patient", "_filter"),
    ("Observation", "subject:Patient.family"),
    ("Patient", "_has:Observation:subject:code"),
    ("Patient", "_list"),
];

/// The value alone, and as a part of what the type's values are made of.
const PLACES: [&str; 9] =
    ["X", "http://s|X", "X|x", "|X", "5|X|X", "Patient/X", "http://x/X|X", "5$X", "family eq \"X\""];

const TABLES: [&str; 14] = [
    "resource",
    "resource_history",
    "idx_token",
    "idx_reference",
    "idx_date",
    "idx_string",
    "idx_quantity",
    "idx_uri",
    "idx_position",
    "idx_text",
    "contained",
    "claim",
    "setting",
    "record",
];

/// How many rows each table has, and how many are live resources.
async fn rows(t: &TestStore) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in TABLES.into_iter().chain(["resource WHERE deleted = 0"]) {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        counts.push(match &t.location {
            Location::Sqlite(path) => {
                let url = format!("sqlite:{}", path.display());
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get::<i64, _>(0)
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query(sql).fetch_one(&mut connection).await.unwrap().get::<i64, _>(0)
            }
        });
    }
    counts
}

async fn fill(t: &TestStore) {
    let mut changes: Vec<Change> = (0..20)
        .map(|n| {
            put(&json!({
                "resourceType": "Patient", "id": format!("p{n}"), "gender": "male", "birthDate": "1980-01-01",
                "identifier": [{"system": "http://s", "value": format!("i{n}")}], "name": [{"family": format!("Chalmers{n}")}],
                "address": [{"city": "Ghent"}],
            }))
        })
        .collect();
    changes.push(put(&json!({
        "resourceType": "Observation", "id": "o", "status": "final", "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://s", "code": "c"}]}, "effectiveDateTime": "2020-01-01",
        "valueQuantity": {"value": 5, "system": "http://unitsofmeasure.org", "code": "g"},
    })));
    changes.push(put(&json!({
        "resourceType": "ValueSet", "id": "v", "status": "active", "url": "http://x/v",
        "compose": {"include": [{"system": "http://s"}]},
    })));
    t.write(changes).await.unwrap();
}

#[test]
fn http_10_no_value_changes_what_a_search_means() {
    on_both("http_10", async |t| {
        fill(&t).await;
        let before = rows(&t).await;
        let definitions = Definitions::r4();
        let context = Context {
            definitions,
            base: BASE,
            now: 1_600_000_000_000_000,
            lenient: false,
            terminology: &crate::property::Codes,
        };
        let (mut run, mut refused) = (0, 0);
        for (name, code) in PARAMETERS {
            let resource_type = definitions.resource_type(name).unwrap();
            // Of what is not in the tables, no modifier.
            let modifiers: Vec<String> = match definitions.parameter(resource_type, code) {
                Some(parameter) => supported(parameter.search_type)
                    .iter()
                    .map(|modifier| format!(":{}", modifier.replace("[type]", "Patient")))
                    .chain([String::new()])
                    .collect(),
                None => vec![String::new()],
            };
            for modifier in modifiers {
                let negates = [":not", ":not-in", ":missing"].contains(&modifier.as_str())
                    || code == "_text"
                    || code == "_filter";
                for text in TEXTS {
                    for place in PLACES {
                        // A comma would make alternatives of it, which may well match.
                        let value = place.replace('X', &text.replace(',', "\\,"));
                        let pair = (format!("{code}{modifier}"), value.clone());
                        let Ok(parsed) = parse(&[resource_type], std::slice::from_ref(&pair), context) else {
                            refused += 1;
                            continue;
                        };
                        run += 1;
                        let found = t.store.search(&everything(), parsed.query, None).await;
                        let found = found.unwrap_or_else(|error| panic!("{name}?{code}{modifier}={value}: {error}"));
                        assert!(negates || found.matches.is_empty(), "{name}?{code}{modifier}={value} finds something");
                    }
                }
            }
        }
        assert!(run > 5_000 && refused > 500, "{run} searches, {refused} refused");
        assert_eq!(rows(&t).await, before);
        t.is_sound().await;
    });
}

/// The same as conditions of writes, and in what is written.
#[test]
fn http_10_no_value_changes_what_a_write_means() {
    on_both("http_10_writes", async |t| {
        fill(&t).await;
        let before = rows(&t).await;
        for text in TEXTS {
            for query in ["family=X", "identifier=http://s|X", "identifier=X", "organization=Organization/X"] {
                // A comma would make alternatives of it.
                let value = query.replace(
                    'X',
                    &text.replace('\\', "\\\\").replace(',', "\\,").replace('|', "\\|").replace('$', "\\$"),
                );
                let (name, value) = value.split_once('=').unwrap();
                let mut criteria = criteria("Patient", "");
                criteria.parameters = vec![(name.to_owned(), value.to_owned())];
                let patch = Patch::merge(r#"{"gender": "female"}"#).unwrap();
                let action = Action::ConditionalPatch { criteria, patch, precondition: Precondition::default() };
                let result = t.write(vec![Change { action, full_url: None }]).await;
                let Err(Error::Entry { error, .. }) = result else { panic!("{name}={value}: {result:?}") };
                assert!(matches!(*error, Error::NoMatch(_) | Error::Model(_)), "{name}={value}: {error}");
            }
        }
        assert_eq!(rows(&t).await, before);
        for text in TEXTS {
            let value = json!({
                "resourceType": "Patient", "name": [{"family": text}], "identifier": [{"system": text, "value": text}],
            });
            let created = t.write(vec![post(&value, None)]).await.unwrap().remove(0).version.unwrap();
            let stored: serde_json::Value = serde_json::from_str(&created.body).unwrap();
            assert_eq!(stored["name"][0]["family"], text);
        }
        let now = rows(&t).await;
        assert_eq!(now[0] - before[0], i64::try_from(TEXTS.len()).unwrap());
        t.is_sound().await;
    });
}
