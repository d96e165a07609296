//! The suite for servers of others, turned on ours, on both databases: nothing fails, and all of it is asked.

use conformance_tests::{
    Backend, Database, Server,
    suite::{self, Options, Report},
};
use tessera_fixtures::postgres::Cluster;

use crate::{
    smart::{Key, on_each_backend},
    space::run,
};

/// What the specification recommends and this server leaves.
const ADVICE: [&str; 1] = ["result.previous"];

/// The ids of the checks that ended like this.
pub(crate) fn ids(report: &Report, outcome: &str) -> Vec<&'static str> {
    let ended = report.checked.iter().filter(|checked| checked.outcome.name() == outcome);
    ended.map(|checked| checked.check.id).collect()
}

/// Runs the suite.
pub(crate) async fn ask(options: &Options) -> Report {
    suite::run(options, |_| ()).await.unwrap()
}

#[test]
fn this_server_passes_the_suite() {
    let name = "this_server_passes_the_suite";
    for backend in Backend::ALL {
        // One of its own, on a PostgreSQL of its own: histories of all are read, which show a write when no transaction of that PostgreSQL
        // is left that may come before it.
        let Some(mut server) = Server::start(backend, name) else { continue };
        let cluster = Cluster::options().durable(true);
        let cluster = (backend == Backend::Postgres).then(|| cluster.start_or_skip(name)).flatten();
        if let Some(cluster) = &cluster {
            server = Database::on(cluster).serve(&[]);
        }
        let report = run(ask(&Options::new(server.base())));
        println!("on {backend}\n{}", suite::summary(&report));
        assert!(!report.has_failed());
        assert_eq!(ids(&report, "advice"), ADVICE);
        assert_eq!(ids(&report, "not applicable"), ["update.creates-not"]);
        // Without authentication there is nothing to discover.
        assert!(ids(&report, "not stated").iter().all(|id| id.starts_with("smart.")));
        assert_eq!(report.remaining, Vec::<String>::new());
    }
}

#[test]
fn without_a_token_only_what_is_open_is_asked() {
    on_each_backend(async |smart| {
        let report = ask(&Options::new(smart.server.base())).await;
        assert!(!report.has_failed(), "{}", suite::summary(&report));
        for checked in &report.checked {
            let expected = if checked.check.is_open() { "passed" } else { "not applicable" };
            assert_eq!(checked.outcome.name(), expected, "{}", checked.check.id);
        }
    });
}

#[test]
fn with_a_token_all_is_asked_and_no_report_has_it() {
    on_each_backend(async |smart| {
        let key = Key::es384("suite");
        let scope = "system/*.cruds";
        let id = smart.register(&[&key], scope, &["--policy", "*"]);
        let token = smart.token(&id, &key, scope).await;
        let mut options = Options::new(smart.server.base());
        options.token = Some(token.clone());
        options.only = ["read.", "update.", "smart.", "transaction.", "result."].map(ToOwned::to_owned).to_vec();
        let report = ask(&options).await;
        assert!(!report.has_failed(), "{}", suite::summary(&report));
        // Ids are chosen by clients with a prefix for them.
        assert_eq!(ids(&report, "not applicable"), ["update.creates", "update.creates-not"]);
        let left = ADVICE.len() + 2;
        assert_eq!(ids(&report, "passed").len(), report.checked.len() - left, "{}", suite::summary(&report));
        let lines: String = report.checked.iter().map(|checked| suite::line(checked, false)).collect();
        for text in [suite::html(&report), suite::junit(&report), suite::summary(&report), lines] {
            assert!(!text.contains(&token));
        }
        assert!(suite::html(&report).contains("authorization: Bearer …"));
    });
}

#[test]
fn a_wrong_token_is_no_failure_of_the_server() {
    on_each_backend(async |smart| {
        let mut options = Options::new(smart.server.base());
        options.token = Some("tsa_no-such-token".to_owned());
        let error = suite::run(&options, |_| ()).await.unwrap_err();
        assert!(error.to_string().ends_with("refuses the token (401)"), "{error}");
    });
}
