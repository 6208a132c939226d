use super::*;

fn canonical(text: &str) -> String {
    text.parse::<Number>().map_or_else(|e| e.to_string(), |n| n.to_string())
}

#[test]
fn one_number_has_one_text() {
    for (text, expected) in [
        ("1", "1"),
        ("1.0", "1"),
        ("001", "1"),
        ("+1", "1"),
        ("-0", "0"),
        ("0.00", "0"),
        ("1e3", "1000"),
        ("1.50E1", "15"),
        ("-2.50", "-2.5"),
        ("0.001", "0.001"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("5.", "5"),
        ("5.e+2", "500"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
    assert_eq!(canonical("1e125").len(), 126);
    assert_eq!(canonical("1e-130").len(), 132);
}

#[test]
fn what_dynamodb_cannot_hold_is_refused() {
    let nines = "9".repeat(39);
    let long = "1".repeat(100_000);
    for text in [
        "",
        "abc",
        "NaN",
        "inf",
        "1e126",
        "1e-131",
        "1e999999999",
        "1e-999999999",
        "1e99999999999999999999",
        "0x1",
        "1 ",
        "1_000",
        "1e1_0",
        ".",
        "+",
        "e5",
        ".e5",
        "1e",
        "1e+",
        "1.2.3",
        "--1",
        "\u{661}",
        &nines,
        &long,
    ] {
        assert!(text.parse::<Number>().is_err(), "{text:.40}");
    }
}

#[test]
fn a_text_is_read_up_to_its_limit() {
    let of = |bytes: usize| format!("{}1", "0".repeat(bytes - 1)).parse::<Number>();
    assert_eq!(of(512), Ok(Number::from(1)));
    assert!(of(513).is_err());
}

#[test]
fn a_sum_has_the_text_of_its_number() {
    for (one, other, sum) in [
        ("999", "1", "1000"),
        ("0.5", "0.5", "1"),
        ("1.25", "0.25", "1.5"),
        ("1e20", "1", "100000000000000000001"),
        ("1e20", "-1e20", "0"),
        ("0.5", "-0.5", "0"),
        ("-10", "-90", "-100"),
    ] {
        let mut found: Number = one.parse().unwrap();
        found += &other.parse().unwrap();
        assert_eq!((found.to_string().as_str(), &found), (sum, &sum.parse().unwrap()), "{one} + {other}");
    }
    assert_eq!(Number::from(100), "1e2".parse().unwrap());
}

#[test]
fn a_number_is_rounded_half_to_even() {
    for (text, decimals, rounded) in [
        ("0.5", 0, "0"),
        ("1.5", 0, "2"),
        ("2.5", 0, "2"),
        ("-2.5", 0, "-2"),
        ("-3.5", 0, "-4"),
        ("2.51", 0, "3"),
        ("0.05", 0, "0"),
        ("0.95", 0, "1"),
        ("0.125", 2, "0.12"),
        ("0.135", 2, "0.14"),
        ("0.1349", 2, "0.13"),
        ("9.995", 2, "10"),
        ("99.99", 1, "100"),
        ("1e-130", 17, "0"),
        ("1e125", 17, "1e125"),
        ("1200", 2, "1200"),
        ("0.1", 17, "0.1"),
    ] {
        let (found, expected): (Number, Number) = (text.parse().unwrap(), rounded.parse().unwrap());
        let found = found.rounded(decimals);
        assert_eq!((found.to_string(), &found), (expected.to_string(), &expected), "{text} to {decimals}");
    }
}

#[test]
fn a_number_knows_its_size() {
    for (text, whole, decimals, floor) in [
        ("0", 0, 0, Some(0)),
        ("0.99", 0, 2, Some(0)),
        ("-0.01", 0, 2, Some(-1)),
        ("1", 1, 0, Some(1)),
        ("-1.5", 1, 1, Some(-2)),
        ("1e3", 4, 0, Some(1_000)),
        ("1000.25", 4, 2, Some(1_000)),
        ("9223372036854775807", 19, 0, Some(i64::MAX)),
        ("9223372036854775808", 19, 0, None),
        ("1e125", 126, 0, None),
        ("-1e-130", 0, 130, Some(-1)),
    ] {
        let number: Number = text.parse().unwrap();
        assert_eq!((number.whole_digits(), number.decimals(), number.floor()), (whole, decimals, floor), "{text}");
        assert!(number.is_storable(), "{text}");
    }
}

#[test]
fn arithmetic_is_exact_and_may_leave_what_dynamodb_can_hold() {
    let of = |text: &str| text.parse::<Number>().unwrap();
    let nines = of(&"9".repeat(38));
    for (result, text) in [
        (&of("0.1") + &of("0.2"), "0.3"),
        (&of("0.3") - &of("0.3"), "0"),
        (&of("1000") - &of("1e-3"), "999.999"),
        (&of("2.50") * &of("-4"), "-10"),
        (&of("0") * &of("-4"), "0"),
    ] {
        assert_eq!((result.to_string().as_str(), &result), (text, &of(text)));
        assert!(result.is_storable());
    }
    assert!((&nines + &Number::from(1)).is_storable(), "one digit and zeros");
    for result in [
        &nines + &of("0.1"),
        &nines * &nines,
        &of("1e125") * &of("10"),
        &of("1e-130") * &of("0.1"),
        &of("1e125") + &of("1"),
    ] {
        assert!(!result.is_storable(), "{result}");
    }
}

#[test]
fn a_number_has_one_form_at_the_edge_of_64_bits() {
    let of = |text: &str| text.parse::<Number>().unwrap();
    let (most, least) = (Number::from(i64::MAX), Number::from(i64::MIN));
    let (above, below) = (of("9223372036854775808"), of("-9223372036854775809"));
    for (found, expected) in [
        (of("9223372036854775807"), &most),
        (of("-9223372036854775808"), &least),
        (of("9.223372036854775807e18"), &most),
        (&most + &Number::from(1), &above),
        (&above - &Number::from(1), &most),
        (-least.clone(), &above),
        (-above.clone(), &least),
        (&least - &Number::from(1), &below),
        (&below + &Number::from(1), &least),
        (&(&most * &most) - &(&most * &of("9223372036854775806")), &most),
        (&of("0.5") + &of("0.5"), &Number::from(1)),
        (of("9223372036854775806.5").rounded(0), &of("9223372036854775806")),
    ] {
        assert_eq!((found.to_string(), &found, found.to_i64()), (expected.to_string(), expected, expected.to_i64()));
    }
    let ordered = [
        "-9223372036854775809",
        "-9223372036854775808",
        "-0.5",
        "0",
        "0.5",
        "9223372036854775807",
        "9223372036854775808",
    ];
    assert!(ordered.map(of).is_sorted());
    assert_eq!([&above, &below].map(|number| (number.to_i64(), number.whole_digits())), [(None, 19); 2]);
}

#[test]
fn a_small_integer_needs_no_memory_of_its_own() {
    let of = |text: &str| text.parse::<Number>().unwrap();
    for number in
        [of("7"), of("1e3"), &of("0.5") + &of("0.5"), &of("1e20") - &of("99999999999999999999"), of("2.5").rounded(0)]
    {
        assert!(matches!(number.0, Form::Small(_)), "{number:?}");
    }
}

#[test]
fn sums_are_exact() {
    let mut sum = Number::zero();
    for text in
        ["0.1", "0.2", "-0.3", "12345678901234567890123456789012345678", "-12345678901234567890123456789012345678"]
    {
        sum += &text.parse().unwrap_or_default();
    }
    assert!(sum.is_zero());
    assert_eq!((-Number::from(5)).to_string(), "-5");
}
