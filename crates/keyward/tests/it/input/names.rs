//! Names of every script and trick: kept as they are (trimmed, in normal form), or refused; never mangled.

use crate::harness::{Keyward, Reply};
use serde_json::{Value, json};

/// What must become of a name.
enum Fate {
    /// Kept as this.
    Kept(String),
    /// Refused with 422.
    Refused,
    /// Either, but if kept then exactly.
    KeptOrRefused,
}

/// Names that people have, in many scripts.
const PLAIN: &[&str] = &[
    "production",
    "Staging EU-1",
    "a",
    "key #1 (old)",
    "O'Brien & Söhne",
    "Zoë",
    "Žižka",
    "Straße",
    "İstanbul",
    "ılık",
    "Ελληνικά",
    "Русский",
    "Українська",
    "Հայերեն",
    "עברית",
    "العربية",
    "فارسی",
    "اردو",
    "हिन्दी",
    "বাংলা",
    "தமிழ்",
    "తెలుగు",
    "ಕನ್ನಡ",
    "മലയാളം",
    "ไทย",
    "ລາວ",
    "မြန်မာ",
    "ខ្មែរ",
    "ქართული",
    "አማርኛ",
    "日本語",
    "カタカナ",
    "한국어",
    "中文",
    "繁體中文",
    "Tiếng Việt",
    "ᏣᎳᎩ",
    "ᐃᓄᒃᑎᑐᑦ",
    "𐎠𐎼𐎹",
    "𝕌𝕟𝕚𝕔𝕠𝕕𝕖",
    "🔑",
    "🔑🔑🔑",
    "👩‍💻",
    "👨‍👩‍👧‍👦",
    "🏳️‍🌈",
    "🇩🇪",
    "👍🏽",
    "❤️",
    "☕",
    "①②③",
    "½",
    "ﬁ",
    "Ａｆｕｌｌ",
    "ｶﾅ",
    "㍿",
    "№",
    "™",
    "a\u{a0}b",
    "a\u{2003}b",
    "a\u{3000}b",
    "a  b",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onload=\"x",
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "%s%n%x",
    "%00",
    "%0d%0a",
    "'; DROP TABLE keys; --",
    "1' OR '1'='1",
    "admin'--",
    "` id `",
    "$(id)",
    "| cat /etc/passwd",
    "../../etc/passwd",
    "C:\\CON",
    "NUL",
    "null",
    "undefined",
    "NaN",
    "true",
    "0",
    "-1",
    "1e309",
    "[]",
    "{}",
    "\\",
    "\\u0000",
    "\\n",
    "/",
    "//",
    "?a=b",
    "a&b=c",
    "a;b",
    "=1+1",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "=cmd|' /C calc'!A0",
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ⓐⓓⓜⓘⓝ",
    "аdmin",
    "раураӏ",
    "ΑΒΓ",
    "ñ",
    "ǆ",
    "Å",
    "ß",
    "ſ",
    "key_0000000000000000000000",
    "proj_0000000000000000000000",
    "kw_live_x",
    "Bearer x",
    "me@example.com",
    "+49 30 1234",
    "𠜎𠜱",
    "\u{1F1FA}",
    "᚛ᚄᚓᚐᚋ᚜",
];

/// Texts in another form than the normal one, and that one.
const NORMALISED: &[(&str, &str)] = &[
    ("Zoe\u{308}", "Zo\u{eb}"),
    ("A\u{30a}", "\u{c5}"),
    ("\u{212b}", "\u{c5}"),
    ("\u{2126}", "\u{3a9}"),
    ("e\u{301}e\u{301}", "\u{e9}\u{e9}"),
    ("\u{1100}\u{1161}\u{11a8}", "\u{ac01}"),
    ("\u{0958}", "\u{0915}\u{093c}"),
    ("o\u{323}\u{308}", "\u{1ecd}\u{308}"),
    ("\u{fb1d}", "\u{5d9}\u{5b4}"),
    ("  two blanks around  ", "two blanks around"),
    ("\ttab around\t", "tab around"),
    ("\nline around\r\n", "line around"),
    ("\u{a0}no break\u{a0}", "no break"),
    ("\u{3000}wide\u{3000}", "wide"),
    ("\u{2028}separated\u{2029}", "separated"),
    ("\u{85}next line\u{85}", "next line"),
];

