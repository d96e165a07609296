//! All checks, in the order in which they are asked: what everything else needs comes first. A file for a group, or for
//! several small ones.

mod bundles;
mod capabilities;
mod conditional;
mod create;
mod delete;
mod formats;
mod history;
mod outcomes;
mod patch;
mod read;
mod search;
mod search_references;
mod search_results;
mod search_texts;
mod search_values;
mod smart;
mod update;
mod validate;

use super::check::Check;

/// All checks.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    let groups = [
        capabilities::CHECKS,
        read::CHECKS,
        create::CHECKS,
        update::CHECKS,
        delete::CHECKS,
        history::CHECKS,
        patch::CHECKS,
        conditional::CHECKS,
        formats::CHECKS,
        outcomes::CHECKS,
        search::CHECKS,
        search_texts::CHECKS,
        search_values::CHECKS,
        search_references::CHECKS,
        search_results::CHECKS,
        bundles::CHECKS,
        validate::CHECKS,
        smart::CHECKS,
    ];
    groups.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::checks;

    #[test]
    fn ids_are_unique_and_every_check_names_its_section() {
        let mut ids = BTreeSet::new();
        for check in checks() {
            assert!(ids.insert(check.id), "{} is there twice", check.id);
            assert!(
                check.id.split_once('.').is_some_and(|(group, name)| !group.is_empty() && !name.is_empty()),
                "{}",
                check.id
            );
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
            assert!(check.id.chars().all(plain), "{}", check.id);
            assert!(check.section.contains(".html") || check.section.starts_with("https://"), "{}", check.id);
            assert!(check.title.len() > 20 && check.rule.ends_with('.'), "{}", check.id);
        }
    }

    #[test]
    fn groups_are_not_scattered() {
        let mut groups: Vec<&str> = checks().map(super::Check::group).collect();
        groups.dedup();
        let unique: BTreeSet<&str> = groups.iter().copied().collect();
        assert_eq!(groups.len(), unique.len(), "{groups:?}");
    }
}
