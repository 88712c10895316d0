use super::*;

fn rules(text: &str) -> Vec<Rule> {
    text.split_whitespace().map(|rule| rule.parse().unwrap_or_else(|error| panic!("{rule}: {error}"))).collect()
}

/// Rules of `allow`, rules of `deny`, destinations as `HOST ADDRESS PORT`, and whether they are refused.
#[track_caller]
fn check(allow: &str, deny: &str, destinations: &[&str], refused: bool) {
    let policy = DestinationPolicy { allow: rules(allow), deny: rules(deny) };
    for destination in destinations {
        let [host, address, port] = *destination.split(' ').collect::<Vec<_>>() else { panic!("{destination}") };
        let (host, port) = (Host::parse(host).expect("a host"), port.parse().expect("a port"));
        let address = (address != "-").then(|| address.parse().expect("an address"));
        assert_eq!(policy.refuses(&host, address, port), refused, "allow {allow}, deny {deny}: {destination}");
        if policy.refuses_unresolved(&host, port) {
            assert!(refused, "refused before it was resolved: {destination}");
        }
    }
}

#[test]
fn metadata_and_link_local_addresses_are_refused_in_every_spelling() {
    check(
        "",
        "",
        &[
            "169.254.169.254 - 80",
            "innocent.example 169.254.169.254 80",
            "innocent.example 169.254.0.0 443",
            "innocent.example 169.254.255.255 443",
            "2852039166 - 80",
            "0xA9FEA9FE - 80",
            "0251.0376.0251.0376 - 80",
            "169.254.169.254. - 80",
            "[::ffff:169.254.169.254] - 80",
            "[::ffff:a9fe:a9fe] - 80",
            "[::169.254.169.254] - 80",
            "[::ffff:0:169.254.169.254] - 80",
            "[64:ff9b::169.254.169.254] - 80",
            "innocent.example 64:ff9b::a9fe:1 80",
            "[fe80::1] - 80",
            "innocent.example febf:ffff::1 80",
            "[fd00:ec2::254] - 80",
            "[fd20:ce::254] - 80",
            "100.100.100.200 - 80",
            "168.63.129.16 - 80",
            "metadata 10.0.0.1 80",
            "METADATA.google.internal. 10.0.0.1 80",
            "metadata.google.internal - 80",
            "instance-data 10.0.0.1 80",
        ],
        true,
    );
}

#[test]
fn everything_else_is_allowed_by_default() {
    check(
        "",
        "",
        &[
            "localhost 127.0.0.1 80",
            "[::1] - 80",
            "0.0.0.0 - 80",
            "[::] - 80",
            "10.0.0.1 - 80",
            "innocent.example 192.168.0.1 80",
            "innocent.example 169.253.255.255 80",
            "innocent.example 169.255.0.0 80",
            "innocent.example fec0::1 80",
            "innocent.example fd00::1 80",
            "100.100.100.201 - 80",
            "metadata.example.com 203.0.113.1 80",
            "my.metadata 203.0.113.1 80",
            "proxied.example - 80",
        ],
        false,
    );
}

#[test]
fn a_denial_wins() {
    check("", "*", &["a.example 203.0.113.1 80", "203.0.113.1 - 80", "proxied.example - 80"], true);
    check("*", "10.0.0.0/8", &["a.example 10.255.0.1 80", "[::ffff:10.0.0.1] - 80"], true);
    check("*", "10.0.0.0/8", &["a.example 11.0.0.1 80", "[2001:db8::a00:1] - 80"], false);
    check("10.0.0.1", "10.0.0.0/8", &["a.example 10.0.0.1 80"], true);
    check("", "*.example.com", &["a.example.com 203.0.113.1 80", "A.B.EXAMPLE.com. 203.0.113.1 80"], true);
    check("", "*.example.com", &["example.com 203.0.113.1 80", "badexample.com 203.0.113.1 80"], false);
    check("", "example.com", &["EXAMPLE.COM. 203.0.113.1 80"], true);
    check("", "example.com", &["a.example.com 203.0.113.1 80", "example.com.example 203.0.113.1 80"], false);
    check("", "127.0.0.0/8", &["0.0.0.0 - 80", "localhost 0.0.0.0 80", "0x7f.1 - 80", "[::ffff:127.0.0.1] - 80"], true);
    check("", "::1", &["[::] - 80", "localhost ::1 80"], true);
    check("", "bücher.example", &["xn--bcher-kva.example 203.0.113.1 80"], true);
    check("", "0xA000001", &["10.0.0.1 - 80"], true);
}

