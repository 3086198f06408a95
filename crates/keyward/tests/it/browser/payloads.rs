//! Texts that would run a script if a page took them for anything but text. Each sets `window.ran` where it succeeds,
//! and none is longer than a name may be.

/// What ends the places that a text may stand in: text, attributes, comments, elements with raw text, scripts.
const ENDS: [&str; 14] = [
    "",
    "\">",
    "'>",
    "`>",
    "\" ",
    "' ",
    "-->",
    "</title>",
    "</textarea>",
    "</script>",
    "</style>",
    "]]>",
    "\\\");",
    "';",
];

/// What runs a script once it is taken for markup, an address, a style or a template.
const RUNS: [&str; 28] = [
    "<script>window.ran=1</script>",
    "<ScRiPt>window.ran=1</sCrIpT>",
    "<script src=data:,window.ran=1></script>",
    "<scr<script>ipt>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    "<img/src='x'/onerror='window.ran=1'>",
    "<svg onload=window.ran=1>",
    "<svg><script>window.ran=1</script></svg>",
    "<svg><animate onbegin=window.ran=1 attributeName=x dur=1s>",
    "<body onload=window.ran=1>",
    "<details open ontoggle=window.ran=1>",
    "<input autofocus onfocus=window.ran=1>",
    "<select autofocus onfocus=window.ran=1>",
    "<video><source onerror=window.ran=1></video>",
    "<audio src=x onerror=window.ran=1>",
    "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "<iframe src=javascript:parent.ran=1>",
    "<object data=javascript:window.ran=1>",
    "<math><mi//xlink:href='javascript:window.ran=1'>x</mi></math>",
    "<a href=javascript:window.ran=1 autofocus>x</a>",
    "<form><button formaction=javascript:window.ran=1>x</button>",
    "<meta http-equiv=refresh content='0;url=javascript:window.ran=1'>",
    "<base href=//elsewhere.test/>",
    "<link rel=stylesheet href=//elsewhere.test/x.css>",
    "<style>*{background:url(//elsewhere.test/)}</style>",
    "<template><script>window.ran=1</script></template>",
    "onmouseover=window.ran=1 style=position:fixed;inset:0 x=",
    "javascript:window.ran=1//",
];

/// What has a meaning to templates, scripts and programs that read exports.
const ODD: [&str; 12] = [
    "{{constructor.constructor('window.ran=1')()}}",
    "${window.ran=1}",
    "#{window.ran=1}",
    "<%= window.ran=1 %>",
    "{%raw%}<script>window.ran=1</script>",
    "&lt;script&gt;window.ran=1&lt;/script&gt;",
    "&#60;img src=x onerror=window.ran=1&#62;",
    "%3Cscript%3Ewindow.ran=1%3C/script%3E",
    "\\u003cscript\\u003ewindow.ran=1\\u003c/script\\u003e",
    "+ADw-script+AD4-window.ran=1+ADw-/script+AD4-",
    "=HYPERLINK(\"javascript:window.ran=1\",\"x\")",
    "\u{ff1c}script\u{ff1e}window.ran=1\u{ff1c}/script\u{ff1e}",
];

/// All of them: more than four hundred.
pub fn scripts() -> Vec<String> {
    let mixed = ENDS.iter().flat_map(|end| RUNS.iter().map(move |run| format!("{end}{run}")));
    mixed.chain(ODD.iter().map(|&odd| odd.to_owned())).collect()
}

#[test]
fn there_are_hundreds_and_each_may_be_a_name() {
    let all = scripts();
    assert!(all.len() >= 400, "{}", all.len());
    let fits = |text: &String| text.chars().count() <= 100 && text.trim() == text;
    let odd: Vec<_> = all.iter().filter(|text| !fits(text)).collect();
    assert!(odd.is_empty(), "{odd:?}");
}
