//! The first page that somebody loads: small, all from the same place, and usable by keyboard alone.

use serde_json::Value;

use super::world::furnished;

/// Bytes that came over the wire for the page, and where from.
const LOADED: &str = "const entries = [...performance.getEntriesByType('navigation'), \
    ...performance.getEntriesByType('resource')]; \
    return {bytes: entries.reduce((sum, entry) => sum + entry.transferSize, 0), \
    elsewhere: entries.map((entry) => entry.name).filter((name) => !name.startsWith(location.origin))}";

#[test]
fn a_first_page_is_under_a_hundred_kilobytes_and_all_ours() {
    let world = furnished("standard");
    for page in ["keys", "usage"] {
        // Nothing of it is known yet.
        world.browser.driver.devtools("Network.clearBrowserCache", serde_json::json!({}));
        world.goto_project(page);
        let loaded = world.browser.run(LOADED, vec![]);
        let bytes = loaded["bytes"].as_u64().unwrap();
        assert!((5_000..100_000).contains(&bytes), "{page}: {bytes} bytes");
        assert_eq!(loaded["elsewhere"], Value::Array(vec![]), "{page}");
    }
}

#[test]
fn a_key_is_made_by_keyboard_alone() {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    let world = furnished("standard");
    world.goto_project("keys");
    let focused = || {
        let script = "const element = document.activeElement; element.scrollIntoView(); \
            return [element.id || element.name || element.innerText, getComputedStyle(element).outlineStyle]";
        let told = world.browser.run(script, vec![]);
        (told[0].as_str().unwrap_or_default().to_owned(), told[1].as_str().unwrap_or_default().to_owned())
    };
    world.browser.press(TAB);
    assert_eq!(focused().0, "Skip to the content");
    world.browser.press(ENTER);
    assert_eq!(focused().0, "main");
    for _ in 0..30 {
        world.browser.press(TAB);
        let (name, outline) = focused();
        assert_ne!(outline, "none", "one does not see that {name} has the focus");
        if name == "name" {
            break;
        }
    }
    world.browser.press("By keyboard");
    world.browser.press(ENTER);
    let secret = world.secret();
    assert!(world.keyward.is_valid(&secret));
}
