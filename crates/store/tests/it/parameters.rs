//! Stored SearchParameters: at once for new data, after indexing for old data, refused until then.

use crate::store::{BASE, TestStore, delete, everything, on_both, put};
use serde_json::{Value, json};
use std::sync::Arc;
use tessera_model::{
    Error as ModelError,
    search::{Context, NoTerminology, parse::parse},
};
use tessera_store::{Error, Store, Work};

fn parameter(id: &str, code: &str, expression: &str) -> Value {
    json!({
        "resourceType": "SearchParameter", "id": id, "url": format!("http://example.org/{id}"), "status": "active",
        "name": "X", "description": "x", "code": code, "base": ["Patient"], "type": "string", "expression": expression,
    })
}

fn patient(id: &str, nick: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"use": "nickname", "given": [nick]}, {"family": "Chalmers"}]})
}

const NICK: &str = "Patient.name.where(use='nickname').given";

impl TestStore {
    async fn try_put(&self, value: Value) -> Result<(), Error> {
        self.write(vec![put(&value)]).await.map(drop)
    }

    async fn ids(&self, code: &str, value: &str) -> Result<Vec<String>, ModelError> {
        let definitions = self.store.definitions();
        let context =
            Context { definitions: &definitions, base: BASE, now: 0, lenient: false, terminology: &NoTerminology };
        let patient = definitions.resource_type("Patient").unwrap();
        let query = parse(&[patient], &[(code.to_owned(), value.to_owned())], context)?.query;
        let found = self.store.search(&everything(), query, None).await.unwrap();
        Ok(found.matches.iter().map(|version| version.key.id.to_string()).collect())
    }

    async fn index_all(&self) {
        while self.store.index_step().await.unwrap() {}
    }

    async fn is_right(&self) {
        let report = self.store.check(false).await.unwrap();
        assert_eq!(report.count, 0, "{:?}", report.differences);
    }
}

#[test]
fn a_stored_parameter_works_at_once_where_nothing_was_stored_before() {
    on_both("a_stored_parameter_works_at_once_where_nothing_was_stored_before", |test| async move {
        test.try_put(parameter("nick", "nick", NICK)).await.unwrap();
        test.try_put(patient("a", "Pete")).await.unwrap();
        assert_eq!(test.ids("nick", "pete").await.unwrap(), ["a"]);
        test.try_put(patient("a", "Jim")).await.unwrap();
        assert_eq!(test.ids("nick", "pete").await.unwrap(), [""; 0]);
        assert_eq!(test.ids("nick", "jim").await.unwrap(), ["a"]);
        test.is_right().await;
    });
}

#[test]
fn until_old_data_is_indexed_a_stored_parameter_is_refused_with_the_reason() {
    on_both("until_old_data_is_indexed_a_stored_parameter_is_refused_with_the_reason", |test| async move {
        for n in 0..450 {
            test.try_put(patient(&format!("p{n}"), if n % 2 == 0 { "Pete" } else { "Jim" })).await.unwrap();
        }
        test.try_put(parameter("nick", "nick", NICK)).await.unwrap();
        let refused = test.ids("nick", "pete").await.unwrap_err();
        assert_eq!(refused, ModelError::NotIndexed { code: "nick".to_owned(), done: 0 });
        // What is written meanwhile, before and behind where indexing is.
        assert!(test.store.index_step().await.unwrap());
        test.try_put(patient("p0", "Jim")).await.unwrap();
        test.try_put(patient("p449", "Pete")).await.unwrap();
        test.try_put(patient("new", "Pete")).await.unwrap();
        let ModelError::NotIndexed { done, .. } = test.ids("nick", "pete").await.unwrap_err() else { panic!() };
        assert!((1..50).contains(&done), "{done}");
        test.is_right().await;
        test.index_all().await;
        assert_eq!(test.ids("nick", "pete").await.unwrap().len(), 50); // a page of 226
        assert_eq!(test.store.indexing()[0].state, Ok(100));
        test.is_right().await;
    });
}

#[test]
fn a_changed_definition_finds_by_the_new_one_and_a_deleted_one_nothing() {
    on_both("a_changed_definition_finds_by_the_new_one_and_a_deleted_one_nothing", |test| async move {
        test.try_put(patient("a", "Pete")).await.unwrap();
        test.try_put(parameter("nick", "nick", NICK)).await.unwrap();
        test.index_all().await;
        assert_eq!(test.ids("nick", "pete").await.unwrap(), ["a"]);
        test.try_put(parameter("nick", "nick", "Patient.name.family")).await.unwrap();
        assert!(matches!(test.ids("nick", "pete").await, Err(ModelError::NotIndexed { .. })));
        test.index_all().await;
        assert_eq!(test.ids("nick", "pete").await.unwrap(), [""; 0]);
        assert_eq!(test.ids("nick", "chalmers").await.unwrap(), ["a"]);
        test.is_right().await;
        test.write(vec![delete("SearchParameter/nick")]).await.unwrap();
        assert!(matches!(test.ids("nick", "chalmers").await, Err(ModelError::UnknownParameter { .. })));
        test.index_all().await;
        test.is_right().await;
        assert!(test.store.indexing().is_empty());
    });
}

#[test]
fn two_definitions_of_one_code_and_one_that_cannot_be_used() {
    on_both("two_definitions_of_one_code_and_one_that_cannot_be_used", |test| async move {
        test.try_put(parameter("a", "nick", NICK)).await.unwrap();
        let refused = test.try_put(parameter("b", "nick", NICK)).await;
        assert!(matches!(&refused, Err(Error::ParameterTaken { code, .. }) if code == "nick"), "{refused:?}");
        test.try_put(parameter("c", "odd", "Patient.nonsense")).await.unwrap();
        let Err(ModelError::BadParameter { reason, .. }) = test.ids("odd", "x").await else { panic!() };
        assert!(reason.contains("nonsense"), "{reason}");
        assert!(test.store.indexing().iter().any(|p| p.code == "odd" && p.state.is_err()));
    });
}

#[test]
fn another_server_on_the_same_database_writes_by_the_new_definition() {
    on_both("another_server_on_the_same_database_writes_by_the_new_definition", |test| async move {
        let other = test.another().await;
        test.try_put(patient("a", "Pete")).await.unwrap();
        test.try_put(parameter("nick", "nick", NICK)).await.unwrap();
        // It has not heard of the parameter, and must index by it all the same.
        assert_eq!(other.definitions().stored_parameters().count(), 0);
        let work = Work { changes: vec![put(&patient("b", "Pete"))], ..Work::default() };
        other.transact(&everything(), work).await.unwrap();
        assert_eq!(other.definitions().stored_parameters().count(), 1);
        test.index_all().await;
        assert_eq!(test.ids("nick", "pete").await.unwrap(), ["a", "b"]);
        test.is_right().await;
    });
}

#[test]
fn writers_that_meet_a_new_definition_miss_nothing() {
    on_both("writers_that_meet_a_new_definition_miss_nothing", |test| async move {
        let test = Arc::new(test);
        let writers = (0..8).map(|w| {
            let test = test.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    // Busy is an honest answer, and then nothing was written.
                    let _ = test.try_put(patient(&format!("p{w}-{n}"), "Pete")).await;
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        for round in 0..5 {
            test.try_put(parameter(&format!("nick{round}"), &format!("nick{round}"), NICK)).await.unwrap();
            test.store.index_step().await.unwrap();
        }
        for writer in writers {
            writer.await.unwrap();
        }
        test.index_all().await;
        assert!(test.store.indexing().iter().all(|p| p.state == Ok(100)), "{:?}", test.store.indexing());
        test.is_right().await;
    });
}
