//! Keyward behind nginx, Caddy, Traefik and Envoy: the real programs with the configurations of deploy/proxies, nothing in
//! them replaced but addresses and the API's name.
//!
//! [`proxy`] starts them; `world` is what stands around them.

mod answered;
mod closed;
mod headers;
mod paths;
mod proxy;
mod same;
mod trusted;
mod world;
