//! <http://hl7.org/fhirpath/N1/#math>

use super::check;

#[test]
fn roundings() {
    check("(-5).abs()", "5");
    check("(-5.50).abs()", "5.50");
    check("(-5 'mg').abs()", "5 'mg'");
    check("(-1.1).ceiling()", "-1");
    check("(-1.1).floor()", "-2");
    check("(-1.9).truncate()", "-1");
    check("2.5.round()", "3");
    check("(-2.5).round()", "-3");
    check("3.14159.round(2)", "3.14");
    check("3.1.round(-1)", "error: round(): digits are not negative");
    check("9999999999.5.floor()", "");
    check("'a'.abs()", "error: abs(): the input must be a number or quantity, not System.String");
    check("{}.abs()", "");
}

#[test]
fn real_functions() {
    check("0.exp()", "1");
    check("1.ln()", "0");
    check("16.log(2)", "4");
    check("0.ln()", "");
    check("81.sqrt()", "9");
    check("2.sqrt()", "1.4142135623731");
    check("(-1).sqrt()", "");
    check("2.power(10)", "1024");
    check("2.power(-1)", "0.5");
    check("2.power(40)", "1099511627776");
    check("0.1.power(3)", "0.001");
    check("(-1).power(0.5)", "");
    check("10.power(100)", "");
    check("'a'.sqrt()", "error: sqrt(): the input must be a number, not System.String");
}

#[test]
fn boundaries_and_precision() {
    check("1.587.lowBoundary()", "1.58650000");
    check("1.587.highBoundary(2)", "1.59");
    check("0.lowBoundary(1)", "-0.5");
    check("(-1.5).highBoundary(2)", "-1.45");
    check("1.5.lowBoundary(29)", "");
    check("1.5 'mg'.highBoundary(2)", "1.55 'mg'");
    check("@2014.lowBoundary(6)", "2014-01");
    check("@2016-02.highBoundary()", "2016-02-29");
    check("@2014T.highBoundary()", "2014-12-31T23:59:59.999-12:00");
    check("@2014-01-01T08.highBoundary(17)", "2014-01-01T08:59:59.999-12:00");
    check("@2014-01-01T08:05Z.lowBoundary()", "2014-01-01T08:05:00.000Z");
    check("@T10:30:05.highBoundary()", "10:30:05.999");
    check("@2014.lowBoundary(5)", "");
    check("@2014.lowBoundary(17)", "");
    check(
        "'a'.lowBoundary()",
        "error: lowBoundary(): the input must be a number, quantity, date or time, not System.String",
    );
    check("1.58700.precision()", "5");
    check("@2014-01.precision()", "6");
    check("@T10:30:00.000.precision()", "9");
    check("birthDate.precision()", "8");
    check("1 'cm'.comparable(1 '[in_i]')", "true");
    check("1 'cm'.comparable(1 's')", "false");
    check("1 'cm'.comparable(1)", "error: comparable(): expected two quantities");
}
