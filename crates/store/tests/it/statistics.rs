//! Searches on PostgreSQL whose tables have been filled at once, before anybody has looked at them.

use crate::store::{BASE, TestStore, everything, on_both, post, put};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};
use std::time::{Duration, Instant};
use tessera_model::{
    Definitions, Error,
    interaction::query_pairs,
    search::{Coded, Context, Terminology, parse::parse},
};
use tessera_store::{Location, Matches, Store as _};

/// Observations, of which the patient `p` has every fortieth.
const OBSERVATIONS: i64 = 40_000;
const CODES: usize = 50_000;

/// A value set of fifty thousand codes, of which one is used.
struct Many;

impl Terminology for Many {
    fn members(&self, _: &str) -> Result<Vec<Coded>, Error> {
        let code = |n| ("http://s".to_owned(), if n == 0 { "c7".to_owned() } else { format!("other{n}") });
        Ok((0..CODES).map(code).collect())
    }

    fn ancestors_or_self(&self, _: &str, _: &str) -> Result<Vec<Coded>, Error> {
        Ok(Vec::new())
    }

    fn descendants_or_self(&self, _: &str, _: &str) -> Result<Vec<Coded>, Error> {
        Ok(Vec::new())
    }
}

/// Runs statements beside the store.
async fn execute(t: &TestStore, sql: String) {
    match &t.location {
        Location::Sqlite(path) => {
            let url = format!("sqlite:{}", path.display());
            SqliteConnection::connect(&url).await.unwrap().execute(AssertSqlSafe(sql)).await.unwrap();
        }
        Location::Postgres(url) => {
            PgConnection::connect(url).await.unwrap().execute(AssertSqlSafe(sql)).await.unwrap();
        }
    }
}

/// Rows as many writes at once leave them, without the time that these would take.
async fn fill(t: &TestStore) {
    t.put(&json!({"resourceType": "Patient", "id": "p"})).await;
    let definitions = Definitions::r4();
    let observation = definitions.resource_type("Observation").unwrap();
    let param = |code| definitions.parameter(observation, code).unwrap().id.0;
    if matches!(t.location, Location::Postgres(_)) {
        for table in ["resource", "idx_token", "idx_reference"] {
            execute(t, format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).await;
        }
    }
    let numbers = format!(
        "WITH RECURSIVE number(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM number WHERE n < {OBSERVATIONS} + 999)"
    );
    let patient = "(SELECT rid FROM resource WHERE id = 'p')";
    for insert in [
        format!(
            "INSERT INTO resource (rid, type, id, version, last_updated, seq, method, deleted, body, patient) {numbers}
             SELECT n, {}, 'o' || n, 1, 1600000000000000, 1, 2, 0, '{{\"resourceType\":\"Observation\"}}', 0 FROM number",
            observation.number()
        ),
        format!(
            "INSERT INTO idx_token (rid, param, ord, system, code) {numbers}
             SELECT n, {}, 0, 'http://s', 'c' || (n % 1000) FROM number",
            param("code")
        ),
        format!(
            "INSERT INTO idx_token (rid, param, ord, system, code) {numbers}
             SELECT n, {}, 0, 'http://status', 'final' FROM number",
            param("status")
        ),
        format!(
            "INSERT INTO idx_reference (rid, param, ord, target) {numbers}
             SELECT n, {}, 0, {patient} FROM number WHERE n % 40 = 7",
            param("patient")
        ),
    ] {
        execute(t, insert).await;
    }
}

async fn search(t: &TestStore, text: &str) -> Matches {
    let definitions = Definitions::r4();
    let context = Context { definitions, base: BASE, now: 0, lenient: false, terminology: &Many };
    let types = [definitions.resource_type("Observation").unwrap()];
    let query = parse(&types, &query_pairs(text), context).unwrap().query;
    t.store.search(&everything(), query, None).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}

async fn total(t: &TestStore, text: &str) -> Option<i64> {
    search(t, &format!("{text}&_total=accurate&_count=20")).await.total
}

#[test]
fn a_search_for_fifty_thousand_codes_needs_no_statistics() {
    on_both("many_codes", async |t| {
        fill(&t).await;
        for analyzed in [false, true] {
            if analyzed {
                t.store.analyze().await.unwrap();
            }
            for (query, expected) in [
                ("code:in=http://v", 40),
                ("status=final&code:in=http://v", 40),
                ("patient=p&code:in=http://v", 40),
                ("patient=p&code:not-in=http://v", 960),
                ("patient=p&status=final&code:in=http://v", 40),
            ] {
                let started = Instant::now();
                assert_eq!(total(&t, query).await, Some(expected), "{query}, analyzed: {analyzed}");
                let took = started.elapsed();
                assert!(took < Duration::from_secs(8), "{query}: {took:?}, analyzed: {analyzed}");
            }
        }
    });
}

/// Whether there are statistics or not, and whatever the values are: rows of one code or of one patient are walked, and each is asked
/// the rest.
#[test]
fn searches_of_one_patient_or_of_one_code_have_one_plan() {
    on_both("one_plan", async |t| {
        fill(&t).await;
        for (query, is_settled, expected) in [
            ("code=http://s|c7", true, 40),
            ("patient=p", true, 1000),
            ("patient=p&code=c7", true, 40),
            ("patient=p&status=final&code=c7&_sort=-_lastUpdated", true, 40),
            ("code=http://s|c7&_sort=-_lastUpdated", false, 40),
            // Which of the two is rare only statistics can tell.
            ("code=http://s|c7&status=final", false, 40),
            ("code=http://s|c7&date=lt2020", false, 0),
            ("patient=p&code:not=c7", false, 960),
            ("patient=p&code:in=http://v", false, 40),
        ] {
            let explained = search(&t, &format!("{query}&_explain=true")).await.explanation.unwrap().join("\n");
            assert_eq!(explained.contains("one plan for all values"), is_settled, "{query}: {explained}");
            let fenced = matches!(t.location, Location::Postgres(_)) && is_settled && explained.contains("EXISTS");
            assert_eq!(explained.contains("OFFSET 0"), fenced, "{query}: {explained}");
            let count = search(&t, &format!("{query}&_summary=count")).await.total;
            assert_eq!(count, Some(expected), "{query}");
            let page = search(&t, &format!("{query}&_count=20")).await;
            assert_eq!(page.matches.len(), usize::try_from(expected.min(20)).unwrap(), "{query}");
        }
    });
}

#[test]
fn after_many_writes_postgres_looks_at_its_tables() {
    on_both("analyze", async |t| {
        let Location::Postgres(url) = &t.location else { return };
        // -1: nobody has looked.
        let rows = async || {
            let mut connection = PgConnection::connect(url).await.unwrap();
            let counts = "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE relname = 'idx_token'";
            connection.fetch_one(counts).await.unwrap().get::<i64, _>(0)
        };
        execute(&t, "ALTER TABLE idx_token SET (autovacuum_enabled = off)".to_owned()).await;
        let basic =
            |n: usize| json!({"resourceType": "Basic", "id": format!("b{n}"), "code": {"coding": [{"code": "x"}]}});
        let values: Vec<Value> = (0..500).map(basic).collect();
        t.write(values.iter().map(put).collect()).await.unwrap();
        assert_eq!(rows().await, -1);
        // The same again is a change too, and quickly made.
        for _ in 0..20 {
            t.write(values.iter().map(put).collect()).await.unwrap();
        }
        let started = Instant::now();
        while rows().await < 500 {
            assert!(started.elapsed() < Duration::from_secs(20), "nobody looks");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        t.write(vec![post(&basic(1), None)]).await.unwrap();
    });
}
