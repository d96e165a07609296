//! <http://hl7.org/fhirpath/N1/#conversion>

use super::check;

#[test]
fn iif() {
    check("iif(active, 'yes', 'no')", "yes");
    check("iif(active.not(), 'yes')", "");
    check("iif({}, 'yes', 'no')", "no");
    check("iif(true, 1, 'a'.single() | undefined.single())", "1");
    check("name.first().iif(use = 'official', family, 'no')", "Chalmers");
    check("iif('a', 1, 2)", "error: iif(): the condition must be a boolean, not System.String");
    check("name.iif(true, 1, 2)", "error: iif: expected one item, found 2");
}

#[test]
fn booleans_and_numbers() {
    for (text, expect) in
        [("'YES'", "true"), ("'0.0'", "false"), ("1", "true"), ("0.0", "false"), ("'x'", ""), ("2", "")]
    {
        check(&format!("{text}.toBoolean()"), expect);
        check(&format!("{text}.convertsToBoolean()"), if expect.is_empty() { "false" } else { "true" });
    }
    for (text, expect) in [("'+7'", "7"), ("true", "1"), ("'7.0'", ""), ("'99999999999'", ""), ("7.0", "")] {
        check(&format!("{text}.toInteger()"), expect);
        check(&format!("{text}.convertsToInteger()"), if expect.is_empty() { "false" } else { "true" });
    }
    for (text, expect) in [("'-7.50'", "-7.50"), ("false", "0"), ("7", "7"), ("'7.'", ""), ("'1e3'", "")] {
        check(&format!("{text}.toDecimal()"), expect);
        check(&format!("{text}.convertsToDecimal()"), if expect.is_empty() { "false" } else { "true" });
    }
    check("{}.toInteger()", "");
    check("{}.convertsToInteger()", "");
    check("(1 | 2).toInteger()", "error: toInteger: expected one item, found 2");
    check("multipleBirth.toDecimal()", "2");
}

#[test]
fn dates_times_and_quantities() {
    check("'2020-02'.toDate()", "2020-02");
    check("'2020-02-30'.toDate()", "");
    check("'2020-02-30'.convertsToDate()", "false");
    check("@2020-02-03T10:00:00Z.toDate()", "2020-02-03");
    check("'2020-02-03T10:00+01:00'.toDateTime()", "2020-02-03T10:00+01:00");
    check("birthDate.toDateTime() is DateTime", "true");
    check("'2020-02T10'.convertsToDateTime()", "false");
    check("'10:30'.toTime()", "10:30");
    check("'25:00'.convertsToTime()", "false");
    check("'4 days'.toQuantity()", "4 days");
    check("'4 \\'mg\\''.toQuantity()", "4 'mg'");
    check("'4 mg'.convertsToQuantity()", "false");
    check("'4'.toQuantity() = 4", "true");
    check("4 'g'.toQuantity('mg')", "4000 'mg'");
    check("4 'g'.convertsToQuantity('m')", "false");
    check("extension.value.toQuantity()", "41 'a'");
}

#[test]
fn texts() {
    check("1.50.toString()", "1.50");
    check("active.toString()", "true");
    check("@2020-01-01T10:00:00.5Z.toString()", "2020-01-01T10:00:00.5Z");
    check("1 'mg'.toString() & 2 weeks.toString()", "1 'mg'2 weeks");
    check("name.first().toString()", "");
    check("name.first().convertsToString()", "false");
    check("gender.convertsToString()", "true");
}
