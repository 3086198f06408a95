//! A Keyward with somebody signed in to its dashboard, and enough in it for pages to have something to show.

use serde_json::json;

use super::{Browser, Colours, Size};
use crate::harness::raw::Answer;
use crate::harness::{Key, Keyward, Person, eventually, in_seconds};

/// How a page is looked at: every size in both colours.
pub const LOOKS: [(Size, Colours, &str); 4] = [
    (Size::Desktop, Colours::Light, "desktop-light"),
    (Size::Desktop, Colours::Dark, "desktop-dark"),
    (Size::Phone, Colours::Light, "phone-light"),
    (Size::Phone, Colours::Dark, "phone-dark"),
];

/// A server and a browser in which its first operator is signed in.
pub struct World {
    pub keyward: Keyward,
    pub browser: Browser,
}

impl World {
    /// With this preset.
    pub fn new(preset: &str) -> Self {
        Self::around(Keyward::dev(preset), Browser::open())
    }

    /// The same where pages' scripts do not run.
    pub fn without_scripts(preset: &str) -> Self {
        Self::around(Keyward::dev(preset), Browser::without_scripts())
    }

    /// Signs the browser in with the link that `dev` printed.
    pub fn around(keyward: Keyward, browser: Browser) -> Self {
        browser.goto(&keyward.started.sign_in_url);
        browser.click("Sign in");
        browser.see("Account menu");
        World { keyward, browser }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.keyward.started.control_url)
    }

    /// Goes to a path.
    #[track_caller]
    pub fn goto(&self, path: &str) {
        self.browser.goto(&self.url(path));
    }

    /// Goes to a page of the project that `dev` made: `keys`, `usage`, `events`, `limits`, `settings`.
    #[track_caller]
    pub fn goto_project(&self, page: &str) {
        self.goto(&format!("/projects/{}/{page}", self.keyward.project()));
    }

    /// The signed-in person without the browser, by its cookies.
    pub fn person(&self) -> Person {
        Person::with_cookies(&self.keyward, self.browser.cookies())
    }

    /// Makes a key over REST, with a name and an expiry where the contract has them.
    #[track_caller]
    pub fn key(&self, name: &str) -> Key {
        self.try_key(name).expect("another key may be active")
    }

    /// The same; none where no more may be active.
    #[track_caller]
    pub fn try_key(&self, name: &str) -> Option<Key> {
        let terms = self.keyward.terms();
        let mut wish = json!({"acknowledge": true});
        if terms.is("key.name.offered") {
            wish["name"] = json!(name);
        }
        if terms.is("key.expiry.required") {
            wish["expires_at"] = json!(in_seconds(90 * 86_400));
        }
        let reply = self.keyward.create(self.keyward.project(), wish);
        if reply.status == 409 {
            return None;
        }
        Some(Key::of(&reply.expect(201)))
    }

    /// The secret that the page shows once.
    #[track_caller]
    pub fn secret(&self) -> String {
        self.browser.see("Copy");
        let shown = self.browser.texts("#secret");
        shown.into_iter().next().unwrap_or_else(|| panic!("no secret on the page:\n{}", self.browser.text()))
    }

    /// Waits until so many uses of a key are known: they come seconds late, and not all at once.
    #[track_caller]
    pub fn is_counted(&self, key: &str, uses: u64) {
        eventually("the uses are known", || (self.keyward.key(key)["uses"].as_u64() >= Some(uses)).then_some(()));
    }

    /// The first row of the keys' table that holds a text, on one line.
    #[track_caller]
    pub fn row(&self, text: &str) -> String {
        let rows = self.browser.texts("table.keys tbody tr");
        rows.iter()
            .find(|row| row.contains(text))
            .cloned()
            .unwrap_or_else(|| panic!("no row has {text:?}: {rows:#?}"))
    }

    /// Calls the contract's first example with a secret.
    #[track_caller]
    pub fn call(&self, secret: &str) -> Answer {
        let terms = self.keyward.terms();
        let request = terms.places()[0].carry(&terms.example(self.keyward.project()), secret);
        self.keyward.send(&request)
    }
}

/// A world with something on every page: keys in every state, and calls that were let through and refused.
pub fn furnished(preset: &str) -> World {
    let world = World::new(preset);
    let keyward = &world.keyward;
    let organization = format!("/v1/organizations/{}", keyward.started.organization);
    keyward.patch(&organization, json!({"name": "Acme Robotics"})).expect(200);
    keyward.patch(&format!("/v1/projects/{}", keyward.project()), json!({"name": "Warehouse"})).expect(200);
    let mut keys = vec![keyward.first_key()];
    for name in ["Production", "Staging", "Old laptop"] {
        keys.extend(world.try_key(name));
    }
    let past = if keys.len() > 2 { keys.pop() } else { None };
    let calls = |key: &Key, times| (0..times).filter(|_| world.call(&key.secret).status == 200).count() as u64;
    let granted: Vec<_> = keys.iter().zip(1..).map(|(key, number)| calls(key, 12 / number)).collect();
    // Whoever still sends the revoked one is refused.
    if let Some(past) = past {
        keyward.revoke(&past.id).expect(200);
        (0..3).for_each(|_| drop(world.call(&past.secret)));
    }
    for (key, granted) in keys.iter().zip(granted) {
        world.is_counted(&key.id, granted.max(1));
    }
    world
}
