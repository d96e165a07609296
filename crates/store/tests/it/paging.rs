//! Pages by key (REL-7): <https://hl7.org/fhir/R4/http.html#paging>

use crate::store::{delete, everything, on_both};
use serde_json::json;

async fn observation(t: &crate::store::TestStore, id: &str, date: Option<&str>, code: &str) {
    let mut value = json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [{"system": "s", "code": code}]}});
    if let Some(date) = date {
        value["effectiveDateTime"] = json!(date);
    }
    t.put(&value).await;
}

#[test]
fn rel_7_pages_neither_repeat_nor_skip_while_others_write() {
    on_both("rel_7", async |t| {
        for n in 0..40 {
            // Many equal keys, some missing.
            let date = format!("2020-01-{:02}", 1 + n % 5);
            observation(&t, &format!("o{n:02}"), (n % 7 != 0).then_some(date.as_str()), "x").await;
        }
        for url in [
            "Observation?code=x&_count=6",
            "Observation?_sort=-date&_count=6",
            "Observation?_sort=date,-_id&_count=6",
            "Observation?_sort=code&_count=6",
        ] {
            let before = t.pages(url).await;
            assert_eq!(before.len(), 40, "{url}");
            let (mut found, mut cursor) = (Vec::new(), None);
            for round in 0.. {
                let page = t.matches(&everything(), url, cursor).await;
                found.extend(crate::store::ids(&page.matches));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
                // Between two pages: one comes, one changes, one goes.
                observation(&t, &format!("new{round}"), Some("2020-01-03"), "x").await;
                observation(&t, "o01", Some("2020-01-02"), if round % 2 == 0 { "x" } else { "y" }).await;
                t.write(vec![delete(&format!("Observation/new{round}"))]).await.unwrap();
            }
            let untouched = |ids: &[String]| {
                ids.iter().filter(|id| id.starts_with('o') && *id != "o01").cloned().collect::<Vec<_>>()
            };
            assert_eq!(untouched(&found), untouched(&before), "{url}");
            observation(&t, "o01", Some("2020-01-02"), "x").await;
        }
    });
}

#[test]
fn sort_puts_resources_without_a_value_last_in_both_directions() {
    on_both("sort", async |t| {
        for (id, date) in [("a", None), ("b", Some("2020-02")), ("c", Some("2020-01")), ("d", Some("2020-03"))] {
            observation(&t, id, date, "x").await;
        }
        assert_eq!(t.search("Observation?_sort=date").await, ["c", "b", "d", "a"]);
        assert_eq!(t.search("Observation?_sort=-date").await, ["d", "b", "c", "a"]);
        assert_eq!(t.search("Observation?_sort=-_id").await, ["d", "c", "b", "a"]);
        assert_eq!(t.search("Observation?_sort=_lastUpdated").await, ["a", "b", "c", "d"]);
    });
}

#[test]
fn totals_are_given_when_asked_for_or_known() {
    on_both("total", async |t| {
        for n in 0..5 {
            observation(&t, &format!("o{n}"), None, "x").await;
        }
        let total = async |url: &str| t.matches(&everything(), url, None).await.total;
        assert_eq!(total("Observation?code=x").await, Some(5));
        assert_eq!(total("Observation?code=x&_count=2").await, None);
        assert_eq!(total("Observation?code=x&_count=2&_total=accurate").await, Some(5));
        assert_eq!(total("Observation?code=x&_summary=count").await, Some(5));
        assert_eq!(total("Observation?code=x&_count=0").await, Some(5));
        assert_eq!(total("Observation?code=x&_total=none").await, None);
    });
}
