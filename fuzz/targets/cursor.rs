//! The cursor of a page link: refused, or a page; never a failure of the database.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tessera_model::interaction::query_pairs;
use tessera_model::search::{Context, NoTerminology, parse::parse};
use tessera_model::{AccessContext, Definitions};
use tessera_store::{
    Error, Location, Options, SEARCH_TIMEOUT, SqlStore, Store as _, Synchronous, clock::SystemClock, migrate,
};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

static STORE: LazyLock<SqlStore> = LazyLock::new(|| {
    let file = std::env::temp_dir().join(format!("tessera-fuzz-{}.db", std::process::id()));
    let location = Location::parse(&format!("sqlite:{}", file.display())).expect("a location");
    RUNTIME.block_on(async {
        migrate(&location).await.expect("tables");
        let options = Options {
            location,
            base: Some("http://localhost/fhir".to_owned()),
            clock: Arc::new(SystemClock),
            synchronous: Synchronous::Normal,
            accept_fsync_off: false,
            search_timeout: SEARCH_TIMEOUT,
            audit: None,
        };
        SqlStore::open(options).await.expect("a store")
    })
});

/// Searches with keys of every kind.
const SEARCHES: [&str; 6] =
    ["", "_sort=_lastUpdated", "_sort=name,-birthdate", "_sort=-gender", "_sort=_id", "_sort=email,-family"];

fuzz_target!(|data: &[u8]| {
    let Some((&which, cursor)) = data.split_first() else { return };
    let Ok(cursor) = std::str::from_utf8(cursor) else { return };
    let definitions = Definitions::r4();
    let context = Context {
        definitions,
        base: "http://localhost/fhir",
        now: 1_700_000_000_000_000,
        lenient: false,
        terminology: &NoTerminology,
    };
    let types = definitions.resource_type("Patient");
    let search = SEARCHES[usize::from(which) % SEARCHES.len()];
    let parsed = parse(types.as_slice(), &query_pairs(search), context).expect("a search");
    let access = AccessContext::internal("fuzz");
    let found = RUNTIME.block_on(STORE.search(&access, parsed.query, Some(cursor.to_owned())));
    assert!(matches!(found, Ok(_) | Err(Error::BadCursor)), "{found:?}");
});
