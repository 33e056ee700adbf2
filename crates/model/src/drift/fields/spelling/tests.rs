use serde_json::json;

use super::*;

fn all_mean_the_same(rule: Equality, values: &[Value]) {
    let first = meant(rule, &values[0]);
    assert!(first.is_some(), "{}", values[0]);
    for value in values {
        assert_eq!(meant(rule, value), first, "{value}");
    }
}

fn all_mean_something_else(rule: Equality, values: &[Value]) {
    for (place, one) in values.iter().enumerate() {
        for other in &values[..place] {
            let (one, other) = (
                scalar::form(one, Some(rule)),
                scalar::form(other, Some(rule)),
            );
            assert_ne!(one, other);
        }
    }
}

#[test]
fn quantities_are_exact() {
    let quantity = Equality::Quantity;
    all_mean_the_same(
        quantity,
        &[
            json!("1000M"),
            json!("1G"),
            json!("1e9"),
            json!("1E9"),
            json!(1_000_000_000),
            json!("1000000k"),
            json!("+1.0G"),
        ],
    );
    all_mean_the_same(
        quantity,
        &[
            json!("1000m"),
            json!("1"),
            json!(1),
            json!(1.0),
            json!("1000000u"),
            json!("1000000000n"),
            json!("1."),
        ],
    );
    all_mean_the_same(
        quantity,
        &[
            json!("1024Ki"),
            json!("1Mi"),
            json!("1048576"),
            json!("0.0009765625Gi"),
        ],
    );
    all_mean_the_same(
        quantity,
        &[
            json!("0"),
            json!("0Ei"),
            json!("-0"),
            json!("0e99999999999999999999"),
        ],
    );
    all_mean_the_same(
        quantity,
        &[json!("1E"), json!("1000P"), json!("1e18"), json!("1E18")],
    );
    all_mean_the_same(quantity, &[json!("1Ei"), json!("1152921504606846976")]);
    all_mean_the_same(quantity, &[json!(".5"), json!("500m"), json!("0.50")]);
    all_mean_something_else(
        quantity,
        &[
            json!("1G"),
            json!("1Gi"),
            json!("1.0000000000000000000001G"),
            json!("1m"),
            json!("1M"),
            json!("1K"),
            json!("1 G"),
            json!("G"),
            json!(""),
            json!("-1G"),
            json!("1e"),
            json!("1Gib"),
            json!("9007199254740993"),
            json!("9007199254740992"),
            json!("0x10"),
            json!("1e1.5"),
            json!(true),
        ],
    );
}

#[test]
fn instants_are_moments() {
    let instant = Equality::Instant;
    all_mean_the_same(
        instant,
        &[
            json!("2026-01-31T08:00:00Z"),
            json!("2026-01-31T09:00:00+01:00"),
            json!("2026-01-31t08:00:00.000z"),
            json!("2026-01-30T22:30:00.0-09:30"),
            json!("2026-01-31T08:00:00-00:00"),
        ],
    );
    all_mean_the_same(
        instant,
        &[
            json!("2026-01-31T08:00:00.1234567891230Z"),
            json!("2026-01-31T09:00:00.123456789123+01:00"),
        ],
    );
    all_mean_something_else(
        instant,
        &[
            json!("2026-01-31T08:00:00Z"),
            json!("2026-01-31T08:00:01Z"),
            json!("2026-01-31T08:00:00.000000000001Z"),
            json!("2026-01-31T08:00:00"),
            json!("2026-02-31T08:00:00Z"),
            json!("2026-02-31T09:00:00+01:00"),
            json!("2026-12-31T23:59:60Z"),
            json!("2026-12-31T23:59:59Z"),
            json!("2026-01-31"),
            json!("2026-01-31T08:00:00.Z"),
            json!(1_769_846_400),
        ],
    );
}

#[test]
fn durations_are_lengths() {
    let duration = Equality::Duration;
    all_mean_the_same(
        duration,
        &[
            json!("1h30m"),
            json!("90m"),
            json!("PT1H30M"),
            json!("1.5h"),
            json!("5400s"),
            json!("PT90M"),
            json!("PT1.5H"),
            json!("+90m"),
            json!("PT5400.000S"),
            json!("P0DT1H30M"),
        ],
    );
    all_mean_the_same(
        duration,
        &[
            json!("0"),
            json!("0s"),
            json!("PT0S"),
            json!("P0D"),
            json!("-0h"),
        ],
    );
    all_mean_the_same(
        duration,
        &[
            json!("1500us"),
            json!("1.5ms"),
            json!("1500µs"),
            json!("PT0.0015S"),
            json!("PT0,0015S"),
        ],
    );
    all_mean_the_same(duration, &[json!("P1W"), json!("P7D"), json!("168h")]);
    all_mean_the_same(duration, &[json!("P1Y"), json!("P12M")]);
    all_mean_something_else(
        duration,
        &[
            json!("1m"),
            json!("1ms"),
            json!("PT1H"),
            json!("P1M"),
            json!("P30D"),
            json!("1d"),
            json!("PT"),
            json!("P"),
            json!("60"),
            json!("1h 30m"),
            json!("-1m"),
            json!(""),
            json!("h"),
            json!("P1DT"),
            json!("PT1M1H"),
            json!("1h30"),
        ],
    );
}

#[test]
fn other_spellings() {
    all_mean_the_same(
        Equality::IntegerString,
        &[json!("80"), json!(80), json!(80.0)],
    );
    all_mean_the_same(
        Equality::IntegerString,
        &[
            json!(8_389_765_929_445_198_309_u64),
            json!("8389765929445198309"),
        ],
    );
    all_mean_something_else(
        Equality::IntegerString,
        &[
            json!(80),
            json!("080"),
            json!("80.0"),
            json!(80.5),
            json!(" 80"),
            json!("+80"),
            json!("-80"),
            json!(true),
        ],
    );
    all_mean_the_same(
        Equality::CaseInsensitive,
        &[json!("Straße"), json!("STRASSE"), json!("strasse")],
    );
    all_mean_something_else(
        Equality::CaseInsensitive,
        &[json!("a"), json!("b"), json!(1)],
    );
    all_mean_the_same(
        Equality::Ip,
        &[
            json!("2001:DB8:0:0::1"),
            json!("2001:db8::1"),
            json!("2001:0db8:0000:0000:0000:0000:0000:0001"),
        ],
    );
    all_mean_the_same(
        Equality::Ip,
        &[json!("2001:DB8::/32"), json!("2001:db8:0::/032")],
    );
    all_mean_the_same(
        Equality::Ip,
        &[json!("10.0.0.0/8"), json!("10.0.0.0/255.0.0.0")],
    );
    all_mean_the_same(
        Equality::Ip,
        &[json!("::ffff:10.0.0.1"), json!("::ffff:a00:1")],
    );
    all_mean_something_else(
        Equality::Ip,
        &[
            json!("10.0.0.1"),
            json!("10.0.0.1/8"),
            json!("10.0.0.0/8"),
            json!("10.0.0.0/9"),
            json!("10.0.0.0/33"),
            json!("010.0.0.1"),
            json!("::1%eth0"),
            json!("::1"),
            json!("10.0.0.1%x"),
            json!("10.0.0.0/255.0.255.0"),
            json!("10.0.0.0/"),
        ],
    );
}
