//! Documents of all kinds through the transformer: what is named is replaced, all else is not, wherever the pieces are
//! cut; and what was encrypted comes back byte for byte.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// What a field is replaced with, or why not.
type Replace = fn(&Field) -> Result<String, Unfit>;

/// A stand-in for sealing that can be undone and tells the path.
fn seal(field: &Field) -> Result<String, Unfit> {
    let hex: String = field.value.iter().map(|byte| format!("{byte:02x}")).collect();
    let path: String = field.path.bytes().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("\"m:{path}:{hex}:$\""))
}

fn open(field: &Field) -> Result<String, Unfit> {
    let cannot = || Unfit::field(Refusal::CannotDecrypt, &field.path);
    let text: String = serde_json::from_slice(&field.value).map_err(|_| cannot())?;
    let parts: Vec<&str> = text.split(':').collect();
    let [_, path, hex, _] = parts[..] else { return Err(cannot()) };
    let bytes =
        |hex: &str| (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    let read = |hex: &str| String::from_utf8(bytes(hex)).unwrap();
    if read(path) == field.path { Ok(read(hex)) } else { Err(cannot()) }
}

/// Feeds the pieces; gives what came out up to the end or the fault, and the fault.
fn transform(pieces: &[&[u8]], paths: &FieldPaths, replace: Replace) -> (Vec<u8>, Result<(), Unfit>) {
    let mut transformer = Transformer::new(paths.clone(), 1 << 20);
    let mut out = Vec::new();
    for piece in pieces {
        let mut left = *piece;
        loop {
            match transformer.feed(&mut left, &mut out) {
                Ok(None) => break,
                Ok(Some(field)) => match replace(&field) {
                    Ok(with) => out.extend_from_slice(with.as_bytes()),
                    Err(unfit) => return (out, Err(unfit)),
                },
                Err(unfit) => return (out, Err(unfit)),
            }
        }
    }
    let end = transformer.finish();
    (out, end)
}

fn paths(list: &str) -> FieldPaths {
    FieldPaths::parse(list).unwrap()
}

fn sealed(list: &str, document: &str) -> Result<String, Unfit> {
    let (out, end) = transform(&[document.as_bytes()], &paths(list), seal);
    end.map(|()| String::from_utf8(out).unwrap())
}

/// What `seal` makes of a text at a path.
fn as_sealed(path: &str, text: &str) -> String {
    seal(&Field { path: path.into(), value: Zeroizing::new(text.into()) }).unwrap()
}

fn fault(list: &str, document: &str) -> (Refusal, Option<String>) {
    let unfit = sealed(list, document).expect_err(document);
    (unfit.refusal, unfit.field.map(String::from))
}

#[test]
fn named_fields_are_replaced_and_all_else_stays_as_it_was_written() {
    let document =
        "\u{20}{ \"title\" : \"T\\u00e9\",\r\n\t\"n\":1.50e+07 , \"body\":{\"a\":[1, 2]}, \"u\\u006e\":\"\\/\" }\n";
    let expected = document
        .replace("\"T\\u00e9\"", &as_sealed("title", "\"T\\u00e9\""))
        .replace("{\"a\":[1, 2]}", &as_sealed("body", "{\"a\":[1, 2]}"));
    assert_eq!(sealed("title,body", document).unwrap(), expected);
}

#[test]
fn every_kind_of_value_is_a_field() {
    for value in ["null", "true", "-0", "1E400", "18446744073709551616", "\"\"", "[]", "{}", "[{\"a\": 1 }]"] {
        let expected = format!("{{\"f\": {} }}", as_sealed("f", value));
        assert_eq!(sealed("f", &format!("{{\"f\": {value} }}")).unwrap(), expected);
    }
}

#[test]
fn fields_are_found_through_objects_and_arrays() {
    // `!` stands where the value 1 is a field at that path.
    for (list, document, path) in [
        ("a.b", r#"{"x":{"b":2},"a":{"c":3,"b":!}}"#, "a.b"),
        ("a.*.b", r#"{"a":[{"b":!},{"b":!},{"c":2},3]}"#, "a.*.b"),
        ("a.b", r#"{"a":[{"b":!},{"b":!},3]}"#, "a.*.b"),
        ("a.b", r#"{"a":[[[{"b":!}]]]}"#, "a.*.*.*.b"),
        ("a.1", r#"{"a":[0,!,2]}"#, "a.*"),
        ("a.1", r#"{"a":{"1":!,"2":2}}"#, "a.1"),
        ("a.*", r#"{"a":[!,!]}"#, "a.*"),
        ("b", r#"[{"b":!},{"b":!}]"#, "*.b"),
        ("*", "[!,! ]", "*"),
        (r"x\.y", r#"{"x\u002ey":!,"x":{"y":2}}"#, r"x\.y"),
    ] {
        let expected = document.replace('!', &as_sealed(path, "1"));
        assert_eq!(sealed(list, &document.replace('!', "1")).unwrap(), expected, "{list} in {document}");
    }
    assert_eq!(sealed("a.*.b", r#"{"a":[]}"#).unwrap(), r#"{"a":[]}"#, "none of none is missing");
    let outer = format!("{{\"a\":{}}}", as_sealed("a", "{\"b\":1}"));
    assert_eq!(sealed("a.b,a", r#"{"a":{"b":1}}"#).unwrap(), outer);
}

#[test]
fn what_is_missing_is_named() {
    for (list, document, missing) in [
        ("title,body", r#"{"title":1}"#, "body"),
        ("a.b", r#"{"a":"b"}"#, "a.b"),
        ("a.b", r#"{"a":{}}"#, "a.b"),
        ("a.*", r#"{"a":{"*":1}}"#, "a.*"),
        ("a.3", r#"{"a":[1,2,3]}"#, "a.3"),
        ("Title", r#"{"title":1}"#, "Title"),
        ("a", "1", "a"),
        ("a", "[1]", "a"),
    ] {
        assert_eq!(fault(list, document), (Refusal::FieldMissing, Some(missing.into())), "{list} in {document}");
    }
}

#[test]
fn h16_names_that_stand_twice_and_nesting_are_refused() {
    for (document, path) in [
        (r#"{"a":1,"a":2}"#, "a"),
        (r#"{"a":1,"\u0061":2}"#, "a"),
        (r#"{"b":{"c":1},"x":0,"b":{}}"#, "b"),
        (r#"[{"b":{"c":1,"c":1}}]"#, "*.b.c"),
    ] {
        assert_eq!(fault("a,b.c", document), (Refusal::NotJson, Some(path.into())), "{document}");
    }
    // Elsewhere it is nobody's business but the reader's.
    assert!(sealed("a", r#"{"x":1,"x":2,"a":{"y":1,"y":2}}"#).is_ok());
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(sealed("a", &nested(31)).is_ok() && sealed("b.c,a", &nested(31)).is_err());
    for deep in [nested(32), nested(100_000), "{\"a\":".repeat(100_000)] {
        assert_eq!(fault("a", &deep).0, Refusal::NotJson);
        assert_eq!(fault("x", &deep).0, Refusal::NotJson);
    }
    for broken in
        ["", "{", "{\"a\":1", "{\"a\":1}}", "{\"a\":1}x", "{\"a\":01}", "{\"a\":\"\\ud800\"}", "\u{feff}{}"]
    {
        assert_eq!(fault("a", broken), (Refusal::NotJson, None), "{broken}");
    }
    let wide: String = (0..1_000_000).map(|i| format!("\"k{i}\":0,")).collect();
    let wide = format!("{{{wide}\"a\":1}}");
    let expected = wide.replace("\"a\":1", &format!("\"a\":{}", as_sealed("a", "1")));
    assert_eq!(sealed("a", &wide).unwrap(), expected);
}

#[test]
fn a_field_has_a_largest_size_and_all_else_has_none() {
    let mut transformer = Transformer::new(paths("a"), 1_000);
    let mut out = Vec::new();
    let document =
        format!("{{\"b\":\"{}\",\"{}\":0,\"a\":\"{}\"", "x".repeat(5_000), "k".repeat(5_000), "y".repeat(999));
    let unfit = transformer.feed(&mut document.as_bytes(), &mut out).unwrap_err();
    assert_eq!(unfit, Unfit::field(Refusal::FieldNotEncryptable, "a"));
    assert!(!String::from_utf8(out).unwrap().contains('y'), "nothing of a field gets out");
}

#[test]
fn c02_what_stood_elsewhere_is_not_opened() {
    let list = paths("a,b.*.c");
    let swapped = format!("{{\"a\":{}}}", as_sealed("b.*.c", "1"));
    let (_, end) = transform(&[swapped.as_bytes()], &paths("a"), open);
    assert_eq!(end, Err(Unfit::field(Refusal::CannotDecrypt, "a")));
    // Items may move within their array.
    let (one, two) = (as_sealed("b.*.c", "1"), as_sealed("b.*.c", "2"));
    let moved = format!("{{\"a\":{},\"b\":[{{\"c\":{two}}},{{\"c\":{one}}}]}}", as_sealed("a", "0"));
    let (out, end) = transform(&[moved.as_bytes()], &list, open);
    assert_eq!((out.as_slice(), end), (&br#"{"a":0,"b":[{"c":2},{"c":1}]}"#[..], Ok(())));
}

/// Any document, in any spelling.
fn document() -> impl Strategy<Value = String> {
    let space = || prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")];
    let string = prop_oneof![
        Just(r#""""#.to_owned()),
        Just(r#""\u00e9\ud83d\udd11\/\n""#.to_owned()),
        ".{0,6}".prop_map(|text| Value::from(text).to_string()),
    ];
    let number = prop_oneof![Just("-0"), Just("1.50E+07"), Just("7"), Just("123456789")].prop_map(str::to_owned);
    let word = prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned);
    let leaf = prop_oneof![string, number, word];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let spaced = (space(), inner, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let array =
            proptest::collection::vec(spaced.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        let key = prop_oneof![Just("a"), Just("b"), Just("0"), Just("*"), Just("c.d"), Just("é")];
        let object = proptest::collection::btree_map(key, (spaced, any::<bool>()), 0..4).prop_map(|fields| {
            let written = fields.iter().map(|(key, (value, is_escaped))| match (*key, is_escaped) {
                ("a", true) => format!("\"\\u0061\":{value}"),
                (key, _) => format!("\"{key}\" :{value}"),
            });
            format!("{{{}}}", written.collect::<Vec<_>>().join(","))
        });
        prop_oneof![array, object]
    })
}

fn field_list() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(vec!["a", "a", "a", "b", "b", "*", "*", "0", "1", r"c\.d", "é", r"\*"]);
    let path = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("."));
    proptest::collection::vec(path, 1..4).prop_map(|paths| paths.join(","))
}

/// The same by hand, on a document in memory: `ways` are what is left of each path, and whether only names count.
fn by_hand(value: &mut Value, ways: &[(Vec<String>, bool)], path: &str) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if ways.iter().any(|(left, _)| left.is_empty()) {
        let text = value.to_string();
        *value = serde_json::from_str(&as_sealed(path, &text)).unwrap();
        return;
    }
    let is_name = |part: &str| part != "*" && part.parse::<usize>().is_err();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let escaped = if name == "*" { r"\*".to_owned() } else { name.replace('.', r"\.") };
                let fits = |(left, only_names): &&(Vec<String>, bool)| {
                    left[0] == escaped && left[0] != "*" && (!only_names || is_name(&left[0]))
                };
                let next: Vec<_> = ways.iter().filter(fits).map(|(left, _)| (left[1..].to_vec(), false)).collect();
                by_hand(value, &next, &below(&escaped));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let next = ways.iter().filter_map(|(left, only_names)| match left[0].as_str() {
                    name if is_name(name) => Some((left.clone(), true)),
                    _ if *only_names => None,
                    "*" => Some((left[1..].to_vec(), false)),
                    number => (number.parse() == Ok(index)).then(|| (left[1..].to_vec(), false)),
                });
                by_hand(item, &next.collect::<Vec<_>>(), &below("*"));
            }
        }
        _ => {}
    }
}

fn cut<'a>(text: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.sort_unstable();
    let mut begin = 0;
    let mut pieces: Vec<_> = cuts.iter().map(|&end| &text[std::mem::replace(&mut begin, end)..end]).collect();
    pieces.push(&text[begin..]);
    pieces
}

proptest! {
    #[test]
    fn wherever_it_is_cut_the_outcome_is_the_same(
        text in document(), list in field_list(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let paths = paths(&list);
        let whole = transform(&[text.as_bytes()], &paths, seal);
        prop_assert_eq!(transform(&cut(text.as_bytes(), &cuts), &paths, seal), whole);
        let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
        prop_assert_eq!(transform(&bytes, &paths, seal), transform(&[text.as_bytes()], &paths, seal));
    }

    #[test]
    fn what_was_encrypted_comes_back_byte_for_byte(text in document(), list in field_list()) {
        let paths = paths(&list);
        let (sealed, end) = transform(&[text.as_bytes()], &paths, seal);
        let (opened, end_again) = transform(&[&sealed], &paths, open);
        prop_assert_eq!(String::from_utf8(opened), Ok(text));
        prop_assert_eq!(end_again, end);
    }

    #[test]
    fn what_is_named_is_replaced_and_nothing_else(text in document(), list in field_list()) {
        let (sealed, _) = transform(&[text.as_bytes()], &paths(&list), seal);
        // By hand, values are written anew: those in fields as well, so both go through the same.
        let plain: Value = serde_json::from_str(&text).unwrap();
        let (again, _) = transform(&[plain.to_string().as_bytes()], &paths(&list), seal);
        let mut expected = plain;
        let ways: Vec<_> = list.split(',').map(|path| (parts(path), false)).collect();
        by_hand(&mut expected, &ways, "");
        prop_assert_eq!(&serde_json::from_slice::<Value>(&again).unwrap(), &expected);
        prop_assert_eq!(sealed.iter().filter(|b| **b == b'$').count() >= again.iter().filter(|b| **b == b'$').count(), true);
    }

    #[test]
    fn nothing_makes_it_panic(text in r#"[\[\]{}",:01ab\\u*. ]{0,40}"#, list in field_list()) {
        let (out, end) = transform(&[text.as_bytes()], &paths(&list), seal);
        prop_assert!(end.is_ok() || out.len() <= text.len() * 16);
    }
}

/// The parts of a path between dots that no backslash stands before.
fn parts(path: &str) -> Vec<String> {
    path.replace(r"c\.d", "c\u{0}d").split('.').map(|part| part.replace('\u{0}', r"\.")).collect()
}
