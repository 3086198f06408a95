//! Icons: strokes on a 24 by 24 grid, decoration only. What an icon says is always said in words beside it.

use maud::{Markup, PreEscaped, html};

macro_rules! icons {
    ($($(#[$doc:meta])* $name:ident = $paths:literal;)*) => {
        /// The icons there are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Icon { $($(#[$doc])* $name,)* }

        impl Icon {
            const fn paths(self) -> &'static str {
                match self { $(Icon::$name => $paths),* }
            }
        }
    };
}

icons! {
    /// Keyward itself.
    Brand = r#"<path d="M12 2 4 5v6c0 5 3.4 9 8 11 4.600-2 8-6 8-11V5z"/><circle cx="12" cy="10" r="2"/><path d="M12 12v4"/>"#;
    /// Keys.
    Key = r#"<circle cx="8" cy="15" r="4"/><path d="m11 12 8-8m-3 3 3 3m-6 0 2 2"/>"#;
    /// Usage.
    Chart = r#"<path d="M4 20V4m0 16h16"/><path d="m8 15 4-5 3 3 5-7"/>"#;
    /// Event logs.
    List = r#"<path d="M8 6h12M8 12h12M8 18h12"/><path d="M4 6h.01M4 12h.01M4 18h.01"/>"#;
    /// Plans and limits.
    Gauge = r#"<path d="M4 18a9 9 0 1 1 16 0"/><path d="m12 14 4-5"/>"#;
    /// Members.
    People = r#"<circle cx="9" cy="8" r="3.500"/><path d="M3 20c0-4 2.700-6 6-6s6 2 6 6"/><path d="M16 4.600a3.500 3.500 0 0 1 0 6.800M18 14.500c2 .8 3 2.700 3 5.500"/>"#;
    /// Settings.
    Gear = r#"<circle cx="12" cy="12" r="3"/><path d="M12 3v3m0 12v3M3 12h3m12 0h3M5.600 5.600l2.100 2.100m8.600 8.600 2.100 2.100m0-12.800-2.100 2.100m-8.600 8.600-2.100 2.100"/>"#;
    /// Projects.
    Folder = r#"<path d="M3 6a1 1 0 0 1 1-1h5l2 2h9a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z"/>"#;
    /// Organizations.
    Building = r#"<path d="M5 21V4a1 1 0 0 1 1-1h8a1 1 0 0 1 1 1v17M15 9h3a1 1 0 0 1 1 1v11M3 21h18M8.500 7h3m-3 4h3m-3 4h3"/>"#;
    /// Contracts.
    Document = r#"<path d="M6 3h8l4 4v14H6zM14 3v4h4M9 12h6m-6 4h6"/>"#;
    /// Nodes.
    Server = r#"<rect x="4" y="4" width="16" height="6" rx="1"/><rect x="4" y="14" width="16" height="6" rx="1"/><path d="M8 7h.01M8 17h.01"/>"#;
    /// Not open to whoever looks.
    Lock = r#"<rect x="5" y="11" width="14" height="9" rx="1.500"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>"#;
    /// Something to know.
    Info = r#"<circle cx="12" cy="12" r="9"/><path d="M12 11v5m0-8h.01"/>"#;
    /// Something to be careful about.
    Warning = r#"<path d="M12 3 2.500 20h19zM12 10v4m0 3h.01"/>"#;
    /// Done.
    Check = r#"<path d="m5 12.500 4.500 4.500L19 7.500"/>"#;
    /// Wrong.
    Cross = r#"<path d="m6 6 12 12M18 6 6 18"/>"#;
    /// One more.
    Plus = r#"<path d="M12 5v14M5 12h14"/>"#;
    /// Copying.
    Copy = r#"<rect x="9" y="9" width="11" height="11" rx="1.500"/><path d="M15 9V5a1 1 0 0 0-1-1H5a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1h4"/>"#;
    /// Rotating.
    Rotate = r#"<path d="M20 11a8 8 0 0 0-14-4L4 9m0-5v5h5M4 13a8 8 0 0 0 14 4l2-2m0 5v-5h-5"/>"#;
    /// Revoking.
    Trash = r#"<path d="M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5m4-5v5"/>"#;
    /// Changing.
    Pencil = r#"<path d="M4 20h4L19 9l-4-4L4 16zM13 7l4 4"/>"#;
    /// Taking away to keep.
    Download = r#"<path d="M12 4v11m-4-4 4 4 4-4M5 20h14"/>"#;
    /// Help.
    Help = r#"<circle cx="12" cy="12" r="9"/><path d="M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .9-1 1.700M12 17h.01"/>"#;
    /// Out of here.
    Leave = r#"<path d="M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M10 12h10m-4-4 4 4-4 4"/>"#;
    /// Sorted upwards.
    Up = r#"<path d="m6 14 6-6 6 6"/>"#;
    /// Sorted downwards.
    Down = r#"<path d="m6 10 6 6 6-6"/>"#;
}

impl maud::Render for Icon {
    fn render(&self) -> Markup {
        html! {
            svg.icon viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round"
                stroke-linejoin="round" aria-hidden="true" focusable="false" { (PreEscaped(self.paths())) }
        }
    }
}
