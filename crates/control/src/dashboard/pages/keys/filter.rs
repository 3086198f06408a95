//! Which of a project's keys the page shows and in what order, as its address says it; and the addresses of the same page
//! in another order, or of another part of the list.

use std::time::Duration;

use keyward_core::id::ProjectId;
use keyward_core::key::Standing;
use keyward_core::store::KeyOrder;
use serde::Deserialize;

use crate::use_cases::keys::KeySearch;

/// How many keys a part of the list has.
pub const SHOWN: u32 = 50;
/// The last part that is counted to: whoever looks for a key farther back narrows the list.
const PART_MAX: u32 = 20_000;

/// What the address asks for. A word that is none of these asks for nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// A standing's word; all where empty.
    pub state: String,
    /// A part of the name; all where empty.
    pub named: String,
    /// For how many days keys were not used; all where empty.
    pub unused: String,
    /// A column's word; when keys were made where empty.
    pub sort: String,
    /// Not empty where the order is turned round.
    pub reverse: String,
    /// Which part of the list, from 1 on.
    pub part: String,
}

impl Filter {
    /// The standing that is asked for.
    pub fn standing(&self) -> Option<Standing> {
        Standing::ALL.into_iter().find(|standing| standing.as_str() == self.state)
    }

    /// For how many days keys were not used.
    pub fn unused_days(&self) -> Option<u32> {
        self.unused.parse().ok().filter(|days| (1..=3_650).contains(days))
    }

    fn name_part(&self) -> Option<String> {
        Some(self.named.trim().to_owned()).filter(|part| !part.is_empty())
    }

    /// What the list is sorted by.
    pub fn order(&self) -> KeyOrder {
        let known = ORDERS.into_iter().find(|(_, word)| *word == self.sort);
        known.map_or(KeyOrder::Created, |(order, _)| order)
    }

    /// Whether the order is turned round.
    pub fn is_reversed(&self) -> bool {
        !self.reverse.is_empty()
    }

    /// Which part of the list, from 0 on.
    pub fn part(&self) -> u32 {
        self.part.parse::<u32>().ok().map_or(0, |part| part.clamp(1, PART_MAX) - 1)
    }

    /// Whether keys are left out.
    pub fn is_narrowing(&self) -> bool {
        self.standing().is_some() || self.name_part().is_some() || self.unused_days().is_some()
    }

    /// Whether this is the list as it is at first, or another part of that: keys that open now stand at its top then.
    pub fn is_plain(&self) -> bool {
        !self.is_narrowing() && self.order() == KeyOrder::Created && !self.is_reversed()
    }

    /// The same as a search.
    pub fn search(&self) -> KeySearch {
        const DAY: Duration = Duration::from_secs(86_400);
        KeySearch {
            standing: self.standing(),
            name_part: self.name_part(),
            unused_for: self.unused_days().map(|days| DAY * days),
            order: self.order(),
            is_reversed: self.is_reversed(),
            offset: self.part() * SHOWN,
            limit: SHOWN,
        }
    }

    /// The address of another part of the list, from 0 on.
    pub fn at_part(&self, project: ProjectId, part: u32) -> String {
        let part = if part == 0 { String::new() } else { (part + 1).to_string() };
        Filter { part, ..self.clone() }.href(project)
    }

    /// The address of the list in the order of a column; turned round where that is its order already.
    pub fn sorted_by(&self, project: ProjectId, order: KeyOrder) -> String {
        let sort = ORDERS.into_iter().find(|(known, _)| *known == order).map_or("", |(_, word)| word);
        let is_turned = self.order() == order && !self.is_reversed();
        let reverse = if is_turned { "yes" } else { "" };
        let (sort, reverse, part) = (sort.to_owned(), reverse.to_owned(), String::new());
        Filter { sort, reverse, part, ..self.clone() }.href(project)
    }

    /// The page's address with this filter.
    pub fn href(&self, project: ProjectId) -> String {
        let Filter { state, named, unused, sort, reverse, part } = self;
        let fields = [
            ("state", state),
            ("named", named),
            ("unused", unused),
            ("sort", sort),
            ("reverse", reverse),
            ("part", part),
        ];
        let query: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let query = serde_html_form::to_string(query).unwrap_or_default();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("/projects/{project}/keys{mark}{query}")
    }
}

/// The columns that lists are sorted by, and their words in addresses.
const ORDERS: [(KeyOrder, &str); 4] = [
    (KeyOrder::Created, ""),
    (KeyOrder::Name, "name"),
    (KeyOrder::Expires, "expires"),
    (KeyOrder::LastUsed, "used"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_what_is_asked_for() {
        let project = ProjectId::from_u128(1);
        let filter = Filter { state: "revoked".into(), named: "a&b=c <i>".into(), ..Filter::default() };
        let href = filter.href(project);
        assert!(href.ends_with("/keys?state=revoked&named=a%26b%3Dc+%3Ci%3E"), "{href}");
        assert!(Filter::default().href(project).ends_with("/keys"));
        assert_eq!(filter.standing(), Some(Standing::Revoked));
        assert!(filter.at_part(project, 2).ends_with("&part=3"));
    }

    #[test]
    fn a_column_sorts_and_then_turns_round() {
        let project = ProjectId::from_u128(1);
        let by_name = Filter { sort: "name".into(), ..Filter::default() };
        assert!(Filter::default().sorted_by(project, KeyOrder::Name).ends_with("?sort=name"));
        assert!(by_name.sorted_by(project, KeyOrder::Name).ends_with("?sort=name&reverse=yes"));
        assert!(Filter::default().sorted_by(project, KeyOrder::Created).ends_with("?reverse=yes"));
    }

    #[test]
    fn i05_what_an_address_cannot_ask_for_is_not_asked_for() {
        let odd = Filter {
            state: "<script>".into(),
            unused: "-1".into(),
            sort: "digest".into(),
            part: "99999999999".into(),
            ..Filter::default()
        };
        assert!(odd.is_plain() && odd.part() == 0);
        assert_eq!(Filter { part: "4294967295".into(), ..Filter::default() }.part(), PART_MAX - 1);
    }

    #[test]
    fn q19_keys_that_nobody_used_for_a_month_are_asked_for() {
        let search = Filter { unused: "30".into(), ..Filter::default() }.search();
        assert_eq!(search.unused_for, Some(Duration::from_secs(30 * 86_400)));
    }
}