fn corpus() -> Vec<(String, Fate)> {
    let mut all: Vec<(String, Fate)> =
        PLAIN.iter().map(|name| ((*name).into(), Fate::Kept((*name).into()))).collect();
    all.extend(NORMALISED.iter().map(|(name, kept)| ((*name).into(), Fate::Kept((*kept).into()))));
    // Control characters (C0, DEL, C1), those that turn the direction of text, and noncharacters.
    let controls = (0..0x20)
        .chain(0x7f..0xa0)
        .chain([0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069])
        .chain([0x200e, 0x200f, 0x061c, 0x2028, 0x2029, 0xfffe, 0xffff, 0x1fffe, 0x10_ffff, 0xfdd0]);
    for code in controls {
        let c = char::from_u32(code).unwrap();
        all.push((format!("a{c}b"), Fate::Refused));
    }
    // What cannot be seen but is no control: either is fine, mangling is not.
    for c in [
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{2060}',
        '\u{feff}',
        '\u{00ad}',
        '\u{180e}',
        '\u{fff9}',
        '\u{e0041}',
        '\u{fe0f}',
        '\u{3164}',
        '\u{115f}',
        '\u{e000}',
    ] {
        all.push((format!("a{c}b"), Fate::KeptOrRefused));
    }
    for empty in ["", " ", "\t", "\n", "\u{a0}", "\u{3000}", "   \r\n  "] {
        all.push((empty.into(), Fate::Refused));
    }
    // Letters that look like others, and emoji: one of each of many blocks.
    for code in (0xc0..0xd6)
        .chain(0x391..0x3a1)
        .chain([0x1d400, 0x1f600, 0x1f468, 0x2615, 0xa9, 0x20bf, 0x6f22, 0xac00, 0x30a2, 0x10380, 0x1e00])
    {
        let name = format!("id-{}", char::from_u32(code).unwrap());
        all.push((name.clone(), Fate::Kept(name)));
    }
    all.push(("x".repeat(100), Fate::Kept("x".repeat(100))));
    all.push(("🔑".repeat(100), Fate::Kept("🔑".repeat(100))));
    all.push((format!("  {}  ", "é".repeat(100)), Fate::Kept("é".repeat(100))));
    for long in [
        "x".repeat(101),
        "🔑".repeat(101),
        "e\u{301}".repeat(101),
        "x".repeat(65_536),
        "\u{202e}".repeat(65_536),
        format!("z{}", "\u{300}".repeat(20_000)),
    ] {
        all.push((long, Fate::Refused));
    }
    // A hundred accents on one letter are a name of 101 characters, but stay one after composition.
    all.push((format!("z{}", "\u{300}".repeat(99)), Fate::KeptOrRefused));
    all
}

#[track_caller]
fn check(name: &str, fate: &Fate, reply: &Reply, kept: impl Fn(&Value) -> Value) {
    let shown: String = name.chars().take(40).flat_map(char::escape_unicode).collect();
    match (reply.status, fate) {
        (200 | 201, Fate::Kept(expected)) => assert_eq!(kept(&reply.json()), json!(expected), "{shown}"),
        (200 | 201, Fate::KeptOrRefused) => assert_eq!(kept(&reply.json()), json!(name), "{shown}"),
        (422, Fate::Refused | Fate::KeptOrRefused) => {
            let problem = reply.json();
            assert_eq!(problem["errors"][0]["field"], "name", "{shown}: {problem}");
            let is_harmless = |c: char| !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c);
            assert!(reply.text.chars().all(is_harmless), "{shown}: the refusal repeats it: {problem}");
        }
        (413, Fate::Refused) if name.len() >= 60_000 => {}
        (status, _) => panic!("{status} for {shown}: {}", reply.text.chars().take(300).collect::<String>()),
    }
}

#[test]
fn i01_300_names_are_kept_exactly_or_refused() {
    let corpus = corpus();
    assert!(corpus.len() >= 300, "{}", corpus.len());
    let keyward = Keyward::dev("standard");
    let key = format!("/v1/keys/{}", keyward.started.key_id);
    for (name, fate) in &corpus {
        let reply = keyward.patch(&key, json!({"name": name}));
        check(name, fate, &reply, |answer| answer["key"]["name"].clone());
        if reply.status == 200 {
            // Read back: from the store, and as verification tells it.
            let kept = &reply.json()["key"]["name"];
            assert_eq!(&keyward.key(&keyward.started.key_id)["name"], kept);
            let told = keyward.verify(json!({"key": keyward.started.secret})).expect(200).json();
            assert_eq!(&told["name"], kept);
        }
    }
}

#[test]
fn i01_the_same_holds_for_organizations_projects_and_management_keys() {
    let keyward = Keyward::dev("standard");
    let organization = format!("/v1/organizations/{}", keyward.started.organization);
    let project = format!("/v1/projects/{}", keyward.started.project);
    // Names of these may be longer than a key's; how long is for them to say.
    let fits = |name: &str| name.chars().count() <= 90;
    for (name, fate) in corpus().iter().filter(|(name, _)| fits(name)) {
        check(name, fate, &keyward.patch(&organization, json!({"name": name})), |a| {
            a["organization"]["name"].clone()
        });
        check(name, fate, &keyward.patch(&project, json!({"name": name})), |a| a["project"]["name"].clone());
        let made = keyward.post("/v1/management-keys", json!({"name": name, "scopes": ["keys:read"]}));
        check(name, fate, &made, |a| a["management_key"]["name"].clone());
    }
    for path in [&organization, &project] {
        let reply = keyward.patch(path, json!({"name": "x".repeat(60_000)}));
        reply.expect_problem(422, "invalid");
    }
}

#[test]
fn i01_names_in_a_list_are_found_as_they_were_given() {
    let keyward = Keyward::dev("standard");
    for name in ["Zoe\u{308}", "日本語", "a&b=c#d%20+", "100%", "'quoted'"] {
        keyward.make(keyward.project(), json!({"name": name}));
    }
    for (asked, kept) in [
        ("Zoë", "Zoë"),
        ("日本語", "日本語"),
        ("a&b=c#d%20+", "a&b=c#d%20+"),
        ("100%", "100%"),
        ("'quoted'", "'quoted'"),
    ] {
        let url = format!("{}/v1/projects/{}/keys", keyward.started.control_url, keyward.project());
        let query: String = asked.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found: Reply = keyward
            .http
            .get(format!("{url}?name={query}"))
            .bearer_auth(&keyward.started.management_key)
            .send()
            .unwrap()
            .into();
        let names: Vec<Value> =
            found.expect(200).json()["items"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
        assert_eq!(names, [json!(kept)], "{asked}");
    }
}