#[test]
fn a_port_narrows_a_rule() {
    check("", "*:25 10.0.0.1:80 [fd00::/8]:80", &["a.example 203.0.113.1 25", "10.0.0.1 - 80", "[fd00::1] - 80"], true);
    check(
        "",
        "*:25 10.0.0.1:80 [fd00::/8]:80",
        &["a.example 203.0.113.1 80", "10.0.0.1 - 81", "[fd00::1] - 81"],
        false,
    );
    check("*:443", "", &["a.example 203.0.113.1 80"], true);
    check("*:443", "", &["a.example 203.0.113.1 443"], false);
}

#[test]
fn with_an_allowance_nothing_else_is_reached() {
    check("api.example.com 10.0.0.0/8", "", &["api.example.com 203.0.113.1 80", "x.example 10.0.0.1 80"], false);
    check("api.example.com 10.0.0.0/8", "", &["x.example 203.0.113.1 80", "localhost 127.0.0.1 80"], true);
    check("*.example.com", "", &["10.0.0.1 - 80", "example.com 10.0.0.1 80"], true);
    check("10.0.0.0/8", "", &["proxied.example - 80"], true);
    check("10.0.0.0/8", "", &["10.0.0.1 - 80", "[::ffff:10.0.0.1] - 80"], false);
}

#[test]
fn only_an_allowance_as_narrow_as_a_built_in_refusal_lifts_it() {
    let metadata = &["169.254.169.254 - 80", "innocent.example 169.254.169.254 80"];
    check("* 0.0.0.0/0", "", metadata, true);
    check("innocent.example", "", metadata, true);
    check("* 169.254.0.0/15", "", metadata, true);
    check("169.254.0.0/16", "", metadata, false);
    check("169.254.169.254:80", "", metadata, false);
    check("169.254.169.254:81", "", metadata, true);
    check("* 169.254.170.2", "", metadata, true);
    check("169.254.0.0/16", "169.254.169.254", metadata, true);
    check("::ffff:169.254.169.254", "", metadata, false);
    check("*", "", &["metadata.google.internal 10.0.0.1 80"], true);
    check("metadata.google.internal", "", &["metadata.google.internal 10.0.0.1 80"], false);
    check("metadata.google.internal", "", &["metadata.google.internal 169.254.169.254 80"], true);
}

#[test]
fn a_host_that_can_only_be_refused_is_not_resolved() {
    let refuses = |allow: &str, deny: &str, host: &str| {
        let policy = DestinationPolicy { allow: rules(allow), deny: rules(deny) };
        policy.refuses_unresolved(&Host::parse(host).expect("a host"), 80)
    };
    assert!(refuses("", "*.example.com", "secret.example.com"));
    assert!(refuses("api.example.com", "", "secret.other.example"));
    assert!(refuses("", "", "metadata.google.internal"));
    assert!(!refuses("10.0.0.0/8", "", "perhaps.example"), "its address decides");
    assert!(!refuses("", "10.0.0.0/8", "perhaps.example"), "its address decides");
}

#[test]
fn what_is_no_rule_is_told() {
    for (text, error) in [
        ("", RuleError::Target),
        (":80", RuleError::Target),
        ("a b", RuleError::Target),
        ("http://example.com", RuleError::Port),
        ("example.com/path", RuleError::Target),
        ("10.0.0.0/33", RuleError::Target),
        ("[::1", RuleError::Target),
        ("[::1]80", RuleError::Target),
        ("example.com:0", RuleError::Port),
        ("example.com:65536", RuleError::Port),
        ("example.com:", RuleError::Port),
        ("10.*", RuleError::Star),
        ("*example.com", RuleError::Star),
        ("a.*.example.com", RuleError::Star),
        ("*.*.com", RuleError::Star),
        ("*.10.0.0.1", RuleError::Target),
        ("*.", RuleError::Target),
        ("::ffff:10.0.0.0/104", RuleError::Embedded),
        ("64:ff9b::/96", RuleError::Embedded),
    ] {
        assert_eq!(text.parse::<Rule>(), Err(error), "{text}");
    }
}
