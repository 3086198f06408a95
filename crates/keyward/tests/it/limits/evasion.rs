//! Getting around a limit (Q07): another key, another address that is none, another address of one's own /64.

use serde_json::json;

use crate::harness::{Key, Keyward, Request};

/// Three an hour from each address.
fn by_address() -> Keyward {
    let keyward = Keyward::dev("standard");
    keyward.amend("[plans.standard.rates]\neach = { limit = 3, per = \"1h\", by = \"address\" }\n");
    keyward
}

#[test]
fn q07_headers_that_claim_another_address_gain_nothing() {
    let keyward = by_address();
    let bearer = format!("Bearer {}", keyward.first_key().secret);
    let ask = |header: &str, address: &str| {
        keyward.send(&Request::get("/v1/hello").with("Authorization", &bearer).with(header, address)).status
    };
    assert_eq!(
        [ask("X-Forwarded-For", "192.0.2.1"), ask("X-Real-IP", "192.0.2.2"), ask("Forwarded", "for=192.0.2.3")],
        [200; 3]
    );
    for header in ["X-Forwarded-For", "x-forwarded-for", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"] {
        assert_eq!(ask(header, "192.0.2.99"), 429, "{header}");
    }
    assert_eq!(ask("Forwarded", "for=192.0.2.99"), 429);
}

#[test]
fn q07_neither_another_key_nor_another_address_of_a_64_gains_anything() {
    let keyward = by_address();
    let first = keyward.first_key();
    let ask = |key: &Key, address: &str| {
        let told = keyward.verify(json!({"key": key.secret, "ip": address})).expect(200).json();
        told["valid"] == true
    };
    assert_eq!([1, 2, 3].map(|last| ask(&first, &format!("2001:db8:0:1::{last}"))), [true; 3]);
    assert!(!ask(&first, "2001:db8:0:1:ffff:ffff:ffff:ffff"));
    let second = keyward.make(keyward.project(), json!({}));
    assert!(!ask(&second, "2001:db8:0:1::5"), "another key of the project");
    let rotated = Key::of(&keyward.rotate(&second.id, json!({})).expect(201));
    assert!(!ask(&rotated, "2001:db8:0:1::6"));
    assert!(ask(&first, "2001:db8:0:2::1"), "another customer's");
    // An IPv4 address is one, however it is written.
    assert_eq!([(); 3].map(|()| ask(&first, "192.0.2.7")), [true; 3]);
    assert!(!ask(&first, "::ffff:192.0.2.7"));
    assert!(ask(&first, "192.0.2.8"));
}
