//! fhirbolt as an oracle: two readers and writers of JSON that share no code must agree.

use super::*;
use tessera_fixtures::{Population, builders::datatypes::decimal};
use tessera_model::validate::validate;

/// Our text of the resource and the typed model's hold the same: order aside, digits included.
///
/// # Errors
/// When the typed model says that it cannot hold the resource.
#[track_caller]
fn agree(json: &Value) -> Result<(), Error> {
    let resource = resource(json);
    let mut ours = String::new();
    resource.node().write_minified(&mut ours);
    assert_eq!(&read(&ours), json);
    let theirs = round_trip(&resource).unwrap()?;
    assert_eq!(without_empty_underscores(json.clone()), read(theirs.node().raw()));
    Ok(())
}

/// `"_given":[null]` says nothing, and the typed model does not repeat it.
fn without_empty_underscores(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            members.retain(|name, member| {
                !(name.starts_with('_') && member.as_array().is_some_and(|m| m.iter().all(Value::is_null)))
            });
            members.values_mut().for_each(|member| *member = without_empty_underscores(member.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_empty_underscores(item.take())),
        _ => {}
    }
    value
}

/// serde_json's own tree compares objects without regard to order, and numbers by their text.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_comparison_is_strict_about_digits_and_lax_about_order() {
    assert_ne!(json!({ "a": decimal("1.0") }), json!({ "a": decimal("1.00") }));
    assert_eq!(json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 }));
    assert_ne!(json!([1, 2]), json!([2, 1]));
}

#[test]
fn both_agree_on_the_examples() {
    for example in examples() {
        agree(&example).unwrap();
    }
}

#[test]
fn both_agree_on_a_population() {
    let mut compared = [0; 5];
    for bundle in Population::new(6, 12) {
        for entry in bundle["entry"].as_array().unwrap() {
            let types = ["Patient", "Condition", "MedicationStatement", "AllergyIntolerance", "Observation"];
            if let Some(n) = types.iter().position(|name| entry["resource"]["resourceType"] == **name) {
                agree(&entry["resource"]).unwrap();
                compared[n] += 1;
            }
        }
    }
    assert!(compared.iter().sum::<usize>() >= 300 && !compared.contains(&0), "{compared:?}");
}

/// Every value of every example replaced or removed in many ways: whatever passes validation comes out of the typed
/// model as it went in. That is what this crate leans on: fhirbolt alone would panic at the empty arrays.
#[test]
fn both_agree_on_whatever_passes_validation() {
    let (mut tried, mut passed) = (0, 0);
    for example in examples() {
        let mut places = Vec::new();
        each_place(&example, String::new(), &mut places);
        for place in &places {
            for changed in changes(&example, place) {
                tried += 1;
                let Ok(resource) = Resource::parse(changed.to_string(), Definitions::r4()) else { continue };
                if validate(&resource, Definitions::r4()).is_empty() && round_trip(&resource).is_some() {
                    passed += 1;
                    // What is no primitive type of FHIR, but a bare string, has no extensions.
                    let bare = ["/id", "/url", "/div"].iter().any(|name| place.ends_with(name));
                    agree(&changed).unwrap_or_else(|error| assert!(bare, "{place}: {error}\n{changed}"));
                }
            }
        }
    }
    assert!(tried > 5000 && passed > 500, "{passed} of {tried} changes passed validation: too few to say anything");
}

/// JSON Pointers of all values below the root.
fn each_place(value: &Value, place: String, places: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, child)| (n.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let place = format!("{place}/{name}");
        each_place(child, place.clone(), places);
        places.push(place);
    }
}

fn changes(example: &Value, place: &str) -> Vec<Value> {
    let change = |change: &dyn Fn(&mut Value)| {
        let mut changed = example.clone();
        change(changed.pointer_mut(place).unwrap());
        changed
    };
    let others = [
        json!(null),
        json!([]),
        json!({}),
        json!(""),
        json!("x"),
        json!("1"),
        json!("2020-01-01"),
        json!(1),
        decimal("1.50"),
        json!(true),
        json!([[]]),
        json!({ "foo": ["x"] }),
        json!({ "extension": [] }),
    ];
    let mut all: Vec<Value> = others.iter().map(|other| change(&|value| *value = other.clone())).collect();
    all.push(change(&|value| *value = json!([value])));
    all.push(change(&|value| *value = json!([value, value])));
    let (parent, name) = place.rsplit_once('/').unwrap();
    let at_parent = |change: &dyn Fn(&mut Value)| {
        let mut changed = example.clone();
        change(changed.pointer_mut(parent).unwrap());
        changed
    };
    all.push(at_parent(&|parent| match parent {
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        Value::Object(members) => drop(members.shift_remove(name)),
        _ => {}
    }));
    for extra in [
        json!({ "id": "i" }),
        json!({ "extension": [{ "url": "http://example.org/e", "valueDecimal": decimal("1.0") }] }),
        json!([null]),
    ] {
        all.push(at_parent(&|parent| {
            if let Value::Object(members) = parent {
                members.insert(format!("_{name}"), extra.clone());
            }
        }));
    }
    all
}
