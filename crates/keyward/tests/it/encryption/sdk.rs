//! The vendor's published client, its paths mapped to the proxy by a contract.

use serde_json::json;

use super::{expect_ciphertext, key_of, keyward};
use crate::harness::Sdk;

#[test]
fn q14_the_vendors_client_encrypts_and_decrypts_fields() {
    let keyward = keyward();
    let key = key_of(&keyward, keyward.project());
    let route = |way: &str| {
        format!(
            "[[routes]]\npath = \"/api/v3/encryption/{{project}}/{way}\"\nproject = \"project\"\nencryption = \"proxy\"\n"
        )
    };
    keyward.amend(&(route("encrypt") + &route("decrypt")));
    let call = |call: &str, data: &serde_json::Value| {
        let sdk =
            Sdk::new("qanapi", &keyward).key(&key.secret).given("call", call).given("proxy", keyward.project());
        sdk.given("data", &data.to_string()).given("fields", "password").call()
    };
    let plain = json!({"password": "secret123", "user": "ann"});
    let sealed = call("encrypt_fields", &plain);
    assert_eq!(sealed["ok"], true, "{sealed}");
    expect_ciphertext(&sealed["data"]["password"]);
    assert_eq!(sealed["data"]["user"], "ann");
    assert_eq!(call("decrypt_fields", &sealed["data"])["data"], plain);
    let refused = call("decrypt_fields", &plain);
    assert_eq!((&refused["ok"], &refused["status"]), (&json!(false), &json!(422)), "{refused}");
    assert_eq!(refused["data"], json!({"message": "The field password cannot be decrypted"}));
}
