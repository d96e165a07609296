//! <http://hl7.org/fhirpath/N1/#filtering-and-projection>, subsetting and combining.

use super::check;

#[test]
fn filters_and_projections() {
    check("name.where(use = 'usual').given.first()", "Jim");
    check("telecom.where($index = 1).value", "a@b");
    check("name.where(period.exists())", "");
    check("name.where(given)", "error: where: expected one item, found 2");
    check("name.select(family & '!')", "Chalmers!, !");
    check("name.select($this.given.count())", "2, 2");
    check("telecom.select(rank + $index)", "2, 2");
    check("(1).repeat(iif($this < 5, $this + 1, {}))", "2, 3, 4, 5");
    check("name.repeat('a')", "a");
    check("extension.value.ofType(Age).value", "41");
    check("descendants().ofType(code)", "a, official, usual, phone, email, male");
    check("(1 | 'a' | true).ofType(System.String)", "a");
    check("name.ofType(Nothing)", "error: there is no type Nothing");
}

#[test]
fn sorting() {
    check("telecom.sort(rank).value", "a@b, 1");
    check("telecom.sort(-rank).value", "1, a@b");
    check("(3 | 1 | 2).sort()", "1, 2, 3");
    check("('b' | 'a').sort(-$this)", "b, a");
    check("name.sort(family).given.first()", "Peter");
    check("name.sort(-family).given.first()", "Jim");
    check("(@2012 | @2011-05 | @2012-01).sort()", "2011-05, 2012, 2012-01");
    check("(1 | 'a').sort()", "error: sort(): the keys have no order among each other");
}

#[test]
fn subsetting() {
    check("name[1].use", "usual");
    check("name[5]", "");
    check("name[-1]", "");
    check("name['a']", "error: []: an index is a whole number");
    check("name.first().use", "official");
    check("name.last().use", "usual");
    check("(1 | 2 | 3).tail()", "2, 3");
    check("(1 | 2 | 3).skip(2)", "3");
    check("(1 | 2 | 3).skip(-1)", "1, 2, 3");
    check("(1 | 2 | 3).take(2)", "1, 2");
    check("(1 | 2 | 3).take(0)", "");
    check("active.single()", "true");
    check("name.single()", "error: single: expected one item, found 2");
    check("photo.single()", "");
    check("(1).combine(1 | 2).intersect(1 | 3)", "1");
    check("(1).combine(1 | 2).exclude(2)", "1, 1");
}

#[test]
fn combining() {
    check("(1).union(1 | 2)", "1, 2");
    check("(1).combine(1 | 2)", "1, 1, 2");
    check("name.select(use | given).count()", "6");
    check("1 | 1.0 | '1' | 1 '1'", "1, 1");
}
