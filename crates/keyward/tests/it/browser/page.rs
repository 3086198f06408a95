//! What a person does with a page: goes to it, reads it, clicks what has a name, fills in what has a label.
//!
//! Nothing here sleeps for luck: what is looked for is waited for, and not finding it within ten seconds fails.

use std::time::{Duration, Instant};

use fantoccini::elements::{Element, ElementRef};
use serde_json::{Value, json};

use super::driver::{Driver, Scripts};

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How large the window is, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 1280 × 900.
    Desktop,
    /// 390 × 844.
    Phone,
}

impl Size {
    /// Width and height, in CSS pixels.
    pub fn pixels(self) -> (i64, i64) {
        match self {
            Size::Desktop => (1280, 900),
            Size::Phone => (390, 844),
        }
    }
}

/// Which colours the person's system asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    Light,
    Dark,
}

/// A browser with one window.
pub struct Browser {
    pub(super) driver: Driver,
    size: std::cell::Cell<Size>,
}

impl Browser {
    /// A fresh one, on a desktop, in light.
    pub fn open() -> Self {
        Self::with(Scripts::Run)
    }

    /// A fresh one in which pages' scripts do not run.
    pub fn without_scripts() -> Self {
        Self::with(Scripts::Blocked)
    }

    fn with(scripts: Scripts) -> Self {
        let browser = Browser { driver: Driver::start(scripts), size: Size::Desktop.into() };
        browser.size(Size::Desktop);
        browser.colours(Colours::Light);
        browser
    }

