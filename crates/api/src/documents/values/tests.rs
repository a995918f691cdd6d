#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[test]
fn durations_are_those_of_the_gateway_api() {
    let span = |text: &str| text.parse::<Span>().ok().map(|span| span.0);
    assert_eq!(span("2500ms"), Some(Duration::from_millis(2500)));
    assert_eq!(span("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(span("1h2m3s4ms"), Some(Duration::from_millis(3_723_004)));
    assert_eq!(span("0s"), Some(Duration::ZERO));
    for bad in [
        "",
        "1",
        "s",
        "1.5s",
        "-1s",
        "+1s",
        "1 s",
        "100000s",
        "1h1h1h1h1h",
        "1d",
        "1us",
        "1S",
        "1s ",
        "٣s",
        "1sm",
    ] {
        assert_eq!(span(bad), None, "{bad}");
    }
    assert_eq!("90d".parse::<Age>().unwrap().0, Duration::from_secs(90 * 86_400));
    assert_eq!("90d".parse::<Age>().unwrap().to_string(), "90d");
    assert_eq!("36h".parse::<Age>().unwrap().to_string(), "36h");
}

#[test]
fn times_are_rfc_3339_and_not_before_1970() {
    let time = |text: &str| text.parse::<Time>().ok().map(|time| time.0.0);
    assert_eq!(time("2027-06-30T00:00:00Z"), Some(1_814_313_600));
    assert_eq!(time("2027-06-30T02:00:00+02:00"), Some(1_814_313_600));
    assert_eq!("2027-06-30T02:00:00+02:00".parse::<Time>().unwrap().to_string(), "2027-06-30T00:00:00Z");
    for bad in ["2027-06-30", "2027-06-30T00:00:00", "1969-12-31T23:59:59Z", "2027-02-30T00:00:00Z", ""] {
        assert_eq!(time(bad), None, "{bad}");
    }
}

#[test]
fn zones_are_names_and_not_networks() {
    assert_eq!(".".parse::<Zone>().unwrap().to_string(), ".");
    assert_eq!("Corp.Example.".parse::<Zone>().unwrap().to_string(), "corp.example");
    for bad in ["", "*.corp.example", "192.168.0.0/16", "10.0.0.1", "2001:db8::/32", "a..b", "null"] {
        assert!(bad.parse::<Zone>().is_err(), "{bad}");
    }
}

#[test]
fn names_of_objects_are_as_in_kubernetes() {
    for good in ["a", "partner-api", "a.b", "0"] {
        assert!(good.parse::<ObjectName>().is_ok(), "{good}");
    }
    for bad in ["", "A", "a_b", "-a", "a-", "a..b", "a b", "a\n", "ä", &"a".repeat(254)] {
        assert!(bad.parse::<ObjectName>().is_err(), "{bad}");
    }
}

#[test]
fn addresses_are_not_names() {
    for good in ["[::]:8443", "127.0.0.1:0"] {
        assert!(good.parse::<SocketAddress>().is_ok(), "{good}");
    }
    for bad in [":8443", "localhost:80", "127.0.0.1", "::1:80", ""] {
        assert!(bad.parse::<SocketAddress>().is_err(), "{bad}");
    }
    for good in ["10.0.0.53", "10.0.0.53:5353", "::1", "[::1]:53"] {
        assert_eq!(good.parse::<ServerAddress>().unwrap().to_string(), good);
    }
    assert!("dns.example".parse::<ServerAddress>().is_err());
}

#[test]
fn what_is_quoted_in_an_error_is_safe_to_print() {
    let error = "\u{1b}[31m\n".parse::<ObjectName>().unwrap_err().to_string();
    assert!(error.contains("\\027[31m\\010"), "{error}");
}

proptest! {
    #[test]
    fn a_printed_duration_reads_back_as_itself(milliseconds in 0..86_400_000_u64) {
        let span = Span(Duration::from_millis(milliseconds));
        prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        prop_assert_eq!(Age(span.0).to_string().parse::<Age>().unwrap().0, span.0);
    }

    #[test]
    fn values_never_panic(text in "\\PC*") {
        let _ = (text.parse::<Span>(), text.parse::<Age>(), text.parse::<Time>(), text.parse::<Zone>());
        let _ = (text.parse::<ObjectName>(), text.parse::<SocketAddress>(), text.parse::<ServerAddress>());
        let _ = (text.parse::<ServerIdentity>(), text.parse::<Alpn>(), text.parse::<FilePath>());
    }
}
