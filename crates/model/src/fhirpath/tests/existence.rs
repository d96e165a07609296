//! <http://hl7.org/fhirpath/N1/#existence>

use super::check;

#[test]
fn empty_exists_all() {
    check("name.empty()", "false");
    check("photo.empty()", "true");
    check("name.exists()", "true");
    check("name.exists(use = 'usual')", "true");
    check("name.exists(use = 'old')", "false");
    check("photo.exists()", "false");
    check("name.all(given.exists())", "true");
    check("name.all(family.exists())", "false");
    check("photo.all(false)", "true");
    check("name.all(period.start < today())", "false");
}

#[test]
fn all_true_and_its_like() {
    check("name.select(family.exists()).allTrue()", "false");
    check("name.select(family.exists()).anyTrue()", "true");
    check("name.select(family.exists()).allFalse()", "false");
    check("name.select(family.exists()).anyFalse()", "true");
    check("{}.allTrue()", "true");
    check("{}.anyTrue()", "false");
    check("{}.allFalse()", "true");
    check("{}.anyFalse()", "false");
    check("(true | 'a').allTrue()", "error: allTrue(): each item must be a boolean, not System.String");
}

#[test]
fn sets() {
    check("name.first().subsetOf(name)", "true");
    check("name.subsetOf(name.first())", "false");
    check("{}.subsetOf(name)", "true");
    check("name.supersetOf(name.last())", "true");
    check("(1 | 2).supersetOf(2 | 3)", "false");
    check("name.given.count()", "4");
    check("(1).combine(1).distinct()", "1");
    check("('a').combine('a').combine('b').distinct()", "a, b");
    check("('a').combine('a').isDistinct()", "false");
    check("telecom.system.isDistinct()", "true");
    check("name.combine(name).distinct().count()", "2");
}

#[test]
fn not() {
    check("true.not()", "false");
    check("active.not()", "false");
    check("'a'.not()", "false");
    check("{}.not()", "");
    check("(true | false).not()", "error: not: expected one item, found 2");
}
