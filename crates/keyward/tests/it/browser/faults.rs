//! What can be wrong with a page whatever it is for: errors on the console, a breach of the content security policy,
//! faults of accessibility that axe finds, sideways scrolling on a phone.

use serde_json::{Value, json};

use super::page::Browser;
use crate::harness::installed;

/// WCAG 2.2, levels A and AA.
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

const AXE: &str = "const done = arguments[arguments.length - 1]; \
    axe.run(document, {runOnly: {type: 'tag', values: arguments[0]}, resultTypes: ['violations']}) \
    .then((found) => done(found.violations), (error) => done([{id: String(error), nodes: []}]))";

impl Browser {
    /// Errors that the browser logged since this was last asked: of scripts, of loading, of the security policy.
    #[track_caller]
    pub fn errors(&self) -> Vec<String> {
        let entries = self.driver.log();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What axe finds against WCAG 2.2 AA: one line for each element, with the rule.
    #[track_caller]
    pub fn axe(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(installed("node/node_modules/axe-core/axe.min.js")).unwrap();
        self.run(&axe, vec![]);
        let found = self.driver.wait(self.driver.client().execute_async(AXE, vec![json!(RULES)]));
        let mut lines = Vec::new();
        for violation in found.as_array().unwrap() {
            for node in violation["nodes"].as_array().unwrap() {
                lines.push(format!(
                    "{}: {} {}",
                    text(&violation["id"]),
                    text(&node["html"]),
                    text(&node["failureSummary"])
                ));
            }
            if violation["nodes"].as_array().is_none_or(Vec::is_empty) {
                lines.push(text(&violation["id"]));
            }
        }
        lines
    }

    /// How many pixels the page is wider than the window.
    #[track_caller]
    pub fn sideways(&self) -> i64 {
        let script = "return Math.max(document.scrollingElement.scrollWidth, innerWidth)";
        self.run(script, vec![]).as_i64().unwrap() - self.window().pixels().0
    }

    /// Everything that is wrong with the page as it stands.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.errors();
        faults.extend(self.axe());
        let sideways = self.sideways();
        if sideways > 0 {
            faults.push(format!("scrolls sideways by {sideways} pixels: {}", self.too_wide()));
        }
        faults
    }

    /// Panics if anything is wrong with the page as it stands.
    #[track_caller]
    pub fn is_sound(&self) {
        let faults = self.faults();
        assert!(faults.is_empty(), "{}:\n{}", self.url(), faults.join("\n"));
    }

    /// What makes the page too wide.
    fn too_wide(&self) -> String {
        let script = "return [...document.querySelectorAll('body *')] \
            .filter((element) => !element.parentElement.closest('.scroll, nav.side')) \
            .filter((element) => element.getBoundingClientRect().right > arguments[0] + 1) \
            .slice(0, 5).map((element) => element.outerHTML.slice(0, 120)).join(' | ')";
        text(&self.run(script, vec![json!(self.window().pixels().0)]))
    }

    /// The whole page as a picture under `target/screenshots`.
    #[track_caller]
    pub fn screenshot(&self, name: &str) {
        use base64::Engine as _;
        let size = self.driver.devtools("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let (width, _) = self.window().pixels();
        let height = size["height"].as_f64().unwrap().clamp(100.0, 8000.0);
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let shot =
            self.driver.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true, "clip": clip}));
        let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/screenshots"));
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