    pub fn size(&self, size: Size) {
        let (width, height) = size.pixels();
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == Size::Phone});
        self.driver.devtools("Emulation.setDeviceMetricsOverride", metrics);
        self.size.set(size);
    }

    pub fn colours(&self, colours: Colours) {
        let value = if colours == Colours::Dark { "dark" } else { "light" };
        // Colours that are on their way from one to the other are nobody's to judge.
        let still = json!({"name": "prefers-reduced-motion", "value": "reduce"});
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}, still]});
        self.driver.devtools("Emulation.setEmulatedMedia", features);
    }

    /// The size that was last chosen.
    pub(super) fn window(&self) -> Size {
        self.size.get()
    }

    // ---- going somewhere

    #[track_caller]
    pub fn goto(&self, url: &str) {
        self.driver.wait(self.driver.client().goto(url));
    }

    #[track_caller]
    pub fn back(&self) {
        self.driver.wait(self.driver.client().back());
    }

    #[track_caller]
    pub fn reload(&self) {
        self.driver.wait(self.driver.client().refresh());
    }

    /// The address of the page.
    #[track_caller]
    pub fn url(&self) -> String {
        self.driver.wait(self.driver.client().current_url()).to_string()
    }

    /// The address without the host.
    #[track_caller]
    pub fn path(&self) -> String {
        reqwest::Url::parse(&self.url()).unwrap().path().to_owned()
    }

    // ---- reading

    #[track_caller]
    pub fn title(&self) -> String {
        self.driver.wait(self.driver.client().title())
    }

    /// The text that a person sees.
    #[track_caller]
    pub fn text(&self) -> String {
        self.run("return document.body.innerText", vec![]).as_str().unwrap_or_default().to_owned()
    }

    /// The page as it is now, hidden parts and values in its fields included.
    #[track_caller]
    pub fn everything(&self) -> String {
        let fields =
            "return [...document.querySelectorAll('input, textarea')].map((field) => field.value).join('\\n')";
        let fields = self.run(fields, vec![]);
        self.driver.wait(self.driver.client().source()) + fields.as_str().unwrap_or_default()
    }

    /// Waits until the page shows this text, whatever its spaces and capitals.
    #[track_caller]
    pub fn see(&self, text: &str) {
        let shown = patiently(|| plain(&self.text()).contains(&plain(text)).then_some(()));
        if shown.is_none() {
            self.lacks(&format!("{text:?}"));
        }
    }

    /// Panics if the page shows this text now.
    #[track_caller]
    pub fn see_not(&self, text: &str) {
        let shown = self.text();
        assert!(!plain(&shown).contains(&plain(text)), "{} shows {text:?}:\n{shown}", self.url());
    }

    /// The texts of all that fits a CSS selector.
    #[track_caller]
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText)";
        let texts = self.run(script, vec![json!(selector)]);
        texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap_or_default().trim().to_owned()).collect()
    }

    /// Whether the page has something to click with this name.
    #[track_caller]
    pub fn offers(&self, name: &str) -> bool {
        !self.run(FIND, vec![json!("control"), json!(name), Value::Null]).is_null()
    }

    /// The cookies of this site, those that scripts cannot read included.
    #[track_caller]
    pub fn cookies(&self) -> Vec<(String, String)> {
        let cookies = self.driver.wait(self.driver.client().get_all_cookies());
        cookies.iter().map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())).collect()
    }

    /// Sets a cookie of the page's site.
    #[track_caller]
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.driver.devtools(
            "Network.setCookie",
            json!({"name": name, "value": value, "url": self.url(), "httpOnly": true}),
        );
    }

    /// The browser's own files that hold this text.
    pub fn files_with(&self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.driver.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if std::fs::read(&path)
                    .is_ok_and(|held| held.windows(text.len()).any(|part| part == text.as_bytes()))
                {
                    found.push(path.display().to_string());
                }
            }
        }
        found
    }

    // ---- doing

    /// Clicks the link or button with this name: its label, or the text on it; exact names go first.
    #[track_caller]
    pub fn click(&self, name: &str) {
        let element = self.element("control", name, Value::Null);
        self.driver.wait(element.click());
    }

    /// Clicks the one with this name in the smallest part of the page that shows `within` and has something to click.
    #[track_caller]
    pub fn click_within(&self, within: &str, name: &str) {
        let part = self.element("within", within, Value::Null);
        let part = json!({ELEMENT: part.element_id().to_string()});
        self.driver.wait(self.element("control", name, part).click());
    }

    /// Fills in the field with this label: types, or chooses by the option's text, or sets a date, or ticks
    /// (`"yes"` or `"no"`).
    #[track_caller]
    pub fn fill(&self, label: &str, value: &str) {
        let element = self.element("field", label, Value::Null);
        let kind = self.driver.wait(element.prop("type")).unwrap_or_default();
        match kind.as_str() {
            "select-one" => self.driver.wait(element.select_by_label(value)),
            "checkbox" | "radio" => {
                if self.driver.wait(element.is_selected()) != (value == "yes") {
                    self.driver.wait(element.click());
                }
            }
            // How a date is typed depends on the machine's language.
            "date" | "datetime-local" | "time" => {
                let script = "arguments[0].value = arguments[1]; \
                    arguments[0].dispatchEvent(new Event('input', {bubbles: true})); \
                    arguments[0].dispatchEvent(new Event('change', {bubbles: true}))";
                self.run(script, vec![json!({ELEMENT: element.element_id().to_string()}), json!(value)]);
            }
            _ => {
                self.driver.wait(element.clear());
                self.driver.wait(element.send_keys(value));
            }
        }
    }

    /// Types keys into whatever has the focus: tabs, returns, text.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let focused = self.driver.wait(self.driver.client().active_element());
        self.driver.wait(focused.send_keys(keys));
    }

    /// Runs a script of the test's own, which no page's policy forbids.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.driver.wait(self.driver.client().execute(script, arguments))
    }

    /// Panics with all that the page shows, and leaves a picture of it.
    #[track_caller]
    fn lacks(&self, what: &str) -> ! {
        let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
        self.screenshot(&format!("failed-{test}"));
        panic!(
            "{} does not show {what}, but (see target/screenshots/failed-{test}.png):\n{}",
            self.url(),
            self.text()
        )
    }

    #[track_caller]
    fn element(&self, what: &str, name: &str, scope: Value) -> Element {
        let look = || {
            let found = self.driver.client().execute(FIND, vec![json!(what), json!(name), scope.clone()]);
            // A page that is just being left has nothing to find.
            let found = self.driver.attempt(found).ok()?;
            Some(ElementRef::from(found.get(ELEMENT)?.as_str()?.to_owned()))
        };
        let found = patiently(look);
        let id = found.unwrap_or_else(|| self.lacks(&format!("a {what} {name:?}")));
        Element::from_element_id(self.driver.client().clone(), id)
    }
}

const FIND: &str = include_str!("find.js");

/// Looks every few milliseconds for what a page is about to show; none after ten seconds.
fn patiently<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A text without regard to capitals and to how it is spaced.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
