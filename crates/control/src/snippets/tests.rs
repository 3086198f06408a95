//! Snippets of every preset, and that what stands in them reaches the other side as it is.

use std::process::Command;

use super::*;
use crate::contracts_for_tests::{contract, extended};

fn call<'a>(contract: &'a Contract, example: usize) -> Call<'a> {
    Call { base: "http://127.0.0.1:1", contract, example: &contract.examples[example], project: "proj_1" }
}

fn line(preset: &str, example: usize) -> String {
    let contract = contract(preset);
    call(&contract, example).curl(Credential::Key("KEY"))
}

#[test]
fn lines_have_the_vendors_own_form() {
    assert_eq!(line("getprofile", 0), "curl http://127.0.0.1:1/v1/profile/abc123 -H 'Authorization: Bearer KEY'");
    assert_eq!(
        line("profound", 0),
        "curl -X POST http://127.0.0.1:1/v1/reports/visibility -H 'X-API-Key: KEY' -H 'Content-Type: application/json'"
    );
    assert!(line("scrapegraphai", 0).contains("-H 'SGAI-APIKEY: KEY'"));
    assert!(
        line("qanapi", 1)
            .starts_with("curl -X POST http://127.0.0.1:1/proxy/proj_1 -H 'X-Qanapi-Authorization: KEY'")
    );
}

#[test]
fn a_key_that_cannot_be_shown_stands_as_a_variable() {
    let contract = contract("getprofile");
    let line = call(&contract, 0).curl(Credential::Variable("GETPROFILE_API_KEY"));
    assert!(line.contains("-H \"Authorization: Bearer $GETPROFILE_API_KEY\""), "{line}");
}

#[test]
fn g08_programs_read_the_vendors_variable_and_hold_no_key() {
    for (preset, variable) in [
        ("getprofile", "GETPROFILE_API_KEY"),
        ("profound", "PROFOUND_API_KEY"),
        ("metriport", "METRIPORT_API_KEY"),
        ("scrapegraphai", "SGAI_API_KEY"),
        ("qanapi", "QANAPI_API_KEY"),
    ] {
        let contract = contract(preset);
        let call = call(&contract, 0);
        assert!(call.python().contains(&format!("os.environ[\"{variable}\"]")), "{}", call.python());
        assert!(call.javascript().contains(&format!("process.env[\"{variable}\"]")), "{}", call.javascript());
        assert_eq!(env_line(variable, "a_B-9"), format!("{variable}=a_B-9"));
    }
}

#[test]
fn a_key_in_the_query_is_encoded() {
    let contract = extended("[credential]\nfrom = [{ query = \"api_key\" }]\n");
    let call = call(&contract, 0);
    assert_eq!(call.curl(Credential::Key("K")), "curl 'http://127.0.0.1:1/v1/hello?api_key=K'");
    assert!(call.python().contains("params={\"api_key\": os.environ[\"API_KEY\"]}"), "{}", call.python());
    assert!(call.javascript().contains("\"?api_key=\" + encodeURIComponent("), "{}", call.javascript());
}

#[test]
fn words_survive_a_shell() {
    let nasty = "it's $HOME `id` \"x\" \\ \n !";
    for word in [nasty, "", "'", "a b", "plain-1.0/x"] {
        let shell = Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))).output();
        assert_eq!(String::from_utf8(shell.unwrap().stdout).unwrap(), word);
    }
}

#[test]
fn literals_survive_python() {
    for text in ["", "plain", "it's", "\"x\"", "'\"\\\n\r\t\u{0}\u{2028}é🔑", "{\"a\": \"b\\\\\"}", "</script>"]
    {
        let program = format!("import sys; sys.stdout.buffer.write({}.encode())", literal(text));
        let shown = Command::new("python3").arg("-c").arg(program).output().unwrap();
        assert_eq!(String::from_utf8(shown.stdout).unwrap(), text, "{}", literal(text));
    }
}

#[test]
fn programs_are_programs() {
    for preset in ["getprofile", "profound", "metriport", "scrapegraphai", "qanapi", "standard"] {
        let contract = contract(preset);
        for example in 0..contract.examples.len() {
            let program = call(&contract, example).python();
            let check = ["-c", "import ast, sys; ast.parse(sys.argv[1])", &program];
            assert!(Command::new("python3").args(check).status().unwrap().success(), "{program}");
        }
    }
}
