//! The menu at the head of every page: who is signed in, and where that user may go.

use mect_fleet::Role;

use crate::auth::identity::Identity;

/// A page that the menu leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// The table of servers.
    Fleet,
    /// What went wrong, and what happened.
    Incidents,
    /// Every scrape endpoint.
    Targets,
    /// Who may sign in.
    Users,
    /// Who changed what.
    Audit,
    /// The installation.
    About,
    /// One's own account; its link stands by the name.
    Account,
    /// Adding servers.
    Add,
    /// No page of the menu, for example a form that one of them leads to.
    Elsewhere,
}

/// One line of the menu.
struct Entry {
    section: Section,
    label: &'static str,
    path: &'static str,
    /// The least role that is shown it: what the table of access asks for.
    least: Role,
}

const ENTRIES: &[Entry] = &[
    Entry { section: Section::Fleet, label: "Fleet", path: "/", least: Role::Readonly },
    Entry { section: Section::Incidents, label: "Incidents", path: "/incidents", least: Role::Readonly },
    Entry { section: Section::Targets, label: "Targets", path: "/targets", least: Role::Readonly },
    Entry { section: Section::Add, label: "Add servers", path: "/servers/add", least: Role::Admin },
    Entry { section: Section::Users, label: "Users", path: "/admin/users", least: Role::Superadmin },
    Entry { section: Section::Audit, label: "Audit", path: "/admin/audit", least: Role::Superadmin },
    Entry { section: Section::About, label: "About", path: "/about", least: Role::Readonly },
];

/// A link as a page shows it.
pub(crate) struct Link {
    pub(crate) label: &'static str,
    pub(crate) path: &'static str,
    pub(crate) is_current: bool,
}

/// Who is named in the page's header, and what the menu offers.
pub(crate) struct Who {
    pub(crate) username: String,
    pub(crate) role: &'static str,
    pub(crate) links: Vec<Link>,
    /// What forms carry to show that they are ours; empty for who is no browser.
    pub(crate) form_token: String,
    /// The page shown is the account's.
    pub(crate) is_account: bool,
}

impl Who {
    /// The signed-in user, on a page of `section`. An account that must do something first is offered nothing else.
    pub(crate) fn on(section: Section, identity: &Identity) -> Self {
        let user = identity.user();
        let entries = ENTRIES.iter().filter(|entry| identity.is_in_order() && identity.may(entry.least));
        Self {
            username: user.username.clone(),
            role: user.role.name(),
            form_token: identity.form_token().map_or_else(String::new, |token| token.expose().to_owned()),
            links: entries
                .map(|entry| Link { label: entry.label, path: entry.path, is_current: entry.section == section })
                .collect(),
            is_account: section == Section::Account,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access;

    #[test]
    fn the_menu_offers_what_the_table_of_access_allows() {
        for entry in ENTRIES {
            assert_eq!(access::least_role(entry.path), Some(entry.least), "{}", entry.path);
        }
    }
}
