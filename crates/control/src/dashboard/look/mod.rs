//! How every page looks: the frame around it ([`Frame`]), the parts it is made of ([`parts`]), icons and times. Pages put
//! parts together and own no style; styles are in `assets/app.css`, which has no other user.

pub mod frame;
pub mod icons;
pub mod moments;
pub mod parts;

pub use frame::{Crumb, Frame, NavGroup, NavItem, Who};
pub use icons::Icon;
