//! What a management key may be allowed to do: the one list that endpoints, the OpenAPI document and the
//! minting of management keys draw on.

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $scope:literal, $title:literal;)*) => {
        /// One permission of the control plane.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission { $($(#[$doc])* $name,)* }

        impl Permission {
            /// All of them.
            pub const ALL: &'static [Permission] = &[$(Permission::$name),*];

            /// The scope that grants it.
            pub const fn scope(self) -> &'static str {
                match self { $(Permission::$name => $scope),* }
            }

            /// What it allows, for people.
            pub const fn title(self) -> &'static str {
                match self { $(Permission::$name => $title),* }
            }
        }
    };
}

permissions! {
    /// Read contracts.
    ApisRead = "apis:read", "read contracts";
    /// Put contracts in force.
    ApisWrite = "apis:write", "put contracts in force";
    /// Read organizations.
    OrganizationsRead = "organizations:read", "read organizations";
    /// Create, rename, suspend and delete organizations.
    OrganizationsWrite = "organizations:write", "create, rename, suspend and delete organizations";
    /// Read projects.
    ProjectsRead = "projects:read", "read projects, their usage and event log";
    /// Create, rename, suspend and delete projects.
    ProjectsWrite = "projects:write", "create, rename, suspend and delete projects";
    /// Set a project's plan and limits: the operator's side of a project.
    PlansWrite = "plans:write", "set a project's plan and limits";
    /// List and read keys (never their secrets).
    KeysRead = "keys:read", "list and read keys";
    /// Create, change, rotate and revoke keys.
    KeysWrite = "keys:write", "create, change, rotate and revoke keys";
    /// Ask whether a key may do something.
    Verify = "verify", "verify keys";
    /// Read the whole log.
    LogRead = "log:read", "read the log";
    /// List management keys.
    ManagementKeysRead = "management-keys:read", "list management keys";
    /// Mint and revoke management keys.
    ManagementKeysWrite = "management-keys:write", "create, rotate and revoke management keys";
    /// List members and invitations.
    MembersRead = "members:read", "list members and invitations";
    /// Invite and remove members, and set their roles.
    MembersWrite = "members:write", "invite and remove members, and set their roles";
    /// Manage operators and people's accounts: the operator's own.
    PeopleWrite = "people:write", "manage operators and people's accounts";
    /// Make backups and read the state of nodes.
    Operate = "operate", "make backups and read the state of nodes";
}

impl Permission {
    /// Whether `scope` names a permission, or with a star a group of them.
    pub fn is_known_scope(scope: &str) -> bool {
        match scope.strip_suffix('*') {
            Some(stem) => stem.is_empty() || Self::ALL.iter().any(|p| p.scope().starts_with(stem)),
            None => Self::ALL.iter().any(|p| p.scope() == scope),
        }
    }
}
