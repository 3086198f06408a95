//! The pages that each vendor's readers are led through, drawn from its preset: one file a vendor.

mod getprofile;
mod metriport;
mod profound;
mod qanapi;
mod scrapegraphai;
