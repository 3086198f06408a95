//! Somebody at the dashboard over plain HTTP, with their cookies and without a browser: for requests that no browser
//! would send, and for looking through all pages at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};

use serde_json::json;

use super::contract::escaped;
use super::server::{Keyward, Reply};

/// Of addresses that are alike, so many are looked at on the way through all pages.
const ALIKE_MAX: usize = 4;

/// The password of whoever [`Person::invited`] lets in.
pub const PASSWORD: &str = "several words that nobody guesses";

/// Somebody, signed in or not.
pub struct Person {
    origin: String,
    http: Client,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Person {
    /// Somebody who is not signed in.
    pub fn nobody(keyward: &Keyward) -> Self {
        Self::at(&keyward.started.control_url)
    }

    /// Somebody at this address, who is not signed in.
    pub fn at(origin: &str) -> Self {
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Person { origin: origin.to_owned(), http, cookies: RefCell::default() }
    }

    /// The operator of `dev`, signed in with the link that it printed.
    #[track_caller]
    pub fn operator(keyward: &Keyward) -> Self {
        let person = Self::nobody(keyward);
        let path = keyward.started.sign_in_url.trim_start_matches(&keyward.started.control_url);
        let page = person.visit(path).expect(200);
        assert_eq!(forms(&page.text), [path]);
        person.send(path, &[]).expect(303);
        person
    }

    /// A member of the organization that `dev` made: invited, let in with [`PASSWORD`], signed in.
    #[track_caller]
    pub fn invited(keyward: &Keyward, email: &str, role: &str) -> Self {
        let path = format!("/v1/organizations/{}/invitations", keyward.started.organization);
        let made = keyward.post(&path, json!({"email": email, "role": role})).expect(201).json();
        let link = made["link"].as_str().unwrap().trim_start_matches(&keyward.started.control_url).to_owned();
        let person = Self::nobody(keyward);
        person.send(&link, &[("name", email.split('@').next().unwrap()), ("password", PASSWORD)]).expect(303);
        person
    }

    /// Somebody with these cookies.
    pub fn with_cookies(keyward: &Keyward, cookies: impl IntoIterator<Item = (String, String)>) -> Self {
        let person = Self::nobody(keyward);
        person.cookies.borrow_mut().extend(cookies);
        person
    }

    /// The cookies that were set so far and not taken away.
    pub fn cookies(&self) -> Vec<(String, String)> {
        self.cookies.borrow().clone().into_iter().collect()
    }

    /// Looks at a page.
    #[track_caller]
    pub fn visit(&self, path: &str) -> Reply {
        self.sent(self.request(Method::GET, path).header("accept", "text/html"))
    }

    /// Sends a form as one of our own pages does.
    #[track_caller]
    pub fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.send_from(path, fields, &[("sec-fetch-site", "same-origin"), ("origin", &self.origin)])
    }

    /// Sends a form with these headers instead of those that tell of our own pages.
    #[track_caller]
    pub fn send_from(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        let request = self.request(Method::POST, path).body(pairs.join("&")).header("accept", "text/html");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.sent(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    }

    /// A request with the cookies, to be sent with [`Person::sent`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.request(method, format!("{}{path}", self.origin));
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    /// Sends it and keeps the cookies that the answer sets.
    #[track_caller]
    pub fn sent(&self, request: RequestBuilder) -> Reply {
        let reply: Reply = request.send().unwrap().into();
        for cookie in reply.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.borrow_mut();
            match value.is_empty() || cookie.contains("Max-Age=0") {
                true => cookies.remove(name),
                false => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        reply
    }

    /// Every page that links lead to from the start, by address; of those that are alike, some.
    pub fn all_pages(&self) -> BTreeMap<String, Reply> {
        self.pages(ALIKE_MAX, ALIKE_MAX)
    }

    /// The same, with at most so many addresses that differ in their ids alone, and for each so many that differ in
    /// their query alone.
    pub fn pages(&self, paths_max: usize, queries_max: usize) -> BTreeMap<String, Reply> {
        let (mut pages, mut known) = (BTreeMap::new(), BTreeSet::new());
        let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut queries: BTreeMap<String, usize> = BTreeMap::new();
        let mut next = VecDeque::from(["/".to_owned()]);
        while let Some(address) = next.pop_front() {
            let path = address.split('?').next().unwrap().to_owned();
            let alike = paths.entry(without_ids(&path)).or_default();
            let is_another = alike.len() >= paths_max && !alike.contains(&path);
            let tried = queries.entry(path.clone()).or_default();
            if is_another || *tried >= queries_max || !known.insert(address.clone()) {
                continue;
            }
            alike.insert(path);
            *tried += 1;
            let reply = self.visit(&address);
            let target = reply.header("location").map(|target| target.trim_start_matches(&self.origin).to_owned());
            let leads = links(&reply.text).into_iter().chain(target);
            next.extend(
                leads.filter(|to| to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/assets/")),
            );
            pages.insert(address, reply);
        }
        pages
    }
}

/// A path with its ids left out: the same for pages that are alike.
pub fn without_ids(path: &str) -> String {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty() && !word.contains('_')).collect();
    words.join("/")
}

/// Where a page's links lead.
pub fn links(html: &str) -> Vec<String> {
    let parts = html.split("href=\"").skip(1);
    parts.filter_map(|part| Some(part.split_once('"')?.0.split('#').next()?.replace("&amp;", "&"))).collect()
}

/// Where a page's forms send what they change.
pub fn forms(html: &str) -> Vec<String> {
    let forms = html.split("<form").skip(1).filter_map(|part| part.split_once('>').map(|(head, _)| head));
    let forms = forms.filter(|head| head.contains("method=\"post\""));
    forms
        .filter_map(|head| Some(head.split_once("action=\"")?.1.split_once('"')?.0.replace("&amp;", "&")))
        .collect()
}
