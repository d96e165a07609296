//! <http://hl7.org/fhirpath/N1/#operations>

use super::{check, check_on};

#[test]
fn equality() {
    check("1 = 1.0", "true");
    check("'a' = 'A'", "false");
    check("gender = 'male'", "true");
    check("(1 | 2) = (1 | 2)", "true");
    check("(1 | 2) = (2 | 1)", "false");
    check("1 = {}", "");
    check("1 != 2", "true");
    check("1 = 'a'", "false");
    check("name[0] = name[0]", "true");
    check("name[0] = name[1]", "false");
    check("@2012 = @2012-01", "");
    check("@2012 = @2013-01", "false");
    check("@2012-01-01T10:00:00Z = @2012-01-01T11:00:00+01:00", "true");
    check("@2012-01-01T10:00:00Z = @2012-01-01T10:00:00", "");
    check("@2012-01-01T10:00:00Z = @2012-02-01T10:00:00", "false");
    check("@2012-01-01 = @T10:00", "false");
    check("4 'g' = 4000 'mg'", "true");
    check("4 'g' = 4 'm'", "false");
    check("7 days = 1 'wk'", "true");
    check("1 month = 1 'mo'", "");
    check("12 months = 1 year", "true");
    check("1 = 1 '1'", "true");
    // Members in another order are equal all the same; values in another order are not.
    let two = |second: &str| {
        r#"{"resourceType":"Patient","name":[{"use":"usual","given":["A","B"]},SECOND]}"#.replace("SECOND", second)
    };
    check_on(&two(r#"{"given":["A","B"],"use":"usual"}"#), "name[0] = name[1]", "true");
    check_on(&two(r#"{"given":["B","A"],"use":"usual"}"#), "name[0] = name[1]", "false");
    check_on(&two(r#"{"given":["B","A"],"use":"usual"}"#), "name[0] ~ name[1]", "true");
}

#[test]
fn equivalence() {
    check("'A  b' ~ 'a B'", "true");
    check("{} ~ {}", "true");
    check("{} ~ 1", "false");
    check("(1 | 2) ~ (2 | 1)", "true");
    check("1.23 ~ 1.2", "true");
    check("1.26 ~ 1.2", "false");
    check("@2012 ~ @2012-01", "false");
    check("4 'g' ~ 4040 'mg'", "true");
    check("1 year ~ 1 'a'", "true");
    check("1 !~ 2", "true");
    check("name[0] ~ name[0]", "true");
}

#[test]
fn comparison() {
    check("1 < 1.5", "true");
    check("'a' > 'B'", "true");
    check("birthDate <= @1974-12-25", "true");
    check("birthDate < @1974-12-25T10:00:00Z", "");
    check("@T10:30 >= @T10", "");
    check("1 'kg' > 999 'g'", "true");
    check("37 'Cel' = 310.15 'K'", "true");
    check("1 month > 20 days", "");
    check("1 < 'a'", "error: <: not possible with System.Integer and System.String");
    check("1 '[pH]' < 2 '[pH]'", "true");
    check("1 'kg' > 1 'm'", "");
    check("name < 1", "error: <: expected one item, found 2");
    check("1 < {}", "");
}

#[test]
fn collections() {
    check("1 in (1 | 2)", "true");
    check("{} in (1 | 2)", "");
    check("1 in {}", "false");
    check("name.given contains 'Jim'", "true");
    check("(1 | 2) in (1 | 2)", "error: in: expected one item, found 2");
}

#[test]
fn logic_with_three_values() {
    for (a, b, and, or, xor, implies) in [
        ("true", "true", "true", "true", "false", "true"),
        ("true", "false", "false", "true", "true", "false"),
        ("true", "{}", "", "true", "", ""),
        ("false", "true", "false", "true", "true", "true"),
        ("false", "false", "false", "false", "false", "true"),
        ("false", "{}", "false", "", "", "true"),
        ("{}", "true", "", "true", "", "true"),
        ("{}", "false", "false", "", "", ""),
        ("{}", "{}", "", "", "", ""),
    ] {
        for (operator, expect) in [("and", and), ("or", or), ("xor", xor), ("implies", implies)] {
            check(&format!("{a} {operator} {b}"), expect);
        }
    }
    check("active and 'text'", "true");
    check("true and (1 | 2)", "error: and: expected one item, found 2");
}

#[test]
fn arithmetic() {
    check("1 + 2 * 3 - 4", "3");
    check("0.1 + 0.2", "0.3");
    check("1.0 / 3", "0.3333333333333333333333333333");
    check("7 div 2", "3");
    check("-7 mod 2", "-1");
    check("7.5 mod 2", "1.5");
    check("1 / 0", "");
    check("1 div 0", "");
    check("1 mod 0.0", "");
    check("2147483647 + 1", "");
    check("'a' + 'b'", "ab");
    check("'a' + {}", "");
    check("'a' & {}", "a");
    check("'a' & 1", "error: &: both sides are strings");
    check("'a' - 'b'", "error: -: not possible with System.String and System.String");
    check("-rank", "");
    check("-'a'", "error: a sign stands before a number or quantity");
    check("telecom[0].rank + 1", "3");
    check("79228162514264337593543950335.0 + 1", "");
}

#[test]
fn quantities() {
    check("1 'g' + 500 'mg'", "1500 'mg'");
    check("1 'g' - 500 'mg'", "500 'mg'");
    check("2 'cm' * 3 'm' = 0.06 'm2'", "true");
    check("6 'm' / 2 's' = 3 'm/s'", "true");
    check("6 'm' / 2 'm'", "3 '1'");
    check("2 * 3 'm'", "6 'm'");
    check("1 'g' + 1 'm'", "");
    check("1 day + 1 week = 8 days", "true");
    check("-(1 'g')", "-1 'g'");
}

#[test]
fn dates_move() {
    check("@2020-01-31 + 1 month", "2020-02-29");
    check("@2020-02-29 + 1 year", "2021-02-28");
    check("@2014 + 23 months", "2015");
    check("@2016 + 365 days", "2017");
    check("@2020-01-01 - 1 week", "2019-12-25");
    check("@2020-01-01T10:00:00Z + 90 minutes", "2020-01-01T11:30:00Z");
    check("@2020-01-01T10:00:00.000Z + 0.1 's'", "2020-01-01T10:00:00.100Z");
    check("@2020-01-01 + 1.9 days", "2020-01-02");
    check("@T23:30 + 1 hour", "00:30");
    check("@2020-01-01 + 1 'a'", "error: +: 'a' is no duration of the calendar");
    check("@2020-01-01 + 1 'cm'", "error: +: 'cm' is no duration of the calendar");
    check("@T10:00 + 1 day", "error: +: a Time is moved by hours, minutes, seconds or milliseconds");
    check("@2020-01-01 + 7", "error: +: not possible with System.Date and System.Integer");
    check("@9999-12-31 + 1 day", "");
    check("@9999-12-31 + 2147483647 years", "");
}
